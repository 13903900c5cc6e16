"""Where a run keeps its files, and who may write there."""

import fcntl
import itertools
import os
import shutil
from pathlib import Path

from meta_rl.errors import UserError


class RunDirectory:
    """`root/name`: config.yaml, config-1.yaml ..., run.json, metrics.csv, checkpoints/, wandb/.

    Raises:
        UserError: if `name` is no plain directory name.
    """

    def __init__(self, root: str | Path, name: str) -> None:
        if not name or name in (".", "..") or set(name) & set("/\\\0"):
            raise UserError(f"name: {name!r} is not a directory name; choose another with --name")
        self.name = name
        self.path = Path(root) / name
        self.checkpoints = self.path / "checkpoints"
        self.last = self.checkpoints / "last.ckpt"
        self.best = self.checkpoints / "best.ckpt"
        self.metrics = self.path / "metrics.csv"
        self.record = self.path / "run.json"
        self.descriptor: int | None = None

    def find(self, ckpt_path: str | None) -> Path | None:
        """The checkpoint that `ckpt_path` means: a path, or this run's newest by `last`, or `auto` if any."""
        if ckpt_path == "":
            raise UserError("ckpt_path is empty; give 'last' or a checkpoint, or leave it out to start anew")
        if ckpt_path == "auto":
            return self.last if self.last.exists() else None
        if ckpt_path != "last":
            return Path(ckpt_path) if ckpt_path else None
        if not self.last.exists():
            raise UserError(
                f"ckpt_path: there is no {self.last} to resume; leave out --ckpt_path to start anew"
            )
        return self.last

    def holds(self, checkpoint: Path) -> bool:
        """Whether `checkpoint` is one of this directory's own."""
        return checkpoint.resolve().parent == self.checkpoints.resolve()

    def claim(self, resume: bool) -> bool:
        """Make the directory for a start and hold it until `release`; return whether it is new.

        Raises:
            UserError: if it holds a run that is not to be resumed, is held by another process, or cannot be
                made.
        """
        try:
            self.path.mkdir(parents=True)
        except FileExistsError:
            if not resume:
                remedy = "resume it with --ckpt_path last" if self.last.exists() else "delete it"
                raise UserError(
                    f"{self.path} holds a run already; {remedy} or choose another --name"
                ) from None
            self._lock()
            return False
        except OSError as error:
            raise UserError(f"{self.path}: {error.strerror}; choose another --runs_dir") from None
        self._lock()
        return True

    def release(self) -> None:
        """Let other processes have the directory. The end of the process does the same, however it ends."""
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None

    def _lock(self) -> None:
        try:
            self.descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
            fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (NotADirectoryError, PermissionError) as error:
            raise UserError(f"{self.path}: {error.strerror}; choose another --name") from None
        except BlockingIOError:
            self.release()
            raise UserError(
                f"{self.path}: another process is training this run; wait for it, or choose another --name"
            ) from None
        except OSError:  # a file system without such locks
            self.release()

    def discard(self) -> None:
        """Remove the directory of a run that never started."""
        shutil.rmtree(self.path, ignore_errors=True)

    def save_config(self, text: str) -> Path:
        """Keep this start's configuration beside those of the earlier starts."""
        names = (f"config-{n}.yaml" if n else "config.yaml" for n in itertools.count())
        file = next(file for name in names if not (file := self.path / name).exists())
        try:
            with file.open("x") as stream:
                stream.write(text)
        except OSError as error:
            raise UserError(f"{file}: {error.strerror}; choose another --runs_dir") from None
        return file


def is_held(path: Path) -> bool:
    """Whether a process is training in a run's directory."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # a file system without such locks
        return False
    finally:
        os.close(descriptor)
    return False


def make_output(path: Path) -> Path:
    """The directory for the results of an evaluation. Raises a UserError if nothing can be written there."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"output {path}: {error.strerror}; choose another --output") from None
    if not os.access(path, os.W_OK):
        raise UserError(f"output {path}: not writable; choose another --output")
    return path
