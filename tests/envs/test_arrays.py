"""What goes from a simulator's arrays to the sampler's tensors."""

import numpy as np
import torch

from meta_rl.envs.arrays import to_tensors


def test_arrays_travel_together_and_keep_their_shapes_and_values() -> None:
    numbers = np.arange(12.0).reshape(2, 3, 2) / 7
    rewards, ended = np.array([[1.5, np.nan, -np.inf]] * 2), np.array([[True, False, True]] * 2)
    for dtype in (torch.float32, torch.float64):
        first, second, third = to_tensors([numbers, rewards, ended], torch.zeros(1, dtype=dtype))
        assert torch.equal(first, torch.from_numpy(numbers).to(dtype))
        assert second.dtype == dtype
        assert torch.equal(second.nan_to_num(9), torch.from_numpy(rewards).to(dtype).nan_to_num(9))
        assert third.dtype == torch.bool
        assert torch.equal(third, torch.from_numpy(ended))
        assert first.untyped_storage().data_ptr() == second.untyped_storage().data_ptr()


def test_what_the_simulator_does_later_changes_no_tensor() -> None:
    state = np.zeros((1, 1, 2))
    (tensor,) = to_tensors([state], torch.zeros(1, dtype=torch.float64))
    state += 1
    assert not tensor.any()
