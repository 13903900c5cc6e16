"""A policy that has adapted to a task: it acts, and can be exported."""

import copy
import logging
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium.spaces import Box, Discrete, Space
from gymnasium.spaces.utils import flatten, flatten_space
from torch import Tensor, nn

from meta_rl.distributions import Categorical, Gaussian
from meta_rl.envs.arrays import ActionScaling
from meta_rl.errors import UserError
from meta_rl.randomness import Phase, generator
from meta_rl.types import Params


class Actor(nn.Module):
    """From observations to actions in the environment's own units, with the normaliser inside.

    Args:
        policy: Maps observations to distributions; its parameters are its own from here on.
        actions: The environment's action space.
    """

    low: Tensor
    high: Tensor
    centre: Tensor
    half_range: Tensor

    def __init__(self, policy: nn.Module, actions: Box | Discrete) -> None:
        super().__init__()
        self.policy = policy
        self.first = int(actions.start) if isinstance(actions, Discrete) else None
        scaling = ActionScaling(actions.low, actions.high) if isinstance(actions, Box) else None
        for name in ("low", "high", "centre", "half_range") if scaling else ():
            self.register_buffer(name, torch.from_numpy(getattr(scaling, name)).float())

    def forward(self, observations: Tensor) -> Tensor:
        """The mean or the most probable actions [B, A] at observations [B, O]; discrete ones are [B, 1]."""
        outputs = self.policy(observations)
        best = outputs.mean if isinstance(outputs, Gaussian) else outputs.logits.argmax(-1, keepdim=True)
        return self._in_units(best)

    def sample(self, observations: Tensor, stream: torch.Generator) -> Tensor:
        """Actions [B, A] drawn at observations [B, O]."""
        outputs: Gaussian | Categorical = self.policy(observations)
        noise = outputs.noise(*outputs[0].shape, generator=stream)
        return self._in_units(outputs.sample(noise.to(outputs[0])))

    def _in_units(self, actions: Tensor) -> Tensor:
        if self.first is not None:
            return actions + self.first
        return (self.centre + self.half_range * actions).clamp(self.low, self.high)


class AdaptedPolicy:
    """A policy for one task. `Trained.adapt` makes it.

    Args:
        policy: The meta-policy; it is copied.
        params: The task's own parameters.
        observation_space: The environment's.
        action_space: The environment's.
        returns: [S, K] of the episodes before each of S gradient steps.
        seed: Of the actions that `act` draws.
    """

    def __init__(
        self,
        policy: nn.Module,
        params: Params,
        observation_space: Space[Any],
        action_space: Space[Any],
        returns: np.ndarray,
        seed: int,
    ) -> None:
        assert isinstance(action_space, Box | Discrete)
        own = copy.deepcopy(policy)
        own.load_state_dict(params, strict=False)  # the statistics of observations are those of training
        self.actor = Actor(own, action_space).eval().requires_grad_(False)
        self.observation_space, self.action_space = observation_space, action_space
        self.returns = returns
        self._size: int = flatten_space(observation_space).shape[0]  # pyright: ignore
        self._stream = generator(seed, 0, Phase.EVALUATION_SHOWN)

    def act(self, observation: Any, deterministic: bool = False) -> np.ndarray:
        """An action in the environment's own units: as `env.step` takes it, scaled and clipped.

        Args:
            observation: One of the environment's; where these are vectors [O], also a batch [B, O].
            deterministic: The mean or the most probable action, instead of one that is drawn.

        Returns:
            An action, or a batch [B, ...] of them, of the action space's shape and data type.

        Raises:
            ValueError: for an observation of another size.
        """
        vectors = isinstance(self.observation_space, Box) and len(self.observation_space.shape) == 1
        flat: Any = observation if vectors else flatten(self.observation_space, observation)
        array = np.asarray(flat, np.float32)
        if array.ndim not in (1, 2) or array.shape[-1] != self._size:
            raise ValueError(f"an observation has {self._size} numbers, got an array of shape {array.shape}")
        with torch.no_grad():
            batch = torch.from_numpy(array.reshape(-1, self._size))
            actions = self.actor(batch) if deterministic else self.actor.sample(batch, self._stream)
        shape = *array.shape[:-1], *(self.action_space.shape or ())
        return actions.numpy().reshape(shape).astype(self.action_space.dtype)[()]

    def to_onnx(self, path: str | Path) -> Path:
        """Write the deterministic policy as ONNX, with the normaliser inside.

        Input `observation` [batch, O], float32; output `action` [batch, A] in the environment's own units,
        float32, or [batch, 1] of indices, int64.

        Raises:
            UserError: if the packages for it are not installed.
        """
        if find_spec("onnx") is None or find_spec("onnxscript") is None:
            raise UserError("to_onnx needs more packages; install them with: pip install 'meta_rl[onnx]'")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # no word on operators of other packages
        torch.onnx.export(
            self.actor,
            (torch.zeros(2, self._size),),
            str(path),
            input_names=["observation"],
            output_names=["action"],
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            dynamo=True,
            external_data=False,
            verbose=False,
        )
        return Path(path)
