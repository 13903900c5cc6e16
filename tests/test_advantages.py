"""From raw episodes to samples, against a loop over tasks."""

import numpy as np
import pytest
import torch

from meta_rl.advantages import AdvantageEstimator, discounted_sum
from meta_rl.baseline import features, fit_linear_baseline, predict
from meta_rl.types import Trajectories

N, K, T = 2, 3, 5
LENGTHS = torch.tensor([[5, 5, 2], [1, 5, 4]])


def trajectories() -> Trajectories:
    mask = (torch.arange(T) < LENGTHS[..., None]).double()
    return Trajectories(
        observations=torch.randn(N, K, T, 2).double(),
        actions=torch.randn(N, K, T, 1).double(),
        log_probs=torch.randn(N, K, T).double(),
        entropy=torch.randn(N, K, T).double(),
        rewards=torch.randn(N, K, T).double() * mask,
        mask=mask,
        truncated=LENGTHS == T,
        last_observations=torch.randn(N, K, 2).double(),
    )


def by_hand(e: Trajectories, i: int, gamma: float, gae_lambda: float, bootstrap: bool) -> np.ndarray:
    """Normalised advantages of task i, one episode after the other, without padding."""
    returns = torch.zeros(N, K, T).double()
    for k in range(K):
        for t in range(int(LENGTHS[i, k])):
            rest = e.rewards[i, k, t : int(LENGTHS[i, k])]
            returns[i, k, t] = sum(gamma**j * r for j, r in enumerate(rest.tolist()))
    x = features(e.observations[i : i + 1], time=not bootstrap)
    last = features(e.last_observations[i : i + 1, :, None], time=False)
    design = x.clone()
    for k in range(K):
        for t in range(T):
            if bootstrap and LENGTHS[i, k] == T:
                design[0, k, t] -= gamma ** (T - t) * last[0, k, 0]
    coefficients = fit_linear_baseline(design, returns[i : i + 1], e.mask[i : i + 1])
    values = predict(coefficients, x)[0]
    ends = predict(coefficients, last)[0, :, 0] if bootstrap else torch.zeros(K)
    out = []
    for k in range(K):
        length = int(LENGTHS[i, k])
        end = float(ends[k]) if bootstrap and length == T else 0.0
        v = [*values[k, :length].tolist(), end]
        delta = [float(e.rewards[i, k, t]) + gamma * v[t + 1] - v[t] for t in range(length)]
        out += [
            sum((gamma * gae_lambda) ** (s - t) * delta[s] for s in range(t, length)) for t in range(length)
        ]
    return (np.array(out) - np.mean(out)) / np.std(out)


@pytest.mark.parametrize("bootstrap", [False, True])
@pytest.mark.parametrize(("gamma", "gae_lambda"), [(0.99, 1.0), (0.9, 0.7), (0.9, 0.0)])
def test_end_to_end(gamma: float, gae_lambda: float, bootstrap: bool) -> None:
    episodes = trajectories()
    samples, *_ = AdvantageEstimator(gamma, gae_lambda, bootstrap)(episodes)
    for i in range(N):
        actual = samples.advantages[i][samples.mask[i] > 0].numpy()
        expected = by_hand(episodes, i, gamma, gae_lambda, bootstrap)
        np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-7)


def test_states_are_episodes_after_each_other() -> None:
    episodes = trajectories()
    samples, *_ = AdvantageEstimator()(episodes)
    assert samples.observations.shape == (N, K * T, 2)
    assert torch.equal(samples.observations[1, 2 * T + 3], episodes.observations[1, 2, 3])
    assert torch.equal(samples.actions[1, 2 * T + 3], episodes.actions[1, 2, 3])
    assert torch.equal(samples.mask, episodes.mask.flatten(1))


def test_values_have_the_units_of_advantages() -> None:
    """Their sum is the return to go over the scale, if nothing discounts the advantages."""
    episodes = trajectories()
    samples, scale, _ = AdvantageEstimator(0.9, 1.0)(episodes)
    returns = discounted_sum(episodes.rewards, 0.9).flatten(1) * samples.mask
    total = (samples.advantages + samples.values) * scale[:, None]
    torch.testing.assert_close(total, returns.to(total))
    assert torch.equal(samples.episodes[1], torch.arange(K).repeat_interleave(T))


