"""Does a GPU compute what the CPU does, and what does a step of sampling move between the two?

    python benchmarks/gpu_against_cpu.py [--device cuda] [--tasks 8] [--episodes 10]

On the same episodes, made on the CPU: gradient and one Fisher product in float32, to a relative 1e-4, and the
whole outer step in float64, to 1e-8, by first and second order. Then the closed loop of the point mass, which
may not wait for the GPU once, and that of Ant: one download (the actions) and one upload a step. Exits with 1
if something does not agree. `benchmarks/cuda.sh` runs this and trains every algorithm.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from meta_rl.threads import configure

configure()
import torch  # noqa: E402  (after the thread environment)
from torch import Tensor  # noqa: E402
from torch.nn.utils import parameters_to_vector  # noqa: E402
from torch.profiler import ProfilerActivity, profile  # noqa: E402

from meta_rl.advantages import AdvantageEstimator  # noqa: E402
from meta_rl.algorithms.base import as_gradient, box_size  # noqa: E402
from meta_rl.envs import AntDirection, BatchedEnv, PointMass  # noqa: E402
from meta_rl.fisher import unflatten  # noqa: E402
from meta_rl.inner import InnerLoop, adaptation  # noqa: E402
from meta_rl.objective import MetaObjective  # noqa: E402
from meta_rl.policy import GaussianMLP, repeat  # noqa: E402
from meta_rl.randomness import TaskStreams, generator  # noqa: E402
from meta_rl.rollout import Sampler, play_episodes  # noqa: E402
from meta_rl.trust_region import TrustRegion  # noqa: E402
from meta_rl.types import Params, Samples  # noqa: E402

SINGLE, DOUBLE = 1e-4, 1e-8  # relative differences that are allowed


class Problem(NamedTuple):
    """One iteration's data: the policy, and samples before and after adaptation."""

    policy: GaussianMLP
    support: Samples
    adapted: Params
    query: Samples

    def to(self, device: str, dtype: torch.dtype) -> "Problem":
        policy = GaussianMLP(2, 2, generator=generator(1))
        policy.load_state_dict(self.policy.state_dict())
        adapted = {name: value.to(device, dtype) for name, value in self.adapted.items()}
        support, query = (
            Samples(*(x.to(device, dtype if x.is_floating_point() else None) for x in s))
            for s in (self.support, self.query)
        )
        return Problem(policy.to(device, dtype), support, adapted, query)

    def objective(self, first_order: bool) -> tuple[MetaObjective, Params]:
        inner = InnerLoop(self.policy, inner_lr=0.5)
        # The adapted parameters again, with the rounding of this device and data type.
        theta = {name: p.detach() for name, p in self.policy.named_parameters()}
        with torch.no_grad():
            adapted = inner.replay(repeat(theta, len(self.query.mask)), [self.support])
        objective = MetaObjective(self.policy, inner, [self.support], adapted, self.query, first_order)
        return objective, theta


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--tasks", type=int, default=8)
    parser.add_argument("--episodes", type=int, default=10)
    args = parser.parse_args()
    if args.device != "cpu" and not torch.cuda.is_available():
        sys.exit("error: torch finds no GPU; --device cpu tries this program without one")
    name = "the CPU itself" if args.device == "cpu" else torch.cuda.get_device_name()
    print(
        f"{name}, torch {torch.__version__}, against the CPU, {args.tasks} tasks x {args.episodes} episodes"
    )
    problem = episodes_on_the_cpu(args.tasks, args.episodes)
    fine = [compare(problem, args.device, first_order) for first_order in (True, False)]
    fine.append(no_waiting(args.device, args.tasks, args.episodes))
    fine.append(one_transfer_each_way(args.device, args.tasks, args.episodes))
    sys.exit(0 if all(fine) else 1)


def episodes_on_the_cpu(tasks: int, episodes: int) -> Problem:
    """Episodes of the point mass before and after one inner step."""
    env, policy = PointMass(), GaussianMLP(2, 2, generator=generator(1))
    sampler = Sampler(env, episodes, AdvantageEstimator())
    drawn = env.sample_tasks(tasks, generator(2))
    theta = repeat({name: p.detach() for name, p in policy.named_parameters()}, tasks)

    def collect(params: Params, step: int) -> Any:
        return sampler.collect(policy, params, drawn, TaskStreams(3, phase=step))

    (_, support), (adapted, query) = adaptation(InnerLoop(policy, inner_lr=0.5), theta, 1, collect)
    return Problem(policy, support.samples, adapted.params, query.samples)


