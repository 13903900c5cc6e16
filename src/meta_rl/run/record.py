"""run.json: how, where and with what every start of a run was made, and how it ended."""

import json
import os
import platform
import re
import subprocess
import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from meta_rl.errors import UserError
from meta_rl.run.files import write_atomically
from meta_rl.run.shipped import CHECKOUT
from meta_rl.threads import available_cores

Outcome = Literal["done", "stopped", "failed"]
PACKAGES = ("meta_rl", "torch", "lightning", "torchopt", "gymnasium", "mujoco", "numpy", "scipy", "wandb")


class Provenance:
    """The record of a run's starts, an entry each; the last one's outcome is that of the run.

    An entry is written when a start begins, with outcome null, and again when it ends: one that was killed
    keeps the null. The file is replaced as a whole, so that it can be read at any time.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.starts: list[dict[str, Any]] = []

    def begin(self, command: str, first_step: int, device: str) -> None:
        """Add the entry of a start.

        Args:
            command: The command line that started it.
            first_step: Iterations that it goes on from.
            device: What it computes on, such as `cpu with 2 threads`.
        """
        start = {
            "command": command,
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
            "commit": commit(),
            "versions": versions(),
            "machine": machine() | {"device": device},
            "first_step": first_step,
        }
        self.starts = read_starts(self.path)
        self.starts.append(start | {"last_step": None, "seconds": None, "outcome": None})
        self._write()

    def end(self, last_step: int, outcome: Outcome) -> None:
        """Complete the entry of this start, if it has one."""
        if not self.starts:
            return
        start = self.starts[-1]
        elapsed = datetime.now(UTC) - datetime.fromisoformat(start["started"])
        start |= {"last_step": last_step, "seconds": round(elapsed.total_seconds(), 1), "outcome": outcome}
        self._write()

    def complete(self) -> None:
        """Mark a run as done whose last start was cut off after its last iteration."""
        self.starts = read_starts(self.path)
        if self.starts and self.starts[-1]["outcome"] != "done":
            self.starts[-1]["outcome"] = "done"
            self._write()

    def _write(self) -> None:
        write_atomically(self.path, (json.dumps({"starts": self.starts}, indent=1) + "\n").encode())


def read_starts(path: Path) -> list[dict[str, Any]]:
    """The entries of run.json, oldest first; none where there is no file, as of older runs.

    Raises:
        UserError: if the file holds something else.
    """
    try:
        starts = json.loads(path.read_text("utf-8"))["starts"]
        if not all("command" in start and "outcome" in start for start in starts):
            raise TypeError
    except (FileNotFoundError, NotADirectoryError):
        return []
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(f"{path}: not the record of a run; move it away") from None
    return starts


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide numbers, by name."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def machine() -> dict[str, str | int | float]:
    """Processor, cores that may be used, memory in GB (10^9 bytes), system. No name of a host or user."""
    cpuinfo = Path("/proc/cpuinfo").read_text("utf-8") if sys.platform == "linux" else ""
    model = re.search(r"^model name\s*: (.*)", cpuinfo, re.MULTILINE)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "processor": model[1] if model else platform.processor() or platform.machine(),
        "cores": available_cores(),
        "system": platform.platform(terse=True),
        "memory_gb": round(memory / 1e9, 1),
    }


def commit() -> str | None:
    """Git commit of the checkout that holds this package, `-dirty` after local changes; None outside one."""
    repository = CHECKOUT / ".git"
    if not repository.exists():  # a package that is installed in somebody else's
        return None
    git = ["git", "--no-optional-locks", f"--git-dir={repository}", f"--work-tree={CHECKOUT}"]
    command = [*git, "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, cwd=CHECKOUT)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None
