"""Every test runs on one thread, from the same seed, without a word from Lightning and without W&B."""

import logging
import signal
import warnings
from collections.abc import Iterator
from pathlib import Path

from meta_rl import threads

threads.configure()  # before torch is imported, as the entry points do

import pytest  # noqa: E402
import torch  # noqa: E402

from helpers import make_policy, make_samples  # noqa: E402
from meta_rl.policy import GaussianMLP  # noqa: E402
from meta_rl.types import Samples  # noqa: E402

MOST_PROCESSES = 8  # each of them loads torch

if (
    signal.getsignal(signal.SIGINT) is signal.SIG_IGN
):  # a shell's job in the background: tests would wait for it
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """A process for each core, but none for single files: starting it would take longer than they do."""
    folders = any(Path(arg).is_dir() for arg in config.args)
    return min(threads.available_cores(), MOST_PROCESSES) if folders else 0


@pytest.fixture(autouse=True)
def _deterministic(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    threads.use(1)
    torch.manual_seed(0)
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning.*")
        warnings.filterwarnings("ignore", message=".*lightning.*")
        yield


@pytest.fixture
def policy() -> GaussianMLP:
    """A smooth float64 policy of 24 parameters for 2 observed numbers and 2 actions."""
    return make_policy()


@pytest.fixture
def samples() -> Samples:
    """Float64 samples of 3 tasks with 12, 7 and 9 valid states."""
    return make_samples(seed=1)
