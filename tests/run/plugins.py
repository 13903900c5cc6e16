"""Classes of a user, named in YAML by class_path only."""

from typing import Any

import torch
from gymnasium.spaces import Box
from lightning.pytorch import Callback
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor

from meta_rl import ranks
from meta_rl.algorithms import FOMAML, MetaLearner
from meta_rl.envs import AntDirection, BatchedEnv
from meta_rl.errors import NonFiniteError
from meta_rl.randomness import TaskStreams
from meta_rl.types import MetaBatch


class Line(BatchedEnv):
    """Move along a line to a point."""

    task_parameters = ("target",)

    def __init__(self, horizon: int = 3) -> None:
        self.horizon = horizon
        self.observation_space = Box(-1, 1, (1,))
        self.action_space = Box(-1, 1, (1,))
        self.task_space = Box(-1, 1, (1,))

    def sample_tasks(self, n: int, generator: torch.Generator) -> Tensor:
        return torch.rand(n, 1, generator=generator) * 2 - 1

    def reset(self, tasks: Tensor, episodes: int, streams: TaskStreams) -> Tensor:
        self.target = tasks[:, None]
        self.position = torch.zeros(len(tasks), episodes, 1)
        return self.position

    def step(self, actions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        self.position = self.position + 0.1 * actions.clamp(-1, 1)
        gap = (self.position - self.target).abs().squeeze(-1)
        return self.position, -gap, torch.zeros_like(gap, dtype=torch.bool)


class Unstable(AntDirection):
    """Three of the simulations fail in the second step, each in a way of its own."""

    def reset(self, tasks: Tensor, episodes: int, streams: TaskStreams) -> Tensor:
        self.t = 0
        return super().reset(tasks, episodes, streams)

    def step(self, actions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        self.t += 1
        physics = self.physics
        integrator = physics.batch.expand("opt.integrator")
        integrator[:] = self.model.opt.integrator
        if self.t == 2:
            physics.qvel[0] = 1e9  # MuJoCo warns of the accelerations
            physics.qpos[1, 0], physics.qvel[1, 0] = 9.99e9, 9e9  # too far away after the step
            integrator[2] = 99  # MuJoCo raises an error
        return super().step(actions)


class Unfinished(BatchedEnv):
    """Lacks the methods."""


class Still(MetaLearner):
    """Learns nothing; counts."""

    def __init__(self, count_by: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.count_by = count_by
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.policy.parameters(), lr=0.0)

    def training_step(self, batch: MetaBatch, batch_idx: int) -> None:
        self.count += self.count_by
        optimizer = self.optimizers()
        assert isinstance(optimizer, LightningOptimizer)
        optimizer.step()
        self.log_dict({"return_post": -1.0, "count": float(self.count)})
        if batch.iteration % 2 == 0:
            self.log("even", float(batch.iteration))


class Note(Callback):
    """Leaves its text in the checkpoints."""

    def __init__(self, text: str) -> None:
        self.text = text

    def state_dict(self) -> dict[str, Any]:
        return {"text": self.text}


class Diverging(FOMAML):
    """Stops being finite in its third iteration."""

    def training_step(self, batch: MetaBatch, batch_idx: int) -> None:
        if batch.iteration == 2:
            raise NonFiniteError("loss is nan", {"observations": torch.ones(2), "iteration": 2})
        super().training_step(batch, batch_idx)


class Broken(FOMAML):
    """Has a bug that shows in a given iteration."""

    at = 0

    def training_step(self, batch: MetaBatch, batch_idx: int) -> None:
        if batch.iteration == self.at:
            raise ZeroDivisionError("a bug")
        super().training_step(batch, batch_idx)


class BrokenConstructor(FOMAML):
    def __init__(self) -> None:
        super().__init__()
        raise TypeError("a bug")


class BrokenLater(Broken):
    at = 2


class Interrupted(FOMAML):
    """Gets a signal in the middle of its second iteration, as from Ctrl-C."""

    signal = 2

    def training_step(self, batch: MetaBatch, batch_idx: int) -> None:
        import signal

        if batch.iteration == 1:
            signal.raise_signal(self.signal)
        super().training_step(batch, batch_idx)


class Terminated(Interrupted):
    signal = 15


class HungUp(Interrupted):
    signal = 1


class InterruptedEarly(FOMAML):
    """Gets a signal before training has begun."""

    signal = 2

    def configure_optimizers(self) -> Any:
        import signal

        signal.raise_signal(self.signal)
        return super().configure_optimizers()


class TerminatedEarly(InterruptedEarly):
    signal = 15


NOT_A_LEARNER = 3


class Fragile(FOMAML):
    """If the environment variable FRAGILE is `2 1 9`, the process of rank 1 gets signal 9 in iteration 2.

    If it is `2 launcher 9`, the process that has started the ranks gets it.
    """

    def training_step(self, batch: MetaBatch, batch_idx: int) -> None:
        import os
        import signal

        iteration, who, number = (os.environ.get("FRAGILE") or "-1 0 0").split()
        if batch.iteration == int(iteration) and who == str(ranks.index()):
            signal.raise_signal(int(number))
        if batch.iteration == int(iteration) and who == "launcher" and ranks.index() == 0:
            os.kill(os.getppid(), int(number))
        super().training_step(batch, batch_idx)


class Shaky(Fragile):
    """Its ranks abort while they end, whatever they end with."""

    def setup(self, stage: str) -> None:
        import atexit
        import os

        if ranks.size() > 1:
            atexit.register(os.abort)


class Impatient(FOMAML):
    """Gets a signal while the experiment is still being set up."""

    def __init__(self, number: int = 15, **kwargs: Any) -> None:
        import signal

        super().__init__(**kwargs)
        signal.raise_signal(number)


class Buggy(FOMAML):
    """The processes of the ranks in the environment variable BUGGY have a bug."""

    def training_step(self, batch: MetaBatch, batch_idx: int) -> None:
        import os

        if batch.iteration == 1 and str(ranks.index()) in os.environ["BUGGY"]:
            raise ValueError("a bug of the user")
        super().training_step(batch, batch_idx)
