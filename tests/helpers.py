"""Small inputs, a slow and plain second implementation to compare with, and a quiet trainer."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import lightning as L
import numpy as np
import pandas as pd
import torch
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from torch import Tensor
from torch.func import functional_call

from meta_rl.algorithms import MetaLearner
from meta_rl.data import RolloutDataModule
from meta_rl.envs import ActionReward
from meta_rl.policy import GaussianMLP, PolicyConfig, repeat
from meta_rl.types import Params, Samples

ROOT = Path(__file__).parents[1]
LENGTHS = (12, 7, 9)  # valid states of each task
EPISODE = 4  # states of each of its episodes


def make_policy(nonlinearity: Any = "tanh", hidden: int = 4, seed: int = 0) -> GaussianMLP:
    """A float64 policy with 2 observations and 2 actions, whose biases and std are not the default ones."""
    stream = torch.Generator().manual_seed(seed)
    policy = GaussianMLP(2, 2, PolicyConfig([hidden], nonlinearity, init_std=0.7), stream).double()
    with torch.no_grad():
        for p in policy.parameters():
            p += 0.1 * torch.randn(p.shape, generator=stream, dtype=p.dtype)
    return policy


def make_samples(seed: int, lengths: Sequence[int] = LENGTHS, dtype: torch.dtype = torch.float64) -> Samples:
    """Random samples; padded states have advantage 0, but observations and actions like any other."""
    stream = torch.Generator().manual_seed(seed)
    n, b = len(lengths), max(lengths)
    observations, actions = (torch.randn(n, b, 2, generator=stream, dtype=dtype) for _ in range(2))
    mask = (torch.arange(b) < torch.tensor(lengths)[:, None]).to(dtype)
    advantages, log_probs = (torch.randn(n, b, generator=stream, dtype=dtype) for _ in range(2))
    values = torch.randn(n, b, generator=stream, dtype=dtype) * mask
    episodes = (torch.arange(b) // EPISODE).expand(n, -1)
    return Samples(observations, actions, advantages * mask, mask, log_probs, values, episodes)


def theta_of(policy: GaussianMLP) -> Params:
    return {name: p.detach().clone() for name, p in policy.named_parameters()}


def flatten(params: Params) -> Tensor:
    return torch.cat([value.reshape(-1) for value in params.values()])


def unflatten(vector: Tensor, like: Params) -> Params:
    pieces = vector.split([value.numel() for value in like.values()])
    return {name: x.view_as(value) for x, (name, value) in zip(pieces, like.items(), strict=True)}


def task(params: Params, i: int) -> Params:
    return {name: value[i] for name, value in params.items()}


def shared(policy: GaussianMLP, tasks: int = len(LENGTHS)) -> Params:
    """The policy's parameters, one copy a task."""
    return repeat(theta_of(policy), tasks)


def valid(samples: Samples, i: int) -> tuple[Tensor, Tensor, Tensor]:
    """Observations, actions and advantages of task i without its padding."""
    keep = samples.mask[i] > 0
    return samples.observations[i][keep], samples.actions[i][keep], samples.advantages[i][keep]


def normal(policy: GaussianMLP, params: Params, observations: Tensor) -> torch.distributions.Normal:
    mean, log_std = functional_call(policy, params, (observations,))
    return torch.distributions.Normal(mean, log_std.exp())


def plain_reinforce(policy: GaussianMLP, params: Params, samples: Samples, i: int) -> Tensor:
    """The REINFORCE loss of task i."""
    observations, actions, advantages = valid(samples, i)
    return -(normal(policy, params, observations).log_prob(actions).sum(-1) * advantages).mean()


def plain_ratio(policy: GaussianMLP, params: Params, samples: Samples, i: int) -> Tensor:
    """The same with ratios to the probabilities that the samples hold."""
    observations, actions, advantages = valid(samples, i)
    log_prob = normal(policy, params, observations).log_prob(actions).sum(-1)
    return -((log_prob - samples.log_probs[i][samples.mask[i] > 0]).exp() * advantages).mean()


PLAIN = {"reinforce": plain_reinforce, "ratio": plain_ratio}


def plain_adapt(
    policy: GaussianMLP,
    theta: Params,
    support: Sequence[Samples],
    i: int,
    rates: Sequence[float],
    loss: Literal["reinforce", "ratio"] = "reinforce",
) -> Params:
    """Gradient descent of task i with plain autograd, differentiable by theta."""
    phi = theta
    for samples, rate in zip(support, rates, strict=True):
        value = PLAIN[loss](policy, phi, samples, i)
        grads = torch.autograd.grad(value, list(phi.values()), create_graph=True)
        phi = {name: value - rate * g for (name, value), g in zip(phi.items(), grads, strict=True)}
    return phi