def test_advantages_are_normalised_per_task_and_0_on_padding() -> None:
    samples, _, explained = AdvantageEstimator()(trajectories())
    for advantages, mask in zip(samples.advantages, samples.mask, strict=True):
        kept = advantages[mask > 0]
        assert float(kept.mean()) == pytest.approx(0, abs=1e-7)
        assert float(kept.std(correction=0)) == pytest.approx(1, abs=1e-6)
        assert not advantages[mask == 0].any()
    assert explained.shape == (N,)
    assert (explained <= 1).all()


@pytest.mark.parametrize("bootstrap", [False, True])
def test_pooled_is_one_task_with_all_episodes(bootstrap: bool) -> None:
    episodes = trajectories()
    samples, _, explained = AdvantageEstimator(0.9, 0.7, bootstrap, pooled=True)(episodes)
    merged = Trajectories(*(torch.cat([x[0], x[1]])[None] for x in episodes))
    expected, _, of_all = AdvantageEstimator(0.9, 0.7, bootstrap)(merged)
    for actual, one in zip(samples[:-1], expected[:-1], strict=True):  # all but the episodes' indices
        assert actual.shape[:2] == (N, K * T)
        torch.testing.assert_close(torch.cat([actual[0], actual[1]]), one[0])
    torch.testing.assert_close(explained, of_all.expand(N))
    kept = samples.advantages[samples.mask > 0]
    assert float(kept.mean()) == pytest.approx(0, abs=1e-7)
    assert float(kept.std(correction=0)) == pytest.approx(1, abs=1e-6)
    by_task, *_ = AdvantageEstimator(0.9, 0.7, bootstrap)(episodes)
    assert not torch.allclose(by_task.advantages, samples.advantages, atol=0.01)
    assert torch.equal(by_task.observations, samples.observations)


def test_one_baseline_cannot_tell_tasks_that_turn_the_value_of_a_state() -> None:
    x = torch.randn(2, 50, 1, 1).double()
    task = torch.tensor([1.0, -1]).view(2, 1, 1).double()
    sees = torch.cat([x, task[..., None].expand_as(x)], -1)
    ones, nothing = torch.ones(2, 50, 1).double(), torch.zeros(2, 50, 2).double()
    episodes = Trajectories(sees, x, task * x[..., 0], ones, ones[..., 0] > 0, nothing, ones, ones)
    explained = {p: AdvantageEstimator(pooled=p)(episodes)[2] for p in (True, False)}
    assert (explained[False] > 0.99).all()
    assert (explained[True] < 0.2).all()


def test_bootstrapping_finds_the_value_of_a_task_that_goes_on() -> None:
    """A reward of 1 for ever is worth 1 / (1 - gamma) in every state, so no action has an advantage."""
    mask = torch.ones(N, K, T).double()
    episodes = trajectories()._replace(rewards=mask, mask=mask, truncated=mask[..., 0].bool())
    estimator = AdvantageEstimator(gamma=0.9, bootstrap_horizon=True)
    x = features(episodes.observations, time=False)
    last = features(episodes.last_observations[:, :, None], time=False)
    returns = (1 - 0.9 ** torch.arange(T, 0, -1).double()) / 0.1
    design = x - estimator._discount_to_end(x) * last
    coefficients = fit_linear_baseline(design, returns.expand(N, K, T), mask)
    torch.testing.assert_close(
        predict(coefficients, last), torch.full((N, K, 1), 10.0).double(), atol=1e-3, rtol=0
    )


def test_episodes_that_ended_are_not_bootstrapped() -> None:
    episodes = trajectories()._replace(truncated=torch.zeros(N, K, dtype=torch.bool))
    estimator = AdvantageEstimator(bootstrap_horizon=True)
    expected, *_ = estimator(episodes)
    actual, *_ = estimator(episodes._replace(last_observations=torch.randn(N, K, 2).double()))
    assert torch.equal(actual.advantages, expected.advantages)
    cut_off, *_ = estimator(trajectories())
    assert not torch.allclose(cut_off.advantages, expected.advantages)


@pytest.mark.parametrize("bootstrap", [False, True])
def test_the_size_of_chunks_changes_nothing(bootstrap: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    estimator, episodes = AdvantageEstimator(bootstrap_horizon=bootstrap), trajectories()
    samples, _, explained = estimator(episodes)
    monkeypatch.setattr("meta_rl.advantages.STATES_PER_CHUNK", 1)
    again, _, explained_again = estimator(episodes)
    torch.testing.assert_close(again.advantages, samples.advantages)
    torch.testing.assert_close(explained_again, explained)
