"""Environments of Gymnasium that raise exceptions, one of them among several."""

import multiprocessing
import re
from pathlib import Path
from typing import Any

import pytest
import simulators
import torch

from meta_rl.advantages import AdvantageEstimator
from meta_rl.envs.gymnasium_env import SEEDS, GymnasiumEnv
from meta_rl.errors import EpisodeError
from meta_rl.failures import OnFailure
from meta_rl.policy import GaussianMLP, PolicyConfig, repeat
from meta_rl.randomness import TaskStreams
from meta_rl.rollout import Sampler
from meta_rl.types import Experience

N, K = 2, 3
LENGTHS = torch.tensor([[4.0], [6.0]])
RANGE: dict[str, Any] = {"task_parameters": {"length": (1.0, 100.0)}}
KINDS: dict[str, dict[str, Any]] = {
    "sync": {},
    "fork": {"vectorization": "async", "num_workers": 2, "context": "fork"},
    "spawn": {"vectorization": "async", "num_workers": 2},
    "an environment a process": {"vectorization": "async", "num_workers": N * K, "context": "fork"},
}
EVERYWHERE = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
FILE = re.escape(str(Path(simulators.__file__)))


def seeds() -> list[int]:
    """Those that the environments get, in their order."""
    streams = TaskStreams(0)
    streams.draw(N, lambda g: torch.randn(simulators.LIMIT, K, 2, generator=g))  # the actions' noise
    return streams.draw(N, lambda g: torch.randint(SEEDS, (K,), generator=g)).flatten().tolist()


def fragile(phase: str, kind: dict[str, Any]) -> GymnasiumEnv:
    """Episode 1 of task 1 fails."""
    arguments = {"seed": seeds()[4], "phase": phase}
    return GymnasiumEnv("Fragile-v0", **RANGE, **kind, env_kwargs=arguments)


def collect(
    env: GymnasiumEnv, on_failure: OnFailure = "drop", stream: int = 0, tasks: torch.Tensor = LENGTHS
) -> Experience:
    policy = GaussianMLP(5, 2, PolicyConfig([4]), torch.Generator().manual_seed(0))
    params = repeat({name: p.detach() for name, p in policy.named_parameters()}, N)
    sampler = Sampler(env, K, AdvantageEstimator(), on_failure)
    return sampler.collect(policy, params, tasks, TaskStreams(stream))


@EVERYWHERE
@pytest.mark.parametrize(("phase", "left"), [("reset", 0), ("step", 2)])
def test_an_exception_ends_its_own_episode_only(kind: dict[str, Any], phase: str, left: int) -> None:
    env, plain = fragile(phase, kind), GymnasiumEnv("Fuse-v0", **RANGE)
    batch, expected = collect(env), collect(plain)
    assert batch.diverged == 1
    assert batch.lengths.tolist() == [[4, 4, 4], [6, left, 6]]
    others = [0, 1, 2, 3, 5]
    assert torch.equal(batch.returns.flatten()[others], expected.returns.flatten()[others])
    assert all(x.isfinite().all() for x in batch.samples)
    # Another environment takes its place, and nothing is left of the failure.
    again = collect(env, stream=7)
    assert again.diverged == 0
    assert torch.equal(again.returns, collect(plain, stream=7).returns)
    env.close()
    assert multiprocessing.active_children() == []


@EVERYWHERE
@pytest.mark.parametrize("phase", ["reset", "step"])
def test_stop_tells_what_was_raised_and_where(kind: dict[str, Any], phase: str) -> None:
    env, step = fragile(phase, kind), {"reset": 0, "step": 2}[phase]
    with pytest.raises(EpisodeError) as caught:
        collect(env, "stop")
    env.close()
    where = rf"task 1, episode 1, step {step}: OSError: 100%s of {phase} burnt in fail_in \({FILE}:\d+\)"
    assert re.fullmatch(where, str(caught.value))
    (failure,) = caught.value.dump["failures"]
    assert re.search(rf"Traceback(.|\n)*in {phase}\n(.|\n)*OSError: 100%s of {phase}", failure["traceback"])


@EVERYWHERE
def test_a_setter_that_raises_fails_the_task(kind: dict[str, Any]) -> None:
    env = GymnasiumEnv("Fuse-v0", **RANGE, task_setter="simulators.set_short_length", **kind)
    batch = collect(env, tasks=torch.tensor([[9.0], [3.0]]))
    assert batch.lengths.tolist() == [[0] * K, [3] * K]
    assert batch.diverged == K
    assert all(x.isfinite().all() for x in batch.samples)
    message = r"task 0, episode 0, step 0: AssertionError: too long in set_short_length"
    with pytest.raises(EpisodeError, match=message):
        collect(env, "stop", tasks=torch.tensor([[9.0], [3.0]]))
    with pytest.raises(EpisodeError, match=f"6 of 6 episodes failed, more than half; {message}"):
        collect(env, tasks=torch.tensor([[9.0], [9.0]]))
    assert collect(env).diverged == 0
    env.close()


def test_environments_that_failed_are_closed_once() -> None:
    env, closed = fragile("step", {}), simulators.Fuse.closed
    collect(env)
    assert simulators.Fuse.closed == closed + 1  # and nobody hears that it could not be
    env.close()
    assert simulators.Fuse.closed == closed + N * K


def test_an_environment_that_cannot_be_made_again_goes_on_failing() -> None:
    env = fragile("reset", {})
    collect(env)

    def refuse(*_: Any, **__: Any) -> None:
        raise MemoryError

    for block in env._episodes._envs.envs:  # type: ignore[union-attr]
        block.unwrapped._make = refuse
    assert collect(env, stream=7).diverged == 1
    env.close()


@pytest.mark.filterwarnings("ignore:.*The obs returned by")
def test_an_observation_of_another_shape_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulators.Fuse, "observe", lambda self, action: torch.zeros(3).numpy())
    with pytest.raises(EpisodeError, match=r"6 of 6 .*ValueError: could not broadcast"):
        collect(GymnasiumEnv("Fuse-v0", **RANGE))
