"""Adaptation from Python: as evaluation does it on a family's tasks, and on environments of one's own."""

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from environments import Point, Switches

import meta_rl
from helpers import BlankDrawing
from meta_rl.errors import NonFiniteError, UserError
from meta_rl.evaluation.curve import adapt_policy
from meta_rl.randomness import Phase, TaskStreams
from meta_rl.rollout import Sampler

TASKS = [[0.3, 0.2, 0.0, 0.0], [-0.4, 0.1, 0.0, 0.0]]


def test_it_is_the_adaptation_that_curve_measures(trained: meta_rl.Trained) -> None:
    policies = trained.adapt(TASKS, gradient_steps=2, episodes=6, seed=3)
    table = trained.curve(TASKS, gradient_steps=2, episodes=6, seed=3)
    means = table["return_mean"].to_numpy().reshape(2, 3)
    assert np.array([policy.returns.mean(-1) for policy in policies]) == pytest.approx(means[:, :2])
    data = trained.loaded.data
    sampler = Sampler(trained.env, 6, data.estimator)
    streams = TaskStreams(3, 0, Phase.EVALUATION_EPISODES)
    policy, inner = trained.loaded.learner.policy, trained.loaded.test_time()
    *_, (adapted, _) = adapt_policy(policy, inner, sampler, torch.tensor(TASKS), 2, streams)
    for i, one in enumerate(policies):
        for name, value in one.actor.policy.named_parameters():
            assert torch.equal(value, adapted.params[name][i]), name


@pytest.mark.parametrize("where", [Point(), TASKS[0]], ids=["an environment", "a task"])
def test_evolution_strategies_adapt_on_perturbed_episodes_of_their_own(where: Any, tmp_path: Path) -> None:
    config = Path(__file__).parents[2] / "conf/es_maml_point_mass.yaml"
    text = config.read_text().replace("num_inner_steps", "adaptation: es\n    num_inner_steps")
    (tmp_path / "es.yaml").write_text(text)
    trained = meta_rl.load(tmp_path / "es.yaml")
    before, after = (trained.adapt(where, steps, episodes=4) for steps in (0, 1))
    assert after.returns.shape == (1, 4)
    for (name, a), b in zip(
        before.actor.policy.named_parameters(), after.actor.policy.parameters(), strict=True
    ):
        assert not torch.equal(a, b), name


def test_a_task_may_be_named_or_ordered(trained: meta_rl.Trained) -> None:
    named = trained.adapt({"goal_x": 0.3, "goal_y": 0.2}, episodes=3)
    (several,) = trained.adapt(np.array(TASKS[:1]), episodes=3)
    one = trained.adapt(TASKS[0], episodes=3)
    assert named.act([0.0, 0.0], deterministic=True).tolist() == one.act([0.0, 0.0], True).tolist()
    assert one.act([0.0, 0.0], True).tolist() == several.act([0.0, 0.0], True).tolist()


def test_a_film_is_that_of_the_family_s_tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("meta_rl.evaluation.film.Drawing", BlankDrawing)
    config = tmp_path / "ant.yaml"
    text = (Path(__file__).parents[2] / "conf/fomaml_ant_dir.yaml").read_text()
    config.write_text(text.replace("horizon: 200", "horizon: 4"))
    ant = meta_rl.load(config)
    assert ant.env.horizon == 4
    tasks = [{"direction": 1.0}, {"direction": -1.0}, {"direction": 1.0}]
    files = ant.film(tasks, tmp_path / "new" / "films", episodes=2)
    assert [file.name for file in files] == ["task-0.mp4", "task-1.mp4"]
    assert all(file.with_suffix(".gif").exists() for file in files)
    assert ant.film(tasks[1], tmp_path / "one", gradient_steps=0, episodes=2) == [tmp_path / "one/task-0.mp4"]


def test_a_family_without_robots_has_no_film(trained: meta_rl.Trained, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="PointMass has no robot to show"):
        trained.film(TASKS, tmp_path)


def test_no_step_leaves_the_policy_as_trained(trained: meta_rl.Trained) -> None:
    policy = trained.adapt(TASKS[0], gradient_steps=0)
    for name, value in trained.loaded.learner.policy.named_parameters():
        assert torch.equal(dict(policy.actor.policy.named_parameters())[name], value)
    assert policy.returns.shape == (0, 40)


