"""The linear feature baseline (Duan et al. 2016, appendix A.3), one least-squares fit per task."""

import torch
from torch import Tensor

from meta_rl.returns import Total, own

RIDGE = 1e-5
MAX_RAISES = 10  # tenfold each, until the normal equations can be factorised


def features(observations: Tensor, time: bool = True) -> Tensor:
    """[..., T, O] -> [..., T, F] in float64: clipped observation, its square, 1, and t/100 with powers.

    Without `time`, for values that do not depend on how many steps are left, its three columns are missing.
    """
    clipped = observations.clamp(-10, 10).double()
    t = torch.arange(observations.shape[-2], device=observations.device, dtype=torch.float64) / 100
    by_step = torch.stack([t**0, t, t**2, t**3] if time else [t**0], -1)
    return torch.cat([clipped, clipped.square(), by_step.expand(*observations.shape[:-1], -1)], -1)


def fit_linear_baseline(x: Tensor, targets: Tensor, mask: Tensor, total: Total = own) -> Tensor:
    """Fit every task's baseline on its own valid steps.

    Args:
        x: [N, K, T, F] features in float64.
        targets: [N, K, T], such as discounted returns.
        mask: [N, K, T].
        total: Sums over ranks, where the steps of all of them make one fit.

    Returns:
        The coefficients [N, F] in float64. Where a task's normal equations are singular the ridge is raised
        tenfold until they are not.
    """
    x = x.flatten(1, 2)  # [N, B, F]
    weighted = (x * mask.flatten(1).double()[..., None]).transpose(1, 2)
    y = targets.flatten(1).double()[..., None]
    gram, moment = total(weighted @ torch.cat([x, y], -1)).tensor_split([x.shape[-1]], -1)
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
