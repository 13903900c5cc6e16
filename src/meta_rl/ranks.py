"""The ranks, processes that share out the tasks of a meta-iteration: sums and means over all of them.

Without a process group there is one rank, and every function returns what it was given. All ranks get the
same bits, so that whatever they decide by them they decide alike.
"""

import math
from collections.abc import Sequence

from torch import Tensor, cat, distributed, empty_like, float64, stack


def size() -> int:
    """Number of ranks."""
    return distributed.get_world_size() if _together() else 1


def index() -> int:
    """This process's number among them, from 0."""
    return distributed.get_rank() if _together() else 0


def chunks(tasks: int, states: int, most: int) -> list[slice]:
    """This rank's `tasks` in chunks that are the same with 1, 2 and 4 ranks, and with any number of threads.

    Args:
        tasks: Tasks of this rank.
        states: States of each.
        most: States of a chunk, unless a single task has more.
    """
    together = tasks * size()
    unit = together // math.gcd(together, 4)  # what a rank has at least
    length = max(n for n in range(1, unit + 1) if unit % n == 0 and (n == 1 or n * states <= most))
    length = math.gcd(length, tasks)
    return [slice(first, first + length) for first in range(0, tasks, length)]


def sum_of_chunk(x: Tensor) -> Tensor:
    """The sum over a chunk's tasks of x [n, ...]: [...] in float64, one of the parts of `total`.

    Sharing out tasks among ranks changes the order of these sums, and so their last bits; conjugate gradient
    would make a relative 1e-3 of a float32's last bits in a single step.
    """
    return x.detach().sum(0, dtype=float64)


def flat_sum(of_tasks: Sequence[Tensor]) -> Tensor:
    """The same of per-task parameters [n, ...], as one vector."""
    return sum_of_chunk(cat([x.flatten(1) for x in of_tasks], 1))


def total(parts: Sequence[Tensor]) -> Tensor:
    """The sum of the parts of all ranks, tensors of one shape, in float64.

    They are added in one order, however many ranks they come from, so that the sum's bits are the same.
    """
    return sum_over_tasks(stack(list(parts)))


def sum_over_tasks(x: Tensor) -> Tensor:
    """The sum over the tasks of all ranks of x [N, ...]: [...] in float64, of the same bits for any ranks."""
    return gather(x.to(float64)).sum(0)


def highest(x: Tensor) -> Tensor:
    """The highest of the ranks' values, for each element."""
    if not _together():
        return x
    x = x.detach().clone().contiguous()
    distributed.all_reduce(x, distributed.ReduceOp.MAX)
    return x


def gather(x: Tensor) -> Tensor:
    """The ranks' tensors [n, ...] one after the other: [size * n, ...]."""
    if not _together():
        return x
    x = x.contiguous()
    parts = [empty_like(x) for _ in range(size())]
    distributed.all_gather(parts, x)
    return cat(parts)


def _together() -> bool:
    return distributed.is_available() and distributed.is_initialized()
