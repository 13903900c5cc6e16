"""The linear feature baseline (Duan et al. 2016, appendix A.3), one least-squares fit per task."""

import torch
from torch import Tensor

RIDGE = 1e-5
MAX_RAISES = 10  # tenfold each, until the normal equations can be factorised


def features(observations: Tensor, first_step: int = 0) -> Tensor:
    """[..., T, O] -> [..., T, 2 O + 4]: clipped observation, its square, t/100 with powers, and 1."""
    clipped = observations.clamp(-10, 10).double()
    steps = observations.shape[-2]
    time = torch.arange(first_step, first_step + steps, device=observations.device, dtype=torch.float64) / 100
    time = torch.stack([time, time**2, time**3, torch.ones_like(time)], -1)
    return torch.cat([clipped, clipped.square(), time.expand(*observations.shape[:-1], 4)], -1)


def fit_linear_baseline(observations: Tensor, returns: Tensor, mask: Tensor) -> Tensor:
    """Fit every task's baseline on its own valid steps.

    Args:
        observations: [N, K, T, O].
        returns: [N, K, T] discounted returns.
        mask: [N, K, T].

    Returns:
        The coefficients [N, 2 O + 4] in float64. Where a task's normal equations are singular the ridge is
        raised tenfold until they are not.
    """
    x = features(observations).flatten(1, 2)  # [N, B, F]
    weighted = (x * mask.flatten(1).double()[..., None]).transpose(1, 2)
    gram = weighted @ x
    moment = weighted @ returns.flatten(1).double()[..., None]
    eye = torch.eye(gram.shape[-1], dtype=torch.float64, device=gram.device)
    ridge = torch.full((len(gram), 1, 1), RIDGE, dtype=torch.float64, device=gram.device)
    factor, failed = torch.linalg.cholesky_ex(gram + ridge * eye)
    for _ in range(MAX_RAISES):
        if not failed.any():
            break
        ridge = torch.where(failed.bool()[:, None, None], ridge * 10, ridge)
        factor, failed = torch.linalg.cholesky_ex(gram + ridge * eye)
    return torch.cholesky_solve(moment, factor).squeeze(-1)


def predict(coefficients: Tensor, observations: Tensor, first_step: int = 0) -> Tensor:
    """Values [N, K, T] of observations [N, K, T, O] that begin at `first_step`, in their own precision."""
    values = torch.einsum("nktf,nf->nkt", features(observations, first_step), coefficients)
    return values.to(observations.dtype)
