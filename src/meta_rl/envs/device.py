"""From a simulator on the CPU to the policy's device."""

from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor


def to_device(x: NDArray[Any], like: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """`x` as a tensor on the device of `like`. A GPU need not have finished anything before this returns.

    Args:
        x: Nobody may change it later.
        like: On the device.
        dtype: Of the tensor; by default that of `x`.
    """
    tensor = torch.from_numpy(x)
    tensor = tensor if dtype is None else tensor.to(dtype)
    if not like.is_cuda:
        return tensor.to(like.device)
    # Only from pinned memory does a copy run on its own; torch keeps the memory until it has.
    return tensor.pin_memory().to(like.device, non_blocking=True)
