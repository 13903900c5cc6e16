"""Pictures of a MuJoCo model in given positions, drawn without a screen."""

# pyright: reportAttributeAccessIssue=false
# (mujoco has no type stubs)

from copy import deepcopy
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from meta_rl.show import opengl

ROBOT = 1  # the first body below the world


class Drawing:
    """Draws a model from the side, a little from above, following the robot. Close it after use.

    Args:
        model: The model to draw; left as it is.
        width: Width of the pictures in pixels.
        height: Height of the pictures in pixels.

    Raises:
        UserError: if there is no OpenGL to draw with.
    """

    def __init__(self, model: mujoco.MjModel, width: int = 320, height: int = 240) -> None:
        opengl.choose()
        self._model = deepcopy(model)
        # Shadows and reflections are further passes: most of the time where a CPU draws, and Mesa's passes
        # disagree about some pixels, which leaves black patches on the floor.
        self._model.vis.quality.shadowsize = 0
        self._model.vis.global_.offwidth, self._model.vis.global_.offheight = width, height
        self._data = mujoco.MjData(self._model)
        self._renderer = mujoco.Renderer(self._model, height, width)
        self._renderer.scene.flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = False
        self._camera = mujoco.MjvCamera()
        follow_robot(self._camera)

    def draw(self, qpos: NDArray[np.float64]) -> NDArray[np.uint8]:
        """An RGB picture [height, width, 3] of the model in generalised positions [nq]."""
        place(self._model, self._data, qpos)
        self._renderer.update_scene(self._data, self._camera)
        return self._renderer.render()

    def close(self) -> None:
        """Free the OpenGL context; `draw` must not be called any more."""
        self._renderer.close()

    def __enter__(self) -> "Drawing":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()


def follow_robot(camera: mujoco.MjvCamera) -> None:
    """Point a camera along the y-axis at the robot, so that forward is to the right."""
    camera.type = mujoco.mjtCamera.mjCAMERA_TRACKING
    camera.trackbodyid = ROBOT
    camera.distance, camera.azimuth, camera.elevation = 3.0, 90.0, -20.0


def place(model: mujoco.MjModel, data: mujoco.MjData, qpos: NDArray[np.float64]) -> None:
    """Compute where everything is for generalised positions [nq], without contacts and forces."""
    data.qpos[:] = qpos
    mujoco.mj_kinematics(model, data)
    mujoco.mj_comPos(model, data)
    mujoco.mj_camlight(model, data)
