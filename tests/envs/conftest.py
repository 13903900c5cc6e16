"""Physics run on one thread unless a test asks for more."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _one_core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("meta_rl.envs.mujoco_batch.available_cores", lambda: 1)


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, for the MUJOCO_LOG.TXT that MuJoCo writes, as of Gymnasium's HalfCheetah."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
