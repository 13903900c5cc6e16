"""Between the sampler's tensors and a simulator's arrays: actions one way, what it returns the other."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from gymnasium.spaces import Box, Discrete
from numpy.typing import NDArray
from torch import Tensor


class ActionScaling:
    """Maps actions in [-1, 1] to a simulator's range, clipping what lies outside.

    Components whose range is not finite on both sides are passed on as they are, clipped at the one bound
    that they may have.

    Args:
        low: Lowest value of each of the A action components, -inf for none; of any shape.
        high: Highest values, of the same shape.

    Attributes:
        low: Lowest values [A].
        high: Highest values [A].
        centre: The simulator's action [A] for the policy's 0.
        half_range: How far from it the policy's 1 is: [A].
    """

    def __init__(self, low: NDArray[Any], high: NDArray[Any]) -> None:
        self.low, self.high = (x.reshape(-1).astype(np.float64) for x in (low, high))
        bounded = np.isfinite(self.low) & np.isfinite(self.high)
        lowest, highest = np.where(bounded, self.low, -1.0), np.where(bounded, self.high, 1.0)
        self.centre, self.half_range = (lowest + highest) / 2, (highest - lowest) / 2

    def __call__(self, actions: NDArray[np.float64]) -> NDArray[np.float64]:
        """The simulator's actions [..., A] for the policy's [..., A]."""
        return np.clip(self.centre + self.half_range * actions, self.low, self.high)


def to_simulator(actions: Box | Discrete) -> tuple[Box | Discrete, Callable[[NDArray[Any]], NDArray[Any]]]:
    """An action space as a policy sees it, [A] in [-1, 1] or indices from 0, and the way back.

    Args:
        actions: The simulator's, of any shape.
    """
    if isinstance(actions, Discrete):
        return Discrete(int(actions.n)), partial(np.add, int(actions.start))
    size = math.prod(actions.shape)
    return Box(-1.0, 1.0, (size,), np.float32), ActionScaling(actions.low, actions.high)


def to_array(x: Tensor) -> NDArray[np.float64]:
    """A float64 array of the same shape on the CPU."""
    return x.detach().cpu().double().numpy()


def to_tensors(arrays: Sequence[NDArray[Any]], like: Tensor) -> list[Tensor]:
    """Copies of the arrays with the device and data type of `like`; booleans stay booleans.

    They travel together, in one upload that does not wait for a GPU to have received it.
    """
    flat = torch.from_numpy(np.concatenate([x.reshape(-1).astype(np.float64) for x in arrays])).to(like.dtype)
    if (
        like.is_cuda
    ):  # only from pinned memory is a copy asynchronous; torch keeps the memory until it is done
        flat = flat.pin_memory()
    parts = flat.to(like.device, non_blocking=True).split([x.size for x in arrays])
    shaped = [part.view(x.shape) for part, x in zip(parts, arrays, strict=True)]
    return [part > 0 if x.dtype == bool else part for part, x in zip(shaped, arrays, strict=True)]
