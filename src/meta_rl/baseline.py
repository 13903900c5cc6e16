"""The linear feature baseline (Duan et al. 2016, appendix A.3): a ridge regression of returns."""

from functools import cache

import torch
from torch import Tensor

MOST_OBSERVED = 500  # numbers that have features of their own: the normal equations hold the square of them
PROJECTED = 250
RIDGE = 1e-5
MAX_RAISES = 10  # tenfold each, until the normal equations can be factorised


@cache
def projections(size: int) -> Tensor:
    """The random directions [size, PROJECTED] of long observations: always the same, drawn once."""
    stream = torch.Generator().manual_seed(0)
    return torch.randn(size, PROJECTED, generator=stream, dtype=torch.float64)


def features(observations: Tensor, time: bool = True) -> Tensor:
    """[..., T, O] -> [..., T, F] in float64: clipped observation, its square, 1, and t/100 with powers.

    Without `time`, for values that do not depend on how many steps are left, its three columns are missing.
    Of long observations, such as images, random projections take the place of the clipped numbers: always the
    same ones (Johnson and Lindenstrauss 1984).
    """
    size = observations.shape[-1]
    if size > MOST_OBSERVED:
        clipped = observations.double() @ projections(size).to(observations.device) / size**0.5
    else:
        clipped = observations.clamp(-10, 10).double()
    t = torch.arange(observations.shape[-2], device=observations.device, dtype=torch.float64) / 100
    by_step = torch.stack([t**0, t, t**2, t**3] if time else [t**0], -1)
    return torch.cat([clipped, clipped.square(), by_step.expand(*observations.shape[:-1], -1)], -1)


def fit_linear_baseline(x: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
    """Fit every task's baseline on its own valid steps.

    Args:
        x: [N, K, T, F] features in float64.
        targets: [N, K, T], such as discounted returns.
        mask: [N, K, T].

    Returns:
        The coefficients [N, F] in float64.
    """
    return solve(moments(x, targets, mask))


def moments(x: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
    """[N, F, F + 1]: sums over the valid steps of x x^T, and beside it of x times the target."""
    x = x.flatten(1, 2)  # [N, B, F]
    weighted = (x * mask.flatten(1).double()[..., None]).transpose(1, 2)
    return weighted @ torch.cat([x, targets.flatten(1).double()[..., None]], -1)


def solve(sums: Tensor) -> Tensor:
    """Coefficients [N, F] of ridge regressions from their `moments` [N, F, F + 1].

    Where normal equations are singular the ridge is raised tenfold until they are not.
    """
    gram, moment = sums.tensor_split([sums.shape[-1] - 1], -1)
    eye = torch.eye(gram.shape[-1], dtype=torch.float64, device=gram.device)
    ridge = torch.full((len(gram), 1, 1), RIDGE, dtype=torch.float64, device=gram.device)
    factor, failed = torch.linalg.cholesky_ex(gram + ridge * eye)
    for _ in range(MAX_RAISES):
        if not failed.any():
            break
        ridge = torch.where(failed.bool()[:, None, None], ridge * 10, ridge)
        factor, failed = torch.linalg.cholesky_ex(gram + ridge * eye)
    return torch.cholesky_solve(moment, factor).squeeze(-1)


def predict(coefficients: Tensor, x: Tensor) -> Tensor:
    """Values [N, K, T] in float64 of features [N, K, T, F]."""
    return torch.einsum("nktf,nf->nkt", x, coefficients)
