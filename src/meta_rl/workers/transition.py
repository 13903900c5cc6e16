"""What a step of many environments gives."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Transition(NamedTuple):
    """One step of M environments."""

    observations: NDArray[np.float64]  # [M, O]
    rewards: NDArray[np.float64]  # [M]
    terminated: NDArray[np.bool_]  # [M] ended by the environment's own rules
    truncated: NDArray[np.bool_]  # [M] cut off, by a time limit for instance
