"""Task families of MuJoCo's Ant (Finn et al. 2017, section 5.3), and three more."""

from types import MappingProxyType
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from gymnasium.spaces import Box
from numpy.typing import NDArray
from torch import Tensor

from meta_rl.envs.locomotion import heading_reward, position_reward, within
from meta_rl.envs.mujoco_batch import Preset
from meta_rl.envs.mujoco_env import Direction, MujocoEnv, Velocity

FACTORS = {"strength": (0.0, 0.5), "mass": (2.0, 4.0)}
LEGS = ("front_left_leg", "front_right_leg", "back_leg", "right_back_leg")  # bodies of ant.xml


class Ant(MujocoEnv):
    """The four-legged robot. Observed: orientation, joint angles and all velocities, 27 numbers.

    An episode ends where the torso's height leaves [0.2, 1] m.
    """

    xml_file = "ant.xml"
    presets = MappingProxyType(
        {"paper": Preset(0.02, 1, solimp=(0.8, 0.8, 0.01)), "gymnasium": Preset(0.01, 5)},
    )
    hidden_positions = 2
    joints = ("free",)
    alive_bonus = 0.05
    control_cost_weight = 0.005
    healthy_z: ClassVar[tuple[float, float]] = (0.2, 1.0)

    def position(self) -> NDArray[np.float64]:
        # The torso's, as Gymnasium takes it: after a step it is that of the last stage of the integrator.
        return self.by_task(self.physics.xpos[:, 1, :2])

    def healthy(self) -> NDArray[np.bool_]:
        return within(self.by_task(self.physics.qpos[:, 2]), *self.healthy_z)

    def check_robot(self) -> None:
        super().check_robot()
        self.check_height(self.model.qpos0[2], self.healthy_z)


class AntDirection(Ant, Direction):
    __doc__ = Direction.__doc__
    published_name = "ant_dir"


class AntDirection2D(Ant):
    """Run in any direction of the plane (Rothfuss et al. 2019). Reward: the velocity along it.

    A task is the direction's angle from the x-axis in rad, uniform in [0, 2 pi).
    """

    task_parameters = ("angle",)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.task_space = Box(0.0, 2 * np.pi, (1,), np.float32)

    def sample_tasks(self, n: int, generator: torch.Generator) -> Tensor:
        return 2 * torch.pi * torch.rand(n, 1, generator=generator)

    def task_reward(self) -> NDArray[np.float64]:
        return heading_reward(self.velocity(), self.tasks[..., 0])


class AntVelocity(Ant, Velocity):
    __doc__ = Velocity.__doc__
    published_name, published_max_velocity = "ant_vel", 3.0
    velocity_bonus = 1.0  # positive near the goal: otherwise the ant would learn to fall


class AntGoal(Ant):
    """Go to a point, uniform in the disc of `radius` around the start. Reward: 1 - distance / radius.

    Args:
        radius: Largest distance of a goal from the start in m.
        observe_position: Whether observations begin with the robot's position, to which goals are relative.
        **kwargs: The further arguments of `MujocoEnv`.
    """

    task_parameters = ("goal_x", "goal_y")

    def __init__(self, radius: float = 3.0, observe_position: bool = True, **kwargs: Any) -> None:
        super().__init__(observe_position=observe_position, **kwargs)
        if not 0 < radius < np.inf:
            raise ValueError(f"radius must be positive and finite, got {radius}")
        self.radius = radius
        self.task_space = Box(-radius, radius, (2,), np.float32)

    def sample_tasks(self, n: int, generator: torch.Generator) -> Tensor:
        area, turn = torch.rand(n, 2, generator=generator).unbind(1)
        angle = 2 * torch.pi * turn
        return self.radius * area.sqrt()[:, None] * torch.stack([angle.cos(), angle.sin()], 1)

    def task_reward(self) -> NDArray[np.float64]:
        return position_reward(self.position(), self.tasks, self.radius)


class AntBody(Ant):
    """Run forward with one weak or heavy leg, a different body in every task. Reward: the x-velocity.

    A task is a factor for each leg: uniform in `factors` for one leg, drawn at random, and 1 for the others.

    Args:
        vary: What a leg's factor multiplies: with `strength` the gears of its two motors, with `mass` the
            masses and inertias of its bodies.
        factors: Lowest and highest factor; by default [0, 0.5] for strength and [2, 4] for mass.
        **kwargs: The arguments of `MujocoEnv`.

    Raises:
        ValueError: for another `vary`, for factors out of range, and for a model without the four legs.
    """

    task_parameters = LEGS
    task_defaults = MappingProxyType(dict.fromkeys(LEGS, 1.0))

    def __init__(
        self,
        vary: Literal["strength", "mass"] = "strength",
        factors: tuple[float, float] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if vary not in FACTORS:
            raise ValueError(f"vary {vary!r} is unknown; choose one of {', '.join(FACTORS)}")
        low, high = factors or FACTORS[vary]
        least = 0.0 if vary == "strength" else 0.1  # a body without mass has no dynamics
        if not least <= low <= high <= 10:
            raise ValueError(f"factors must satisfy {least} <= low <= high <= 10, got {low} and {high}")
        self.vary, self.factors = vary, (low, high)
        self.task_space = Box(min(low, 1.0), max(high, 1.0), (len(LEGS),), np.float32)
        self._leg_of_body = self._legs()

    def sample_tasks(self, n: int, generator: torch.Generator) -> Tensor:
        low, high = self.factors
        tasks = torch.ones(n, len(LEGS))
        leg = torch.randint(len(LEGS), (n,), generator=generator)
        tasks[torch.arange(n), leg] = low + (high - low) * torch.rand(n, generator=generator)
        return tasks

    def task_reward(self) -> NDArray[np.float64]:
        return self.velocity()[..., 0]

    def model_fields(self, tasks: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        model = self.model
        # A last column of ones, for bodies that belong to no leg.
        factors = np.concatenate([tasks, np.ones_like(tasks[:, :1])], 1)
        body = factors[:, self._leg_of_body]  # [N, nbody]
        if self.vary == "mass":
            inertia = body[..., None] * model.body_inertia
            return {"body_mass": body * model.body_mass, "body_inertia": inertia}
        motor = body[:, model.jnt_bodyid[model.actuator_trnid[:, 0]]]  # [N, nu]
        return {"actuator_gear": motor[..., None] * model.actuator_gear}

    def _legs(self) -> NDArray[np.intp]:
        """The leg that each body belongs to, len(LEGS) for none: [nbody]."""
        legs = np.full(self.model.nbody, len(LEGS))
        for i, leg in enumerate(LEGS):
            try:
                legs[self.model.body(leg).id] = i
            except KeyError:
                raise ValueError(f"xml_file {self.xml_file} has no body {leg}, which AntBody needs") from None
        for body in range(1, self.model.nbody):  # parents come before their children
            if legs[body] == len(LEGS):
                legs[body] = legs[self.model.body_parentid[body]]
        return legs
