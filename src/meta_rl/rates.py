"""Learned rates of the inner loop, one for every parameter, which are meta-parameters themselves."""

import torch
from torch import nn

from meta_rl.types import Params

# Beginning of their names among the parameters of a policy.
RATES = "rates."


class LearnedRates(nn.Module):
    """A factor on the inner rate for every parameter of a policy (Meta-SGD; Li et al. 2017, equation 3).

    Args:
        policy: The module that gets this as its child `rates`. All factors are 1 at first.
    """

    def __init__(self, policy: nn.Module) -> None:
        super().__init__()
        for name, parameter in policy.named_parameters():
            factor = nn.Parameter(torch.ones_like(parameter))
            self.register_parameter(rate_name(name).removeprefix(RATES), factor)


def rate_name(name: str) -> str:
    """The name of a parameter's learned rate among the policy's parameters."""
    return RATES + name.replace(".", "_")


def acting(params: Params) -> Params:
    """The parameters that decide on actions: all but the learned rates."""
    return {name: value for name, value in params.items() if not name.startswith(RATES)}
