"""What is published, and for which tasks it is shown."""

from types import MappingProxyType

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from meta_rl.envs import (
    ActionReward,
    AntDirection,
    AntVelocity,
    BatchedEnv,
    HalfCheetahDirection,
    HalfCheetahVelocity,
    PointMass,
)
from meta_rl.envs.mujoco_batch import Preset
from meta_rl.envs.mujoco_env import Velocity
from meta_rl.envs.observe_task import ObserveTask
from meta_rl.evaluation.curve import evaluation_tasks
from meta_rl.evaluation.published import as_scores, published_for, published_returns, published_scores_for


def maml_after_one_step(env: BatchedEnv) -> float | None:
    published = published_for(env, evaluation_tasks(env, 5, seed=0))
    if published is None:
        return None
    return published.query("method == 'maml' and gradient_steps == 1")["mean_return"].item()


SHOWN = {
    -11.68: PointMass(sample_start=False),
    499.15: AntDirection(),
    96.74: AntVelocity(max_velocity=3.0),
    293.19: HalfCheetahDirection(),
    -78.57: HalfCheetahVelocity(),
}


@pytest.mark.parametrize(("expected", "env"), SHOWN.items())
def test_returns_are_those_of_the_task_family(expected: float, env: BatchedEnv) -> None:
    assert maml_after_one_step(env) == expected
    assert maml_after_one_step(ObserveTask(env)) == expected  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    "env",
    [
        ActionReward(),
        PointMass(),
        PointMass(sample_start=False, horizon=50),
        AntDirection(preset="gymnasium"),
        AntDirection(preset="gymnasium", timestep=0.02, frame_skip=1),
        AntDirection(horizon=100),
        AntDirection(timestep=0.01),
        AntDirection(timestep=0.01, frame_skip=2),
        AntDirection(directions=(1.0,)),
        AntDirection(reset_noise_scale=0.0),
        AntDirection(observe_position=True),
        AntVelocity(),
        HalfCheetahVelocity(max_velocity=3.0),
    ],
)
def test_nothing_is_shown_where_returns_are_not_comparable(env: BatchedEnv) -> None:
    assert maml_after_one_step(env) is None


class Reversed(AntDirection):
    """A user's own task family, with rewards of its own."""


class HopperVelocity(Velocity):
    """A robot that nothing is published of."""

    xml_file = "hopper.xml"
    presets = MappingProxyType({"gymnasium": Preset(0.002, 4)})
    hidden_positions = 1
    joints = ("slide",)
    alive_bonus = control_cost_weight = velocity_bonus = 0.0

    def position(self) -> NDArray[np.float64]:
        return self.by_task(self.physics.qpos[:, :1])


@pytest.mark.parametrize("env", [Reversed(), HopperVelocity(preset="gymnasium")])
def test_nothing_is_published_of_a_family_of_ones_own(env: BatchedEnv) -> None:
    assert maml_after_one_step(env) is None
    assert published_scores_for(env, torch.ones(1, 1)) is None


def test_scores_do_not_depend_on_the_range_of_velocities() -> None:
    tasks = torch.ones(1, 1)
    scores = published_scores_for(AntVelocity(), tasks)
    assert scores is not None
    assert scores.query("method == 'oracle'")["mean_return"].item() == 1
    assert published_scores_for(AntVelocity(preset="gymnasium"), tasks) is None
    assert published_scores_for(ActionReward(), tasks) is None


@pytest.mark.parametrize(
    ("task", "step", "score"),
    [("point_mass", 1, 0.883), ("point_mass", 2, 0.987), ("ant_dir", 1, 0.951), ("ant_vel", 1, 0.940)],
)
def test_published_scores_of_maml(task: str, step: int, score: float) -> None:
    table = as_scores(published_returns(task)).query("method == 'maml' and gradient_steps == @step")
    assert table["mean_return"].item() == pytest.approx(score, abs=5e-4)


def test_a_standard_error_is_scaled_like_its_mean() -> None:
    returns, scores = published_returns("ant_dir"), as_scores(published_returns("ant_dir"))
    factor = (returns["standard_error"] / scores["standard_error"]).to_numpy()
    assert factor == pytest.approx(524.8 - 3.11)
