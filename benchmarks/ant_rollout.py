"""Sampling speed on MuJoCo's Ant against the bare physics, and against other libraries' environments.

    python benchmarks/ant_rollout.py [--repeats 5] [--threads 2]          # rollouts against bare mujoco.batch
    python benchmarks/ant_rollout.py --peers [--threads 2] [--steps 50]   # needs pip install envpool, too

Rollouts: 40 tasks x 20 episodes x 200 steps of an untrained policy on AntDirection, policy and all. Bare
physics: `mujoco.batch.Batch.step` alone on the same simulations with the same actions, repeated after it.

Peers: 64 environments of Ant-v5, 0.01 s x 5, the same actions for all, only stepping; without contact forces,
and EnvPool with them as well, which is how its Ant-v5 is by default.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any

from meta_rl.threads import configure

configure()
import gymnasium as gym  # noqa: E402  (after the thread environment)
import numpy as np  # noqa: E402
import torch  # noqa: E402
from numpy.typing import NDArray  # noqa: E402

from meta_rl import threads  # noqa: E402
from meta_rl.algorithms import FOMAML  # noqa: E402
from meta_rl.data import RolloutDataModule  # noqa: E402
from meta_rl.envs import AntDirection  # noqa: E402
from meta_rl.envs.mujoco_batch import MujocoBatch  # noqa: E402
from meta_rl.policy import repeat  # noqa: E402
from meta_rl.randomness import TaskStreams, generator  # noqa: E402

PEER_ENVIRONMENTS = 64


class Physics:
    """Records which simulations were stepped with which controls, and repeats it without anything else.

    Every thread steps simulations of its own; they are repeated on as many threads at once.
    """

    def __init__(self) -> None:
        self.made: list[tuple[MujocoBatch, tuple[NDArray[Any], ...], list[tuple[NDArray[Any], NDArray[Any]]]]]
        self.made = []

    @contextmanager
    def recorded(self) -> Iterator[None]:
        start, step = MujocoBatch.start, MujocoBatch.step
        self.made = []
        running: dict[int, list[tuple[NDArray[Any], NDArray[Any]]]] = {}

        def spy_start(
            physics: MujocoBatch, qpos: NDArray[Any], qvel: NDArray[Any], fields: Any = None
        ) -> None:
            running[id(physics)] = []
            self.made.append((physics, (qpos, qvel), running[id(physics)]))
            start(physics, qpos, qvel, fields)

        def spy_step(physics: MujocoBatch, ctrl: NDArray[Any], alive: NDArray[np.bool_]) -> NDArray[np.bool_]:
            running[id(physics)].append((ctrl, np.flatnonzero(alive).astype(np.int32)))
            return step(physics, ctrl, alive)

        methods: Any = MujocoBatch
        methods.start, methods.step = spy_start, spy_step
        try:
            yield
        finally:
            methods.start, methods.step = start, step

    def replay(self) -> tuple[float, int]:
        """Seconds of physics alone, and the environment steps that it was."""

        def repeat_one(episodes: Any) -> None:
            physics, _, steps = episodes
            ctrl = physics.batch.bind("ctrl")
            for values, ids in steps:
                ctrl[:] = values
                physics.batch.step(ids=ids, nstep=physics.frame_skip)

        seconds, left = 0.0, list(self.made)
        while left:  # the simulations that ran at once: each `physics` once
            together = list({id(episodes[0]): episodes for episodes in reversed(left)}.values())
            left = [episodes for episodes in left if not any(episodes is other for other in together)]
            for physics, (qpos, qvel), _ in together:
                physics.start(qpos, qvel)
            begin = time.perf_counter()
            threads.each(repeat_one, together)
            seconds += time.perf_counter() - begin
        return seconds, sum(len(ids) for _, _, steps in self.made for _, ids in steps)


def rollouts(repeats: int) -> None:
    print("rollouts against bare physics, medians (least to greatest ratio)")
    for preset in ("paper", "gymnasium"):
        env = AntDirection(preset=preset)
        data, learner = RolloutDataModule(env, meta_batch_size=40, fast_batch_size=20), FOMAML()
        learner.build(env, seed=1)
        streams = TaskStreams(0)
        tasks, physics, rows = env.sample_tasks(40, generator(0)), Physics(), []
        for repetition in range(repeats + 1):
            with physics.recorded():
                begin = time.perf_counter()
                data.sampler.rollout(learner.policy, repeat(learner.theta(), 40), tasks, streams)
                seconds = time.perf_counter() - begin
            bare, count = physics.replay()
            if repetition > 0:  # the first warms up
                rows.append((count / seconds, count / bare, bare / seconds))
        speed, physics_speed, ratio = (median(column) for column in zip(*rows, strict=True))
        low, high = min(row[2] for row in rows), max(row[2] for row in rows)
        print(f"{preset:<10} rollout {speed:9,.0f} env steps/s   bare physics {physics_speed:9,.0f}", end="")
        print(f"   ratio {ratio:.3f} ({low:.3f} to {high:.3f})")


def peers(number: int, steps: int, repeats: int) -> None:
    """Interleaved timings of the same steps; what has fallen goes on lying there, in all of them."""
    stream = np.random.default_rng(0)
    actions = stream.uniform(-1, 1, (steps, PEER_ENVIRONMENTS, 8)).astype(np.float32)
    settings: dict[str, Any] = {"include_cfrc_ext_in_observation": False, "contact_cost_weight": 0.0}
    settings["terminate_when_unhealthy"] = False
    contenders: dict[str, Callable[[], float]] = {"meta_rl": _ours(actions, number)}
    for mode in ("sync", "async"):
        envs = gym.make_vec("Ant-v5", PEER_ENVIRONMENTS, vectorization_mode=mode, **settings)
        contenders[f"Gymnasium, {mode}"] = _vector(envs, actions)
    import envpool  # pyright: ignore[reportMissingImports]

    for name, contact_forces in (("EnvPool, as it is", True), ("EnvPool, no contacts", False)):
        envs = envpool.make_gymnasium(
            "Ant-v5",
            num_envs=PEER_ENVIRONMENTS,
            num_threads=number,
            terminate_when_unhealthy=False,
            use_contact_force=contact_forces,
            post_constraint=contact_forces,
        )
        contenders[name] = _vector(envs, actions)
    seconds = {name: [] for name in contenders}
    for _ in range(repeats + 1):
        for name, run in contenders.items():
            seconds[name].append(run())
    print(f"{PEER_ENVIRONMENTS} environments of Ant-v5 x {steps} steps, medians of {repeats}, same actions")
    ours = median(seconds["meta_rl"][1:])
    for name, times in seconds.items():
        time_ = median(times[1:])
        print(f"{name:<20} {steps * PEER_ENVIRONMENTS / time_:9,.0f} env steps/s   {time_ / ours:5.2f}")


def _ours(actions: NDArray[np.float32], number: int) -> Callable[[], float]:
    env = AntDirection(preset="gymnasium", num_threads=number)
    env.healthy_z = (-np.inf, np.inf)  # pyright: ignore[reportAttributeAccessIssue]
    controls = torch.from_numpy(actions)[:, None]

    def run() -> float:
        env.reset(torch.ones(1, 1), PEER_ENVIRONMENTS, TaskStreams(0))
        begin = time.perf_counter()
        for control in controls:
            env.step(control)
        return time.perf_counter() - begin

    return run


def _vector(envs: Any, actions: NDArray[np.float32]) -> Callable[[], float]:
    def run() -> float:
        envs.reset()
        begin = time.perf_counter()
        for action in actions:
            envs.step(action)
        return time.perf_counter() - begin

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--peers", action="store_true")
    parser.add_argument("--steps", type=int, default=50, help="with --peers")
    args = parser.parse_args()
    threads.use(args.threads)
    if args.peers:
        peers(args.threads, args.steps, args.repeats)
    else:
        rollouts(args.repeats)


if __name__ == "__main__":
    main()
