"""What the running runs of a sweep are at."""

import sys
import time
from collections.abc import Sequence

from tqdm import tqdm

from meta_rl.sweep.local import Run

REFRESH = 1.0  # s, in a terminal
SECONDS, SHARE = 60.0, 0.05  # between two reports elsewhere: at least, and a share of the time so far


class Board:
    """A line a run: below the bar in a terminal, else printed now and then.

    Args:
        jobs: Largest number of runs at a time.
    """

    def __init__(self, jobs: int) -> None:
        self.live = sys.stdout.isatty()
        self.start = self.shown = time.monotonic()
        self.lines = [
            tqdm(position=i, bar_format="{desc}", leave=False, file=sys.stdout, disable=not self.live)
            for i in range(1, jobs + 1)
        ]

    def patience(self) -> float:
        """Seconds until `show` is due."""
        now = time.monotonic()
        gap = REFRESH if self.live else max(SECONDS, SHARE * (now - self.start))
        return max(0.0, self.shown + gap - now)

    def show(self, running: Sequence[Run]) -> None:
        """Say what each of the runs is at."""
        self.shown = time.monotonic()
        for i, line in enumerate(self.lines):
            text = f"{running[i].name}: {running[i].at()}" if i < len(running) else ""
            if self.live:
                line.set_description_str(text)
            elif text:
                print(text, flush=True)

    def close(self) -> None:
        """Take the lines away."""
        for line in self.lines:
            line.close()
