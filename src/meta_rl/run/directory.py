"""Where a run keeps its files, and who may write there."""

import fcntl
import itertools
import os
import re
import shlex
import shutil
import sys
from pathlib import Path

from meta_rl.errors import UserError
from meta_rl.run.files import link, remove_leftovers, write_atomically, writing

# Every file name of a run's directory.
CONFIG = "config.yaml"  # of the first start; config-1.yaml, config-2.yaml, ... of the later ones
RECORD = "run.json"
METRICS = "metrics.csv"
CHECKPOINTS = "checkpoints"
LAST, BEST = "last.ckpt", "best.ckpt"  # in CHECKPOINTS, beside step-N.ckpt
EVALUATION = "evaluation"
ADAPTATION, FIGURE, EVALUATED = "adaptation.csv", "adaptation.png", "evaluation.json"  # in EVALUATION
VIDEO = "video"  # in EVALUATION


class RunDirectory:
    """`root/name` and the files in it.

    Raises:
        UserError: if `name` is no plain directory name.
    """

    def __init__(self, root: str | Path, name: str) -> None:
        if not name or name in (".", "..") or set(name) & set("/\\\0"):
            raise UserError(f"name: {name!r} is not a directory name; choose another with --name")
        self.name = name
        self.path = Path(root) / name
        self.checkpoints = self.path / CHECKPOINTS
        self.last, self.best = self.checkpoints / LAST, self.checkpoints / BEST
        self.metrics, self.record = self.path / METRICS, self.path / RECORD
        self.descriptor: int | None = None  # of the lock

    def find(self, ckpt_path: str | None) -> list[Path]:
        """The checkpoints that `ckpt_path` means: a path, or this run's by `last`, or by `auto` if any.

        Several are in the order in which to try them: all but the first only stand in for damaged ones.
        """
        if ckpt_path == "":
            raise UserError("ckpt_path is empty; give 'last' or a checkpoint, or leave it out to start anew")
        if ckpt_path not in ("auto", "last"):
            return [Path(ckpt_path)] if ckpt_path else []
        steps = self.steps()
        if steps or self.last.exists():
            return [self.last, *(file for file in steps if not same(file, self.last))]
        if ckpt_path == "auto":
            return []
        raise UserError(f"ckpt_path: there is no {self.last} to resume; leave out --ckpt_path to start anew")

    def steps(self) -> list[Path]:
        """The kept checkpoints step-N.ckpt, newest first."""
        return sorted((f for f in self.checkpoints.glob("step-*.ckpt") if _step(f) >= 0), key=_step)[::-1]

    def keep(self, step: int, number: int) -> None:
        """Keep what is `last.ckpt` now, the state after iteration `step`, among the newest `number`."""
        link(self.last, self.checkpoints / f"step-{step}.ckpt")
        self._remove(self.steps()[number:])

    def go_back(self, source: Path, step: int) -> None:
        """Make `source` the last checkpoint, and drop those of iterations after `step`."""
        if not same(source, self.last):
            link(source, self.last)
        self._remove([file for file in self.steps() if _step(file) > step])

    def holds(self, checkpoint: Path) -> bool:
        """Whether `checkpoint` is one of this directory's own."""
        return checkpoint.resolve().parent == self.checkpoints.resolve()

    def hold(self) -> None:
        """Keep other processes from the directory, if there is one, until `release` or the process's end.

        Raises:
            UserError: if another process trains there, or it is no directory that can be opened.
        """
        try:
            self.descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
            fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not os.path.samestat(os.fstat(self.descriptor), self.path.stat()):
                raise FileNotFoundError  # it has been removed, and perhaps made anew, before it was locked
        except FileNotFoundError:
            self.release()
        except (NotADirectoryError, PermissionError) as error:
            raise UserError(f"{self.path}: {error.strerror}; choose another --name") from None
        except BlockingIOError:
            self.release()
            raise UserError(
                f"{self.path}: another process is training this run; wait for it, or choose another --name"
            ) from None
        except OSError:
            pass  # a file system without such locks

    def make(self) -> bool:
        """Make the directory and hold it, unless it is held already; return whether it is new.

        Raises:
            UserError: if it cannot be made, or another process has just made it.
        """
        if self.descriptor is not None:
            remove_leftovers(self.path, self.checkpoints)
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
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None

    def discard(self) -> None:
        """Remove the directory of a run that never started."""
        shutil.rmtree(self.path, ignore_errors=True)

    def configs(self) -> list[Path]:
        """The saved configurations of all starts, the newest last."""
        names = (f"config-{n}.yaml" if n else CONFIG for n in itertools.count())
        return list(itertools.takewhile(Path.exists, (self.path / name for name in names)))

    def save_config(self, text: str) -> Path:
        """Keep this start's configuration beside those of the earlier starts."""
        number = len(self.configs())
        file = self.path / (f"config-{number}.yaml" if number else CONFIG)
        write_atomically(file, text.encode())
        return file

    def resume_command(self) -> str:
        """The command that goes on from here, with the newest configuration."""
        which = "last" if self.last.exists() else "auto"
        config = str(self.configs()[-1])
        return shlex.join(["python", sys.argv[0], "--config", config, "--ckpt_path", which])

    def _remove(self, files: list[Path]) -> None:
        for file in files:
            with writing(file):
                file.unlink(missing_ok=True)


def same(a: Path, b: Path) -> bool:
    """Whether two names are those of one file."""
    return a.exists() and b.exists() and a.samefile(b)


def _step(checkpoint: Path) -> int:
    """N of step-N.ckpt, -1 of other names."""
    match = re.fullmatch(r"step-(\d+)\.ckpt", checkpoint.name)
    return int(match[1]) if match else -1


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
