"""Where a run keeps its files, and who may write there."""

import fcntl
import os
import re
import shlex
from pathlib import Path

from meta_rl.errors import UserError
from meta_rl.run.files import SUFFIX, write_atomically, writing
from meta_rl.run.program import typed

# Every file name of a run's directory.
CONFIG = "config.yaml"  # of the first start; config-1.yaml, config-2.yaml, ... of the later ones
RECORD = "run.json"
METRICS = "metrics.csv"
CHECKPOINTS = "checkpoints"
LAST, BEST = "last.ckpt", "best.ckpt"  # in CHECKPOINTS, beside step-N.ckpt
EVALUATION = "evaluation"
ADAPTATION, FIGURE, EVALUATED = "adaptation.csv", "adaptation.png", "evaluation.json"  # in EVALUATION
VIDEO = "video"  # in EVALUATION
TENSORBOARD = "tensorboard"


class RunDirectory:
    """`root/name` and the files in it.

    Args:
        root: Folder of all runs.
        name: The run's.

    Raises:
        UserError: if `name` is no plain directory name.
    """

    def __init__(self, root: str | Path, name: str) -> None:
        if name in ("", ".", "..") or Path(name).name != name:
            raise UserError(f"name: {name!r} is not a directory name; choose another with --name")
        self.name = name
        self.path = Path(root) / name
        self.checkpoints = self.path / CHECKPOINTS
        self.last, self.best = self.checkpoints / LAST, self.checkpoints / BEST
        self.metrics, self.record = self.path / METRICS, self.path / RECORD
        self.lock: int | None = None  # a file descriptor, while this process has the directory

    def find(self, ckpt_path: str | None) -> list[Path]:
        """The checkpoints that `ckpt_path` means: a path, or this run's by `last`, or by `auto` if any.

        Several are in the order in which to try them: all but the first only stand in for damaged ones.
        """
        if ckpt_path not in ("auto", "last"):
            return [Path(ckpt_path)] if ckpt_path else []
        steps = self.steps()
        if steps or self.last.exists():
            return [self.last, *steps]
        if ckpt_path == "auto":
            return []
        raise UserError(f"ckpt_path: there is no {self.last} to resume; leave out --ckpt_path to start anew")

    def steps(self) -> list[Path]:
        """The kept checkpoints step-N.ckpt, newest first."""
        return sorted(self.checkpoints.glob("step-*.ckpt"), key=_number, reverse=True)

    def keep(self, step: int, number: int) -> None:
        """Keep a copy of `last.ckpt`, the state after iteration `step`, among the newest `number`."""
        write_atomically(self.checkpoints / f"step-{step}.ckpt", self.last.read_bytes())
        remove(*self.steps()[number:])

    def go_back(self, source: Path, step: int) -> None:
        """Make `source` the last checkpoint, and drop those of iterations after `step`."""
        if source != self.last:
            write_atomically(self.last, source.read_bytes())
        remove(*(file for file in self.steps() if _number(file) > step))

    def holds(self, checkpoint: Path) -> bool:
        """Whether `checkpoint` is one of this directory's own."""
        return checkpoint.resolve().parent == self.checkpoints.resolve()

    def hold(self) -> None:
        """Keep other processes from the directory, if there is one, until `release` or the process's end.

        Raises:
            UserError: if another process trains there, or it is no directory that can be opened.
        """
        try:
            self.lock = _lock(self.path)
        except FileNotFoundError:
            pass
        except BlockingIOError:
            raise UserError(
                f"{self.path}: another process is training this run; wait for it, or choose another --name"
            ) from None
        except OSError as error:
            raise UserError(f"{self.path}: {error.strerror}; choose another --name") from None

    def make(self) -> bool:
        """Make the directory and hold it, unless it is held already; return whether it is new.

        Raises:
            UserError: if it cannot be made, or another process has just made it.
        """
        if self.lock is not None:
            remove(*self.path.glob(f"*{SUFFIX}"), *self.checkpoints.glob(f"*{SUFFIX}"))  # of a killed process
            return False
        try:
            self.path.mkdir(parents=True)
        except FileExistsError:
            raise UserError(f"{self.path}: another process has just made it; choose another --name") from None
        except OSError as error:
            raise UserError(f"{self.path}: {error.strerror}; choose another --runs_dir") from None
        self.hold()
        return True

    def release(self) -> None:
        """Let other processes have the directory."""
        if self.lock is not None:
            os.close(self.lock)
            self.lock = None

    def configs(self) -> list[Path]:
        """The saved configurations of all starts, the newest last."""
        return saved_configs(self.path)

    def save_config(self, text: str) -> Path:
        """Keep this start's configuration beside those of the earlier starts."""
        earlier = self.configs()
        file = self.path / (f"config-{_number(earlier[-1]) + 1}.yaml" if earlier else CONFIG)
        write_atomically(file, text.encode())
        return file

    def resume_command(self) -> str:
        """The command that goes on from here, with the newest configuration."""
        which = "last" if self.last.exists() else "auto"
        config = str(self.configs()[-1])
        return shlex.join([*typed()[:2], "--config", config, "--ckpt_path", which])


def remove(*files: Path) -> None:
    """Remove files that may be gone already."""
    for file in files:
        with writing(file):
            file.unlink(missing_ok=True)


def saved_configs(run: Path) -> list[Path]:
    """The configurations of all starts in a run's directory, the newest last."""
    return sorted([*run.glob(CONFIG), *run.glob("config-[0-9]*.yaml")], key=_number)


def is_held(path: Path) -> bool:
    """Whether a process is training in a run's directory."""
    try:
        os.close(_lock(path))
    except BlockingIOError:
        return True
    return False


def _lock(path: Path) -> int:
    """Lock a directory until the file descriptor is closed. A BlockingIOError if another process has it."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise
    except OSError:  # a file system without such locks
        pass
    return descriptor


def _number(file: Path) -> int:
    """N of step-N.ckpt and config-N.yaml, 0 without one."""
    match = re.search(r"-(\d+)$", file.stem)
    return int(match[1]) if match else 0
