"""Running statistics of observations against those of all states at once, and what a policy makes of them."""

import math
from typing import Any

import pytest
import torch
from torch.func import functional_call, vmap

from helpers import fit, make_data, shared
from meta_rl.algorithms import FOMAML, PolicyConfig
from meta_rl.data import RolloutDataModule
from meta_rl.distributions import Gaussian
from meta_rl.envs import ActionReward, BatchedEnv
from meta_rl.inner import InnerLoop
from meta_rl.normalizer import LIMIT, OUTLIER, RunningNormalizer
from meta_rl.policy import GaussianMLP, distribution


def states(seed: int, n: int = 50) -> torch.Tensor:
    stream = torch.Generator().manual_seed(seed)
    return torch.randn(2, n, 3, generator=stream) * torch.tensor([1.0, 5.0, 0.1]) + torch.tensor(
        [0.0, 100.0, -2]
    )


def test_the_statistics_are_those_of_all_states_at_once() -> None:
    normalizer, seen = RunningNormalizer(3), [states(i, 10 + 7 * i) for i in range(4)]
    for x in seen:
        normalizer.update(x, torch.ones(x.shape[:-1]))
    together = torch.cat([x.flatten(0, 1) for x in seen]).double()
    assert int(normalizer.count) == len(together)
    torch.testing.assert_close(normalizer.mean, together.mean(0))
    torch.testing.assert_close(normalizer.variance, together.var(0, correction=0))


def test_by_hand() -> None:
    normalizer = RunningNormalizer(1)
    normalizer.update(torch.tensor([[[1.0], [3.0]]]), torch.ones(1, 2))  # mean 2, variance 1
    normalizer.update(torch.tensor([[[8.0]]]), torch.ones(1, 1))  # mean 4, variance (9 + 1 + 16) / 3
    assert (float(normalizer.mean), float(normalizer.variance)) == pytest.approx((4, 26 / 3))
    assert float(normalizer(torch.tensor([4.0 + (26 / 3) ** 0.5]))) == pytest.approx(1)


def test_padding_does_not_count() -> None:
    padded, bare = RunningNormalizer(3), RunningNormalizer(3)
    x = states(0)
    mask = (torch.arange(50) < 30).float().expand(2, -1)
    padded.update(torch.where(mask[..., None] > 0, x, 1e6), mask)
    bare.update(x[:, :30], torch.ones(2, 30))
    for name, value in bare.state_dict().items():
        torch.testing.assert_close(padded.state_dict()[name], value)


def test_without_a_state_it_stays_the_identity() -> None:
    normalizer, x = RunningNormalizer(3), torch.tensor([0.5, -2, 9])
    normalizer.update(states(0), torch.zeros(2, 50))
    torch.testing.assert_close(normalizer(x), x)


def test_outliers_are_cut_off_and_constants_are_0() -> None:
    normalizer = RunningNormalizer(2)
    normalizer.update(torch.tensor([[[-1.0, 7], [1, 7]]]), torch.ones(1, 2))
    torch.testing.assert_close(normalizer(torch.tensor([1e6, 7])), torch.tensor([LIMIT, 0]))
    torch.testing.assert_close(normalizer(torch.tensor([-1e6, 7])), torch.tensor([-LIMIT, 0]))


@pytest.mark.parametrize("wild", [1e8, -1e8])
def test_a_simulation_that_explodes_does_not_hide_all_other_states(wild: float) -> None:
    normalizer, clean = RunningNormalizer(3), RunningNormalizer(3)
    for x in (normalizer, clean):
        x.update(states(0, 50_000), torch.ones(2, 50_000))
    normalizer.update(torch.full((1, 1, 3), wild), torch.ones(1, 1))
    cut_off = clean.mean + math.copysign(OUTLIER, wild) * torch.tensor([1.0, 5, 1])
    clean.update(cut_off[None, None], torch.ones(1, 1))
    torch.testing.assert_close(normalizer.variance, clean.variance, rtol=0.01, atol=0)
    assert (normalizer.variance[:2].sqrt() < torch.tensor([1.1, 5.5])).all()


