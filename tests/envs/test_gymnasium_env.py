"""Environments of Gymnasium, compared with a plain loop over single ones."""

import gc
import multiprocessing
import os
import random
import signal
import subprocess
import sys
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
import pytest
import simulators
import torch
from gymnasium.spaces import Box, Discrete
from torch import Tensor

from meta_rl.advantages import AdvantageEstimator
from meta_rl.envs.arrays import ActionScaling
from meta_rl.envs.gymnasium_env import SEEDS, GymnasiumEnv
from meta_rl.policy import GaussianMLP, PolicyConfig, repeat
from meta_rl.randomness import TaskStreams
from meta_rl.rollout import Sampler

N, K = 2, 3
LENGTHS = torch.tensor([[2.0], [4.0]])
FUSE: dict[str, Any] = {"id": "Fuse-v0", "task_parameters": {"length": (1.0, 100.0)}}
PENDULUM: dict[str, Any] = {"id": "Pendulum-v1", "task_parameters": {"g": (5.0, 15.0), "m": (0.5, 1.5)}}
NATIVE = {**FUSE, "task_setter": "simulators.set_lengths", "vectorization": "vector_entry_point"}
MODES = ["NextStep", "SameStep", "Disabled"]


class Played(NamedTuple):
    """What an environment returned in T steps."""

    observations: Tensor  # [N, K, T + 1, O]
    rewards: Tensor  # [N, K, T]
    terminated: Tensor  # [N, K, T]


