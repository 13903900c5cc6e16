"""The window, with a stand-in for MuJoCo's."""

import time
from contextlib import nullcontext
from typing import Any

import mujoco
import mujoco.viewer
import numpy as np
import pytest

from meta_rl.envs import AntDirection
from meta_rl.errors import UserError
from meta_rl.show import opengl
from meta_rl.show.viewer import Viewer


class Window:
    """What `launch_passive` returns."""

    def __init__(self, data: mujoco.MjData) -> None:
        self.cam, self.data, self.running = mujoco.MjvCamera(), data, True
        self.shown: list[float] = []
        self.text = ""

    def is_running(self) -> bool:
        return self.running

    def lock(self) -> Any:
        return nullcontext()

    def sync(self) -> None:
        self.shown.append(self.data.qpos[0])

    def set_texts(self, texts: tuple[Any, ...]) -> None:
        self.text = texts[2]

    def close(self) -> None:
        self.running = False


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> list[Window]:
    """Those that have been opened."""
    opened: list[Window] = []

    def launch(_: mujoco.MjModel, data: mujoco.MjData, **__: Any) -> Window:
        opened.append(Window(data))
        return opened[-1]

    monkeypatch.setattr(opengl, "can_open_windows", lambda: True)
    monkeypatch.setattr(mujoco.viewer, "launch_passive", launch)
    return opened


def test_states_are_shown_in_real_time_until_the_window_is_closed(windows: list[Window]) -> None:
    model = AntDirection().model
    start = time.perf_counter()
    with Viewer(model, dt=0.02, title="adapted") as viewer:
        for x in range(4):
            viewer.show(np.full(model.nq, float(x)))
        assert time.perf_counter() - start >= 4 * 0.02
        assert viewer.is_open
        windows[0].close()
        viewer.show(model.qpos0)
        assert not viewer.is_open
    assert windows[0].shown == [0, 1, 2, 3]
    assert windows[0].text == "adapted"


def test_without_a_display_there_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opengl, "can_open_windows", lambda: False)
    with pytest.raises(UserError, match="finds no display"):
        Viewer(AntDirection().model, dt=0.02)


def test_what_mujoco_says_on_macos_is_passed_on(
    windows: list[Window], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise RuntimeError("requires that the script be run\nunder `mjpython` on macOS")

    monkeypatch.setattr(mujoco.viewer, "launch_passive", refuse)
    with pytest.raises(UserError, match="run under `mjpython`"):
        Viewer(AntDirection().model, dt=0.02)
