"""MAML and FOMAML through a real trainer: they learn, what they log is sane, and resuming is exact."""

import math
from typing import Any

import pytest
import torch
from gymnasium.spaces import MultiBinary

from helpers import bit_identical, final_state, fit, flatten, make_data, record_logs, record_phases, resumed
from meta_rl.algorithms import FOMAML, MAML, PolicyConfig
from meta_rl.data import RolloutDataModule
from meta_rl.envs import ActionReward, Bandit, BatchedEnv, ConstantReward, PointMass
from meta_rl.errors import NonFiniteError, UserError
from meta_rl.randomness import Phase
from meta_rl.trust_region import Outcome

POLICY = PolicyConfig(hidden_sizes=[8], nonlinearity="tanh")
BOTH = pytest.mark.parametrize("algorithm", [MAML, FOMAML])


def make(algorithm: type[MAML], **arguments: Any) -> MAML:
    return algorithm(**{"inner_lr": 0.3, "policy": POLICY, "curvature_every_n_steps": 0, **arguments})


def mean(records: list[dict[str, float]], name: str) -> float:
    return sum(record[name] for record in records) / len(records)


@BOTH
@pytest.mark.parametrize("env", [Bandit(), ActionReward(horizon=3)], ids=["Bandit", "ActionReward"])
@pytest.mark.parametrize(
    "outer",
    [
        {},
        {"outer_optimizer": "adam", "outer_lr": 0.02},
        {"outer_optimizer": "ppo", "outer_lr": 0.01, "inner_loss": "ratio"},
    ],
    ids=["trpo", "adam", "ppo"],
)
def test_learns_to_adapt(algorithm: type[MAML], env: BatchedEnv, outer: dict) -> None:
    learner = make(algorithm, **outer)
    records = record_logs(learner)
    fit(learner, RolloutDataModule(env, meta_batch_size=20, fast_batch_size=20), 30)
    first, last = records[:3], records[-3:]
    # Per step: about -0.7 at first; a policy that does not adapt gets -1/3 at the very best.
    assert mean(last, "return_post") > mean(first, "return_post") + 0.1 * env.horizon
    assert mean(last, "return_post") > mean(last, "return_pre") + 0.1 * env.horizon


def test_several_inner_steps_and_fewer_states_learn_too() -> None:
    learner = make(MAML, inner_lr=0.05, num_inner_steps=2, fisher_fraction=0.5)
    records = record_logs(learner)
    fit(learner, RolloutDataModule(Bandit(), meta_batch_size=20, fast_batch_size=20), 20)
    assert mean(records[-3:], "return_post") > mean(records[:3], "return_post") + 0.2


@BOTH
def test_an_accepted_step_obeys_the_trust_region(algorithm: type[MAML]) -> None:
    learner = make(algorithm, max_kl=0.005)
    records = record_logs(learner)
    fit(learner, make_data(), 4)
    accepted = [r for r in records if r["outer_step_outcome"] == Outcome.ACCEPTED]
    assert accepted
    for record in accepted:
        assert 0 < record["kl"] <= 0.005
        assert record["loss_after"] < record["loss_before"]
        assert 0 < record["accepted_step_fraction"] <= 1


@BOTH
def test_a_constant_reward_changes_nothing(algorithm: type[MAML]) -> None:
    # One step and a power of two of episodes: the mean of equal numbers, and so the advantage, is exact.
    learner = make(algorithm)
    data = RolloutDataModule(ConstantReward(horizon=1), meta_batch_size=4, fast_batch_size=16)
    learner.build(data.env, data.seed)
    before, records = flatten(learner.theta()).clone(), record_logs(learner)
    fit(learner, data, 3)
    assert torch.equal(flatten(learner.theta()), before)
    for record in records:
        assert record["gradient_norm"] == record["kl"] == record["accepted_step_fraction"] == 0
        assert record["outer_step_outcome"] == Outcome.NO_DIRECTION
        assert record["return_pre"] == record["return_post"] == 1


