"""MuJoCo's own viewer, fed with positions."""

# pyright: reportAttributeAccessIssue=false
# (mujoco has no type stubs)

import threading
import time
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from meta_rl.errors import UserError, one_line
from meta_rl.show import opengl
from meta_rl.show.rendering import follow_robot, place

SECONDS_TO_CLOSE = 10


class Viewer:
    """A window that shows a model in real time until somebody closes it.

    Args:
        model: The model to show.
        dt: Simulated time between two calls of `show` in s, which `show` waits for.
        title: Text at the window's top left corner.

    Raises:
        UserError: if there is no display.
    """

    def __init__(self, model: mujoco.MjModel, dt: float, title: str = "") -> None:
        if not opengl.can_open_windows():
            raise UserError("MuJoCo's viewer finds no display to open its window on")
        from mujoco import viewer  # looks for the display's library

        self._model, self._data, self._dt = model, mujoco.MjData(model), dt
        before = set(threading.enumerate())
        try:
            self._window = viewer.launch_passive(model, self._data, show_left_ui=False, show_right_ui=False)
        except RuntimeError as error:  # macOS asks for its `mjpython`
            raise UserError(f"MuJoCo's viewer: {one_line(error)}") from None
        self._threads = set(threading.enumerate()) - before  # those that draw
        follow_robot(self._window.cam)
        if title:
            self._window.set_texts((None, None, title, None))
        self._due = time.perf_counter()

    @property
    def is_open(self) -> bool:
        """Whether the window has not been closed yet."""
        return self._window.is_running()

    def show(self, qpos: NDArray[np.float64]) -> None:
        """Show generalised positions [nq], `dt` seconds after the last; without effect on a closed window."""
        if not self.is_open:
            return
        now = time.perf_counter()
        self._due = max(self._due + self._dt, now)  # never hurries to make up for a delay
        time.sleep(self._due - now)
        with self._window.lock():
            place(self._model, self._data, qpos)
        self._window.sync()

    def close(self) -> None:
        """Close the window and wait for the threads that draw in it, which must end before the program."""
        self._window.close()
        for thread in self._threads:
            thread.join(SECONDS_TO_CLOSE)

    def __enter__(self) -> "Viewer":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()
