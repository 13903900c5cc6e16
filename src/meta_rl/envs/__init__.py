"""Task families. A new one is a subclass of `BatchedEnv`, named in YAML by its `class_path`."""

import gymnasium as gym

from meta_rl.envs.ant import AntBody, AntDirection, AntDirection2D, AntGoal, AntVelocity
from meta_rl.envs.base import BatchedEnv
from meta_rl.envs.gymnasium_env import GymnasiumEnv
from meta_rl.envs.half_cheetah import HalfCheetahBody, HalfCheetahDirection, HalfCheetahVelocity
from meta_rl.envs.mujoco_env import MujocoEnv
from meta_rl.envs.point_mass import PointMass, PointMassSparse
from meta_rl.envs.probes import ActionReward, Bandit, ConstantReward
from meta_rl.envs.tabular_mdp import TabularMDP
from meta_rl.envs.walker2d import Walker2dBody

__all__ = [
    "ActionReward",
    "AntBody",
    "AntDirection",
    "AntDirection2D",
    "AntGoal",
    "AntVelocity",
    "Bandit",
    "BatchedEnv",
    "ConstantReward",
    "GymnasiumEnv",
    "HalfCheetahBody",
    "HalfCheetahDirection",
    "HalfCheetahVelocity",
    "MujocoEnv",
    "PointMass",
    "PointMassSparse",
    "TabularMDP",
    "Walker2dBody",
]

# Gymnasium's names for the families: `gymnasium.make("meta_rl/AntDirection-v0", horizon=100)`.
for _family in (
    AntBody,
    AntDirection,
    AntDirection2D,
    AntGoal,
    AntVelocity,
    HalfCheetahBody,
    HalfCheetahDirection,
    HalfCheetahVelocity,
    PointMass,
    PointMassSparse,
    TabularMDP,
    Walker2dBody,
):
    _view = "MujocoTaskEnv" if issubclass(_family, MujocoEnv) else "TaskEnv"
    gym.register(
        id=f"meta_rl/{_family.__name__}-v0",
        entry_point=f"meta_rl.show.gymnasium_views:{_view}",
        kwargs={"family": f"meta_rl.envs.{_family.__name__}"},
    )
