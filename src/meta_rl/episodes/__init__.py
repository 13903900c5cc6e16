"""Episodes of Gymnasium environments, in NumPy.

Apart from `meta_rl.envs` because that package loads torch: processes that only step environments start faster
without it, and need a sixth of the memory.
"""

from meta_rl.episodes.blocks import Blocks
from meta_rl.episodes.description import describe
from meta_rl.episodes.scaling import ActionScaling
from meta_rl.episodes.tasks import TaskSetter
from meta_rl.episodes.vector import VectorEpisodes

__all__ = ["ActionScaling", "Blocks", "TaskSetter", "VectorEpisodes", "describe"]