def compare(problem: Problem, device: str, first_order: bool) -> bool:
    """Whether gradient, Fisher product and outer step agree with the CPU's."""
    order = "first order" if first_order else "second order"
    ours, theirs = (gradient_and_product(problem.to(d, torch.float32), first_order) for d in ("cpu", device))
    fine = agrees(f"{order}: gradient, float32", ours[0], theirs[0], SINGLE)
    fine &= agrees(f"{order}: Fisher product, float32", ours[1], theirs[1], SINGLE)
    here, there = (outer_step(problem.to(d, torch.float64), first_order) for d in ("cpu", device))
    return fine & agrees(f"{order}: outer step, float64", here, there, DOUBLE)


def gradient_and_product(problem: Problem, first_order: bool) -> tuple[Tensor, Tensor]:
    objective, theta = problem.objective(first_order)
    gradient = parameters_to_vector(objective.gradient(theta)[1])
    vector = torch.randn(len(gradient), generator=generator(4)).to(gradient)
    return gradient, objective.fisher_product(vector)


def outer_step(problem: Problem, first_order: bool) -> Tensor:
    """The change of all parameters in one step of TRPO."""
    objective, theta = problem.objective(first_order)
    parameters = list(problem.policy.parameters())
    before = parameters_to_vector(parameters).detach().clone()
    loss, gradient = objective.gradient(theta)
    as_gradient(parameters, gradient)

    def evaluate() -> tuple[Tensor, Tensor]:
        at = unflatten(parameters_to_vector(parameters).detach(), list(theta.values()))
        return objective.evaluate(dict(zip(theta, at, strict=True)))

    TrustRegion(parameters).step(evaluate, objective.fisher_product, loss)
    return parameters_to_vector(parameters).detach() - before


def agrees(what: str, ours: Tensor, theirs: Tensor, limit: float) -> bool:
    difference = float((theirs.cpu() - ours).norm() / ours.norm())
    return verdict(f"{what}: relative difference {difference:.1e}", difference <= limit)


def verdict(text: str, fine: bool) -> bool:
    print(f"{'ok  ' if fine else 'FAIL'}  {text}")
    return fine


def rollout(env: BatchedEnv, device: str, tasks: int, episodes: int) -> Callable[[], Any]:
    observed, actions = (box_size(env, name) for name in ("observation_space", "action_space"))
    policy = GaussianMLP(observed, actions, generator=generator(1)).to(device)
    theta = repeat({name: p.detach() for name, p in policy.named_parameters()}, tasks)
    drawn = env.sample_tasks(tasks, generator(2)).to(device)
    return lambda: play_episodes(env, episodes, policy, theta, drawn, TaskStreams(3))


class _Watched(PointMass):
    """From the first step on, whatever waits for the GPU raises an error."""

    def reset(self, *args: Any) -> Tensor:
        observation = super().reset(*args)
        if observation.is_cuda:
            torch.cuda.set_sync_debug_mode("error")
        return observation


def no_waiting(device: str, tasks: int, episodes: int) -> bool:
    """Whether the point mass's closed loop never waits for the GPU."""
    play = rollout(_Watched(), device, tasks, episodes)
    try:
        with torch.no_grad():
            play()
        waited = ""
    except RuntimeError as error:
        waited = str(error)
    finally:
        if device != "cpu":
            torch.cuda.set_sync_debug_mode("default")
    return verdict(f"point mass: the loop does not wait for the device. {waited}".strip(), not waited)


def one_transfer_each_way(device: str, tasks: int, episodes: int, horizon: int = 20) -> bool:
    """Whether Ant's closed loop makes one download and one upload a step."""
    counts: Sequence[Counter[str]] = [
        transfers(rollout(AntDirection(horizon=steps), device, tasks, episodes)) for steps in (horizon, 1)
    ]
    # What happens once an episode batch is the same in both, and drops out of the difference.
    downloads, uploads = ((counts[0][way] - counts[1][way]) / (horizon - 1) for way in ("DtoH", "HtoD"))
    expected = 0 if device == "cpu" else 1
    text = f"Ant: {downloads:g} downloads and {uploads:g} uploads a step"
    return verdict(text, downloads == uploads == expected)


def transfers(play: Callable[[], Any]) -> Counter[str]:
    """Copies from the device (DtoH) and to it (HtoD), as the profiler sees them."""
    activities = [ProfilerActivity.CPU]
    if torch.cuda.is_available():
        activities.append(ProfilerActivity.CUDA)
    with torch.no_grad(), profile(activities=activities) as seen:
        play()
    names = [event.name for event in seen.events() or []]
    return Counter(way for name in names for way in ("DtoH", "HtoD") if f"Memcpy {way}" in name)


if __name__ == "__main__":
    main()
