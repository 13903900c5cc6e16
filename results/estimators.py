"""What is each estimate of the meta-gradient worth? Bias, variance and error against the exact one.

    python results/estimators.py [--quick] [--output results/estimators] [--jobs 2]

Small random MDPs with 5 states and 3 actions; the policy is an MLP that sees the state, one-hot. The truth is
the gradient by theta of the expected return after one inner step on K sampled episodes, E[J(theta')]. It
includes the credit of sampling, and comes from many supports, with J exact. Every estimate sees K support
and K query episodes.

exact.csv       the conditions of the proofs: sums over steps, returns to go minus the exact value of a state
                at theta, which is held fixed
as_trained.csv  training's own pipeline: a baseline fitted to the same episodes, advantages normalised over
                them, means over steps. Estimates are multiplied by T times the mean scale of the advantages
hessians.csv    under the exact conditions, the relative error of the mean estimate of the Hessian of J for
                growing numbers of episodes

Everything is relative to the truth's length. `rmse` is the root of the mean squared error; its square is that
of the bias plus that of the deviation. `rmse_best_scale` is the least for a common factor of the estimates.
Intervals are 95 % of the bootstrap over draws. 25 minutes on two cores, with --quick two.
"""

import argparse
import csv
import math
import multiprocessing
import os
from collections.abc import Callable
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")
import torch
from torch import Tensor
from torch.func import functional_call, grad, grad_and_value, hessian, jvp, vjp, vmap
from torch.nn.functional import one_hot

from meta_rl.advantages import AdvantageEstimator, discounted_sum
from meta_rl.distributions import Categorical
from meta_rl.envs import TabularMDP
from meta_rl.exact.returns import ExpectedReturn, state_values
from meta_rl.exact.supports import Support, log_likelihood, sample_supports, visits
from meta_rl.fisher import unflatten
from meta_rl.losses import dice_loss, loaded_dice_loss, ratio_loss, reinforce_loss, tmaml_loss
from meta_rl.policy import CategoricalMLP, PolicyConfig
from meta_rl.types import Samples, Trajectories

S, A, HIDDEN = 5, 3, 8
EPISODES, HORIZONS = (5, 20, 80, 320), (5, 20, 100)
RATES = (0.25, 1.0)  # of losses that are means over steps, as `inner_lr`
LOSSES: dict[str, Callable[..., Tensor]] = {
    "reinforce": reinforce_loss,
    "ratio": ratio_loss,
    "loaded_dice 0.9": partial(loaded_dice_loss, dice_lambda=0.9),
    "tmaml": tmaml_loss,
    "dice": dice_loss,
}
CREDITED = ("FOMAML", "reinforce")
METHODS = ("FOMAML", *LOSSES, *(f"{name} + credit" for name in CREDITED))
INTERVALS = ("rmse", "rmse_best_scale", "cosine")
TICKS = (0.2, 0.5, 1, 2, 5, 10)
BOOTSTRAPS = 200
CHUNK = 100_000  # states of the draws that are computed at once


class Cell(NamedTuple):
    """One combination, on one MDP."""

    conditions: str  # exact, or as_trained
    episodes: int
    horizon: int
    rate: float
    problem: int


