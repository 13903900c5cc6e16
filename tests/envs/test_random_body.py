"""Robots with random body parameters: which they are, how they are drawn, and that each takes effect."""

import math
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from meta_rl.envs import HalfCheetahBody, HalfCheetahDirection, Walker2dBody
from meta_rl.envs.mujoco_batch import ASSETS
from meta_rl.envs.random_body import KINDS, RandomBody
from meta_rl.envs.walker2d import Walker2d
from meta_rl.errors import UserError
from meta_rl.evaluation.task_file import read_tasks
from meta_rl.randomness import TaskStreams

FAMILIES = [HalfCheetahBody, Walker2dBody]
every_family = pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.__name__)
every_kind = pytest.mark.parametrize("kind", KINDS)
STEPS = 40


@pytest.fixture(autouse=True)
def nobody_falls(monkeypatch: pytest.MonkeyPatch) -> None:
    """A walker's episode goes on where it lies."""
    for bounds in ("healthy_z", "healthy_angle"):
        monkeypatch.setattr(Walker2d, bounds, (-math.inf, math.inf))


def stream(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def tasks_of(env: RandomBody, kind: str, n: int = 2) -> Tensor:
    """Tasks whose bodies differ from the robot's in one kind of parameter only."""
    of_kind = torch.tensor([name.startswith(f"{kind}_") for name in env.task_parameters])
    return torch.where(of_kind, env.sample_tasks(n, stream()), 1.0)


def moves(env: RandomBody, n: int) -> Tensor:
    size = env.action_space.shape
    return torch.randn(STEPS, n, 1, *size, generator=stream(1)).clamp(-1, 1).double()


def play(env: Any, tasks: Tensor) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Generalised positions and velocities after a few steps, and before them: [2, N, nq + nv]."""
    physics = env.physics
    env.reset(tasks.double(), 1, TaskStreams(0))
    before = np.concatenate([physics.qpos, physics.qvel], 1)
    for action in moves(env, len(tasks)):
        env.step(action)
    return before, np.concatenate([physics.qpos, physics.qvel], 1)


def alone(env: RandomBody, model: mujoco.MjModel, i: int, n: int, start: NDArray[np.float64]) -> Any:
    """The same of the i-th episode, simulated by MuJoCo with a model of its own."""
    data = mujoco.MjData(model)
    mujoco.mj_setConst(model, data)
    mujoco.mj_resetData(model, data)
    data.qpos[:], data.qvel[:] = start[: model.nq], start[model.nq :]
    mujoco.mj_forward(model, data)
    for action in moves(env, n):
        data.ctrl[:] = action[i, 0]
        mujoco.mj_step(model, data, env.physics.frame_skip)
    return np.concatenate([data.qpos, data.qvel])


def changed(env: RandomBody, task: dict[str, float]) -> mujoco.MjModel:
    """A fresh model of the robot, its numbers multiplied one by one by the factors of a task."""
    model = type(env)().model
    for name, factor in task.items():
        kind, _, place = name.partition("_")
        body = 0 if place == "floor" else model.body(place).id
        if kind == "mass":
            model.body_mass[body] *= factor
        elif kind == "inertia":
            model.body_inertia[body] *= factor
        elif kind == "damping":
            model.dof_damping[model.dof_bodyid == body] *= factor
        else:
            model.geom_friction[model.geom_bodyid == body] *= factor
    return model


# The batch


@every_family
@every_kind
def test_a_body_moves_as_its_own_model_does_alone(family: Any, kind: str) -> None:
    env = family()
    tasks = tasks_of(env, kind)
    starts, moved = play(env, tasks)
    _, plain = play(env, torch.ones_like(tasks))
    assert env._alive.all()
    for i, task in enumerate(tasks.double().tolist()):
        model = changed(env, dict(zip(env.task_parameters, task, strict=True)))
        assert np.array_equal(alone(env, model, i, len(tasks), starts[i]), moved[i])
        assert np.abs(moved[i] - plain[i]).max() > 1e-3  # it does matter


@every_family
def test_all_kinds_together(family: Any) -> None:
    env = family()
    tasks = env.sample_tasks(3, stream())
    starts, moved = play(env, tasks)
    assert env._alive.all()
    for i, task in enumerate(tasks.double().tolist()):
        model = changed(env, dict(zip(env.task_parameters, task, strict=True)))
        assert np.array_equal(alone(env, model, i, 3, starts[i]), moved[i])


def test_factors_of_1_are_the_plain_robot_whatever_came_before() -> None:
    env, plain = HalfCheetahBody(), HalfCheetahDirection(directions=(1.0,))
    ones = torch.ones(2, len(env.task_parameters))
    _, expected = play(plain, torch.ones(2, 1))
    assert np.array_equal(play(env, ones)[1], expected)
    assert not np.array_equal(play(env, env.sample_tasks(2, stream()))[1], expected)
    assert np.array_equal(play(env, ones)[1], expected)


@every_family
def test_a_clone_equals_the_original(family: Any) -> None:
    env = family()
    twin = env.clone()
    tasks = env.sample_tasks(2, stream())
    _, moved = play(env, tasks)
    play(twin, torch.ones_like(tasks))
    assert np.array_equal(play(twin, tasks)[1], moved)
    assert family(num_threads=1).clone() is None


# Tasks


def test_columns_name_kinds_and_bodies() -> None:
    names = Walker2dBody().task_parameters
    legs = ("thigh", "leg", "foot", "thigh_left", "leg_left", "foot_left")
    expected = [f"{kind}_{body}" for kind in ("mass", "inertia") for body in ("torso", *legs)]
    expected += [f"damping_{body}" for body in legs]  # the torso's joints have none
    expected += [f"friction_{body}" for body in ("floor", "torso", *legs)]
    assert list(names) == expected
    assert len(HalfCheetahBody().task_parameters) == 28


@every_family
def test_factors_are_log_uniform_and_independent(family: Any) -> None:
    env = family()
    tasks = env.sample_tasks(4000, stream())
    assert tasks.dtype == torch.float32
    bases = [1.3 if name.startswith("damping") else 1.5 for name in env.task_parameters]
    exponents = tasks.double().log() / torch.tensor(bases).double().log()
    assert exponents.abs().max() <= 3 + 1e-6
    assert (exponents.abs().amax(0) > 2.98).all()
    # Uniform on [-3, 3]: variance 3
    torch.testing.assert_close(exponents.T.cov(), 3 * torch.eye(28).double(), rtol=0, atol=0.25)
    torch.testing.assert_close(exponents.mean(0), torch.zeros(28).double(), rtol=0, atol=0.12)


def test_the_spread_bounds_the_factors() -> None:
    env = HalfCheetahBody(spread=1.0)
    bounds = dict(
        zip(env.task_parameters, zip(env.task_space.low, env.task_space.high, strict=True), strict=True)
    )
    assert bounds["mass_torso"] == pytest.approx((1 / 1.5, 1.5))
    assert bounds["damping_bshin"] == pytest.approx((1 / 1.3, 1.3))
    tasks = env.sample_tasks(200, stream()).numpy()
    assert all(env.task_space.contains(task) for task in tasks)
    assert (HalfCheetahBody(spread=0.0).sample_tasks(3, stream()) == 1).all()


def test_the_reward_is_the_x_velocity(monkeypatch: pytest.MonkeyPatch) -> None:
    env = HalfCheetahBody()
    env.reset(env.sample_tasks(2, stream()), 1, TaskStreams(0))
    monkeypatch.setattr(env, "velocity", lambda: np.array([[[2.0]], [[-0.5]]]))
    _, rewards, ended = env.step(torch.zeros(2, 1, 6))
    assert rewards[:, 0].tolist() == [2.0, -0.5]
    _, rewards, _ = env.step(torch.full((2, 1, 6), 2.0))
    assert rewards[:, 0].tolist() == pytest.approx([1.7, -0.8])  # 0.05 * 6, clipped
    assert not ended.any()


def test_tasks_of_a_file_may_leave_factors_out(tmp_path: Path) -> None:
    (tmp_path / "tasks.csv").write_text("mass_torso,friction_floor\n2,1\n1,0.5\n")
    env = HalfCheetahBody()
    tasks = read_tasks(tmp_path / "tasks.csv", env)
    assert tasks.sum(1).tolist() == [29.0, 27.5]
    assert tasks[0, env.task_parameters.index("mass_torso")] == 2
    assert tasks[1, env.task_parameters.index("friction_floor")] == 0.5


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("mass_torso\n4\n", "line 2, column mass_torso: 4 is outside [0.296296, 3.375]"),
        ("damping_foot\n0.4\n", "column damping_foot: 0.4 is outside [0.455166, 2.197]"),
        ("damping_torso\n1\n", "unknown column 'damping_torso'"),
    ],
)
def test_tasks_of_a_file_that_cannot_be(tmp_path: Path, content: str, complaint: str) -> None:
    (tmp_path / "tasks.csv").write_text(content)
    with pytest.raises(UserError) as error:
        read_tasks(tmp_path / "tasks.csv", Walker2dBody())
    assert complaint in str(error.value)


# Input


@every_family
@pytest.mark.parametrize("spread", [-0.1, 5.1, math.nan, math.inf])
def test_impossible_spreads(family: Any, spread: float) -> None:
    with pytest.raises(ValueError, match="spread must lie in"):
        family(spread=spread)


def test_a_body_without_a_name_has_a_number(tmp_path: Path) -> None:
    text = (ASSETS / "half_cheetah.xml").read_text().replace('body name="bshin" ', "body ")
    (tmp_path / "robot.xml").write_text(text)
    names = HalfCheetahBody(xml_file=str(tmp_path / "robot.xml")).task_parameters
    assert names[:4] == ("mass_torso", "mass_bthigh", "mass_body_3", "mass_bfoot")
