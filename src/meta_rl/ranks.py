"""The ranks, processes that share out the tasks of a meta-iteration: sums and means over all of them.

Without a process group there is one rank, and every function returns what it was given. All ranks get the
same bits, so that whatever they decide by them they decide alike.
"""

from collections.abc import Sequence

from torch import Tensor, cat, distributed, empty_like


def size() -> int:
    """Number of ranks."""
    return distributed.get_world_size() if _together() else 1


def index() -> int:
    """This process's number among them, from 0."""
    return distributed.get_rank() if _together() else 0


def total(x: Tensor) -> Tensor:
    """The sum over ranks of their tensors of one shape."""
    return _reduce(x, distributed.ReduceOp.SUM)


def mean(x: Tensor) -> Tensor:
    """The mean over ranks: since their shares are equal, of means over tasks the mean over all tasks."""
    return total(x) / size()


def means(tensors: Sequence[Tensor]) -> list[Tensor]:
    """The mean over ranks of each of the tensors, in a single message."""
    if not _together():
        return list(tensors)
    flat = mean(cat([x.reshape(-1) for x in tensors]))
    parts = flat.split([x.numel() for x in tensors])
    return [part.view_as(x) for part, x in zip(parts, tensors, strict=True)]


def highest(x: Tensor) -> Tensor:
    """The highest of the ranks' values, for each element."""
    return _reduce(x, distributed.ReduceOp.MAX)


def gather(x: Tensor) -> Tensor:
    """The ranks' tensors [n, ...] one after the other: [size * n, ...]."""
    if not _together():
        return x
    x = x.contiguous()
    parts = [empty_like(x) for _ in range(size())]
    distributed.all_gather(parts, x)
    return cat(parts)


def _reduce(x: Tensor, operation: distributed.ReduceOp.RedOpType) -> Tensor:
    if not _together():
        return x
    x = x.detach().clone().contiguous()
    distributed.all_reduce(x, operation)
    return x


def _together() -> bool:
    return distributed.is_available() and distributed.is_initialized()