class Problem:
    """One task of a random MDP, and the parameters theta [S * A] to learn from."""

    def __init__(self, cell: Cell) -> None:
        env = TabularMDP(S, A, cell.horizon, mdp_seed=cell.problem)
        stream = torch.Generator().manual_seed(cell.problem)
        self.tables = env.mdp(env.sample_tasks(1, stream).double()).task(0)
        module = CategoricalMLP(S, A, PolicyConfig([HIDDEN], "tanh"), stream).double()
        self.like = {name: p.detach() for name, p in module.named_parameters()}
        self.theta = torch.cat([p.flatten() for p in self.like.values()])
        self.theta = self.theta + 0.3 * torch.randn(len(self.theta), generator=stream, dtype=torch.float64)
        self.module, self.states = module, torch.eye(S, dtype=torch.float64)
        self.objective = ExpectedReturn(self.tables, self.policy, cell.horizon)
        self.cell = cell
        # The inner step goes uphill by the mean over steps of the loss.
        self.rate = cell.rate / cell.horizon if cell.conditions == "exact" else cell.rate
        self.level = self.objective(self.theta)  # E[J(theta')], once `truth` knows it

    def policy(self, theta: Tensor) -> Tensor:
        """log pi(a | s) [S, A] of flat parameters."""
        parameters = dict(zip(self.like, unflatten(theta, list(self.like.values())), strict=True))
        return functional_call(self.module, parameters, (self.states,)).logits.log_softmax(-1)

    def weigh(self, sampled: Support, theta: Tensor) -> tuple[Samples, Tensor]:
        """Samples [M, K * T] of supports whose policies are theta [M, D] or [D], and their scale [M]."""
        m = len(sampled.states)
        theta = theta.expand(m, -1)
        log_policy = vmap(self.policy)(theta)
        rows = torch.arange(m)[:, None, None]
        log_probs = log_policy[rows, sampled.states, sampled.actions]
        if self.cell.conditions == "as_trained":
            return self._pipeline(sampled, log_probs)
        values = vmap(lambda x: state_values(x, self.tables, self.cell.horizon))(log_policy)  # [M, T + 1, S]
        values = values[rows, torch.arange(self.cell.horizon), sampled.states].flatten(1)
        to_go = discounted_sum(sampled.rewards, 1.0).flatten(1)
        mask, episodes = torch.ones_like(to_go), torch.arange(self.cell.episodes)
        samples = Samples(
            sampled.states.flatten(1)[..., None],
            sampled.actions.flatten(1)[..., None],
            to_go - values,
            mask,
            log_probs.flatten(1),
            values,
            episodes.repeat_interleave(self.cell.horizon).expand(m, -1),
        )
        return samples, torch.ones(m, dtype=torch.float64)

    def _pipeline(self, sampled: Support, log_probs: Tensor) -> tuple[Samples, Tensor]:
        ones = torch.ones_like(sampled.rewards)
        observations = one_hot(sampled.states, S).double()
        ended, last = torch.zeros(ones.shape[:2], dtype=torch.bool), observations[:, :, -1]
        actions = sampled.actions[..., None]
        episodes = Trajectories(observations, actions, sampled.rewards, ones, ended, last, log_probs, ones)
        samples, scale, _ = AdvantageEstimator(gamma=1.0, gae_lambda=1.0)(episodes)
        return samples._replace(observations=sampled.states.flatten(1)[..., None]), scale

    def surrogate(self, theta: Tensor, samples: Samples, loss: Callable[..., Tensor]) -> Tensor:
        """Minus the loss of one task: its sum over the steps of an episode, or, as trained, its mean."""
        logits = self.policy(theta)[samples.observations[:, 0]]
        steps = self.cell.horizon if self.cell.conditions == "exact" else 1
        return -loss(Categorical(logits), samples) * steps

    def truth(self, supports: int, stream: torch.Generator) -> tuple[Tensor, float]:
        """The meta-gradient [D] by Monte Carlo over supports, and its standard error relative to its length.

        Under the exact conditions the terms that are linear in the inner step are control variates: together,
        the derivative of the inner gradient and its part of the credit have the mean alpha * Hessian * grad J
        (the product rule for E[inner gradient] = grad J). As trained there are none.
        """
        theta, rate, exact = self.theta, self.rate, self.cell.conditions == "exact"
        slope = self.objective.gradient(theta) if exact else torch.zeros_like(theta)
        size = max(2, min(supports, 20 * CHUNK // (self.cell.episodes * self.cell.horizon)))

        def terms(support: Support, weights: Tensor) -> tuple[Tensor, ...]:
            table = visits(support, weights, self.tables.rewards) / weights.numel()
            table = table * (self.cell.horizon if exact else 1)

            def inner(x: Tensor) -> Tensor:
                return grad(lambda y: (self.policy(y) * table).sum())(x)

            step, pull_back, *_ = vjp(inner, theta)
            first, value = grad_and_value(self.objective)(theta + rate * step)
            score = grad(lambda x: log_likelihood(self.policy(x), support))(theta)
            pathwise = first + rate * pull_back(first)[0]
            return value, rate * step @ slope, pathwise, rate * pull_back(slope)[0], score

        parts = []
        for _ in range(math.ceil(supports / size)):
            sampled = sample_supports(
                self.policy(theta), self.tables, self.cell.horizon, self.cell.episodes, size, stream
            )
            weights = self.weigh(sampled, theta)[0].advantages.view_as(sampled.rewards)
            parts.append(vmap(terms)(sampled, weights))
        value, linear, pathwise, bend, score = map(torch.cat, zip(*parts, strict=True))
        self.level = value.mean()
        share = torch.cov(torch.stack([value, linear]))[0, 1] / linear.var().clamp(min=1e-30)
        value = value - share * linear
        credit = (value - (value.sum() - value) / (len(value) - 1))[:, None] * score
        each = pathwise - share * bend + credit
        total = each.mean(0) + share * rate * self.objective.hessian(theta) @ slope
        return total, float((each.var(0).sum() / len(each)).sqrt() / total.norm())

    def draw(self, number: int, stream: torch.Generator) -> dict[str, Tensor]:
        """Estimates [M, D] of every method, from the same support and query episodes."""
        cell, theta = self.cell, self.theta
        of_start = sample_supports(
            self.policy(theta), self.tables, cell.horizon, cell.episodes, number, stream
        )
        support, _ = self.weigh(of_start, theta)

        def inner(x: Tensor, samples: Samples, loss: Callable[..., Tensor]) -> Tensor:
            return grad(self.surrogate)(x, samples, loss)

        step = vmap(lambda s: inner(theta, s, reinforce_loss))(support)
        adapted = theta + self.rate * step
        policies = vmap(self.policy)(adapted)
        after = sample_supports(policies, self.tables, cell.horizon, cell.episodes, number, stream)
        query, scale = self.weigh(after, adapted)
        outer = vmap(lambda x, s: inner(x, s, reinforce_loss))(adapted, query)
        estimates = {"FOMAML": outer}
        for name, loss in LOSSES.items():

            def pathwise(samples: Samples, u: Tensor, loss: Callable[..., Tensor] = loss) -> Tensor:
                return u + self.rate * jvp(lambda x: inner(x, samples, loss), (theta,), (u,))[1]

            estimates[name] = vmap(pathwise)(support, outer)
        unit = cell.horizon * scale.mean() if cell.conditions == "as_trained" else torch.ones(())
        # The baseline is what very many other tasks would give.
        earned = (after.rewards.sum(-1).mean(-1) - self.level) / unit
        score = vmap(lambda s: grad(lambda x: log_likelihood(self.policy(x), s))(theta))(of_start)
        for name in CREDITED:
            estimates[f"{name} + credit"] = estimates[name] + earned[:, None] * score
        return {name: unit * estimate for name, estimate in estimates.items()}


def measure(cell: Cell, quick: bool) -> tuple[Cell, float, dict[str, Tensor], Tensor]:
    """The draws of one cell: the truth's relative error, estimates by method [M, D], and the truth [D]."""
    torch.set_num_threads(1)
    states = cell.episodes * cell.horizon
    problem = Problem(cell)
    stream = torch.Generator().manual_seed(1 + cell.problem)
    effort = 0.25 if quick else 1.0
    most = 4000 if cell.conditions == "exact" else 8000
    supports = int(max(400, most // 8, min(most, 2000 * most / states)) * effort)
    draws = int(min(400, max(40, 5e5 / states)) * effort)
    truth, error = problem.truth(supports, stream)
    size = max(2, min(draws, CHUNK // states))
    parts = [problem.draw(size, stream) for _ in range(math.ceil(draws / size))]
    return cell, error, {name: torch.cat([part[name] for part in parts]) for name in METHODS}, truth


def numbers(estimates: Tensor, truth: Tensor) -> dict[str, float]:
    """Errors of estimates [M, D], relative to the length of the truth [D].

    The bias is corrected for the noise of the mean; it is 0 where that noise hides it.
    """
    length, mean = truth.norm(), estimates.mean(0)
    variance = estimates.var(0).sum()
    best = ((mean @ truth) / estimates.square().sum(1).mean()).clamp(min=0)
    bias = ((mean - truth).square().sum() - variance / len(estimates)).clamp(min=0).sqrt()
    return {
        "rmse": float((estimates - truth).square().sum(1).mean().sqrt() / length),
        "bias": float(bias / length),
        "bias_noise": float((variance / len(estimates)).sqrt() / length),
        "deviation": float(variance.sqrt() / length),
        "rmse_best_scale": float((best * estimates - truth).square().sum(1).mean().sqrt() / length),
        "cosine": float(torch.cosine_similarity(estimates, truth[None], dim=1).mean()),
    }


def summarise(cells: list[tuple[Cell, float, dict[str, Tensor], Tensor]], method: str) -> dict[str, float]:
    """Means over the MDPs of a combination, and the bootstrap's intervals of INTERVALS."""
    of = [numbers(estimates[method], truth) for _, _, estimates, truth in cells]
    row: dict[str, float] = {key: sum(x[key] for x in of) / len(of) for key in of[0]}
    stream = torch.Generator().manual_seed(0)
    resampled = []
    for _ in range(BOOTSTRAPS):
        again = []
        for _, _, estimates, truth in cells:
            drawn = estimates[method]
            again.append(numbers(drawn[torch.randint(len(drawn), (len(drawn),), generator=stream)], truth))
        resampled.append([sum(x[key] for x in again) / len(again) for key in INTERVALS])
    low, high = torch.tensor(resampled).quantile(torch.tensor([0.025, 0.975]), dim=0).tolist()
    for key, lowest, highest in zip(INTERVALS, low, high, strict=True):
        row |= {f"{key}_low": lowest, f"{key}_high": highest}
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "--quick", action="store_true", help="one MDP, fewer draws, K up to 80 and T up to 20"
    )
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "estimators")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    args = parser.parse_args()
    problems = range(1 if args.quick else 2)
    grid = product(
        ("exact", "as_trained"),
        EPISODES[:3] if args.quick else EPISODES,
        HORIZONS[:2] if args.quick else HORIZONS,
        RATES,
        problems,
    )
    cells = sorted((Cell(*point) for point in grid), key=lambda c: -c.episodes * c.horizon)
    args.output.mkdir(parents=True, exist_ok=True)
    done: list[Any] = []
    with multiprocessing.get_context("spawn").Pool(args.jobs) as pool:
        for result in pool.imap_unordered(partial(measure, quick=args.quick), cells):
            done.append(result)
            print(f"\r{len(done)}/{len(cells)} cells", end="", flush=True)
    print()
    rows = tabulate(done)
    for conditions in ("exact", "as_trained"):
        write(args.output / f"{conditions}.csv", [r for r in rows if r["conditions"] == conditions])
    write(args.output / "hessians.csv", hessians(args.quick))
    draw(rows, args.output / "estimators.png")


def hessians(quick: bool) -> list[dict[str, Any]]:
    """How far mean estimates of the Hessian of J are from it, for growing numbers of episodes."""
    rows = []
    for episodes in (100, 1000) if quick else (100, 1000, 10_000):
        problem = Problem(Cell("exact", min(episodes, 1000), 5, 1.0, 0))
        theta, stream = problem.theta, torch.Generator().manual_seed(2)
        exact = problem.objective.hessian(theta)
        errors: dict[str, list[float]] = {name: [] for name in LOSSES}
        for _ in range(4):
            means = dict.fromkeys(LOSSES, torch.zeros_like(exact))
            for _ in range(max(1, episodes // 1000)):  # batches that stay in the cache
                support = sample_supports(
                    problem.policy(theta), problem.tables, 5, min(episodes, 1000), 1, stream
                )
                samples = Samples(*(x[0] for x in problem.weigh(support, theta)[0]))
                for name, loss in LOSSES.items():
                    means[name] = means[name] + hessian(problem.surrogate)(theta, samples, loss)
            for name, total in means.items():
                mean = total / max(1, episodes // 1000)
                errors[name].append(float((mean - exact).norm() / exact.norm()))
        rows += [
            {"episodes": episodes, "method": name, "error": sum(x) / len(x)} for name, x in errors.items()
        ]
    return rows


def tabulate(done: list[Any]) -> list[dict[str, Any]]:
    """A row for every combination and method."""
    combinations = sorted({cell[:4] for cell, *_ in done})
    rows = []
    for combination in combinations:
        cells = sorted((x for x in done if x[0][:4] == combination), key=lambda x: x[0].problem)
        fixed = dict(zip(Cell._fields, combination, strict=False))
        fixed |= {"draws": len(cells[0][2]["FOMAML"]), "problems": len(cells)}
        fixed["truth_error"] = sum(error for _, error, *_ in cells) / len(cells)
        rows += [fixed | {"method": method} | summarise(cells, method) for method in METHODS]
    return rows


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    with path.open("w", newline="") as file:
        table = csv.DictWriter(file, rows[0])
        table.writeheader()
        for row in rows:
            table.writerow({k: f"{v:.4g}" if isinstance(v, float) else v for k, v in row.items()})
    print(path)


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Errors against K: a panel for every horizon and condition, at the larger rate."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    horizons = sorted({row["horizon"] for row in rows})
    figure, axes = plt.subplots(2, len(horizons), figsize=(3.6 * len(horizons), 6.4), sharey="row")
    colours = dict(zip(METHODS, plt.get_cmap("tab10").colors, strict=False))  # pyright: ignore
    for (i, conditions), (j, horizon) in product(enumerate(("exact", "as_trained")), enumerate(horizons)):
        axis = axes[i, j]
        for method in METHODS:
            chosen = [
                row
                for row in rows
                if (row["conditions"], row["horizon"], row["method"], row["rate"])
                == (conditions, horizon, method, RATES[-1])
            ]
            k, error = ([row[key] for row in chosen] for key in ("episodes", "rmse"))
            dashed = "--" if "credit" in method else "-"
            axis.plot(k, error, dashed, color=colours[method], label=method)
            low, high = ([row[key] for row in chosen] for key in ("rmse_low", "rmse_high"))
            axis.fill_between(k, low, high, color=colours[method], alpha=0.15, linewidth=0)
        axis.set(
            xscale="log",
            yscale="log",
            xticks=k,
            xticklabels=k,
            title=f"{conditions.replace('_', ' ')}, T = {horizon}",
        )
        axis.set_yticks(TICKS, [f"{tick:g}" for tick in TICKS])
        axis.minorticks_off()
        axis.grid(alpha=0.3)
        if i == 1:
            axis.set_xlabel("episodes K")
        if j == 0:
            axis.set_ylabel("root mean squared error / truth")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="lower center", ncols=4, frameon=False)
    figure.tight_layout(rect=(0, 0.08, 1, 1))
    figure.savefig(path, dpi=130)
    print(path)


if __name__ == "__main__":
    main()
