"""From the policy's actions to the environment's."""

import numpy as np
from gymnasium.spaces import Box
from numpy.typing import NDArray


class ActionScaling:
    """Maps [-1, 1] to the bounds of a Box, clipping what lies outside.

    A component without two finite bounds is not scaled, only clipped at the bound that it has.
    """

    def __init__(self, actions: Box) -> None:
        self._low, self._high = (x.reshape(-1).astype(np.float64) for x in (actions.low, actions.high))
        bounded = np.isfinite(self._low) & np.isfinite(self._high)
        low, high = np.where(bounded, self._low, -1.0), np.where(bounded, self._high, 1.0)
        self._center, self._half = (low + high) / 2, (high - low) / 2

    def __call__(self, actions: NDArray[np.float64]) -> NDArray[np.float64]:
        """The environment's actions [M, A] for the policy's [M, A]."""
        return np.clip(self._center + self._half * actions, self._low, self._high)
