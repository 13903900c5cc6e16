"""Single episodes of a policy before and after its gradient steps, as videos or live in a window."""

from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from meta_rl.envs import BatchedEnv, MujocoEnv
from meta_rl.envs.wrapper import unwrapped
from meta_rl.errors import UserError
from meta_rl.evaluation.curve import adapt_policy
from meta_rl.evaluation.loaded import AdaptationSettings, LoadedPolicy
from meta_rl.randomness import Phase, TaskStreams
from meta_rl.rollout import Sampler
from meta_rl.show.recorded import Recorded
from meta_rl.show.rendering import Drawing
from meta_rl.show.video import Panel, write_video
from meta_rl.show.viewer import Viewer
from meta_rl.types import Params


class Episode(NamedTuple):
    """What is seen of an episode of F - 1 steps."""

    positions: NDArray[np.float64]  # [F, nq] at the start and after every step
    returns: NDArray[np.float64]  # [F] undiscounted, so far
    ended: bool  # before the horizon


def robots(env: BatchedEnv) -> MujocoEnv:
    """`env`, if its robots can be drawn; raises a UserError if it has none."""
    env = unwrapped(env)
    if not isinstance(env, MujocoEnv):
        raise UserError(f"{type(env).__name__} has no robot to show; only task families of MuJoCo have")
    return env


def adapted_stages(policy: LoadedPolicy, tasks: Tensor, how: AdaptationSettings) -> list[Params]:
    """Parameters [N, ...] after 0, 1, ... gradient steps on tasks [N, P]. May raise a NonFiniteError."""
    learner, data = policy.learner, policy.data
    sampler = Sampler(learner.environment(data.env), how.episodes, data.estimator, data.on_failure)
    streams = TaskStreams(how.seed, 0, Phase.EVALUATION_SHOWN)
    inner, steps = policy.test_time(how.inner_lr), policy.gradient_steps(how.gradient_steps)
    pairs = adapt_policy(learner.policy, inner, sampler, tasks, steps, streams)
    return [adapted.params for adapted, _ in pairs]


def recorded(policy: LoadedPolicy, record: Callable[[NDArray[np.float64]], Any]) -> Sampler:
    """A sampler of single episodes that hands their positions [N, 1, nq] to `record`."""
    env = Recorded(policy.learner.environment(policy.data.env), record)
    return Sampler(cast(BatchedEnv, env), 1, policy.data.estimator)


def record(policy: LoadedPolicy, params: Params, tasks: Tensor, streams: TaskStreams) -> list[Episode]:
    """One episode of each of the tasks [N, P], with parameters [N, ...] of its own."""
    states: list[NDArray[np.float64]] = []
    sampler = recorded(policy, states.append)
    episodes = sampler.rollout(policy.learner.policy, params, tasks, streams)
    returns = np.pad(episodes.rewards[:, 0].cumsum(-1).double().cpu().numpy(), ((0, 0), (1, 0)))
    lengths = episodes.mask[:, 0].sum(-1).int().tolist()
    shown = []
    for i, (length, ended) in enumerate(zip(lengths, (~episodes.truncated[:, 0]).tolist(), strict=True)):
        # The step in which a simulation fails is none of the episode's.
        positions = np.stack([state[i, 0] for state in states[: length + 1]])
        shown.append(Episode(positions, returns[i, : length + 1], ended))
    return shown


def write_videos(
    policy: LoadedPolicy, tasks: Tensor, number: int, how: AdaptationSettings, folder: Path
) -> list[Path]:
    """An MP4 and a GIF of each of the first `number` different tasks: an episode after every gradient step.

    They replace those of an earlier evaluation. All episodes of a task meet the same noise.

    Returns:
        The paths of the MP4s; each GIF lies beside its own.

    Raises:
        UserError: if nothing can be drawn.
        NonFiniteError: if adaptation diverges.
    """
    env, chosen = robots(policy.data.env), different(tasks, number)
    tasks = tasks[chosen]
    stages = [
        record(policy, params, tasks, TaskStreams(how.seed, 1, Phase.EVALUATION_SHOWN))
        for params in adapted_stages(policy, tasks, how)
    ]
    folder.mkdir(parents=True, exist_ok=True)
    for old in (*folder.glob("task-*.mp4"), *folder.glob("task-*.gif")):
        old.unlink()
    files = []
    with Drawing(env.model) as drawing:
        for index, task, episodes in zip(chosen, tasks, zip(*stages, strict=True), strict=True):
            panels = [_panel(env, step, episode) for step, episode in enumerate(episodes)]
            files.append(folder / f"task-{index}.mp4")
            title = f"{policy.label}, task {index}: {task_in_words(env, task)}"
            write_video(files[-1], drawing.draw, title, panels, env.dt)
    return files


def show_live(policy: LoadedPolicy, task: Tensor, how: AdaptationSettings) -> None:
    """Adapt to a task [P] and show episode after episode of it, until the window is closed.

    Raises:
        UserError: if there is no display.
        NonFiniteError: if adaptation diverges.
    """
    env, tasks = robots(policy.data.env), task[None]
    params = adapted_stages(policy, tasks, how)[-1]
    title = f"{policy.label}, adapted to {task_in_words(env, task)}"
    with Viewer(env.model, env.dt, title) as viewer:
        sampler = recorded(policy, lambda positions: viewer.show(positions[0, 0]))
        for episode in count(1):
            if not viewer.is_open:
                break
            streams = TaskStreams(how.seed, episode, Phase.EVALUATION_SHOWN)
            sampler.rollout(policy.learner.policy, params, tasks, streams)


def different(tasks: Tensor, number: int) -> list[int]:
    """Indices of the first `number` tasks that differ from each other."""
    rows = tasks.tolist()
    return [i for i, row in enumerate(rows) if row not in rows[:i]][:number]


def task_in_words(env: BatchedEnv, task: Tensor) -> str:
    """Such as `direction 1`."""
    return ", ".join(f"{name} {x:.3g}" for name, x in zip(env.task_parameters, task.tolist(), strict=True))


def _panel(env: MujocoEnv, step: int, episode: Episode) -> Panel:
    caption = f"after {step} step{'s' * (step > 1)}" if step else "before"
    notes = []
    for position, value in zip(episode.positions[:, : env.hidden_positions], episode.returns, strict=True):
        where = ", ".join(f"{axis} {x:z.1f}" for axis, x in zip("xyz", position, strict=False))
        notes.append(f"{where} m, return {value:z.1f}" if where else f"return {value:z.1f}")
    ended = f"ended, return {episode.returns[-1]:z.1f}" if episode.ended else ""
    return Panel(caption, episode.positions, notes, ended)
