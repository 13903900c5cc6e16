"""Rollouts on an environment whose every number can be foretold."""

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete
from torch import Tensor

from meta_rl import threads
from meta_rl.advantages import AdvantageEstimator
from meta_rl.distributions import Gaussian
from meta_rl.envs import AntDirection, BatchedEnv, PointMass
from meta_rl.errors import NonFiniteError, UserError
from meta_rl.inner import LOSSES, InnerLoop
from meta_rl.policy import CategoricalMLP, GaussianMLP, PolicyConfig, repeat
from meta_rl.randomness import TaskStreams
from meta_rl.rollout import Sampler
from meta_rl.types import Experience, Params, Trajectories


class Counter(BatchedEnv):
    """Observes (task, step); pays 1, 2, 3, ... a step; episode k of task i ends after `task + k` steps."""

    task_parameters = ("length",)
    action_space = Box(-1.0, 1.0, (1,), np.float32)
    observation_space = Box(-np.inf, np.inf, (2,), np.float32)
    task_space = Box(1.0, 100.0, (1,), np.float32)

    def __init__(self, horizon: int = 5, poison: float = 0.0, poisoned_step: int = 1) -> None:
        self.horizon, self.poison, self.poisoned_step = horizon, poison, poisoned_step

    def sample_tasks(self, n: int, generator: torch.Generator) -> Tensor:
        return torch.arange(1.0, n + 1)[:, None]

    def reset(self, tasks: Tensor, episodes: int, streams: TaskStreams) -> Tensor:
        self.lengths = tasks + torch.arange(episodes)
        self.t = 0
        self.actions: list[Tensor] = []
        return self._observe()

    def _observe(self) -> Tensor:
        return torch.stack([self.lengths, torch.full_like(self.lengths, self.t)], -1)

    def step(self, actions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        self.actions.append(actions)
        self.t += 1
        reward = torch.full_like(self.lengths, self.t)
        if self.poison and self.t == self.poisoned_step:
            reward[0, 0] = self.poison
        return self._observe(), reward, self.lengths <= self.t


N, K, T = 3, 2, 5
LENGTHS = torch.tensor([[1, 2], [2, 3], [3, 4]])


def sampler(env: BatchedEnv, episodes: int = K) -> Sampler:
    return Sampler(env, episodes, AdvantageEstimator())


def policy_and_params(tasks: int, hidden: int = 8) -> tuple[GaussianMLP, Params]:
    policy = GaussianMLP(2, 1, PolicyConfig([hidden]), torch.Generator().manual_seed(0))
    return policy, repeat({name: p.detach() for name, p in policy.named_parameters()}, tasks)


def rollout(env: Counter, seed: int = 0) -> Trajectories:
    tasks = env.sample_tasks(N, torch.Generator())
    return sampler(env).rollout(*policy_and_params(N), tasks, TaskStreams(seed))


def collect(env: Counter) -> Experience:
    tasks = env.sample_tasks(N, torch.Generator())
    return sampler(env).collect(*policy_and_params(N), tasks, TaskStreams(0))


def test_shapes() -> None:
    e = rollout(Counter())
    assert e.observations.shape == (N, K, T, 2)
    assert e.actions.shape == (N, K, T, 1)
    assert e.rewards.shape == e.mask.shape == (N, K, T)
    assert e.truncated.shape == (N, K)
    assert e.last_observations.shape == (N, K, 2)


def test_mask_and_rewards_end_with_the_episode() -> None:
    e = rollout(Counter())
    steps = torch.arange(T)
    assert torch.equal(e.mask, (steps < LENGTHS[..., None]).float())
    assert torch.equal(e.rewards, (steps + 1) * e.mask)  # the last step is paid, padding is not


def test_observations_are_those_before_the_action_and_then_frozen() -> None:
    e = rollout(Counter())
    expected = torch.minimum(torch.arange(T), LENGTHS[..., None] - 1).float()
    assert torch.equal(e.observations[..., 1], expected)
    assert torch.equal(e.last_observations[..., 1], (LENGTHS - 1).float())


def test_the_environment_gets_the_recorded_actions() -> None:
    env = Counter()
    e = rollout(env)
    assert torch.equal(torch.stack(env.actions, 2), e.actions)


def test_truncated_where_the_horizon_ended_the_episode() -> None:
    e = rollout(Counter(horizon=2))
    # Lengths 1, 2 | 2, 3 | 3, 4: an episode that ends at the horizon by itself is not truncated
    assert e.truncated.tolist() == [[False, False], [False, True], [True, True]]
    assert e.last_observations[2, :, 1].tolist() == [2, 2]  # seen after the last action


def test_actions_are_the_policy_of_the_task_plus_noise() -> None:
    policy, params = policy_and_params(N)
    params = {name: value.clone() for name, value in params.items()}
    params["log_std"] = torch.tensor([-20.0, 0.0, 0.0])[:, None]
    params["mean.2.bias"] = torch.tensor([3.0, 0.0, 100.0])[:, None]
    tasks, stream = Counter().sample_tasks(N, torch.Generator()), TaskStreams(0)
    e = sampler(Counter(), episodes=200).rollout(policy, params, tasks, stream)
    mean = torch.stack([policy.mean(o) for o in e.observations]) + params["mean.2.bias"][:, None, None]
    noise = (e.actions - mean).detach()
    assert noise[0].abs().max() < 1e-5
    assert float(noise[1:].mean()) == pytest.approx(0, abs=0.05)
    assert float(noise[1:].std()) == pytest.approx(1, abs=0.05)
    normal = torch.distributions.Normal(mean[1:], 1.0)
    torch.testing.assert_close(e.log_probs[1:], normal.log_prob(e.actions[1:]).sum(-1))


def test_collect_reports_the_episodes() -> None:
    batch, e = collect(Counter()), rollout(Counter())
    assert torch.equal(batch.lengths, LENGTHS.float())
    assert torch.equal(batch.returns, (LENGTHS * (LENGTHS + 1) / 2))  # 1 + 2 + ...
    kept = e.actions[e.mask > 0]
    outside = float(batch.metrics("pre")["saturation_pre"])
    assert outside == pytest.approx(float((kept.abs() > 1).float().mean()))
    assert batch.entropy.tolist() == pytest.approx([1.4189385] * N)  # 1/2 log(2 pi e) of a standard normal
    for actions, mask, task in zip(batch.samples.actions, batch.samples.mask, range(N), strict=True):
        assert torch.equal(actions[mask > 0], e.actions[task][e.mask[task] > 0])  # without the padding
    assert batch.seconds > 0


def test_entropy_is_that_of_all_valid_steps() -> None:
    env = Counter()
    env.action_space = Discrete(2)
    policy = CategoricalMLP(2, 2, PolicyConfig([]), torch.Generator().manual_seed(0))
    params = repeat({name: p.detach() for name, p in policy.named_parameters()}, N)
    tasks = env.sample_tasks(N, torch.Generator())
    batch = sampler(env).collect(policy, params, tasks, TaskStreams(0))
    for i in range(N):
        states = [(LENGTHS[i, k], t) for k in range(K) for t in range(int(LENGTHS[i, k]))]
        p = torch.distributions.Categorical(logits=policy(torch.tensor(states).float()).logits)
        assert float(batch.entropy[i]) == pytest.approx(float(p.entropy().mean().detach()), abs=1e-6)


class Derived(GaussianMLP):
    """Its distributions are computed by `forward`, task by task."""


@pytest.mark.parametrize("kind", [GaussianMLP, Derived])
@pytest.mark.parametrize("pooled", [False, True])
def test_ratios_to_the_collected_probabilities_are_1(kind: type[GaussianMLP], pooled: bool) -> None:
    policy = kind(2, 1, PolicyConfig([8]), torch.Generator().manual_seed(0))
    params = repeat({name: p.detach() for name, p in policy.named_parameters()}, N)
    tasks = Counter().sample_tasks(N, torch.Generator())
    sampler = Sampler(Counter(), K, AdvantageEstimator(pooled=pooled))
    by_loss = {}
    for loss in LOSSES:
        inner = InnerLoop(policy, [0.5, 0.3], inner_loss=loss)
        adapted = inner.start(params)
        for step in range(2):
            samples = sampler.collect(policy, adapted.params, tasks, TaskStreams(0, 0, step)).samples
            assert samples.mask.mean() < 1  # there is padding
            adapted = inner.step(adapted, samples)
        by_loss[loss] = adapted.params
    torch.testing.assert_close(by_loss["ratio"], by_loss["reinforce"], rtol=1e-4, atol=1e-5)


def test_same_seed_same_numbers() -> None:
    first, again, other = rollout(Counter()), rollout(Counter()), rollout(Counter(), seed=1)
    assert all(torch.equal(x, y) for x, y in zip(first, again, strict=True))
    assert not torch.equal(first.actions, other.actions)


def test_the_global_stream_is_neither_read_nor_moved() -> None:
    policy, params = policy_and_params(N)
    tasks, state, actions = torch.ones(N, 1), torch.get_rng_state(), []
    for _ in range(2):
        e = sampler(Counter()).rollout(policy, params, tasks, TaskStreams(0))
        actions.append(e.actions)
        assert torch.equal(torch.get_rng_state(), state)
        torch.manual_seed(99)
        state = torch.get_rng_state()
    assert torch.equal(*actions)


def test_same_numbers_at_any_number_of_threads() -> None:
    policy = GaussianMLP(2, 2, PolicyConfig([100, 100]), torch.Generator().manual_seed(0))
    params = repeat({name: p.detach() for name, p in policy.named_parameters()}, 40)
    env = PointMass(horizon=10)
    tasks = env.sample_tasks(40, torch.Generator().manual_seed(1))
    batches = []
    for number in (1, 2):
        threads.use(number)
        batches.append(sampler(env, 20).collect(policy, params, tasks, TaskStreams(2)))
    one, two = batches
    assert torch.equal(one.returns, two.returns)
    assert all(torch.equal(x, y) for x, y in zip(one.samples, two.samples, strict=True))


def test_what_an_ended_episode_shows_does_not_matter() -> None:
    # Episode 0 of task 0 ends after its first step; NaN comes later.
    batch = collect(Counter(poison=float("nan"), poisoned_step=2))
    assert torch.equal(batch.returns, collect(Counter()).returns)
    assert batch.diverged == 0


class Misshapen(Counter):
    """Returns one of its tensors with a trailing axis too many."""

    def __init__(self, wrong: int) -> None:
        super().__init__()
        self.wrong = wrong

    def step(self, actions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        result = list(super().step(actions))
        result[self.wrong] = result[self.wrong][..., None]
        return result[0], result[1], result[2]


@pytest.mark.parametrize(("wrong", "what"), [(0, "observations"), (1, "rewards"), (2, "terminated")])
def test_tensors_of_a_wrong_shape_are_named(wrong: int, what: str) -> None:
    with pytest.raises(UserError, match=rf"Misshapen.*{what}"):
        rollout(Misshapen(wrong))


class Opposite(GaussianMLP):
    """A policy of a user, with a forward of its own."""

    def forward(self, observations: Tensor) -> Gaussian:
        mean, log_std = super().forward(observations)
        return Gaussian(-mean, log_std - 20)


def test_a_policy_with_its_own_forward_acts_by_it() -> None:
    policy = Opposite(2, 1, PolicyConfig([8]), torch.Generator().manual_seed(0))
    params = policy_and_params(N)[1]
    tasks = Counter().sample_tasks(N, torch.Generator())
    e = sampler(Counter()).rollout(policy, params, tasks, TaskStreams(0))
    torch.testing.assert_close(e.actions, -policy.mean(e.observations))


# Simulations that fail


def ant_batch(disturbed: int | None = None, **changes: Tensor) -> Experience:
    """10 steps of 2 ants on 2 tasks; the simulation `disturbed` falls apart in its third step."""
    env = AntDirection(horizon=10, num_threads=1)
    step, count = env.step, [0]

    def disturbing(actions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        count[0] += 1
        if count[0] == 3 and disturbed is not None:
            env.physics.qvel[disturbed] = 1e9
        return step(actions)

    env.step = disturbing  # type: ignore[method-assign]
    policy = GaussianMLP(27, 8, PolicyConfig([4]), torch.Generator().manual_seed(0))
    theta = {name: changes.get(name, p.detach()) for name, p in policy.named_parameters()}
    tasks = torch.tensor([[1.0], [-1.0]])
    return sampler(env, 2).collect(policy, repeat(theta, 2), tasks, TaskStreams(0))


def test_a_diverged_simulation_is_counted_and_ends_its_own_episode() -> None:
    quiet, batch = ant_batch(), ant_batch(disturbed=2)
    assert (quiet.diverged, batch.diverged) == (0, 1)
    assert quiet.lengths.tolist() == [[10, 10], [10, 10]]
    assert batch.lengths.tolist() == [[10, 10], [2, 10]]
    kept = [0, 1, 3]
    assert torch.equal(batch.returns.flatten()[kept], quiet.returns.flatten()[kept])
    assert all(x.isfinite().all() for x in batch.samples)
    assert batch.samples.observations.abs().max() < 100  # nothing of what the failed simulation shows


def test_an_action_that_is_no_number_stops_as_ever() -> None:
    with pytest.raises(NonFiniteError, match="action"):
        ant_batch(log_std=torch.full((8,), float("nan")))
