"""The task families as Gymnasium environments: Gymnasium's own checks, tasks, and equality with the batch."""

import re
import sys
import warnings
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env

import meta_rl.envs
from meta_rl.envs import AntDirection
from meta_rl.randomness import TaskStreams
from meta_rl.show import opengl
from meta_rl.show.gymnasium_views import MujocoTaskEnv, TaskEnv

PAGE = Path(__file__).parents[2] / "docs/add_a_task_family.md"
IDS = [name for name in gym.registry if name.startswith("meta_rl/")]
OF_EVERY_MUJOCO_ENV = "A Box observation space (minimum value is -infinity|maximum value is infinity)"


def can_draw() -> bool:
    return any(map(opengl.works, ("egl", "osmesa")))


@pytest.fixture
def ant() -> Any:
    env = gym.make("meta_rl/AntDirection-v0", horizon=5).unwrapped
    assert isinstance(env, MujocoTaskEnv)
    return env


@pytest.mark.parametrize("name", IDS)
def test_gymnasiums_checks_pass(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", f".*{OF_EVERY_MUJOCO_ENV}")
        check_env(gym.make(name).unwrapped, skip_render_check=not can_draw())


def test_a_name_alone_imports_what_registers_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in IDS:  # as if nobody had imported the package
        monkeypatch.delitem(gym.registry, name)
    monkeypatch.delitem(sys.modules, "meta_rl.envs")
    monkeypatch.setattr("meta_rl.envs", meta_rl.envs)  # to be restored
    gym.make("meta_rl.envs:meta_rl/PointMass-v0").reset()
    assert set(IDS) <= set(gym.registry)


def test_the_example_of_the_documentation_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = re.findall(
        r"^```python\n(import gymnasium.+?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE
    )
    exec(example, {})
    assert capsys.readouterr().out == "{'direction': -1.0}\n"


def test_steps_are_those_of_the_batched_family(ant: Any) -> None:
    observation, _ = ant.reset(seed=7, options={"task": [-1.0]})
    noise = TaskStreams(int(np.random.default_rng(7).integers(2**63, size=2)[1]))
    batched = AntDirection(horizon=5)
    expected = batched.reset(torch.tensor([[-1.0]]), 1, noise)
    np.testing.assert_array_equal(observation, expected[0, 0])
    for t in range(5):
        action = np.full(8, 0.2 * t - 0.5, np.float32)
        observation, reward, terminated, truncated, _ = ant.step(action)
        expected, rewards, ended = batched.step(torch.from_numpy(action)[None, None])
        np.testing.assert_array_equal(observation, expected[0, 0])
        assert (reward, terminated) == (float(rewards), bool(ended))
        assert truncated == (t == 4)


def test_the_task_is_drawn_or_given_and_told(ant: Any) -> None:
    tasks = [ant.reset(seed=seed)[1]["task"] for seed in range(8)]
    assert {task["direction"] for task in tasks} == {-1.0, 1.0}
    assert ant.reset(options={"task": (1.0,)})[1] == {"task": {"direction": 1.0}}
    assert ant.step(ant.action_space.sample())[4] == {"task": {"direction": 1.0}}
    assert ant.reset(options={"task": {"direction": -1}})[1] == {"task": {"direction": -1.0}}


def test_parameters_with_a_default_may_be_left_out() -> None:
    env = gym.make("meta_rl/PointMass-v0")
    observation, info = env.reset(options={"task": {"goal_x": 0.5, "goal_y": -0.25}})
    assert info["task"] == {"goal_x": 0.5, "goal_y": -0.25, "start_x": 0.0, "start_y": 0.0}
    assert observation.tolist() == [0.0, 0.0]


def test_the_same_noise_meets_any_task(ant: Any) -> None:
    drawn, forward, other = (
        ant.reset(seed=s, options=o)[0] for s, o in ((3, None), (3, {"task": [1]}), (4, None))
    )
    np.testing.assert_array_equal(drawn, forward)
    assert not np.array_equal(drawn, other)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"tsak": [1]}, "'tsak' is unknown; there is only 'task'"),
        ({"task": [1, 1]}, "a task has 1 numbers, direction, got [1, 1]"),
        ({"task": 1.0}, "a task has 1 numbers"),
        ({"task": {"goal": 1}}, "unknown column 'goal'; the tasks have direction"),
        ({"task": [0.5]}, "direction: 0.5 is none of -1, 1"),
        ({"task": [float("nan")]}, "direction: nan is outside [-1, 1]"),
    ],
)
def test_bad_options_are_named(ant: Any, options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match="options: ") as error:
        ant.reset(options=options)
    assert complaint in str(error.value)


