"""Pictures of a robot, and which OpenGL draws them."""

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import mujoco
import numpy as np
import pytest

from meta_rl.envs import AntDirection
from meta_rl.envs.mujoco_batch import ASSETS
from meta_rl.errors import UserError
from meta_rl.show import opengl
from meta_rl.show.rendering import Drawing

LIBRARIES = ("egl", "osmesa")


@pytest.fixture
def nothing_chosen(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Linux without a screen, and without a choice of OpenGL."""
    monkeypatch.setattr(sys, "platform", "linux")
    for name in ("MUJOCO_GL", "DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.setenv(name, "")
    monkeypatch.setattr("importlib.reload", lambda _: None)
    return monkeypatch


@pytest.mark.parametrize(
    ("working", "screen", "chosen"),
    [
        ({"glfw", "egl", "osmesa"}, "", "egl"),
        ({"osmesa"}, "", "osmesa"),
        ({"glfw", "egl"}, ":0", "glfw"),
        ({"egl"}, ":0", "egl"),
    ],
)
def test_the_first_that_works_is_chosen(
    nothing_chosen: pytest.MonkeyPatch, working: set[str], screen: str, chosen: str
) -> None:
    nothing_chosen.setattr(opengl, "works", working.__contains__)
    nothing_chosen.setenv("DISPLAY", screen)
    opengl.choose()
    assert os.environ["MUJOCO_GL"] == chosen


def test_without_opengl_the_packages_are_named(nothing_chosen: pytest.MonkeyPatch) -> None:
    nothing_chosen.setattr(opengl, "works", lambda _: False)
    with pytest.raises(UserError, match=r"apt install libegl1 libgl1-mesa-dri.*libosmesa6") as error:
        opengl.choose()
    assert "\n" not in str(error.value)


def test_a_choice_that_fails_is_named(nothing_chosen: pytest.MonkeyPatch) -> None:
    nothing_chosen.setattr(opengl, "works", {"egl"}.__contains__)
    nothing_chosen.setenv("MUJOCO_GL", "osmesa")
    with pytest.raises(UserError, match="MUJOCO_GL=osmesa: MuJoCo cannot draw with it here"):
        opengl.choose()
    nothing_chosen.setenv("MUJOCO_GL", "egl")
    opengl.choose()


def test_nothing_is_chosen_where_the_system_brings_one(nothing_chosen: pytest.MonkeyPatch) -> None:
    nothing_chosen.setattr(sys, "platform", "darwin")
    nothing_chosen.delattr(opengl, "works")
    opengl.choose()
    assert os.environ["MUJOCO_GL"] == ""
    assert opengl.has_screen()


def test_a_probe_that_fails_or_hangs_does_not_work(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not opengl.works.__wrapped__("no-such-library")

    def hang(*_: Any, **__: Any) -> None:
        raise subprocess.TimeoutExpired("python", 1)

    monkeypatch.setattr("subprocess.run", hang)
    assert not opengl.works.__wrapped__("egl")


def test_no_window_without_a_screen(nothing_chosen: pytest.MonkeyPatch) -> None:
    nothing_chosen.delattr(opengl, "works")
    assert not opengl.can_open_windows()


def test_the_camera_follows_the_robot() -> None:
    if not any(map(opengl.works, LIBRARIES)):
        pytest.skip("neither EGL nor OSMesa works here")
    env = AntDirection()
    qpos = env.model.qpos0.copy()
    with Drawing(env.model) as drawing:
        here, again = drawing.draw(qpos), drawing.draw(qpos)
        qpos[:2] = 8.0, 4.0  # whole periods of the floor's pattern, 4/3 m long
        there = drawing.draw(qpos)
        qpos[7:] += 0.5
        bent = drawing.draw(qpos)
    assert here.shape == (240, 320, 3)
    np.testing.assert_array_equal(here, again)
    robot = np.s_[80:140, 140:180]
    assert here[robot].std() > 10
    assert np.abs(there[robot].astype(int) - here[robot]).mean() < 5
    assert (bent != there).any()
    assert (
        env.model.vis.quality.shadowsize == mujoco.MjModel.from_xml_string("<mujoco/>").vis.quality.shadowsize
    )


DRAW = """
import mujoco, sys
from meta_rl.show.rendering import Drawing
model = mujoco.MjModel.from_xml_path(sys.argv[1])
with Drawing(model, 480, 360) as drawing:
    assert drawing.draw(model.qpos0).std() > 10
assert "torch" not in sys.modules  # which would take most of this test's time
"""


@pytest.mark.parametrize("library", LIBRARIES)
def test_either_library_draws_and_ends_in_silence(library: str) -> None:
    variables = {k: v for k, v in os.environ.items() if k != "PYOPENGL_PLATFORM"} | {"MUJOCO_GL": library}
    command = [sys.executable, "-c", DRAW, str(ASSETS / "ant.xml")]
    done = subprocess.run(command, env=variables, capture_output=True, text=True)
    if done.returncode and not opengl.works(library):
        pytest.skip(f"{library} does not work here")
    assert (done.returncode, done.stderr) == (0, "")
