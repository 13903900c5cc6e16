"""The tabular MDPs: their tables, their tasks, and episodes that follow them."""

import math

import numpy as np
import pytest
import torch
from gymnasium.spaces import Discrete
from torch import Tensor

from meta_rl.envs import TabularMDP
from meta_rl.envs.tabular_mdp import Vary, categorical
from meta_rl.randomness import TaskStreams

VARY: tuple[Vary, Vary] = "rewards", "transitions"


def tasks_of(env: TabularMDP, n: int) -> Tensor:
    return env.sample_tasks(n, torch.Generator().manual_seed(0)).double()


def play(env: TabularMDP, tasks: Tensor, actions: Tensor, streams: TaskStreams) -> tuple[Tensor, ...]:
    """Observations [N, K, T + 1, S], rewards and terminated [N, K, T] with these actions [N, K, T]."""
    observations, rewards, ended = [env.reset(tasks, actions.shape[1], streams)], [], []
    for action in actions.unbind(-1):
        for past, now in zip((observations, rewards, ended), env.step(action[..., None]), strict=True):
            past.append(now)
    return torch.stack(observations, 2), torch.stack(rewards, 2), torch.stack(ended, 2)


def random_actions(*size: int, num_actions: int) -> Tensor:
    return torch.randint(num_actions, size, generator=torch.Generator().manual_seed(1))


def test_inversion_by_hand() -> None:
    probabilities = torch.tensor([0.25, 0.5, 0.25])
    uniform = torch.tensor([0.0, 0.24, 0.25, 0.74, 0.75, 1 - 2**-53], dtype=torch.float64)
    assert categorical(probabilities, uniform).tolist() == [0, 0, 1, 1, 2, 2]
    assert categorical(torch.tensor([0.0, 1.0, 0.0]), uniform).tolist() == [1] * 6  # never an impossible one


@pytest.mark.parametrize("vary", VARY)
def test_tables_are_probabilities_of_the_dtype_of_the_tasks(vary: Vary) -> None:
    env = TabularMDP(4, 3, vary=vary)
    tasks = tasks_of(env, 5)
    for dtype in (torch.float32, torch.float64):
        tables = env.mdp(tasks.to(dtype))
        assert [x.shape for x in tables] == [(5, 4), (5, 4, 3, 4), (5, 4, 3)]
        assert {x.dtype for x in tables} == {dtype}
        for probabilities in tables[:2]:
            assert (probabilities > 0).all()
            torch.testing.assert_close(probabilities.sum(-1), torch.ones_like(probabilities[..., 0]))
    for table, of_task in zip(env.mdp(tasks), env.mdp(tasks).task(3), strict=True):
        assert torch.equal(table[3], of_task)


def test_an_offset_is_added_to_a_reward() -> None:
    env = TabularMDP(3, 2, spread=1.0)
    task = torch.tensor([env.task_row({"reward_1_0": 0.75})], dtype=torch.float64)
    base, shifted = env.mdp(torch.zeros_like(task)).task(0), env.mdp(task).task(0)
    expected = torch.zeros(3, 2, dtype=torch.float64)
    expected[1, 0] = 0.75
    torch.testing.assert_close(shifted.rewards - base.rewards, expected)
    assert torch.equal(shifted.transitions, base.transitions)
    assert torch.equal(shifted.initial, base.initial)


def test_an_offset_of_a_logit_multiplies_the_odds() -> None:
    env = TabularMDP(3, 2, spread=1.0, vary="transitions")
    task = torch.tensor([env.task_row({"logit_0_1_2": 1.0})], dtype=torch.float64)
    base, shifted = env.mdp(torch.zeros_like(task)).task(0), env.mdp(task).task(0)
    odds = [(t.transitions / (1 - t.transitions))[0, 1, 2].item() for t in (shifted, base)]
    assert odds[0] / odds[1] == pytest.approx(math.e)
    changed = ~torch.isclose(shifted.transitions, base.transitions)
    assert changed.any(-1).nonzero().tolist() == [[0, 1]]
    assert torch.equal(shifted.rewards, base.rewards)
    assert torch.equal(shifted.initial, base.initial)


def test_the_base_mdp_is_one_of_its_seed() -> None:
    zeros = torch.zeros(1, 15)
    same, again, other = (TabularMDP(mdp_seed=seed).mdp(zeros) for seed in (3, 3, 4))
    assert all(torch.equal(x, y) for x, y in zip(same, again, strict=True))
    assert not any(torch.isclose(x, y).any() for x, y in zip(same, other, strict=True))


def test_rewards_of_the_base_are_standard_normal_and_transitions_flat() -> None:
    tables = TabularMDP(40, 40, vary="rewards").mdp(torch.zeros(1, 1600, dtype=torch.float64)).task(0)
    assert tables.rewards.mean().item() == pytest.approx(0, abs=4 / 40)
    assert tables.rewards.std().item() == pytest.approx(1, abs=4 / 40 / 2**0.5)
    # A component of a flat Dirichlet over 40 states has variance (39 / 40) / (40 * 41).
    variance = (tables.transitions - 1 / 40).square().mean().item()
    assert variance == pytest.approx(39 / 40 / (40 * 41), rel=0.05)