def stream(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def actions_for(env: GymnasiumEnv) -> Tensor:
    """Some of them out of bounds: [N, K, T, A]."""
    return 1.5 * torch.randn(N, K, env.horizon, env.action_space.shape[0], generator=stream(1))


def play(env: GymnasiumEnv, tasks: Tensor, seed: int = 0) -> Played:
    actions = actions_for(env)
    observations, steps = [env.reset(tasks, K, TaskStreams(seed))], []
    for t in range(env.horizon):
        observation, *outcome = env.step(actions[:, :, t])
        observations.append(observation)
        steps.append(outcome)
    rewards, terminated = (torch.stack(x, 2) for x in zip(*steps, strict=True))
    return Played(torch.stack(observations, 2), rewards, terminated)


def play_one(single: gym.Env, seed: int, actions: np.ndarray, horizon: int) -> tuple[list, list, bool]:
    """Observations and rewards up to the end, and whether that was before the horizon."""
    observation, _ = single.reset(seed=seed)
    observations, rewards = [observation], []
    for t in range(horizon):
        observation, reward, terminated, truncated, _ = single.step(actions[t])
        observations.append(observation)
        rewards.append(reward)
        if terminated or truncated:
            return observations, rewards, terminated
    return observations, rewards, False


def assert_equals_plain_loops(env: GymnasiumEnv, id: str, tasks: Tensor, seeds: list[int]) -> Played:
    """Exactly, up to the end of each episode; row i * K + k is episode k of task i."""
    played, actions = play(env, tasks), actions_for(env).double().clamp(-1, 1).numpy()
    for row in range(N * K):
        i, k = divmod(row, K)
        single = gym.make(id, max_episode_steps=env.horizon)
        for name, value in zip(env.task_parameters, tasks[i].tolist(), strict=True):
            setattr(single.unwrapped, name, value)
        space = single.action_space
        assert isinstance(space, Box)
        middle, half = (space.high.astype(float) + space.low) / 2, (space.high.astype(float) - space.low) / 2
        scaled = (middle + half * actions[i, k]).astype(space.dtype)
        observations, rewards, terminated = play_one(single, seeds[row], scaled, env.horizon)
        steps = len(rewards)
        expected = torch.tensor(np.array(observations), dtype=torch.float32)
        assert torch.equal(played.observations[i, k, : steps + 1], expected)
        assert torch.equal(played.rewards[i, k, :steps], torch.tensor(rewards, dtype=torch.float32))
        flags = [False] * (steps - 1) + [terminated] * (env.horizon - steps + 1)
        assert played.terminated[i, k].tolist() == flags
    env.close()
    return played


def drawn(seed: int = 0) -> list[int]:
    return TaskStreams(seed).draw(N, lambda g: torch.randint(SEEDS, (K,), generator=g)).flatten().tolist()


def test_a_public_environment_equals_a_plain_loop() -> None:
    env = GymnasiumEnv(**PENDULUM, horizon=20)
    played = assert_equals_plain_loops(env, "Pendulum-v1", env.sample_tasks(N, stream()), drawn())
    assert played.observations.dtype == played.rewards.dtype == torch.float32
    assert not played.terminated.any()


def test_episodes_that_end_equal_a_plain_loop_and_rest() -> None:
    played = assert_equals_plain_loops(GymnasiumEnv(**FUSE), "Fuse-v0", LENGTHS, drawn())
    assert played.terminated[:, 0].float().argmax(-1).tolist() == [1, 3]
    # Observation 0 is the task: it reached the right environments, in this order.
    assert torch.equal(played.observations[..., 0], LENGTHS[:, :, None].expand(N, K, simulators.LIMIT + 1))


@pytest.mark.parametrize(
    ("arguments", "processes"),
    [
        ({"num_workers": 2}, 2),
        ({"num_workers": 4, "context": "forkserver"}, 3),  # of 2 environments each
        ({"num_workers": 7, "context": "fork"}, N * K),
        ({"num_workers": 0}, min(len(os.sched_getaffinity(0)), N * K)),
    ],
    ids=["spawn", "forkserver", "fork", "all cores"],
)
def test_other_processes_play_the_same_episodes(arguments: dict[str, Any], processes: int) -> None:
    expected = play(GymnasiumEnv(**FUSE), LENGTHS)
    env = GymnasiumEnv(**FUSE, vectorization="async", **arguments)
    for actual in (play(env, LENGTHS), play(env, LENGTHS)):
        assert all(torch.equal(a, b) for a, b in zip(actual, expected, strict=True))
        assert len(multiprocessing.active_children()) == processes
    env.close()
    assert multiprocessing.active_children() == []


def test_a_last_process_with_fewer_environments() -> None:
    tasks = torch.tensor([[1.0], [2.0], [3.0], [4.0], [5.0]])
    played = []
    for arguments in ({}, {"vectorization": "async", "num_workers": 3, "context": "fork"}):  # 2 + 2 + 1
        env = GymnasiumEnv(**FUSE, **arguments)
        observation = env.reset(tasks, 1, TaskStreams(0))
        ended = [env.step(torch.ones(5, 1, 2))[2] for _ in range(simulators.LIMIT)]
        played.append((observation, torch.stack(ended)))
        env.close()
    assert all(torch.equal(a, b) for a, b in zip(*played, strict=True))
    assert played[0][1].sum(0).flatten().tolist() == [6, 5, 4, 3, 2]


@pytest.mark.parametrize("mode", MODES)
def test_a_vector_environment_equals_plain_loops_however_it_resets(mode: str) -> None:
    env = GymnasiumEnv(**NATIVE, env_kwargs={"mode": mode})
    first = drawn()[0]
    assert_equals_plain_loops(env, "Fuse-v0", LENGTHS, [first + row for row in range(N * K)])


@pytest.mark.parametrize("mode", MODES)
def test_the_last_observation_at_the_horizon_is_that_of_the_episode(mode: str) -> None:
    # The vector environment truncates there too, and in SAME_STEP shows the next episode's first state.
    env = GymnasiumEnv(**NATIVE, horizon=3, env_kwargs={"mode": mode})
    for _ in range(2):
        played = play(env, torch.full((N, 1), 100.0))
        assert played.observations[..., 2].unique(dim=1).tolist() == [[[0, 1, 2, 3]]] * N
        assert not played.terminated.any()


def test_rollouts_of_every_kind_have_the_same_lengths() -> None:
    policy = GaussianMLP(5, 2, PolicyConfig([4]), stream())
    params = repeat({name: p.detach() for name, p in policy.named_parameters()}, N)
    kinds = [{}, {"vectorization": "async", "num_workers": 1, "context": "fork"}]
    envs = [GymnasiumEnv(**FUSE, **kind) for kind in kinds]
    envs += [GymnasiumEnv(**NATIVE, env_kwargs={"mode": mode}) for mode in MODES]
    tasks = torch.tensor([[2.0], [50.0]])
    for env in envs:
        episodes = Sampler(env, K, AdvantageEstimator()).rollout(policy, params, tasks, TaskStreams(0))
        assert episodes.mask.sum(-1).tolist() == [[2.0] * K, [simulators.LIMIT] * K]
        assert episodes.truncated.tolist() == [[False] * K, [True] * K]
        assert episodes.last_observations[..., 2].tolist()[1] == [simulators.LIMIT] * K
        env.close()


def test_episodes_are_a_function_of_the_generator() -> None:
    env = GymnasiumEnv(**FUSE)
    first, again, other = (play(env, LENGTHS, seed).observations[:, :, 0, 1] for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.isin(other, first).any()
    assert len(first.unique()) == N * K


def test_tasks_are_uniform_in_their_ranges() -> None:
    env = GymnasiumEnv(**PENDULUM)
    assert env.task_parameters == ("g", "m")
    assert env.task_space.low.tolist() == [5, 0.5]
    tasks = env.sample_tasks(2000, stream())
    assert tasks.shape == (2000, 2)
    assert all(env.task_space.contains(task.numpy()) for task in tasks)
    torch.testing.assert_close(tasks.mean(0), torch.tensor([10.0, 1.0]), rtol=0.02, atol=0)
    torch.testing.assert_close(tasks.std(0), torch.tensor([10.0, 1.0]) / 12**0.5, rtol=0.03, atol=0)


@pytest.mark.parametrize("setter", ["simulators.set_length", simulators.set_length])
def test_a_setter_comes_before_the_reset(setter: Any) -> None:
    env = GymnasiumEnv(**FUSE, task_setter=setter)
    assert env.reset(LENGTHS + 0.3, K, TaskStreams(0))[..., 0].tolist() == [[2.0] * K, [4.0] * K]


def test_the_horizon_takes_the_place_of_the_time_limit() -> None:
    assert GymnasiumEnv(**FUSE).horizon == simulators.LIMIT
    assert GymnasiumEnv(**PENDULUM).horizon == 200
    for arguments in (FUSE, NATIVE, {**FUSE, "id": "Endless-v0"}):
        env = GymnasiumEnv(**arguments, horizon=2 * simulators.LIMIT)
        played = play(env, torch.full((N, 1), 100.0))
        assert played.observations[..., -1, 2].unique().tolist() == [2 * simulators.LIMIT]
        assert not played.terminated.any()


def test_a_truncation_by_the_environments_own_rules_ends_the_episode() -> None:
    played = play(GymnasiumEnv(**FUSE, env_kwargs={"truncates": True}), LENGTHS)
    assert played.terminated[:, 0].float().argmax(-1).tolist() == [1, 3]


def test_actions_are_clipped_and_scaled_to_bounds_that_are_finite() -> None:
    low, high = np.array([[-2.0, 0.0, -np.inf, 0.0], [2.0, 10.0, np.inf, np.inf]])
    scale = ActionScaling(low, high)
    policy = np.array([[0.0] * 4, [1.0] * 4, [-1.0] * 4, [0.5] * 4, [7.0] * 4, [-7.0] * 4])
    assert scale(policy).tolist() == [
        [0, 5, 0, 0],
        [2, 10, 1, 1],
        [-2, 0, -1, 0],
        [1, 7.5, 0.5, 0.5],
        [2, 10, 7, 7],
        [-2, 0, -7, 0],
    ]


def test_nested_observations_and_actions_are_flattened() -> None:
    env = GymnasiumEnv("Nested-v0", {"length": (1.0, 9.0)})
    assert env.observation_space.shape == (6,)  # one of two, and 2 x 2 numbers
    assert env.action_space.shape == (4,)
    assert env.reset(torch.tensor([[9.0]]), 1, TaskStreams(0)).tolist() == [[[1, 0, 0, 0, 0, 0]]]
    observation, *_ = env.step(torch.tensor([[[0.5, 5.0, 1.0, -0.5]]]))
    assert observation.tolist() == [[[0, 1, 2, 5, 1, 2.5]]]


def test_returned_tensors_are_not_changed_later() -> None:
    for arguments in (FUSE, NATIVE):
        env = GymnasiumEnv(**arguments)
        first = env.reset(LENGTHS, K, TaskStreams(0))
        before = first.clone()
        following, *_ = env.step(torch.ones(N, K, 2))
        env.step(torch.zeros(N, K, 2))
        assert torch.equal(first, before)
        assert (following[..., 2] == 1).all()


def test_environments_are_kept_until_their_number_changes() -> None:
    env = GymnasiumEnv(**FUSE)
    closed = simulators.Fuse.closed
    for tasks, episodes in ((2, 3), (3, 2), (1, 6)):
        env.reset(torch.ones(tasks, 1), episodes, TaskStreams(0))
    assert simulators.Fuse.closed == closed
    env.reset(torch.ones(2, 1), 1, TaskStreams(0))
    assert simulators.Fuse.closed == closed + 6
    env.close()
    env.close()
    assert simulators.Fuse.closed == closed + 8
    assert env.reset(torch.ones(2, 1), 1, TaskStreams(0)).shape == (2, 1, 5)
    del env
    gc.collect()
    assert simulators.Fuse.closed == closed + 10


def test_processes_end_with_the_environment() -> None:
    env = GymnasiumEnv(**FUSE, vectorization="async", num_workers=2, context="fork")
    env.reset(LENGTHS, K, TaskStreams(0))
    before = multiprocessing.active_children()
    assert len(before) == 2
    env.reset(LENGTHS, K + 1, TaskStreams(0))
    assert len(multiprocessing.active_children()) == 2
    assert not any(process.is_alive() for process in before)
    del env
    gc.collect()
    assert multiprocessing.active_children() == []


def test_the_death_of_a_process_is_noticed() -> None:
    broken = {**FUSE, "id": "Broken-v0", "env_kwargs": {"phase": "exit"}}
    env = GymnasiumEnv(**broken, vectorization="async", num_workers=2)
    with pytest.raises(RuntimeError, match=r"died, exit code \[3"):
        play(env, LENGTHS)
    env.close()
    assert multiprocessing.active_children() == []


def test_a_process_that_died_between_two_steps_can_be_closed() -> None:
    env = GymnasiumEnv(**FUSE, vectorization="async", num_workers=2, context="fork")
    env.reset(LENGTHS, K, TaskStreams(0))
    multiprocessing.active_children()[0].kill()
    env.close()
    assert multiprocessing.active_children() == []


def test_processes_outlive_ctrl_c_but_not_a_termination() -> None:
    env = GymnasiumEnv(**FUSE, vectorization="async", num_workers=2, context="fork")
    handler = signal.signal(signal.SIGTERM, lambda *_: None)  # as a run does; forked processes get it too
    try:
        env.reset(LENGTHS, K, TaskStreams(0))
    finally:
        signal.signal(signal.SIGTERM, handler)
    processes = multiprocessing.active_children()
    for process in processes:
        assert process.pid is not None
        os.kill(process.pid, signal.SIGINT)
    assert env.step(torch.ones(N, K, 2))[0].shape == (N, K, 5)
    for process in processes:
        process.terminate()
        process.join(timeout=30)
    assert [process.exitcode for process in processes] == [-signal.SIGTERM] * 2
    env.close()


def test_closing_does_not_wait_for_an_answer_that_was_interrupted() -> None:
    broken = {**FUSE, "id": "Broken-v0", "env_kwargs": {"phase": "hang"}}
    env = GymnasiumEnv(**broken, vectorization="async", num_workers=2, context="fork")
    handler = signal.signal(signal.SIGALRM, signal.default_int_handler)
    env.reset(LENGTHS, K, TaskStreams(0))
    env.step(torch.zeros(N, K, 2))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        with pytest.raises(KeyboardInterrupt):
            env.step(torch.zeros(N, K, 2))
    finally:
        signal.signal(signal.SIGALRM, handler)
    env.close()
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize("vectorization", ["sync", "async"])
def test_discrete_actions_begin_where_their_space_does(vectorization: Any) -> None:
    env = GymnasiumEnv("Button-v0", {"length": (1.0, 100.0)}, vectorization=vectorization, num_workers=2)
    assert env.action_space == Discrete(3)
    env.reset(torch.full((2, 1), 50.0), 2, TaskStreams(0))
    actions = torch.tensor([[[0], [1]], [[2], [0]]])
    observations, rewards, _ = env.step(actions)
    env.close()
    assert rewards.tolist() == [[1, 2], [3, 1]]
    assert observations.shape == (2, 2, 5)


EXIT = """
import torch
from meta_rl.randomness import TaskStreams
from meta_rl.envs.gymnasium_env import GymnasiumEnv
if __name__ == "__main__":
    env = GymnasiumEnv("Pendulum-v1", {"g": (5, 15)}, vectorization="async", num_workers=2, context="fork")
    env.reset(torch.ones(2, 1), 1, TaskStreams(0))
    print(*[process.pid for process in __import__("multiprocessing").active_children()])
"""


def test_processes_end_with_the_interpreter_in_silence() -> None:
    command = [sys.executable, "-W", "error", "-c", EXIT]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    first, second = map(int, done.stdout.split())
    for pid in (first, second):
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "unknown id": ({"id": "Pendulm-v1"}, "id 'Pendulm-v1': .*Did you mean: `Pendulum`"),
    "unknown module": ({"id": "nosuch:Fuse-v0"}, "id 'nosuch:Fuse-v0': No module named 'nosuch'"),
    "no id": ({"id": ""}, "id '': Malformed environment ID"),
    "package missing": ({"id": "BipedalWalker-v3"}, "id 'BipedalWalker-v3': Box2D is not installed"),
    "unknown argument": ({"env_kwargs": {"x": 3}}, "id 'Fuse-v0': .*unexpected keyword argument 'x'"),
    "time limit": ({"env_kwargs": {"max_episode_steps": 3}}, "env_kwargs must not set max_episode_steps"),
    "several actions": ({"id": "ManyButtons-v0"}, r"id ManyButtons-v0: its actions are MultiDiscrete"),
    "odd observations": ({"id": "Wordy-v0"}, "id Wordy-v0: its observations are Sequence"),
    "no vector environment": (
        {"id": "Pendulum-v1", "vectorization": "vector_entry_point"},
        "id 'Pendulum-v1': .*doesn't have a vector entry point",
    ),
    "no autoreset mode": (
        {**NATIVE, "env_kwargs": {"silent": True}},
        "id Fuse-v0: the metadata of its vector environment lack autoreset_mode",
    ),
    "no time limit": ({"id": "Endless-v0"}, "horizon is needed, since Endless-v0 is registered without"),
    "horizon": ({"horizon": 0}, "horizon must be at least 1 step, got 0"),
    "workers": ({"num_workers": -1}, "num_workers must not be negative, got -1"),
    "no parameters": ({"task_parameters": {}}, "task_parameters must give a range"),
    "unknown attribute": ({"task_parameters": {"mass": (1, 2)}}, "task_parameters mass: Fuse-v0 has no such"),
    "reversed range": (
        {"task_parameters": {"length": (2, 1)}},
        "task_parameters length: must be lowest, high",
    ),
    "infinite range": (
        {"task_parameters": {"length": (2, np.inf)}},
        "task_parameters length: must be lowest",
    ),
    "no such module": ({"task_setter": "nosuch.set"}, "task_setter nosuch.set: No module named 'nosuch'"),
    "no such function": ({"task_setter": "simulators.sett"}, "task_setter simulators.sett: .* no attribute"),
    "other parameters": (
        {"task_setter": "simulators.set_weight"},
        r"task_setter simulators.set_weight: .*'weight'; name a function of \(env, length\)",
    ),
    "no function": (
        {"task_setter": "simulators.NO_FUNCTION"},
        "task_setter simulators.NO_FUNCTION: 3 is not",
    ),
}


@pytest.mark.filterwarnings("ignore:.*AutoresetMode metadata")
@pytest.mark.parametrize(("arguments", "message"), BAD.values(), ids=BAD.keys())
def test_bad_input_is_refused_in_one_line(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}") as caught:
        GymnasiumEnv(**{**FUSE, **arguments})
    assert "\n" not in str(caught.value)


class Counting(gym.Env):
    """Fails where its count is not an int."""

    observation_space = action_space = Box(-1, 1, (1,))
    count = 1

    def reset(self, *, seed: Any = None, options: Any = None) -> tuple[Any, dict]:
        self.left = list(range(self.count))
        return np.zeros(1, np.float32), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict]:
        return np.zeros(1, np.float32), float(self.count), False, False, {}