@BOTH
def test_curvature_of_a_zero_gradient_does_not_stop_the_run(algorithm: type[MAML]) -> None:
    learner = make(algorithm, curvature_every_n_steps=1)
    fit(learner, RolloutDataModule(ConstantReward(horizon=1), meta_batch_size=4, fast_batch_size=16), 2)


def gradients_of_the_first_iteration(**arguments: Any) -> list[torch.Tensor]:
    gradients = []
    for algorithm in (MAML, FOMAML):
        learner = make(algorithm, max_kl=1e-9, **arguments)
        fit(learner, make_data(), 1)
        gradients.append(torch.cat([p.grad.reshape(-1) for p in learner.policy.parameters()]))
    return gradients


def test_first_order_changes_the_gradient() -> None:
    second, first = gradients_of_the_first_iteration()
    assert (second - first).norm() > 0.1 * second.norm()
    # ... by the second-order term only, which vanishes with the inner rate.
    second, first = gradients_of_the_first_iteration(inner_lr=1e-6)
    assert (second - first).norm() < 1e-4 * second.norm()


def test_inner_loss_changes_the_second_order_only() -> None:
    second, first = gradients_of_the_first_iteration()
    second_by_ratio, first_by_ratio = gradients_of_the_first_iteration(inner_loss="ratio")
    torch.testing.assert_close(first_by_ratio, first, rtol=1e-4, atol=1e-6)
    assert (second_by_ratio - second).norm() > 0.02 * second.norm()


def test_curvature_is_logged_every_n_steps() -> None:
    learner = make(MAML, curvature_every_n_steps=2)
    records = record_logs(learner)
    fit(learner, make_data(), 5)
    assert ["second_order_norm" in r for r in records] == [True, False, True, False, True]
    for record in records[::2]:
        assert record["second_order_norm"] > 0
        assert -1 - 1e-6 <= record["second_order_cosine"] <= 1 + 1e-6


def test_curvature_by_hand_and_the_same_for_both() -> None:
    """At the same policy and on the same data MAML and FOMAML report the same comparison."""
    g, h = gradients_of_the_first_iteration()
    for algorithm in (MAML, FOMAML):
        learner = make(algorithm, max_kl=1e-9, curvature_every_n_steps=1)
        records = record_logs(learner)
        fit(learner, make_data(), 1)
        assert records[0]["second_order_norm"] == pytest.approx(float((g - h).norm() / g.norm()), rel=1e-4)
        cosine = float(g @ h / g.norm() / h.norm())
        assert records[0]["second_order_cosine"] == pytest.approx(cosine, rel=1e-4)


@pytest.mark.parametrize("outer", ["trpo", "adam"])
def test_curvature_does_not_disturb_training(outer: str) -> None:
    states = []
    for every in (0, 1):
        learner = make(MAML, curvature_every_n_steps=every, outer_optimizer=outer)
        states.append(final_state(fit(learner, make_data(), 3)))
    assert bit_identical(*states)


def test_log_of_an_iteration() -> None:
    learner = make(MAML, num_inner_steps=2)
    records = record_logs(learner)
    trainer = fit(learner, make_data(), 2)
    assert trainer.callback_metrics["return_post"] == pytest.approx(records[-1]["return_post"])
    # 3 tasks x 4 episodes x 5 steps, in two support phases and the query phase
    assert [r["env_steps"] for r in records] == [180, 360]
    for record in records:
        assert all(math.isfinite(value) for value in record.values())
        assert record["episode_length_pre"] == record["episode_length_post"] == 5
        assert record["time_sampling"] > 0
        assert record["time_update"] >= record["time_gradient"] > 0
        assert 0 <= record["saturation_pre"] <= 1
        assert record["memory_mb"] > 50


@BOTH
def test_every_collection_of_episodes_has_a_stream_of_its_own(algorithm: type[MAML]) -> None:
    data = make_data()
    streams = record_phases(data)
    fit(make(algorithm, num_inner_steps=3), data, 2)
    phases = [Phase.SUPPORT, Phase.SUPPORT + 1, Phase.SUPPORT + 2, Phase.QUERY]
    assert streams == [(iteration, phase) for iteration in (0, 1) for phase in phases]


