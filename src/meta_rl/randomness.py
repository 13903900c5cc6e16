"""Random streams that depend on what they are for, not on what ran before.

Every draw comes from a generator seeded by (seed, meta-iteration, phase); inside it the task's index is the
position. So a resumed run repeats the very numbers, whatever was drawn before it stopped.
"""

from enum import IntEnum

import numpy as np
import torch


class Phase(IntEnum):
    """What a stream is for. Episodes of inner step j have the phase SUPPORT + j.

    Training never draws from the phases of evaluation, so that evaluated tasks are unseen ones.
    """

    INIT = 0
    TASKS = 1
    QUERY = 2
    EVALUATION_TASKS = 3
    EVALUATION_EPISODES = 4
    EVALUATION_SHOWN = 5  # in videos and windows
    SUPPORT = 16


def generator(seed: int, iteration: int, phase: int) -> torch.Generator:
    """A CPU generator for this purpose (the CPU's, so that every device sees the same numbers)."""
    state = np.random.SeedSequence([seed, iteration, phase]).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state) & (2**63 - 1))