@pytest.mark.parametrize("vary", VARY)
def test_tasks_fill_their_box(vary: Vary) -> None:
    env = TabularMDP(3, 2, spread=0.3, vary=vary)
    tasks = env.sample_tasks(2000, torch.Generator().manual_seed(0))
    assert tasks.shape == (2000, len(env.task_parameters)) == (2000, *(env.task_space.shape))
    assert all(env.task_space.contains(task.numpy()) for task in tasks)
    assert set(env.task_space.high) == set(-env.task_space.low) == {np.float32(0.3)}
    assert (tasks.amin(0) < -0.29).all()
    assert (tasks.amax(0) > 0.29).all()
    assert not TabularMDP(3, 2, spread=0.0, vary=vary).sample_tasks(9, torch.Generator()).any()


def test_spaces_and_names() -> None:
    env = TabularMDP(2, 3, horizon=7)
    assert env.horizon == 7
    assert env.observation_space.shape == (2,)
    assert env.action_space == Discrete(3)
    assert env.task_parameters == tuple(f"reward_{s}_{a}" for s in range(2) for a in range(3))
    assert TabularMDP(2, 1, vary="transitions").task_parameters == (
        "logit_0_0_0",
        "logit_0_0_1",
        "logit_1_0_0",
        "logit_1_0_1",
    )
    assert env.task_row({}) == [0] * 6  # the base MDP


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rewards_are_those_of_the_state_and_the_action(dtype: torch.dtype) -> None:
    env = TabularMDP(4, 3, horizon=6)
    tasks = tasks_of(env, 3).to(dtype)
    actions = random_actions(3, 5, 6, num_actions=3)
    observations, rewards, terminated = play(env, tasks, actions, TaskStreams(0))
    assert observations.dtype == rewards.dtype == dtype
    assert set(observations.unique().tolist()) == {0, 1}
    assert (observations.sum(-1) == 1).all()
    states, tables = observations.argmax(-1), env.mdp(tasks)
    for n, k, t in torch.cartesian_prod(*map(torch.arange, rewards.shape)).tolist():
        assert rewards[n, k, t] == tables.rewards[n, states[n, k, t], actions[n, k, t]]
    assert terminated.dtype == torch.bool
    assert not terminated.any()


def test_states_follow_the_probabilities() -> None:
    """Frequencies of first states and of moves, each within 4 standard errors of its probability."""
    env = TabularMDP(3, 2, horizon=4, spread=2.0, vary="transitions")
    tasks, actions = tasks_of(env, 2), random_actions(2, 4000, 4, num_actions=2)
    observations, _, _ = play(env, tasks, actions, TaskStreams(0))
    states, tables = observations.argmax(-1), env.mdp(tasks)
    for n in range(2):
        cases = [(tables.initial[n], states[n, :, 0])]
        for s, a in torch.cartesian_prod(torch.arange(3), torch.arange(2)):
            chosen = (states[n, :, :-1] == s) & (actions[n] == a)
            cases.append((tables.transitions[n, s, a], states[n, :, 1:][chosen]))
        for probabilities, following in cases:
            frequencies = torch.bincount(following, minlength=3) / len(following)
            errors = (probabilities * (1 - probabilities) / len(following)).sqrt()
            assert len(following) > 500
            assert ((frequencies - probabilities).abs() < 4 * errors).all()


def test_episodes_are_independent() -> None:
    """Neighbouring episodes start independently, and the steps of an episode are those of a Markov chain."""
    env = TabularMDP(2, 1, horizon=2, spread=0.0)
    tasks = torch.zeros(1, 2, dtype=torch.float64)
    observations, _, _ = play(env, tasks, torch.zeros(1, 20000, 2, dtype=torch.int64), TaskStreams(0))
    first = observations[0, :, 0, 0]
    assert torch.corrcoef(torch.stack([first[:-1], first[1:]]))[0, 1].abs() < 4 / 20000**0.5
    states = observations[0].argmax(-1)
    moves = env.mdp(tasks).transitions[0, :, 0]
    expected = env.mdp(tasks).initial[0, 0] * moves[0, 1] * moves[1, 1]
    share = ((states[:, 0] == 0) & (states[:, 1] == 1) & (states[:, 2] == 1)).double().mean()
    assert (share - expected).abs() < 4 * (expected * (1 - expected) / 20000).sqrt()


def test_a_tasks_episodes_do_not_depend_on_the_others() -> None:
    env = TabularMDP(horizon=5)
    tasks, actions = tasks_of(env, 3), random_actions(3, 4, 5, num_actions=3)
    together = play(env, tasks, actions, TaskStreams(7))
    alone = play(env, tasks[1:2], actions[1:2], TaskStreams(7, first=1))
    for x, y in zip(together, alone, strict=True):
        assert torch.equal(x[1:2], y)
    again = play(env, tasks, actions, TaskStreams(8))
    assert not torch.equal(together[0], again[0])


def test_a_clone_has_a_state_of_its_own() -> None:
    env = TabularMDP(horizon=5)
    tasks, actions = tasks_of(env, 2), random_actions(2, 4, 5, num_actions=3)
    expected = play(env, tasks, actions, TaskStreams(0))[1]
    env.reset(tasks, 4, TaskStreams(0))
    rewards = []
    for action in actions.unbind(-1):
        rewards.append(env.step(action[..., None])[1])
        twin = env.clone()
        play(twin, tasks[:1], actions[:1], TaskStreams(1))
    assert torch.equal(torch.stack(rewards, -1), expected)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("num_states", 0),
        ("num_actions", 0),
        ("horizon", 0),
        ("spread", -0.1),
        ("spread", math.inf),
        ("spread", math.nan),
        ("vary", "both"),
        ("mdp_seed", -1),
    ],
)
def test_impossible_values(key: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"^{key} must"):
        TabularMDP(**{key: value})
