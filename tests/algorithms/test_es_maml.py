"""ES-MAML through a real trainer: its gradient by hand, learning, common random numbers, exact resuming."""

from typing import Any

import pytest
import torch
from torch import Tensor

from helpers import bit_identical, final_state, fit, flatten, make_data, record_logs, resumed
from meta_rl.algorithms import ESMAML, PolicyConfig
from meta_rl.data import RolloutDataModule
from meta_rl.envs import ActionReward, Bandit, BatchedEnv, ConstantReward
from meta_rl.errors import UserError
from meta_rl.randomness import Phase
from meta_rl.types import Experience, MetaBatch, Params

POLICY = PolicyConfig(hidden_sizes=[4], nonlinearity="tanh", init_std=0.5)
BOTH = pytest.mark.parametrize("adaptation", ["gradient", "es"])


class Spy(ESMAML):
    """Remembers what an iteration starts from and what it finds."""

    def adapt(self, rows: Params, batch: MetaBatch, *args: Any) -> list[Experience]:
        self.before = {name: p.clone() for name, p in self.theta().items()}
        self.rows, self.drawn = rows, self.directions(batch)
        self.found = super().adapt(rows, batch, *args)
        return self.found


def make(algorithm: type[ESMAML] = ESMAML, **arguments: Any) -> Any:
    return algorithm(**{"inner_lr": 0.1, "perturbations": 6, "sigma": 0.1, "policy": POLICY, **arguments})


def mean(records: list[dict[str, float]], name: str) -> float:
    return sum(record[name] for record in records) / len(records)


@BOTH
@pytest.mark.parametrize("env", [Bandit(), ActionReward(horizon=3)], ids=["Bandit", "ActionReward"])
def test_learns_to_adapt(env: BatchedEnv, adaptation: str) -> None:
    learner = make(adaptation=adaptation, inner_sigma=0.3, outer_lr=0.05, inner_lr=0.15, perturbations=10)
    records = record_logs(learner)
    fit(learner, RolloutDataModule(env, meta_batch_size=10, fast_batch_size=20), 40)
    assert mean(records[-5:], "return_post") > 0.7 * mean(records[:3], "return_post")  # of a loss: 30 % less
    assert mean(records[-5:], "return_post") > 0.5 * mean(records[-5:], "return_pre")


def test_update_by_hand() -> None:
    learner = make(Spy, outer_optimizer="sgd", outer_lr=0.25)
    fit(learner, make_data(), 1)
    query = learner.found[-1].returns.mean(-1).view(3, 6).double()
    spread = query.var(1, correction=0).mean().sqrt()
    gradient = torch.zeros(len(flatten(learner.before)), dtype=torch.float64)
    for i in range(3):
        for h in range(3):
            g = flatten({name: x[i, h] for name, x in learner.drawn.items()})
            plus, minus = query[i, 2 * h], query[i, 2 * h + 1]
            gradient -= (plus - minus) / (2 * 0.1) * g / (3 * 3) / spread
            at = 6 * i + 2 * h
            row = flatten({name: x[at] for name, x in learner.rows.items()})
            torch.testing.assert_close(row, flatten(learner.before) + 0.1 * g)
    torch.testing.assert_close(
        flatten(learner.theta()).double(), flatten(learner.before) - 0.25 * gradient, rtol=1e-5, atol=1e-6
    )


def test_adaptation_is_a_step_of_the_inner_loop_from_the_perturbed_parameters() -> None:
    learner = make(Spy, num_inner_steps=2)
    collected: list[tuple[Params, int]] = []
    data = make_data()
    collect = data.collect

    def spy(
        policy: Any, params: Params, tasks: Tensor, iteration: int, phase: int, *args: Any, **kw: Any
    ) -> Any:
        collected.append((params, phase))
        return collect(policy, params, tasks, iteration, phase, *args, **kw)

    data.collect = spy  # type: ignore[method-assign]
    fit(learner, data, 1)
    (_, first), *rows = collected
    assert first == Phase.SUPPORT
    assert [phase for _, phase in rows] == [Phase.SUPPORT + 1, Phase.SUPPORT + 2, Phase.QUERY]
    with torch.no_grad():
        adapted = learner.inner.replay(learner.rows, [e.samples for e in learner.found[:-1]])
    assert bit_identical(adapted, rows[-1][0])


def test_both_of_a_pair_meet_the_same_random_numbers() -> None:
    learner = make(Spy, sigma=1e-6)
    fit(learner, make_data(), 1)
    returns = learner.found[-1].returns.view(3, 3, 2, -1)
    torch.testing.assert_close(returns[:, :, 0], returns[:, :, 1], rtol=0, atol=1e-2)
    assert not torch.allclose(returns[:, 0], returns[:, 1], rtol=0, atol=1e-2)
    assert not torch.allclose(returns[0], returns[1], rtol=0, atol=1e-2)


@pytest.mark.parametrize("outer", ["sgd", "adam"])
def test_a_constant_reward_changes_nothing(outer: str) -> None:
    learner = make(outer_optimizer=outer)
    data = RolloutDataModule(ConstantReward(horizon=1), meta_batch_size=4, fast_batch_size=16)
    learner.build(data.env, data.seed)
    before, records = flatten(learner.theta()).clone(), record_logs(learner)
    fit(learner, data, 2)
    assert torch.equal(flatten(learner.theta()), before)
    assert all(r["gradient_norm"] == 0 and r["kl"] == 0 for r in records)


def test_the_gradient_is_free_of_the_returns_scale_and_shift() -> None:
    learner = make()
    learner.build(ActionReward(), 1)
    fitness, directions = torch.rand(2, 6), {"x": torch.randn(2, 3, 5)}
    plain, other = (learner.gradient(f, directions)["x"] for f in (fitness, 10 * fitness + 7))
    torch.testing.assert_close(plain, other, rtol=1e-4, atol=1e-5)


@BOTH
def test_log_of_an_iteration(adaptation: str) -> None:
    learner = make(adaptation=adaptation)
    records = record_logs(learner)
    fit(learner, make_data(), 2)
    # 3 tasks x 4 episodes x 5 steps of theta; of 6 perturbations before and after a step
    assert [r["env_steps"] for r in records] == [60 * 13, 120 * 13]
    assert all(r["kl"] > 0 for r in records)


@BOTH
@pytest.mark.parametrize("announced", [True, False], ids=["interrupted", "continued"])
def test_resuming_is_bit_identical(adaptation: str, announced: bool, tmp_path: Any) -> None:
    def build() -> ESMAML:
        return make(adaptation=adaptation, perturbations=2)

    through = fit(build(), make_data(), 5)
    again = resumed(build, 2, 5, announced, tmp_path)
    assert again.global_step == 5
    assert bit_identical(final_state(through), final_state(again))


def test_adaptation_by_es_needs_an_even_number_of_episodes() -> None:
    data = RolloutDataModule(ActionReward(), meta_batch_size=2, fast_batch_size=3)
    with pytest.raises(UserError, match=r"data\.fast_batch_size"):
        fit(make(adaptation="es"), data, 1)


@pytest.mark.parametrize(
    ("key", "value"),
    [("perturbations", 0), ("perturbations", 3), ("perturbations", -2)]
    + [(key, value) for key in ("sigma", "inner_sigma", "outer_lr") for value in (0.0, -1.0, float("inf"))],
)
def test_impossible_values(key: str, value: float) -> None:
    with pytest.raises(ValueError, match=key):
        ESMAML(**{key: value})
