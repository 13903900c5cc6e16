"""Figures that others have published, to compare with."""

from importlib.resources import files

import pandas as pd
from torch import Tensor

from meta_rl.envs import BatchedEnv, PointMass
from meta_rl.envs.ant import AntDirection, AntVelocity
from meta_rl.envs.base import unwrapped
from meta_rl.envs.half_cheetah import HalfCheetahDirection, HalfCheetahVelocity
from meta_rl.envs.mujoco_env import Direction, MujocoEnv

LOCOMOTION = {
    AntDirection: "ant_dir",
    AntVelocity: "ant_vel",
    HalfCheetahDirection: "cheetah_dir",
    HalfCheetahVelocity: "cheetah_vel",
}
MAX_VELOCITY = {"ant_vel": 3.0, "cheetah_vel": 2.0}  # of the published goals, uniform from 0


def published_returns(task: str) -> pd.DataFrame:
    """Published returns on a task family: columns method, gradient_steps, mean_return, standard_error, tasks.

    The header of evaluation/published_returns.csv says where they come from and lists the families.
    """
    with files("meta_rl").joinpath("evaluation/published_returns.csv").open() as stream:
        table = pd.read_csv(stream, comment="#")
    return table.query("task == @task").drop(columns="task").reset_index(drop=True)


def published_for(env: BatchedEnv, tasks: Tensor) -> pd.DataFrame | None:
    """Returns published for these tasks [N, P] of an environment; None where nothing is comparable."""
    task = _published_task(env, tasks)
    fastest = MAX_VELOCITY.get(task or "")
    if task is None or (fastest is not None and getattr(env, "max_velocity", None) != fastest):
        return None
    return published_returns(task)


def published_scores_for(env: BatchedEnv, tasks: Tensor) -> pd.DataFrame | None:
    """The same as normalised scores; they are comparable for any range of goal velocities."""
    task = _published_task(env, tasks)
    return None if task is None else as_scores(published_returns(task))


def as_scores(published: pd.DataFrame) -> pd.DataFrame:
    """(return - random's) / (oracle's - random's), where random has not adapted, on a table of returns."""
    unadapted = published.query("gradient_steps == 0").set_index("method")["mean_return"]
    gap = unadapted["oracle"] - unadapted["random"]
    score = (published["mean_return"] - unadapted["random"]) / gap
    return published.assign(mean_return=score, standard_error=published["standard_error"] / gap)


def _published_task(env: BatchedEnv, tasks: Tensor) -> str | None:
    """The published family that an environment with these tasks belongs to."""
    env = unwrapped(env)
    if isinstance(env, PointMass):
        from_origin = env.horizon == 100 and not tasks[:, 2:].any()
        return "point_mass" if from_origin else None
    if isinstance(env, MujocoEnv) and _as_published(env, tasks):
        return LOCOMOTION.get(type(env))
    return None


def _as_published(env: MujocoEnv, tasks: Tensor) -> bool:
    """Whether an environment has the robot, physics and mixture of directions of the published results."""
    paper = env.presets["paper"]
    simulated = env.preset == "paper" and env.model.opt.timestep == paper.timestep
    simulated = simulated and env.physics.frame_skip == paper.frame_skip and env.horizon == 200
    usual = env.xml_file == type(env).xml_file and env.reset_noise_scale == 0.1 and env.hides_position
    return simulated and usual and (not isinstance(env, Direction) or len(tasks.unique()) == 2)
