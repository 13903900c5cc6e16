"""Task families of MuJoCo's HalfCheetah (Finn et al. 2017, section 5.3), and one with random bodies."""

from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from meta_rl.envs.mujoco_batch import Preset
from meta_rl.envs.mujoco_env import Direction, MujocoEnv, Velocity
from meta_rl.envs.random_body import RandomBody


class HalfCheetah(MujocoEnv):
    """The robot that runs in a plane. Observed: height, angles and all velocities, 17 numbers. Never ends."""

    xml_file = "half_cheetah.xml"
    presets = MappingProxyType({"paper": Preset(0.01, 1), "gymnasium": Preset(0.01, 5)})
    hidden_positions = 1
    joints = ("slide", "slide", "hinge")
    alive_bonus = 0.0
    control_cost_weight = 0.05

    def position(self) -> NDArray[np.float64]:
        return self.by_task(self.physics.qpos[:, :1])


class HalfCheetahDirection(HalfCheetah, Direction):
    __doc__ = Direction.__doc__
    published_name = "cheetah_dir"


class HalfCheetahVelocity(HalfCheetah, Velocity):
    __doc__ = Velocity.__doc__
    published_name, published_max_velocity = "cheetah_vel", 2.0
    velocity_bonus = 0.0  # its episodes never end early


class HalfCheetahBody(HalfCheetah, RandomBody):
    __doc__ = RandomBody.__doc__
