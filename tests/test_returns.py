"""Returns, advantages and normalisation by hand, on episodes of unequal length."""

import pytest
import torch
from torch import Tensor

from meta_rl.advantages import discounted_sum, explained_variance, gae, masked_mean, normalise

# Two episodes of 3 and 2 steps, padded to 3.
REWARDS = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 0.0]])
VALUES = torch.tensor([[0.5, 1.0, 2.0], [3.0, 1.0, 9.0]])  # 9: a value on padding, to be ignored
MASK = torch.tensor([[1.0, 1.0, 1.0], [1.0, 1.0, 0.0]])
ENDED = torch.zeros(2)


def close(actual: Tensor, expected: list) -> None:
    torch.testing.assert_close(actual, torch.tensor(expected, dtype=actual.dtype))


def test_discounted_sum_by_hand() -> None:
    # 3; 2 + 1.5; 1 + 1.75 and 0; 5; 4 + 2.5
    close(discounted_sum(REWARDS, 0.5), [[2.75, 3.5, 3.0], [6.5, 5.0, 0.0]])


def test_discounts_of_0_and_1() -> None:
    close(discounted_sum(REWARDS, 0.0), REWARDS.tolist())
    close(discounted_sum(REWARDS, 1.0), [[6, 5, 3], [9, 5, 0]])


def test_gae_by_hand() -> None:
    # gamma 0.5, lambda 0.8. delta: 1 + 0.5 - 0.5 = 1, 2 + 1 - 1 = 2, 3 - 2 = 1; A: 1, 2.4, 1.96
    #                        delta: 4 + 0.5 - 3 = 1.5, 5 - 1 = 4;                A: 4, 3.1
    close(gae(REWARDS, VALUES, MASK, 0.5, 0.8, ENDED), [[1.96, 2.4, 1.0], [3.1, 4.0, 0.0]])


def test_lambda_1_is_returns_minus_baseline() -> None:
    expected = (discounted_sum(REWARDS, 0.9) - VALUES) * MASK
    torch.testing.assert_close(gae(REWARDS, VALUES, MASK, 0.9, 1.0, ENDED), expected)


def test_lambda_0_is_the_temporal_difference() -> None:
    close(gae(REWARDS, VALUES, MASK, 0.5, 0.0, ENDED), [[1.0, 2.0, 1.0], [1.5, 4.0, 0.0]])


def test_last_value_continues_a_truncated_episode() -> None:
    actual = gae(REWARDS, VALUES, MASK, 0.5, 0.8, torch.tensor([10.0, 0.0]))
    # delta_3 = 3 + 5 - 2 = 6, discounted by 0.4 a step
    close(actual, [[1 + 0.4 * (2 + 0.4 * 6), 2 + 0.4 * 6, 6.0], [3.1, 4.0, 0.0]])


def test_masked_mean_ignores_padding() -> None:
    close(masked_mean(VALUES, MASK), [3.5 / 3, 2.0])


def test_normalise_divides_by_the_standard_deviation() -> None:
    # mean 4, deviations -3, 1, 2: variance 14/3
    x, mask = torch.tensor([1.0, 5.0, 6.0, 99.0]), torch.tensor([1.0, 1.0, 1.0, 0.0])
    std = (14 / 3) ** 0.5
    normalised, mean, scale = normalise(x, mask)
    close(normalised, [-3 / std, 1 / std, 2 / std, 0.0])
    close(torch.stack([mean, scale]), [4.0, std])


def test_normalise_equal_values() -> None:
    assert not normalise(torch.full((4,), 3.0), torch.ones(4))[0].any()


def test_explained_variance_by_hand() -> None:
    mask = torch.tensor([1.0, 1.0, 1.0, 0.0])
    returns = torch.tensor([1.0, 2.0, 3.0, 50.0])
    # residuals 1, 0, 2 have variance 2/3, as the returns do
    assert float(explained_variance(torch.tensor([0.0, 2.0, 1.0, 7.0]), returns, mask)) == pytest.approx(0.0)
    # residuals 0.5, 0, 0.5: variance 1/18; a constant shift would not matter
    values = torch.tensor([10.5, 12.0, 12.5, 7.0])
    assert float(explained_variance(values, returns, mask)) == pytest.approx(1 - 1 / 12)
    assert float(explained_variance(returns, returns, mask)) == 1
    assert float(explained_variance(torch.ones(4), torch.ones(4), mask)) == 1  # nothing to explain
