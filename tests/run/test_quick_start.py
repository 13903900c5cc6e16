"""A start loads nothing that no run needs, and leaves the real modules to whoever imports them later."""

import subprocess
import sys
from pathlib import Path

TRAIN = """
import sys
from meta_rl.run.command import main
from meta_rl.run.quick_start import NOT_NEEDED
assert main({args}) == 0
assert not [name for name in NOT_NEEDED if name in sys.modules]
import matplotlib.pyplot, scipy.signal, torch._dynamo
print(matplotlib.pyplot.figure.__name__, scipy.signal.hilbert.__name__, torch._dynamo.optimize.__name__)
"""

ANOTHER_LIGHTNING = """
from meta_rl.run import quick_start
quick_start.NOT_NEEDED += ("lightning_utilities",)  # which Lightning cannot do without
quick_start.import_lightning()
from lightning.pytorch import Trainer
print(Trainer.__module__)
"""


def run(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


def test_training_loads_no_compiler_and_no_plotting(tmp_path: Path) -> None:
    args = ["--config=conf/fomaml_point_mass.yaml", "--trainer.max_steps=1", f"--runs_dir={tmp_path}"]
    args += ["--data.meta_batch_size=2", "--data.fast_batch_size=2"]
    assert run(TRAIN.format(args=args)) == "figure hilbert optimize"


def test_what_is_logged_reaches_callbacks_and_loggers(tmp_path: Path) -> None:
    """Lightning's log is wrapped by the compiler's `disable`, for which a placeholder stands."""
    args = ["--config=conf/fomaml_point_mass.yaml", "--trainer.max_steps=1", f"--runs_dir={tmp_path}"]
    args += ["--data.meta_batch_size=2", "--data.fast_batch_size=2", "--trainer.logger=CSVLogger"]
    args += [f"--trainer.logger.save_dir={tmp_path / 'logged'}", "--name=x"]
    done = subprocess.run([sys.executable, "train.py", *args], capture_output=True, text=True, check=False)
    assert "iteration 1/1  pre -" in done.stdout, done.stdout + done.stderr
    assert (tmp_path / "x/checkpoints/best.ckpt").exists()
    (logged,) = (tmp_path / "logged").rglob("metrics.csv")
    assert "return_post" in logged.read_text()


def test_what_lightning_needs_is_imported_after_all() -> None:
    assert run(ANOTHER_LIGHTNING) == "lightning.pytorch.trainer.trainer"