def test_parameters_that_are_whole_numbers_arrive_as_such() -> None:
    gym.register("Counting-v0", Counting, max_episode_steps=2)
    env = GymnasiumEnv("Counting-v0", {"count": (1, 3)}, integers=["count"])
    tasks = env.sample_tasks(200, torch.Generator().manual_seed(0))
    assert tasks.unique().tolist() == [1, 2, 3]
    env.reset(tasks[:4], 1, TaskStreams(0))
    assert env.step(torch.zeros(4, 1, 1))[1].flatten().tolist() == tasks[:4].flatten().tolist()
    assert not env.failures
    with pytest.raises(ValueError, match=r"count: 1.5 is none of 1, 2, 3"):
        env.task_row({"count": 1.5})
    with pytest.raises(ValueError, match="integers count"):
        GymnasiumEnv("Counting-v0", {"count": (1, 2.5)}, integers=["count"])
    env.close()


class Foreign(gym.Env):
    """Draws from the streams that all share instead of from its own."""

    observation_space = action_space = Box(-1, 1, (1,))
    count = 1

    def _draw(self) -> np.ndarray:
        return np.array([np.random.rand() * random.random()], np.float32)  # noqa: NPY002

    def reset(self, *, seed: Any = None, options: Any = None) -> tuple[Any, dict]:
        return self._draw(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict]:
        return self._draw(), 0.0, False, False, {}


def test_environments_that_draw_from_global_streams_repeat_their_numbers() -> None:
    gym.register("Foreign-v0", Foreign, max_episode_steps=2)
    env = GymnasiumEnv("Foreign-v0", {"count": (1, 3)})

    def play() -> list[Tensor]:
        return [env.reset(torch.ones(2, 1), 2, TaskStreams(0)), env.step(torch.zeros(2, 2, 1))[0]]

    first = play()
    np.random.rand(), random.random()  # noqa: NPY002
    assert all(torch.equal(a, b) for a, b in zip(first, play(), strict=True))
    assert len(first[0].unique()) == 4  # and every episode has its own
    env.close()


def test_whole_numbers_stay_in_their_range_where_floats_are_coarse() -> None:
    env = GymnasiumEnv("Pendulum-v1", task_parameters={"g": [100000, 100002]}, integers=["g"])
    drawn = env.sample_tasks(50_000, torch.Generator().manual_seed(0))
    assert sorted(set(drawn[:, 0].tolist())) == [100000, 100001, 100002]
