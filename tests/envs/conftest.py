"""Physics run on one thread unless a test asks for more."""

import pytest


@pytest.fixture(autouse=True)
def _one_core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("meta_rl.envs.mujoco_batch.available_cores", lambda: 1)