def test_drawn_actions_depend_on_the_seed_alone(trained: meta_rl.Trained) -> None:
    one, same, other = (trained.adapt(TASKS[0], gradient_steps=0, seed=seed) for seed in (1, 1, 2))
    drawn = [[policy.act(np.zeros(2)).tolist() for _ in range(20)] for policy in (one, same, other)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert len({tuple(action) for action in drawn[0]}) > 1
    assert np.abs(drawn[0]).max() <= 1
    assert one.act(np.zeros((5, 2)), deterministic=True).shape == (5, 2)


def test_an_environment_of_ones_own_is_adapted_to(trained: meta_rl.Trained) -> None:
    env = Point()
    policy = trained.adapt(env, gradient_steps=2, episodes=10)
    assert policy.returns.shape == (2, 10)
    assert policy.returns[1].mean() > policy.returns[0].mean() + 10
    assert len(set(env.seeds)) == 20  # a seed of its own for every episode
    assert max(env.steps) == trained.env.horizon
    assert np.max(env.actions) > 9  # the policy's actions fill the Box
    observation, _ = env.reset()
    action = policy.act(observation, deterministic=True)
    assert env.action_space.contains(action)
    assert (action[:, 0] > 5).all()  # towards the goal: up and to the right


def test_actions_are_in_the_environments_units(trained: meta_rl.Trained) -> None:
    own, family = (trained.adapt(env, gradient_steps=0) for env in (Point(), TASKS[0]))
    batch = np.random.default_rng(0).normal(0, 0.05, (50, 2))
    plain = family.act(batch, deterministic=True)
    assert (np.abs(plain) < 1).any()
    assert own.act(batch, deterministic=True)[..., 0] == pytest.approx(5 + 5 * plain, abs=1e-5)


def test_adaptation_to_it_is_repeatable_and_knows_where_episodes_end(trained: meta_rl.Trained) -> None:
    env = Point(limit=7, nested=True)
    one, same = (trained.adapt(env, episodes=4, seed=5) for _ in range(2))
    assert set(env.steps) == {7}
    assert one.returns.tolist() == same.returns.tolist()
    observation = {"x": np.zeros(1, np.float32), "y": np.ones(1, np.float32)}
    assert one.act(observation, True).tolist() == same.act(observation, True).tolist()
    assert one.act(observation).shape == (2, 1)


def test_discrete_actions(discrete: meta_rl.Trained) -> None:
    env = Switches()
    policy = discrete.adapt(env, gradient_steps=5, episodes=8)
    assert policy.returns[-1].mean() > policy.returns[0].mean() + 5
    assert policy.act(env.reset()[0], deterministic=True) == 4
    assert {int(policy.act(env.reset()[0])) for _ in range(20)} <= {3, 4}
    assert discrete.adapt(gym.make("CartPole-v1"), episodes=2).returns.shape == (1, 2)


def test_what_does_not_fit_is_refused(trained: meta_rl.Trained, discrete: meta_rl.Trained) -> None:
    for policy, env, message in (
        (trained, Switches(), "Switches: observations of 4 numbers, but the policy was trained on 2"),
        (discrete, gym.make("Pendulum-v1"), "observations of 3 numbers"),
        (trained, gym.make("FrozenLake-v1"), "observations of 16 numbers"),
        (trained, gym.make("MountainCar-v0"), "its actions are Discrete(3), but the policy's are 2 numbers"),
        (trained, gym.make("Blackjack-v1"), "observations"),
    ):
        with pytest.raises(ValueError) as error:  # noqa: PT011 (the message is looked at below)
            policy.adapt(env)
        assert message in str(error.value)
    for task, message in (
        ([0.1], "a task has 4 numbers, goal_x, goal_y, start_x, start_y, got"),
        ({"goal_z": 1.0}, "unknown column 'goal_z'"),
        ({"goal_x": 99.0, "goal_y": 0.0}, "goal_x: 99.0 is outside"),
    ):
        with pytest.raises(ValueError, match=message.replace("[", r"\[")):
            trained.adapt(task)
    with pytest.raises(ValueError, match="episodes must be at least 1"):
        trained.adapt(TASKS[0], episodes=0)
    with pytest.raises(ValueError, match="an observation has 2 numbers"):
        trained.adapt(TASKS[0], gradient_steps=0).act(np.zeros(3))


def test_divergence_is_reported(trained: meta_rl.Trained) -> None:
    with pytest.raises(NonFiniteError):
        trained.adapt(TASKS[0], episodes=2, inner_lr=[1e39])


def test_a_policy_that_never_adapts_takes_no_step() -> None:
    oracle = meta_rl.load("oracle_ant_dir")
    policy = oracle.adapt({"direction": 1.0})
    assert policy.returns.shape == (0, 40)
    size = oracle.env.observation_space.shape[0] + 1  # it sees the task
    assert policy.act(np.zeros(size), deterministic=True).shape == (8,)


@pytest.mark.parametrize("wrong", [{"episodes": 0}, {"gradient_steps": -1}, {"tasks": 0}])
def test_numbers_that_no_curve_has_are_refused(trained: meta_rl.Trained, wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must be at least"):
        trained.curve(**{"tasks": 2, "episodes": 2, "gradient_steps": 1} | wrong)


def test_numbers_may_be_numpys_and_a_rate_alone(trained: meta_rl.Trained) -> None:
    settings = {"gradient_steps": 1, "episodes": 2}
    one = trained.curve(np.int64(2), inner_lr=0.1, **settings)
    assert one.equals(trained.curve(2, inner_lr=[0.1], **settings))
    with pytest.raises(ValueError, match="expected a task or several of them, got 3"):
        trained.adapt(3)
