"""Episodes of Gymnasium environments, in NumPy.

Apart from `meta_rl.envs` because that package loads torch: processes that only step environments start faster
without it, and need a sixth of the memory.
"""

from meta_rl.workers.blocks import Blocks
from meta_rl.workers.description import check_spaces, describe
from meta_rl.workers.types import TaskSetter
from meta_rl.workers.vector import VectorEpisodes

__all__ = ["Blocks", "TaskSetter", "VectorEpisodes", "check_spaces", "describe"]
