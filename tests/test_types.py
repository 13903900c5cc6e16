"""Packing and thinning the states of tasks of different length."""

import pytest
import torch

from helpers import make_policy, make_samples, shared, valid
from meta_rl.inner import InnerLoop
from meta_rl.objective import MetaObjective
from meta_rl.types import Samples, pack


def scattered() -> Samples:
    """2 tasks of 6 states whose valid ones, 3 and 4, lie between padding."""
    samples = make_samples(0, (6, 6))
    mask = torch.tensor([[0, 1, 1, 0, 0, 1], [1, 0, 1, 1, 0, 1]]).double()
    return samples._replace(mask=mask, advantages=samples.advantages * mask)


def test_packing_keeps_the_valid_states_in_their_order_and_drops_padding() -> None:
    samples = scattered()
    packed = pack(samples)
    assert packed.mask.tolist() == [[1, 1, 1, 0], [1, 1, 1, 1]]
    for task in range(2):
        for before, after in zip(valid(samples, task), valid(packed, task), strict=True):
            assert torch.equal(before, after)
    assert (packed.advantages[packed.mask == 0] == 0).all()


def test_without_padding_nothing_is_copied() -> None:
    samples = make_samples(0, (6, 6))
    assert pack(samples) is samples


@pytest.mark.parametrize("first_order", [False, True])
def test_packing_changes_no_loss_and_no_gradient(first_order: bool) -> None:
    policy, support, query = make_policy(), scattered(), scattered()

    def gradient(support: Samples, query: Samples) -> tuple[torch.Tensor, torch.Tensor]:
        inner = InnerLoop(policy, 0.1)
        adapted = {k: v.detach() for k, v in inner.replay(shared(policy, 2), [support]).items()}
        objective = MetaObjective(policy, inner, [support], adapted, query, first_order)
        loss, gradient = objective.gradient(dict(policy.named_parameters()))
        product = objective.fisher_product(torch.ones(sum(g.numel() for g in gradient)).double())
        return torch.cat([g.flatten() for g in gradient] + [loss[None]]), product

    for padded, packed in zip(gradient(support, query), gradient(pack(support), pack(query)), strict=True):
        torch.testing.assert_close(padded, packed, rtol=1e-10, atol=1e-12)
