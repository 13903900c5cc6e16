"""Task families. A new one is a subclass of `BatchedEnv`, named in YAML by its `class_path`."""

import meta_rl.envs.registration  # noqa: F401 (the names for gymnasium.make)
from meta_rl.envs.ant import AntBody, AntDirection, AntGoal, AntVelocity
from meta_rl.envs.base import BatchedEnv
from meta_rl.envs.gymnasium_env import GymnasiumEnv
from meta_rl.envs.half_cheetah import HalfCheetahDirection, HalfCheetahVelocity
from meta_rl.envs.mujoco_env import MujocoEnv
from meta_rl.envs.point_mass import PointMass
from meta_rl.envs.probes import ActionReward, Bandit, ConstantReward

__all__ = [
    "ActionReward",
    "AntBody",
    "AntDirection",
    "AntGoal",
    "AntVelocity",
    "Bandit",
    "BatchedEnv",
    "ConstantReward",
    "GymnasiumEnv",
    "HalfCheetahDirection",
    "HalfCheetahVelocity",
    "MujocoEnv",
    "PointMass",
]
