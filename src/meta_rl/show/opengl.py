"""Which OpenGL library MuJoCo draws with: that of the screen, or one that needs none."""

import importlib
import os
import subprocess
import sys
from functools import cache

from meta_rl.errors import UserError

PROBE = """
import mujoco
with mujoco.Renderer(mujoco.MjModel.from_xml_string("<mujoco/>"), 16, 16) as renderer:
    renderer.render()
"""
SECONDS = 60  # for the probe: enough on a machine that is busy otherwise


def choose() -> None:
    """Make MuJoCo draw with a library that works here: MUJOCO_GL's if that is set, else the first found.

    Raises:
        UserError: if no library works, or if the one that MUJOCO_GL names does not.
    """
    if sys.platform != "linux":
        return  # other systems bring theirs along
    asked = os.environ.get("MUJOCO_GL")
    if asked:
        if not works(asked):
            raise UserError(
                f"MUJOCO_GL={asked}: MuJoCo cannot draw with it here; unset it, or install what it needs"
            )
        return
    backend = next(filter(works, (*["glfw"] * has_screen(), "egl", "osmesa")), None)
    if backend is None:
        raise UserError(
            "no OpenGL to draw with; on Debian `apt install libegl1 libgl1-mesa-dri` for EGL, "
            "or `apt install libosmesa6` for OSMesa"
        )
    os.environ["MUJOCO_GL"] = backend
    module = sys.modules.get("mujoco.rendering.classic.gl_context")
    if module:
        importlib.reload(module)  # it has read the variable when mujoco was imported


def can_open_windows() -> bool:
    """Whether MuJoCo's viewer would find a screen; without one it would wait for ever."""
    return has_screen() and works("glfw")


def has_screen() -> bool:
    """Whether there may be a screen; on Linux, whether an environment variable names one."""
    return sys.platform != "linux" or any(map(os.environ.get, ("DISPLAY", "WAYLAND_DISPLAY")))


@cache
def works(backend: str) -> bool:
    """Whether MuJoCo can draw with a value of MUJOCO_GL.

    Found out by another process: a library that fails stays loaded in its own, or brings it down.
    """
    command, variables = [sys.executable, "-c", PROBE], {**os.environ, "MUJOCO_GL": backend}
    try:
        return not subprocess.run(command, env=variables, capture_output=True, timeout=SECONDS).returncode
    except subprocess.TimeoutExpired:
        return False
