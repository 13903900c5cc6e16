"""MuJoCo's Walker2d, and its task family with random body parameters (Rothfuss et al. 2019)."""

from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from meta_rl.envs.locomotion import within
from meta_rl.envs.mujoco_batch import Preset
from meta_rl.envs.mujoco_env import MujocoEnv
from meta_rl.envs.random_body import RandomBody


class Walker2d(MujocoEnv):
    """The two-legged robot in a plane. Observed: height, angles and all velocities cut off at 10, 17 numbers.

    An episode ends where the torso's height leaves [0.8, 2] m or its angle [-1, 1] rad.

    Args:
        reset_noise_scale: As of `MujocoEnv`; far smaller than elsewhere, for joints start at their limits.
        **kwargs: The further arguments of `MujocoEnv`.
    """

    xml_file = "walker2d_v5.xml"
    presets = MappingProxyType({"paper": Preset(0.002, 5), "gymnasium": Preset(0.002, 4)})
    hidden_positions = 1
    joints = ("slide", "slide", "hinge")
    alive_bonus = 1.0
    control_cost_weight = 0.001
    healthy_z: ClassVar[tuple[float, float]] = (0.8, 2.0)
    healthy_angle: ClassVar[tuple[float, float]] = (-1.0, 1.0)
    highest_velocity: ClassVar[float] = 10.0  # that is observed, in m/s or rad/s

    def __init__(self, reset_noise_scale: float = 0.005, **kwargs: Any) -> None:
        super().__init__(reset_noise_scale=reset_noise_scale, **kwargs)

    def position(self) -> NDArray[np.float64]:
        return self.by_task(self.physics.qpos[:, :1])

    def healthy(self) -> NDArray[np.bool_]:
        height, angle = self.by_task(self.physics.qpos[:, 1]), self.by_task(self.physics.qpos[:, 2])
        return within(height, *self.healthy_z) & within(angle, *self.healthy_angle)

    def check_robot(self) -> None:
        super().check_robot()
        self.check_height(self.model.qpos0[1], self.healthy_z)

    def observation(self) -> NDArray[np.float64]:
        observed = super().observation()
        velocities = observed[..., -self.model.nv :]
        np.clip(velocities, -self.highest_velocity, self.highest_velocity, out=velocities)
        return observed


class Walker2dBody(Walker2d, RandomBody):
    __doc__ = RandomBody.__doc__