def test_a_task_outside_its_range_is_refused() -> None:
    with pytest.raises(ValueError, match=r"goal_velocity: 2.5 is outside \[0, 2\]"):
        gym.make("meta_rl/AntVelocity-v0").reset(options={"task": [2.5]})


def test_after_its_end_an_episode_has_to_be_reset(ant: Any) -> None:
    action = np.zeros(8, np.float32)
    with pytest.raises(ResetNeeded):
        ant.step(action)
    ant.reset(seed=0)
    outcomes = [ant.step(action)[2:4] for _ in range(5)]
    assert outcomes == [(False, False)] * 4 + [(False, True)]
    with pytest.raises(ResetNeeded):
        ant.step(action)


def test_an_ant_that_falls_terminates(ant: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AntDirection, "healthy_z", (2.0, 3.0))
    ant.reset(seed=0)
    assert ant.step(np.zeros(8, np.float32))[2:4] == (True, False)


def test_a_failed_simulation_shows_its_last_numbers(ant: Any) -> None:
    before, _ = ant.reset(seed=0)
    ant.family.physics.qvel[:] = np.nan
    after, reward, terminated, _, _ = ant.step(np.zeros(8, np.float32))
    assert terminated
    assert reward == 0
    np.testing.assert_array_equal(after, before)


def test_an_action_of_another_shape_is_refused(ant: Any) -> None:
    ant.reset()
    with pytest.raises(ValueError, match=r"shape \(8,\), got \(3,\)"):
        ant.step(np.zeros(3))


def test_arguments_go_to_the_family() -> None:
    env = gym.make("meta_rl/AntDirection-v0", preset="gymnasium", horizon=3).unwrapped
    assert isinstance(env, MujocoTaskEnv)
    assert (env.family.preset, env.family.horizon) == ("gymnasium", 3)
    assert env.metadata["render_fps"] == 20
    with pytest.raises(ValueError, match="horizon must be at least 1"):
        gym.make("meta_rl/AntDirection-v0", horizon=0)


def test_a_view_of_any_family() -> None:
    env = TaskEnv("meta_rl.envs.ConstantReward", horizon=2)
    env.reset(options={"task": [0.5]})
    steps = [env.step(np.zeros(1, np.float32))[1:4] for _ in range(2)]
    assert steps == [(1.0, False, False), (1.0, False, True)]
    with pytest.raises(ValueError, match="render_mode 'rgb_array' is unknown; PointMass has none"):
        TaskEnv(meta_rl.envs.PointMass, render_mode="rgb_array")


def test_pictures() -> None:
    if not can_draw():
        pytest.skip("neither EGL nor OSMesa works here")
    env = gym.make("meta_rl/HalfCheetahVelocity-v0", render_mode="rgb_array", horizon=3)
    env.reset(seed=0)
    first = env.render()
    env.step(env.action_space.high)
    second = env.render()
    assert isinstance(first, np.ndarray)
    assert first.shape == (360, 480, 3)
    assert not np.array_equal(first, second)
    env.close()


def test_a_person_needs_a_display(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opengl, "can_open_windows", lambda: False)
    with pytest.raises(ValueError, match="render_mode 'human' needs a display"):
        gym.make("meta_rl/AntGoal-v0", render_mode="human")


def test_a_person_sees_every_state(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    class Window:
        def __init__(self, *_: Any) -> None:
            pass

        def show(self, qpos: np.ndarray) -> None:
            seen.append(qpos.shape)

        def close(self) -> None:
            seen.append("closed")

    for name in ("has_screen", "can_open_windows"):
        monkeypatch.setattr(opengl, name, lambda: True)
    monkeypatch.setattr("meta_rl.show.gymnasium_views.Viewer", Window)
    env = gym.make("meta_rl/AntDirection-v0", render_mode="human")
    env.reset(seed=0)
    env.step(np.zeros(8, np.float32))
    assert env.render() is None
    env.close()
    env.close()
    assert seen == [(15,), (15,), "closed"]