def finite_differences(f: Callable[[Tensor], Tensor], x: Tensor, step: float = 1e-5) -> Tensor:
    """Central differences of f at a flat x: [P] for a scalar f, [P, M] for an f of M numbers."""
    eye = step * torch.eye(len(x), dtype=x.dtype)
    return torch.stack([(f(x + e) - f(x - e)).detach() / (2 * step) for e in eye])


def fit(
    learner: MetaLearner, data: RolloutDataModule, steps: int, ckpt_path: Any = None, **trainer: Any
) -> L.Trainer:
    """Train for `steps` meta-iterations in all."""
    runner = L.Trainer(
        max_steps=steps,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **trainer,
    )
    runner.fit(learner, datamodule=data, ckpt_path=ckpt_path)
    return runner


def record_logs(learner: MetaLearner) -> list[dict[str, float]]:
    """What the learner logs from now on, one entry an iteration."""
    records: list[dict[str, float]] = []
    log_dict = learner.log_dict

    def spy(record: dict[str, float], *args: Any, **kwargs: Any) -> None:
        records.append({name: float(value) for name, value in record.items()})
        log_dict(record, *args, **kwargs)

    learner.log_dict = spy  # type: ignore[method-assign]
    return records


def make_data() -> RolloutDataModule:
    """3 tasks, 4 episodes of 5 steps."""
    return RolloutDataModule(ActionReward(), meta_batch_size=3, fast_batch_size=4)


def final_state(trainer: L.Trainer) -> dict[str, Any]:
    """Everything that training changes."""
    return {
        "model": dict(trainer.lightning_module.state_dict()),
        "env_steps": float(trainer.lightning_module.env_steps),
        "optimizer": [optimizer.state_dict() for optimizer in trainer.optimizers],
        "global_step": trainer.global_step,
    }


def bit_identical(a: Any, b: Any) -> bool:
    """Whether two nested states are equal to the last bit."""
    if isinstance(a, Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(bit_identical(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(bit_identical(x, y) for x, y in zip(a, b, strict=True))
    return a == b


def record_phases(data: RolloutDataModule) -> list[tuple[int, int]]:
    """The (iteration, phase) of every collection of episodes from now on."""
    streams: list[tuple[int, int]] = []
    collect = data.collect

    def spy(policy: Any, params: Params, tasks: Tensor, iteration: int, phase: int) -> Any:
        streams.append((iteration, phase))
        return collect(policy, params, tasks, iteration, phase)

    data.collect = spy  # type: ignore[method-assign]
    return streams


class StopAfter(L.Callback):
    """An interruption: save a checkpoint after `step` iterations and end the run there."""

    def __init__(self, step: int, path: Path) -> None:
        self.step, self.path = step, path

    def on_train_batch_end(self, trainer: L.Trainer, *args: Any) -> None:
        if trainer.global_step == self.step:
            trainer.save_checkpoint(self.path)
            trainer.should_stop = True


def resumed(
    make: Callable[[], MetaLearner], first: int, steps: int, announced: bool, folder: Path
) -> L.Trainer:
    """Train for `first` iterations, save, and go on to `steps` from the checkpoint with fresh objects.

    With `announced` the first run was meant to go on to `steps` and is cut off; otherwise it is complete.
    """
    path = folder / "first.ckpt"
    if announced:
        fit(make(), make_data(), steps, callbacks=[StopAfter(first, path)], min_steps=0)
    else:
        fit(make(), make_data(), first).save_checkpoint(path)
    torch.randn(7)  # the global stream is somewhere else by now
    return fit(make(), make_data(), steps, ckpt_path=path)


class BlankDrawing:
    """Stands in for `Drawing` where there may be no OpenGL: every picture is grey."""

    def __init__(self, *_: Any) -> None:
        pass

    def draw(self, qpos: np.ndarray) -> np.ndarray:
        assert np.isfinite(qpos).all()
        return np.full((240, 320, 3), 128, np.uint8)

    def __enter__(self) -> "BlankDrawing":
        return self

    def __exit__(self, *_: Any) -> None:
        pass


def adaptation(seeds: list[int], tasks: int = 4, steps: int = 3) -> pd.DataFrame:
    """A table as of adaptation.csv, with returns that rise by 1 a step and differ by the seed."""
    rows = [
        (seed, task, step, -10.0 + step + seed)
        for seed in seeds
        for task in range(tasks)
        for step in range(steps)
    ]
    return pd.DataFrame(rows, columns=["seed", "task", "gradient_step", "return_mean"])


def pins(*names: str) -> dict[str, str]:
    """Versions in requirements files, by canonical name."""
    lines = "\n".join((ROOT / name).read_text() for name in names).splitlines()
    found = [Requirement(line) for line in lines if line and not line.startswith(("#", "-"))]
    assert all([s.operator for s in r.specifier] == ["=="] for r in found)
    return {canonicalize_name(r.name): str(r.specifier).removeprefix("==") for r in found}
