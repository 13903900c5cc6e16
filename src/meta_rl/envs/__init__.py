"""Task families. A new one is a subclass of `BatchedEnv`, named in YAML by its `class_path`."""

from meta_rl.envs.base import BatchedEnv
from meta_rl.envs.point_mass import PointMass
from meta_rl.envs.probes import ActionReward, Bandit, ConstantReward

__all__ = ["ActionReward", "Bandit", "BatchedEnv", "ConstantReward", "PointMass"]
