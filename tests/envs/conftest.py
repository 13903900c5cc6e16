"""A folder for what MuJoCo writes."""

from pathlib import Path

import pytest


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, for the MUJOCO_LOG.TXT that MuJoCo writes, as of Gymnasium's HalfCheetah."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