def test_a_policy_sees_normalised_observations_in_every_way_of_calling_it() -> None:
    policy = GaussianMLP(
        3, 2, PolicyConfig([8], normalize_observations=True), torch.Generator().manual_seed(1)
    )
    assert policy.normalizer is not None
    x = states(1)
    expected = policy.mean((x - torch.tensor([0.0, 100, -2])) / torch.tensor([2.0, 4, 8]))
    for name, values in {"mean": [0.0, 100, -2], "variance": [4.0, 16, 64]}.items():
        policy.normalizer.get_buffer(name).copy_(torch.tensor(values))
    torch.testing.assert_close(policy(x).mean, expected)
    params = shared(policy, 2)
    torch.testing.assert_close(distribution(policy, params, x).mean, expected)
    lifted = vmap(lambda p, o: functional_call(policy, p, (o,)).mean)(params, x)
    torch.testing.assert_close(lifted, expected)


def test_statistics_change_between_iterations_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """All episodes of an iteration, and all gradients on them, are those of one scale."""
    learner = FOMAML(policy=PolicyConfig([4], normalize_observations=True), num_inner_steps=2)
    counts: list[int] = []
    spied = learner.outer_step, RolloutDataModule.collect

    def count() -> None:
        assert learner.policy.normalizer is not None
        counts.append(int(learner.policy.normalizer.count))

    def outer_step(*args: Any) -> Any:
        numbers = spied[0](*args)
        count()
        return numbers

    def collect(*args: Any) -> Any:
        count()
        return spied[1](*args)

    monkeypatch.setattr(learner, "outer_step", outer_step)
    monkeypatch.setattr(RolloutDataModule, "collect", collect)
    fit(learner, make_data(), 2)
    states = 3 * 3 * 4 * 5  # phases x tasks x episodes x steps
    assert counts == [0] * 4 + [states] * 4
    count()
    assert counts[-1] == 2 * states


def test_statistics_leave_out_what_follows_an_early_end() -> None:
    learner = FOMAML(policy=PolicyConfig([4], normalize_observations=True))
    fit(learner, RolloutDataModule(Falling(horizon=5), 4, 3), 2)
    assert learner.policy.normalizer is not None
    steps = int(learner.env_steps)
    assert 2 * 2 * 4 * 3 < steps < 2 * 2 * 4 * 3 * 5
    assert int(learner.policy.normalizer.count) == steps


class Falling(ActionReward):
    """Some tasks end after a step."""

    def step(self, actions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        observations, rewards, _ = super().step(actions)
        return observations, rewards, (self._target > 0).expand_as(rewards)


class Plain(torch.nn.Module):
    """A policy that somebody else wrote, with parameters and a distribution only."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.log_std = (torch.nn.Parameter(torch.zeros(*shape)) for shape in ((1, 1), (1,)))

    def forward(self, observations: torch.Tensor) -> Gaussian:
        return Gaussian(observations @ self.weight, self.log_std)


def test_a_policy_of_ones_own_needs_no_normalizer() -> None:
    class Own(FOMAML):
        def build(self, env: BatchedEnv, seed: int) -> None:
            self.policy: Any = Plain()
            self.inner = InnerLoop(self.policy, 0.1)

    learner = Own()
    fit(learner, make_data(), 2)
    assert learner.global_step == 2


def test_statistics_are_no_parameters() -> None:
    plain, normalised = (GaussianMLP(3, 2, PolicyConfig(normalize_observations=n)) for n in (False, True))
    assert [n for n, _ in plain.named_parameters()] == [n for n, _ in normalised.named_parameters()]
    assert set(normalised.state_dict()) - set(plain.state_dict()) == {
        f"normalizer.{name}" for name in ("mean", "variance", "count")
    }
