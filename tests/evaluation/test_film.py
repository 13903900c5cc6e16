"""What is shown of a policy while it adapts: the right episodes, with the same noise, and no more of them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from helpers import BlankDrawing
from meta_rl.envs import AntDirection
from meta_rl.errors import UserError
from meta_rl.evaluation import film as recording
from meta_rl.evaluation.film import (
    adapted_stages,
    different,
    record,
    robots,
    show_live,
    task_in_words,
    write_videos,
)
from meta_rl.evaluation.loaded import AdaptationSettings, LoadedPolicy, load_untrained
from meta_rl.randomness import TaskStreams
from meta_rl.rollout import Sampler
from meta_rl.show.video import Panel

EXPERIMENT = """
model:
  class_path: meta_rl.algorithms.{algorithm}
  init_args: {{policy: {{hidden_sizes: [4]}}}}
data:
  env:
    class_path: meta_rl.envs.{family}
    init_args: {{horizon: 6}}
"""
HOW = AdaptationSettings(gradient_steps=2, episodes=3, seed=5, inner_lr=[0.1])
TASKS = torch.tensor([[1.0], [1.0], [-1.0], [1.0]])


def load(folder: Path, family: str = "AntDirection", algorithm: str = "FOMAML") -> LoadedPolicy:
    file = folder / "tiny.yaml"
    file.write_text(EXPERIMENT.format(family=family, algorithm=algorithm))
    return load_untrained(file)


@pytest.fixture
def policy(tmp_path: Path) -> LoadedPolicy:
    return load(tmp_path)


def test_an_episode_is_that_of_the_sampler(policy: LoadedPolicy) -> None:
    params = adapted_stages(policy, TASKS[1:3], HOW)[-1]
    shown = record(policy, params, TASKS[1:3], TaskStreams(0))
    sampler = Sampler(policy.data.env, 1, policy.data.estimator)
    expected = sampler.rollout(policy.learner.policy, params, TASKS[1:3], TaskStreams(0))
    for i, episode in enumerate(shown):
        assert episode.positions.shape == (7, 15)
        assert episode.returns[0] == 0
        assert not episode.ended
        returns = expected.rewards[i, 0].cumsum(0)
        np.testing.assert_allclose(episode.returns[1:], returns, rtol=1e-6)
        np.testing.assert_allclose(episode.positions[:-1, 2], expected.observations[i, 0, :, 0], rtol=1e-6)


def test_an_episode_stops_where_it_ends(policy: LoadedPolicy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AntDirection, "healthy_z", (2.0, 3.0))
    (episode,) = record(policy, adapted_stages(policy, TASKS[:1], HOW)[0], TASKS[:1], TaskStreams(0))
    assert episode.ended
    assert len(episode.positions) == len(episode.returns) == 2


def test_the_state_of_a_failed_simulation_is_not_shown(
    policy: LoadedPolicy, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = adapted_stages(policy, TASKS[:1], HOW)[0]
    monkeypatch.setattr("meta_rl.envs.mujoco_batch.MujocoBatch.step", lambda self, control, alive: alive)
    (episode,) = record(policy, params, TASKS[:1], TaskStreams(0))
    assert episode.ended
    assert len(episode.positions) == len(episode.returns) == 1


def test_the_first_parameters_are_the_policys_own(policy: LoadedPolicy) -> None:
    before, *_, after = adapted_stages(policy, TASKS[:1], HOW)
    for name, value in policy.learner.policy.named_parameters():
        assert torch.equal(before[name][0], value)
    assert any(not torch.equal(before[name], after[name]) for name in before)


def test_different_tasks() -> None:
    assert different(TASKS, 2) == [0, 2]
    assert different(TASKS, 5) == [0, 2]


def test_a_task_in_words() -> None:
    assert task_in_words(AntDirection(), TASKS[2]) == "direction -1"


def test_every_video_has_a_panel_a_step(
    policy: LoadedPolicy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: dict[str, tuple[str, list[Panel], float]] = {}

    def write(path: Path, draw: Any, title: str, panels: list[Panel], dt: float) -> None:
        written[path.name] = title, panels, dt

    monkeypatch.setattr(recording, "Drawing", BlankDrawing)
    monkeypatch.setattr(recording, "write_video", write)
    folder = tmp_path / "video"
    folder.mkdir()
    (folder / "task-7.mp4").touch()
    (folder / "task-7.gif").touch()
    assert write_videos(policy, TASKS, 2, HOW, folder) == [folder / "task-0.mp4", folder / "task-2.mp4"]
    assert not list(folder.glob("task-7.*"))
    title, panels, dt = written["task-2.mp4"]
    assert (title, dt) == ("tiny, untrained, task 2: direction -1", 0.02)
    assert [panel.caption for panel in panels] == ["before", "after 1 step", "after 2 steps"]
    starts = [panel.states[0] for panel in panels]
    np.testing.assert_array_equal(starts[0], starts[1])  # the same noise
    assert not np.array_equal(panels[0].states[-1], panels[2].states[-1])
    assert panels[0].notes[0].endswith(" m, return 0.0")


def test_what_has_no_robot_cannot_be_shown(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="PointMass has no robot to show; only task families of MuJoCo have"):
        robots(load(tmp_path, family="PointMass").data.env)


def test_an_oracle_is_shown_on_its_own_view(tmp_path: Path) -> None:
    policy = load(tmp_path, algorithm="Oracle")
    (params,) = adapted_stages(policy, TASKS[:1], HOW._replace(gradient_steps=0))
    (episode,) = record(policy, params, TASKS[:1], TaskStreams(0))
    assert len(episode.positions) == 7


def test_a_window_shows_episodes_until_it_is_closed(
    policy: LoadedPolicy, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Window(BlankDrawing):
        states: list[np.ndarray] = []  # noqa: RUF012
        title = ""

        def __init__(self, model: Any, dt: float, title: str) -> None:
            Window.title = title

        @property
        def is_open(self) -> bool:
            return len(self.states) < 10

        def show(self, qpos: np.ndarray) -> None:
            self.states.append(qpos)

    monkeypatch.setattr(recording, "Viewer", Window)
    show_live(policy, TASKS[2], HOW)
    assert Window.title == "tiny, untrained, adapted to direction -1"
    assert len(Window.states) == 14  # two episodes of 6 steps
    assert not np.array_equal(Window.states[0], Window.states[7])  # each with noise of its own
