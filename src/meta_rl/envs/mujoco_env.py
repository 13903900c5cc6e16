"""Task families of robots in MuJoCo: batched physics on one side, the tasks' rewards on the other."""

import copy
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from gymnasium.spaces import Box
from numpy.typing import NDArray
from torch import Tensor

from meta_rl.envs.arrays import ActionScaling, to_array, to_tensors
from meta_rl.envs.base import BatchedEnv
from meta_rl.envs.locomotion import control_cost, direction_reward, velocity_reward, within
from meta_rl.envs.mujoco_batch import MujocoBatch, Preset, joint_types, load_model
from meta_rl.errors import Failure
from meta_rl.randomness import TaskStreams


class MujocoEnv(BatchedEnv):
    """Base class of robots' task families. A robot subclass says where the robot is and when it has fallen, a
    task subclass what a task is and what it pays.

    The reward of a step is `task_reward` + alive_bonus while healthy - control_cost_weight * sum(action^2)
    of the clipped action. An episode ends once the robot is not healthy, or its simulation diverges.

    Args:
        preset: `paper`, the physics of the published MAML results, or `gymnasium`, those of Gymnasium's v5.
        timestep: Seconds of a physics step, instead of the preset's.
        frame_skip: Physics steps per environment step, instead of the preset's.
        xml_file: Another model of the same kind of robot: a path, or a name among Gymnasium's. Actions in
            [-1, 1] are scaled to the limits of its actuators.
        horizon: Environment steps per episode.
        reset_noise_scale: Half width of the uniform noise on initial generalised positions, and standard
            deviation of the normal noise on initial generalised velocities.
        observe_position: Whether observations begin with the robot's position in the world.
        num_threads: 0 if every thread that computes simulates tasks of its own; else that many together
            simulate all episodes.

    Raises:
        ValueError: for a value out of range, and for an XML file that does not fit the robot.
    """

    xml_file: str  # the robot's own model, unless another one is given
    presets: ClassVar[Mapping[str, Preset]]
    hidden_positions: ClassVar[int]  # leading elements of qpos that are the robot's position in the world
    joints: ClassVar[tuple[str, ...]]  # types of the first joints of its model: free, ball, slide or hinge
    alive_bonus: ClassVar[float]
    control_cost_weight: ClassVar[float]
    published_name: ClassVar[str]  # what `published` returns, where everything is as in the paper

    def __init__(
        self,
        preset: str = "paper",
        timestep: float | None = None,
        frame_skip: int | None = None,
        xml_file: str | None = None,
        horizon: int = 200,
        reset_noise_scale: float = 0.1,
        observe_position: bool = False,
        num_threads: int = 0,
    ) -> None:
        if preset not in self.presets:
            raise ValueError(f"preset {preset!r} is unknown; choose one of {', '.join(self.presets)}")
        if horizon < 1:
            raise ValueError(f"horizon must be at least 1 step, got {horizon}")
        if not 0 <= reset_noise_scale < 1:
            raise ValueError(f"reset_noise_scale must lie in [0, 1), got {reset_noise_scale}")
        self.preset, self.horizon = preset, horizon
        self.reset_noise_scale = reset_noise_scale
        physics = self.presets[preset]
        physics = physics._replace(timestep=physics.timestep if timestep is None else timestep)
        physics = physics._replace(frame_skip=physics.frame_skip if frame_skip is None else frame_skip)
        self.xml_file = xml_file or self.xml_file
        self.model = load_model(self.xml_file, physics)
        self.check_robot()
        self.dt = physics.timestep * physics.frame_skip  # s, of an environment step
        self.physics = MujocoBatch(self.model, physics.frame_skip, num_threads)
        low, high = np.where(self.model.actuator_ctrllimited, self.model.actuator_ctrlrange.T, [[-1], [1]])
        self._scale = ActionScaling(low, high)
        self.observe_position = observe_position
        self._skipped = 0 if observe_position else self.hidden_positions
        size = self.model.nq - self._skipped + self.model.nv
        self.observation_space = Box(-np.inf, np.inf, (size,), np.float32)
        self.action_space = Box(-1.0, 1.0, (self.model.nu,), np.float32)

    @abstractmethod
    def task_reward(self) -> NDArray[np.float64]:
        """The task's reward for the last step [N, K], from `tasks`, `velocity()` and `position()`."""

    @abstractmethod
    def position(self) -> NDArray[np.float64]:
        """The robot's position in m, as a new array: [N, K, 2], or [N, K, 1] in a plane."""

    def healthy(self) -> NDArray[np.bool_]:
        """Whether episodes [N, K] may go on."""
        return np.ones(self._alive.shape, bool)

    def model_fields(self, tasks: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        """Values [N, ...] of the model's fields, by name, that depend on the task, for tasks [N, P]."""
        return {}

    def observation(self) -> NDArray[np.float64]:
        """Generalised positions and velocities as a new array [N, K, O]."""
        both = np.concatenate([self.physics.qpos[:, self._skipped :], self.physics.qvel], 1)
        return both.reshape(*self._alive.shape, -1)

    def velocity(self) -> NDArray[np.float64]:
        """Mean velocity over the last step in m/s, of the same shape as `position()`."""
        return (self.position() - self._position_before) / self.dt

    def clone(self) -> BatchedEnv | None:
        if self.physics.num_threads:  # that many for all episodes together, as the user has asked
            return None
        twin = copy.copy(self)
        twin.physics = MujocoBatch(self.model, self.physics.frame_skip, num_threads=1)
        return twin

    def positions(self) -> NDArray[np.float64]:
        """A copy of the generalised positions [N, K, nq], from which the robots can be drawn."""
        return self.by_task(self.physics.qpos)

    def reset(self, tasks: Tensor, episodes: int, streams: TaskStreams) -> Tensor:
        self._like = tasks
        rows = to_array(tasks)
        self.tasks = rows[:, None]  # [N, 1, P], broadcasts over episodes
        self._alive = np.ones((len(rows), episodes), bool)
        self._t = 0
        self.failures: list[Failure] = []
        n, model, scale = self._alive.size, self.model, self.reset_noise_scale
        count, double = len(rows), torch.float64
        uniform = streams.draw(count, lambda g: torch.rand(episodes, model.nq, generator=g, dtype=double))
        normal = streams.draw(count, lambda g: torch.randn(episodes, model.nv, generator=g, dtype=double))
        positions, velocities = (uniform * 2 - 1).reshape(n, -1).numpy(), normal.reshape(n, -1).numpy()
        fields = {name: np.repeat(x, episodes, 0) for name, x in self.model_fields(rows).items()}
        self.physics.start(model.qpos0 + scale * positions, scale * velocities, fields)
        self._position_before = self.position()
        return to_tensors([self.observation()], self._like)[0]

    def step(self, actions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        raw = to_array(actions)
        control = self._scale(raw)
        self._position_before = self.position()
        diverged = self.physics.step(control.reshape(self._alive.size, -1), self._alive.reshape(-1))
        diverged = diverged.reshape(self._alive.shape)
        with np.errstate(all="ignore"):  # a simulation that has diverged may hold anything
            healthy = self.healthy()
            reward = self.task_reward() + self.alive_bonus * healthy
        reward = reward - control_cost(raw, self.control_cost_weight)
        # The last reward of a diverged simulation is meaningless.
        reward = np.where(diverged, 0.0, reward)
        for task, episode in np.argwhere(diverged).tolist():
            self.failures.append(Failure(task, episode, self._t, "simulation diverged"))
        self._t += 1
        self._alive &= healthy & ~diverged
        observation, rewards, terminated = to_tensors([self.observation(), reward, ~self._alive], self._like)
        return observation, rewards, terminated

    def published(self, tasks: Tensor, scores: bool = False) -> str | None:
        name = vars(type(self)).get("published_name")  # not inherited: a subclass may pay other rewards
        if name is None:
            return None
        paper = self.presets["paper"]
        physics = (self.preset, self.model.opt.timestep, self.physics.frame_skip, self.horizon)
        start = (self.xml_file, self.reset_noise_scale, self.observe_position)
        same = physics == ("paper", paper.timestep, paper.frame_skip, 200)
        return name if same and start == (type(self).xml_file, 0.1, False) else None

    def by_task(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """A copy of an array of all simulations, [N * K, ...], such as `physics.qpos`, as [N, K, ...]."""
        return np.array(x).reshape(*self._alive.shape, *x.shape[1:])

    def check_robot(self) -> None:
        """Raise a ValueError unless the model is one of this robot."""
        if joint_types(self.model)[: len(self.joints)] != list(self.joints) or self.model.nu == 0:
            raise ValueError(
                f"xml_file {self.xml_file} is no robot for {type(self).__name__}: "
                f"its first joints must be {', '.join(self.joints)}, and it must have actuators"
            )

    def check_height(self, height: float, healthy: tuple[float, float]) -> None:
        """Raise a ValueError unless the height in m at which the robot starts is a healthy one."""
        if not within(np.asarray(height), *healthy):
            raise ValueError(
                f"xml_file {self.xml_file} is no robot for {type(self).__name__}: it starts at a height of "
                f"{height:g} m, outside {list(healthy)}"
            )


class Direction(MujocoEnv):
    """Run forward or backward, equally likely. Reward: the velocity in that direction.

    Args:
        directions: The directions of the tasks: 1 is forward, -1 backward.
        **kwargs: The arguments of `MujocoEnv`.
    """

    task_parameters = ("direction",)

    def __init__(self, directions: tuple[float, ...] = (-1.0, 1.0), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not directions or not set(directions) <= {-1.0, 1.0}:
            raise ValueError(f"directions must be some of 1 and -1, got {list(directions)}")
        self.directions = directions
        self.task_choices = {"direction": directions}
        self.task_space = Box(-1.0, 1.0, (1,), np.float32)

    def sample_tasks(self, n: int, generator: torch.Generator) -> Tensor:
        which = torch.randint(len(self.directions), (n, 1), generator=generator)
        return torch.tensor(self.directions, dtype=torch.float32)[which]

    def published(self, tasks: Tensor, scores: bool = False) -> str | None:
        both = len(tasks.unique()) == 2  # returns forward and backward need not be alike
        return super().published(tasks, scores) if both else None

    def task_reward(self) -> NDArray[np.float64]:
        return direction_reward(self.velocity()[..., 0], self.tasks[..., 0])


class Velocity(MujocoEnv):
    """Run forward at a given velocity, uniform in [0, max_velocity]. Reward: bonus - |velocity - goal|.

    Args:
        max_velocity: Highest goal velocity in m/s.
        **kwargs: The arguments of `MujocoEnv`.
    """

    task_parameters = ("goal_velocity",)
    velocity_bonus: ClassVar[float]
    published_max_velocity: ClassVar[float]

    def __init__(self, max_velocity: float = 2.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not 0 < max_velocity < np.inf:
            raise ValueError(f"max_velocity must be positive and finite, got {max_velocity}")
        self.max_velocity = max_velocity
        self.task_space = Box(0.0, max_velocity, (1,), np.float32)

    def sample_tasks(self, n: int, generator: torch.Generator) -> Tensor:
        return torch.rand(n, 1, generator=generator) * self.max_velocity

    def published(self, tasks: Tensor, scores: bool = False) -> str | None:
        name = super().published(tasks, scores)
        # Returns depend on the range of the goals; scores are relative to an oracle for the same goals.
        return name if name is None or scores or self.max_velocity == self.published_max_velocity else None

    def task_reward(self) -> NDArray[np.float64]:
        return velocity_reward(self.velocity()[..., 0], self.tasks[..., 0], self.velocity_bonus)
