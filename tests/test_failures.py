"""Episodes that fail: what is left of them, what is not touched by them, and when the run stops."""

import logging
import math
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box
from torch import Tensor

from helpers import fit, flatten, record_logs
from meta_rl import ranks
from meta_rl.advantages import AdvantageEstimator
from meta_rl.algorithms import FOMAML, MAML, MetaLearner, PolicyConfig, Pretrained, Reptile
from meta_rl.data import RolloutDataModule
from meta_rl.envs import BatchedEnv
from meta_rl.errors import EpisodeError, Failure, NonFiniteError
from meta_rl.failures import OnFailure
from meta_rl.objective import MetaObjective
from meta_rl.policy import GaussianMLP, repeat
from meta_rl.randomness import TaskStreams
from meta_rl.rollout import Sampler
from meta_rl.types import Experience, Params, Samples

N, K, T = 3, 4, 5
NAN, INF = float("nan"), float("inf")


class Poison(NamedTuple):
    """A number that is put into what the environment returns; step -1 is the reset."""

    what: str  # observation or reward
    task: int
    episode: int
    step: int
    value: float = NAN


class Poisoned(BatchedEnv):
    """A walk on a line that pays its position. Observes nothing but it and a number per episode."""

    task_parameters = ("start",)
    observation_space = Box(-np.inf, np.inf, (2,), np.float32)
    action_space = Box(-1.0, 1.0, (1,), np.float32)
    task_space = Box(-1.0, 1.0, (1,), np.float32)

    def __init__(self, *poisons: Poison, reported: tuple[Failure, ...] = (), ends: int = 100) -> None:
        self.horizon, self.poisons, self.reported, self.ends = T, poisons, reported, ends

    def sample_tasks(self, n: int, generator: torch.Generator) -> Tensor:
        return torch.rand(n, 1, generator=generator)

    def reset(self, tasks: Tensor, episodes: int, streams: TaskStreams) -> Tensor:
        self.t, self.failures = -1, []
        noise = streams.draw(len(tasks), lambda g: torch.randn(episodes, 1, generator=g)).to(tasks)
        self.position = tasks[:, None] + noise
        return self.observe()

    def step(self, actions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        assert actions.isfinite().all()  # nothing that is not finite comes back to the environment
        self.t += 1
        self.failures = [failure for failure in self.reported if failure.step <= self.t]
        self.position = self.position + 0.1 * actions.clamp(-1, 1)
        reward = self.poisoned("reward", self.position.squeeze(-1))
        return self.observe(), reward, torch.full(reward.shape, self.t >= self.ends)

    def observe(self) -> Tensor:
        both = torch.cat([self.position, torch.ones_like(self.position)], -1)
        return self.poisoned("observation", both)

    def poisoned(self, what: str, x: Tensor) -> Tensor:
        x = x.clone()
        for poison in self.poisons:
            if (poison.what, poison.step) == (what, self.t):
                x[poison.task, poison.episode] = poison.value
        return x


def policy_and_params() -> tuple[GaussianMLP, Params]:
    policy = GaussianMLP(2, 1, PolicyConfig([8]), torch.Generator().manual_seed(0))
    return policy, repeat({name: p.detach() for name, p in policy.named_parameters()}, N)


def collect(*poisons: Poison, on_failure: OnFailure = "drop", first: int = 0, **env: Any) -> Experience:
    family = Poisoned(*poisons, **env)
    sampler = Sampler(family, K, AdvantageEstimator(bootstrap_horizon=True), on_failure)
    tasks = family.sample_tasks(N, torch.Generator().manual_seed(0))
    return sampler.collect(*policy_and_params(), tasks, TaskStreams(0, first=first))


# Poison of task 1, episode 2: what there is, the steps that are left of the episode, and its name
CASES = {
    "reward": (Poison("reward", 1, 2, 3), 3, "step 3: reward is nan"),
    "infinite reward": (Poison("reward", 1, 2, 0, -INF), 0, "step 0: reward is -inf"),
    "last reward": (Poison("reward", 1, 2, T - 1, INF), T - 1, f"step {T - 1}: reward is inf"),
    "observation": (Poison("observation", 1, 2, 1), 2, "step 2: observation is not finite"),
    "infinite observation": (Poison("observation", 1, 2, 0, INF), 1, "step 1: observation is not finite"),
    "last observation": (Poison("observation", 1, 2, T - 1), T, f"step {T}: observation is not finite"),
    "first observation": (Poison("observation", 1, 2, -1), 0, "step 0: observation is not finite"),
}


@pytest.mark.parametrize(("poison", "left", "name"), CASES.values(), ids=CASES)
def test_an_episode_ends_right_before_its_failure_and_touches_no_other(
    poison: Poison, left: int, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    quiet, batch = collect(), collect(poison)
    assert (quiet.diverged, batch.diverged) == (0, 1)
    assert batch.lengths[1, 2] == left
    others = torch.ones(N, K, dtype=torch.bool)
    others[1, 2] = False
    assert torch.equal(batch.returns[others], quiet.returns[others])
    assert torch.equal(batch.lengths[others], quiet.lengths[others])
    for x, y in zip(batch.samples, quiet.samples, strict=True):
        assert x.isfinite().all()
        assert torch.equal(x[[0, 2]], y[[0, 2]])
    spared = batch.samples.observations[1][batch.samples.mask[1] > 0]
    expected = quiet.samples.observations[1].unflatten(0, (K, T))
    assert torch.equal(spared, torch.cat([expected[k, : left if k == 2 else T] for k in range(K)]))
    assert [r.message for r in caplog.records] == [
        f"episodes that failed and end there: 1, first task 1, episode 2, {name}"
    ]


@pytest.mark.parametrize(("poison", "left", "name"), CASES.values(), ids=CASES)
def test_stop_names_the_cause_and_keeps_the_episodes(poison: Poison, left: int, name: str) -> None:
    with pytest.raises(EpisodeError) as caught:
        collect(poison, on_failure="stop", first=40)
    assert str(caught.value) == f"task 41, episode 2, {name}"
    dump = caught.value.dump
    assert dump["observations"].shape == (N, K, T, 2)
    assert dump["mask"][1, 2].sum() == left
    assert dump["rewards"].isfinite().all() == (poison.what == "observation")
    assert [(f["task"], f["episode"]) for f in dump["failures"]] == [(1, 2)]


def test_without_failures_stop_is_drop() -> None:
    stop, drop = collect(on_failure="stop"), collect()
    assert torch.equal(stop.returns, drop.returns)


def test_what_an_ended_episode_shows_is_no_failure() -> None:
    poisons = [Poison("reward", 0, 0, 3), Poison("observation", 0, 0, 2), Poison("observation", 1, 0, 4)]
    late = Failure(2, 0, 3, "burnt")
    assert collect(*poisons, ends=2, reported=(late,), on_failure="stop").diverged == 0


@pytest.mark.parametrize("step", [0, 2])
def test_what_the_environment_itself_tells_is_the_cause(step: int, caplog: pytest.LogCaptureFixture) -> None:
    burnt = Failure(1, 2, step, "burnt", "Traceback ...")
    batch = collect(Poison("reward", 1, 2, step), Poison("reward", 0, 1, 4), reported=(burnt,))
    assert batch.diverged == 2
    assert caplog.messages == [
        f"episodes that failed and end there: 2, first task 1, episode 2, step {step}: burnt"
    ]
    with pytest.raises(EpisodeError) as caught:
        collect(reported=(burnt,), on_failure="stop")
    assert caught.value.dump["failures"][0]["traceback"] == "Traceback ..."


def test_a_failure_that_is_told_later_than_it_shows_counts_once() -> None:
    batch = collect(Poison("reward", 1, 2, 1), reported=(Failure(1, 2, 3, "burnt"),))
    assert batch.diverged == 1


def half(more: int) -> list[Poison]:
    """Half of the episodes, and `more`: those of one task, and of the next ones."""
    return [Poison("observation", i // K, i % K, -1) for i in range(N * K // 2 + more)]


def test_more_than_half_stop_the_run() -> None:
    assert collect(*half(0)).diverged == N * K // 2
    with pytest.raises(
        EpisodeError, match=r"^7 of 12 episodes failed, more than half; task 0, episode 0, step"
    ):
        collect(*half(1))


def test_a_policy_that_is_not_finite_stops_whatever_else_failed() -> None:
    family = Poisoned(Poison("reward", 0, 0, 0))
    family.step = lambda actions: Poisoned.step(family, actions.nan_to_num())  # type: ignore[method-assign]
    policy, params = policy_and_params()
    params["mean.2.bias"] = params["mean.2.bias"].clone()
    params["mean.2.bias"][2] = NAN
    sampler = Sampler(family, K, AdvantageEstimator())
    with pytest.raises(NonFiniteError, match=r"^task 2, episode 0, step 0: action is not finite") as caught:
        sampler.collect(policy, params, torch.ones(N, 1), TaskStreams(0))
    assert not isinstance(caught.value, EpisodeError)


def test_a_warning_an_iteration(caplog: pytest.LogCaptureFixture) -> None:
    family = Poisoned(Poison("reward", 0, 0, 0))
    sampler = Sampler(family, K, AdvantageEstimator())
    policy, params = policy_and_params()
    for iteration, phase in ((0, 1), (0, 2), (1, 1), (1, 2)):
        sampler.collect(policy, params, torch.ones(N, 1), TaskStreams(0, iteration, phase))
    assert len(caplog.records) == 2
    assert caplog.records[0].levelno == logging.WARNING


# Several ranks

TOTAL = ranks.total


def another_rank(monkeypatch: pytest.MonkeyPatch, actions: int = 0, failed: int = 0) -> None:
    """One whose tally of as many episodes comes to this one's."""
    other = torch.tensor([actions, failed, N * K], dtype=torch.float64)
    monkeypatch.setattr(ranks, "total", lambda x: TOTAL([*x, other] if x[0].shape == other.shape else x))


def test_a_failure_on_another_rank_stops_this_one_too(monkeypatch: pytest.MonkeyPatch) -> None:
    another_rank(monkeypatch, failed=1)
    assert collect().diverged == 0
    with pytest.raises(EpisodeError, match=r"^an episode failed on another rank$"):
        collect(on_failure="stop")
    another_rank(monkeypatch, failed=N * K)
    with pytest.raises(EpisodeError, match=r"13 of .* more than half; task 0"):
        collect(Poison("reward", 0, 0, 0))


def test_half_is_that_of_all_ranks(monkeypatch: pytest.MonkeyPatch) -> None:
    another_rank(monkeypatch)
    batch = collect(*half(N * K // 2))  # all of this rank's
    assert batch.diverged == N * K
    assert all(x.isfinite().all() for x in batch.samples)
    assert not batch.saturation.any()
    assert batch.explained_variance.isfinite().all()


def test_an_action_on_another_rank_stops_this_one_too(monkeypatch: pytest.MonkeyPatch) -> None:
    another_rank(monkeypatch, actions=1)
    with pytest.raises(NonFiniteError, match="action is not finite on another rank"):
        collect()


# Training


class Failing(Poisoned):
    """Anything fails at random, in a quarter of the episodes."""

    def reset(self, tasks: Tensor, episodes: int, streams: TaskStreams) -> Tensor:
        def poisons(g: torch.Generator) -> Tensor:
            return torch.stack([torch.rand(episodes, generator=g), torch.rand(episodes, generator=g)], -1)

        self.poisons = [
            Poison(("reward", "observation")[k % 2], i, k, int(6 * when) - 1, (NAN, INF, -INF)[k % 3])
            for i, row in enumerate(streams.draw(len(tasks), poisons).tolist())
            for k, (chance, when) in enumerate(row)
            if chance < 0.25
        ]
        self.count = getattr(self, "count", 0) + sum(
            p.what == "observation" or p.step >= 0 for p in self.poisons
        )
        return super().reset(tasks, episodes, streams)


LEARNERS: dict[str, tuple[type[MetaLearner], dict[str, Any]]] = {
    "MAML": (MAML, {}),
    "MAML on a share": (MAML, {"fisher_fraction": 0.5, "num_inner_steps": 2}),
    "FOMAML": (FOMAML, {}),
    "Reptile": (Reptile, {"inner_optimizer": "adam"}),
    "Pretrained": (Pretrained, {}),
}


@pytest.mark.parametrize(("learner", "arguments"), LEARNERS.values(), ids=LEARNERS)
def test_training_goes_on_whatever_fails(learner: type[MetaLearner], arguments: dict[str, Any]) -> None:
    env = Failing()
    data, made = RolloutDataModule(env, 4, 5, bootstrap_horizon=True), learner(**arguments)
    records = record_logs(made)
    fit(made, data, 5)
    assert sum(record["diverged"] for record in records) == env.count > 10
    assert all(math.isfinite(value) for record in records for value in record.values())
    assert all(p.isfinite().all() for p in made.policy.parameters())


class OneTaskLost(Poisoned):
    """No episode of task 0 has a first observation."""

    def __init__(self) -> None:
        super().__init__(*(Poison("observation", 0, k, -1) for k in range(K)))


@pytest.mark.parametrize(("learner", "arguments"), LEARNERS.values(), ids=LEARNERS)
def test_a_task_without_a_valid_step_contributes_nothing(
    learner: type[MetaLearner], arguments: dict[str, Any]
) -> None:
    data, made = RolloutDataModule(OneTaskLost(), N, K), learner(**arguments)
    made.build(data.env, data.seed)
    before, records = flatten(made.theta()).clone(), record_logs(made)
    fit(made, data, 1)
    after = flatten(made.theta())
    assert after.isfinite().all()
    assert not torch.equal(after, before)
    assert all(math.isfinite(value) for value in records[0].values())


@pytest.mark.parametrize("pooled", [False, True])
def test_loss_and_gradient_are_those_of_the_other_tasks(pooled: bool) -> None:
    learner, data = MAML(), RolloutDataModule(OneTaskLost(), N, K)
    learner.build(data.env, data.seed)
    theta = learner.theta()
    samples = data.meta_batch(learner.policy, theta, 0).support.samples
    results = []
    for part in (samples, Samples(*(x[1:] for x in samples))):
        adapted = learner.inner.replay(repeat(theta, len(part.mask)), [part])
        objective = MetaObjective(learner.policy, learner.inner, [part], adapted, part, pooled=pooled)
        loss, gradient = objective.gradient(theta)
        results.append(torch.cat([loss[None], *(g.flatten() for g in gradient)]))
    share = 1 if pooled else (N - 1) / N  # a mean over states, or over tasks, of which one gives 0
    torch.testing.assert_close(results[0], share * results[1])
    assert results[1].abs().max() > 1e-3


@pytest.mark.parametrize("value", ["ignore", None])
def test_another_policy_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="on_failure must be drop or stop"):
        RolloutDataModule(Poisoned(), on_failure=value)


def test_the_data_module_hands_its_policy_on() -> None:
    data = RolloutDataModule(Poisoned(Poison("reward", 0, 0, 0)), N, K, on_failure="stop")
    learner = FOMAML(policy=PolicyConfig(normalize_observations=True))
    with pytest.raises(EpisodeError, match="task 0, episode 0, step 0: reward is nan") as caught:
        fit(learner, data, 1)
    assert caught.value.dump["iteration"] == 0
    assert set(caught.value.dump["statistics"]) == {f"normalizer.{x}" for x in ("mean", "variance", "count")}


def test_a_reported_episode_ends_before_its_failure_whatever_the_step_pays() -> None:
    whole, batch = collect(), collect(reported=(Failure(1, 2, 3, "burnt"),))
    assert float(batch.lengths[1, 2]) == 3
    others = torch.ones_like(batch.lengths, dtype=torch.bool)
    others[1, 2] = False
    assert batch.lengths[others].equal(whole.lengths[others])
    assert batch.returns[others].equal(whole.returns[others])
    assert float(batch.returns[1, 2]) != float(whole.returns[1, 2])
