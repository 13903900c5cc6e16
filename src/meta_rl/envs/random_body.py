"""Tasks that differ in the robot's body, as Walker2d's and Hopper's in Rothfuss et al. (2019)."""

from typing import Any, NamedTuple

import numpy as np
import torch
from gymnasium.spaces import Box
from numpy.typing import NDArray
from torch import Tensor

from meta_rl.envs.mujoco_env import MujocoEnv


class Kind(NamedTuple):
    """What a factor multiplies, and how widely it is spread."""

    field: str  # of MuJoCo's model
    base: float  # a factor is base^u


KINDS = {
    "mass": Kind("body_mass", 1.5),
    "inertia": Kind("body_inertia", 1.5),
    "damping": Kind("dof_damping", 1.3),
    "friction": Kind("geom_friction", 1.5),
}


class RandomBody(MujocoEnv):
    """Run forward in a body with random parameters. Reward: the x-velocity.

    A task has a factor for every kind of parameter and every body of the robot that has such a parameter:
    mass, inertia, damping of its joints, friction of its geoms. Columns are named `mass_torso` and the like;
    `friction_floor` is the floor's. A factor is 1.5^u, or 1.3^u for damping, with u uniform in
    [-spread, spread] for each by itself, so masses and inertias do not go together.

    The published code draws a factor for each axis of an inertia and each coefficient of a friction. Of those
    one acts on a robot in the plane, which turns about one axis and has contacts with sliding friction only.

    Args:
        spread: Largest exponent: with 3 masses are between 0.3 and 3.4 times the robot's own.
        **kwargs: The arguments of `MujocoEnv`.

    Raises:
        ValueError: for a spread outside [0, 5].
    """

    def __init__(self, spread: float = 3.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not 0 <= spread <= 5:
            raise ValueError(f"spread must lie in [0, 5], got {spread}")
        self.spread = spread
        names: list[str] = []
        bases: list[float] = []
        self._columns: dict[str, NDArray[np.intp]] = {}  # of a task, for every element of a field
        for kind, (field, base) in KINDS.items():
            owner = self._bodies(field)
            has_it = getattr(self.model, field).reshape(len(owner), -1).any(1)
            bodies = np.unique(owner[has_it])
            column = np.full(self.model.nbody, -1)
            column[bodies] = len(names) + np.arange(len(bodies))
            self._columns[field] = column[owner]
            names += [f"{kind}_{self._name(body)}" for body in bodies.tolist()]
            bases += [base] * len(bodies)
        self._bases = torch.tensor(bases, dtype=torch.float64)
        self.task_parameters = tuple(names)
        self.task_defaults = dict.fromkeys(names, 1.0)
        highest = torch.full((len(names),), spread, dtype=torch.float64)
        self.task_space = Box(self._factors(-highest).numpy(), self._factors(highest).numpy())

    def sample_tasks(self, n: int, generator: torch.Generator) -> Tensor:
        uniform = torch.rand(n, len(self._bases), generator=generator, dtype=torch.float64)
        return self._factors(self.spread * (2 * uniform - 1))

    def task_reward(self) -> NDArray[np.float64]:
        return self.velocity()[..., 0]

    def model_fields(self, tasks: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        # A last column of ones, for what has no factor, such as the world's mass.
        padded = np.concatenate([tasks, np.ones_like(tasks[:, :1])], 1)
        fields = {}
        for field, columns in self._columns.items():
            values = getattr(self.model, field)  # [elements] or [elements, 3]
            factors = padded[:, columns]
            fields[field] = (factors if values.ndim == 1 else factors[..., None]) * values
        return fields

    def _factors(self, exponents: Tensor) -> Tensor:
        """[..., P]"""
        return (self._bases**exponents).float()

    def _bodies(self, field: str) -> NDArray[np.intp]:
        """The body that each element of a field belongs to."""
        owners = {"dof_damping": self.model.dof_bodyid, "geom_friction": self.model.geom_bodyid}
        return owners.get(field, np.arange(self.model.nbody))

    def _name(self, body: int) -> str:
        return "floor" if body == 0 else self.model.body(body).name or f"body_{body}"