RESUMABLE = pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"outer_optimizer": "adam"},
        {"outer_optimizer": "ppo"},
        {"num_inner_steps": 2, "inner_lr": 0.01, "inner_optimizer": "adam"},
        {"num_inner_steps": 2, "inner_optimizer": "sgd", "inner_optimizer_args": {"momentum": 0.9}},
    ],
    ids=["trpo", "outer adam", "ppo", "inner adam", "inner momentum"],
)


@RESUMABLE
@BOTH
@pytest.mark.parametrize("announced", [True, False], ids=["interrupted", "continued"])
def test_resuming_is_bit_identical(
    algorithm: type[MAML], arguments: dict, announced: bool, tmp_path: Any
) -> None:
    through = fit(make(algorithm, **arguments), make_data(), 5)
    again = resumed(lambda: make(algorithm, **arguments), 2, 5, announced, tmp_path)
    assert again.global_step == 5
    assert bit_identical(final_state(through), final_state(again))


class Broken(ActionReward):
    def step(self, actions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        observations, reward, terminated = super().step(actions)
        return observations, reward * float("nan"), terminated


def test_a_reward_that_is_not_finite_stops_the_run() -> None:
    with pytest.raises(NonFiniteError, match="reward"):
        fit(make(MAML), RolloutDataModule(Broken(), 2, 2), 1)


def test_a_loss_that_is_not_finite_stops_the_run_before_the_step() -> None:
    learner = make(MAML, inner_lr=1e30)
    data = make_data()
    learner.build(data.env, data.seed)
    before = flatten(learner.theta()).clone()
    with pytest.raises(NonFiniteError):
        fit(learner, data, 1)
    assert torch.equal(flatten(learner.theta()), before)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("fisher_fraction", 0.0),
        ("fisher_fraction", 1.5),
        ("outer_lr", 0.0),
        ("outer_lr", math.nan),
        ("curvature_every_n_steps", -1),
        ("outer_epochs", 0),
        ("clip", 0.0),
        ("clip", 1.0),
        ("kl_target", 0.0),
        ("kl_penalty", -1.0),
        ("adapted_layers", [0]),
        ("adapted_layers", [4]),
        ("adapted_layers", [-4]),
        ("adapted_layers", []),
        ("max_kl", 0.0),
        ("max_kl", math.nan),
        ("cg_iters", 0),
        ("cg_damping", -1.0),
        ("inner_lr", -0.1),
        ("inner_lr", math.inf),
        ("num_inner_steps", 0),
        ("inner_optimizer", "nadam"),
    ],
)
def test_impossible_values(key: str, value: Any) -> None:
    with pytest.raises(ValueError, match=key):
        MAML(**{key: value})


@pytest.mark.parametrize("name", ["adadelta", "adagrad", "adam", "adamax", "adamw", "radam", "rmsprop"])
def test_second_order_through_every_inner_optimizer(name: str) -> None:
    """Dead units have gradients of exactly 0, where the derivative of a square root is infinite."""
    learner = make(
        MAML, inner_optimizer=name, inner_lr=0.01, num_inner_steps=2, policy=PolicyConfig(hidden_sizes=[8])
    )
    fit(learner, RolloutDataModule(PointMass(horizon=5), meta_batch_size=2, fast_batch_size=2), 1)


def test_credit_has_no_place_in_ppo() -> None:
    with pytest.raises(ValueError, match="sampling_credit has no place in outer_optimizer ppo"):
        MAML(sampling_credit=True, outer_optimizer="ppo")


def test_spaces_must_be_boxes() -> None:
    env = PointMass()
    env.action_space = MultiBinary(3)  # type: ignore[assignment]
    with pytest.raises(UserError, match=r"PointMass.action_space must be a one-dimensional gymnasium Box"):
        make(MAML).build(env, 0)
