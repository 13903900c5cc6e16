"""The MuJoCo task families: against Gymnasium's environments, and rewards, tasks and starts of their own."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import mujoco
import numpy as np
import pytest
import torch
from torch import Tensor

from meta_rl.envs import (
    AntBody,
    AntDirection,
    AntDirection2D,
    AntGoal,
    AntVelocity,
    HalfCheetahBody,
    HalfCheetahDirection,
    HalfCheetahVelocity,
    MujocoEnv,
    Walker2dBody,
)
from meta_rl.envs.ant import LEGS
from meta_rl.envs.locomotion import control_cost
from meta_rl.envs.mujoco_batch import ASSETS
from meta_rl.errors import UserError
from meta_rl.evaluation.task_file import read_tasks
from meta_rl.randomness import TaskStreams

FAMILIES = [
    AntDirection,
    AntDirection2D,
    AntVelocity,
    AntGoal,
    AntBody,
    HalfCheetahDirection,
    HalfCheetahVelocity,
    HalfCheetahBody,
    Walker2dBody,
]
every_family = pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.__name__)


def stream(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def actions(env: MujocoEnv, n: int, k: int, steps: int, seed: int = 2, scale: float = 1.0) -> Tensor:
    return scale * torch.randn(steps, n, k, *env.action_space.shape, generator=stream(seed))


def play(
    env: MujocoEnv, n: int = 3, k: int = 2, steps: int = 15, tasks: Tensor | None = None
) -> list[Tensor]:
    """Observations, rewards and ends of random actions, stacked over time, and generalised positions."""
    tasks = env.sample_tasks(n, stream()) if tasks is None else tasks
    first = env.reset(tasks, k, TaskStreams(1))
    observations, rewards, ended = zip(*map(env.step, actions(env, len(tasks), k, steps)), strict=True)
    return [torch.stack([first, *observations]), *map(torch.stack, (rewards, ended))]


def equal(one: list[Tensor], two: list[Tensor]) -> bool:
    return all(torch.equal(x, y) for x, y in zip(one, two, strict=True))


# Gymnasium


def moves(seed: int, size: int) -> np.ndarray:
    """200 gentle actions, or from seed 2 on of full strength, under which an ant soon leaves the ground."""
    draw = np.random.default_rng(seed)
    return draw.uniform(-0.3, 0.3, (200, size)) if seed < 2 else draw.choice([-1.0, 1.0], (200, size))


@pytest.mark.parametrize(
    ("name", "family", "lengths"),
    [
        ("Ant-v5", AntDirection, [200, 200, 16, 10, 17]),
        ("HalfCheetah-v5", HalfCheetahDirection, [200] * 3),
        ("Walker2d-v5", Walker2dBody, [69, 42, 22, 11]),
    ],
)
@pytest.mark.usefixtures("scratch")
def test_gymnasiums_environment_bit_for_bit(name: str, family: Any, lengths: list[int]) -> None:
    """States, observations, velocities, the rewards' components and the ends of episodes."""
    arguments = {"include_cfrc_ext_in_observation": False} if family is AntDirection else {}
    theirs: Any = [gym.make(name, **arguments).unwrapped for _ in lengths]
    for seed, env in enumerate(theirs):
        env.reset(seed=seed)
    ours = family(preset="gymnasium", num_threads=2)
    tasks = torch.ones(len(theirs), len(ours.task_parameters), dtype=torch.float64)
    tasks[1::2] = -1.0 if family is not Walker2dBody else 1.0  # backward, where there are directions
    direction = tasks[:, :1]
    ours.reset(tasks, 1, TaskStreams(0))
    ours.physics.start(
        *(np.array([getattr(env.data, field) for env in theirs]) for field in ("qpos", "qvel"))
    )
    alive, steps = np.ones(len(theirs), bool), np.zeros(len(theirs), int)
    for action in np.stack([moves(seed, *ours.action_space.shape) for seed in range(len(theirs))], 1):
        observations, rewards, terminated = ours.step(torch.from_numpy(action)[:, None])
        squares = control_cost(action, 1.0)
        for i in np.flatnonzero(alive):
            observation, _, end, _, info = theirs[i].step(action[i])
            assert np.array_equal(ours.physics.qpos[i], theirs[i].data.qpos)
            assert np.array_equal(ours.physics.qvel[i], theirs[i].data.qvel)
            assert np.array_equal(observations[i, 0].numpy(), observation)
            assert np.array_equal(observations[i, 0].float().numpy(), observation.astype(np.float32))
            velocity = [info[key] for key in ("x_velocity", "y_velocity") if key in info]
            assert ours.velocity()[i, 0].tolist() == velocity
            assert -theirs[i]._ctrl_cost_weight * squares[i] == info["reward_ctrl"]
            healthy = info.get("reward_survive", 1.0)
            assert ours.healthy()[i, 0] == healthy
            assert bool(terminated[i, 0]) == end
            reward = direction[i, 0] * info["reward_forward"] + ours.alive_bonus * healthy
            assert rewards[i, 0] == reward - ours.control_cost_weight * squares[i]
        steps += alive
        alive &= ~terminated[:, 0].numpy()
    assert steps.tolist() == lengths


# Observations


@pytest.mark.parametrize(
    ("family", "size", "hidden"), [(AntVelocity, 27, 2), (HalfCheetahVelocity, 17, 1)], ids=["ant", "cheetah"]
)
def test_observed_are_positions_but_for_the_place_and_velocities(family: Any, size: int, hidden: int) -> None:
    without, within = family(), family(observe_position=True)
    assert without.observation_space.shape == (size,)
    assert within.observation_space.shape == (size + hidden,)
    less, more = play(without)[0], play(within)[0]
    assert less.shape == (16, 3, 2, size)
    assert torch.equal(less, more[..., hidden:])
    state = np.concatenate([within.physics.qpos, within.physics.qvel], 1).reshape(3, 2, -1)
    assert torch.equal(more[-1], torch.from_numpy(state).float())
    assert np.array_equal(within.positions().reshape(6, -1), within.physics.qpos)


def test_a_goal_is_sought_with_the_position_in_sight() -> None:
    assert AntGoal().observation_space.shape == (29,)
    assert AntGoal(observe_position=False).observation_space.shape == (27,)


@every_family
def test_numbers_have_the_type_of_the_tasks(family: Any) -> None:
    tasks = family().sample_tasks(3, stream())
    assert tasks.dtype == torch.float32
    single, double = play(family(), tasks=tasks), play(family(), tasks=tasks.double())
    assert [x.dtype for x in single] == [torch.float32, torch.float32, torch.bool]
    assert [x.dtype for x in double] == [torch.float64, torch.float64, torch.bool]
    assert all(torch.equal(one, two.to(one)) for one, two in zip(single, double, strict=True))


@every_family
def test_what_was_returned_does_not_change_in_later_steps(family: Any) -> None:
    env = family()
    returned: list[Any] = [env.reset(env.sample_tasks(2, stream()).double(), 2, TaskStreams(0))]
    copies: list[Any] = []
    for action in actions(env, 2, 2, 4):
        returned += [env.positions(), env.position(), env.velocity(), *env.step(action.double())]
        copies += [x.copy() if isinstance(x, np.ndarray) else x.clone() for x in returned[len(copies) :]]
    for x, copy in zip(returned, copies, strict=True):
        assert np.array_equal(np.asarray(x), np.asarray(copy))


# Rewards and ends


class Steered:
    """A family whose robots are where we say, instead of where physics takes them."""

    def __init__(self, env: MujocoEnv, tasks: list[list[float]], monkeypatch: pytest.MonkeyPatch) -> None:
        self.env, self.patch = env, monkeypatch.setattr
        env.reset(torch.tensor(tasks, dtype=torch.float64), 1, TaskStreams(0))
        env.physics.qpos[:] = env.model.qpos0
        self.patch(env.physics, "step", lambda ctrl, alive: np.zeros_like(alive))

    def rewards(self, *, at: Any = None, velocity: Any = None, z: Any = None, action: float = 0.0) -> list:
        n, size = len(self.env.tasks), self.env.action_space.shape[0]
        if z is not None:
            self.env.physics.qpos[:, 2] = z
        if at is not None:
            self.patch(self.env, "position", lambda: np.array(at, float)[:, None])
        if velocity is not None:
            self.patch(self.env, "velocity", lambda: np.array(velocity, float)[:, None])
        _, rewards, self.terminated = self.env.step(torch.full((n, 1, size), action, dtype=torch.float64))
        return rewards[:, 0].tolist()


def test_ant_direction_pays_the_x_velocity(monkeypatch: pytest.MonkeyPatch) -> None:
    ant = Steered(AntDirection(), [[1], [-1], [1]], monkeypatch)
    velocity = [[2, 9], [2, 9], [-0.5, 9]]
    assert ant.rewards(velocity=velocity) == pytest.approx([2.05, -1.95, -0.45])  # 0.05 for being alive
    assert ant.rewards(velocity=velocity, action=0.5) == pytest.approx([2.04, -1.96, -0.46])  # 0.005 * 8 / 4
    assert ant.rewards(velocity=velocity, action=-9.0) == pytest.approx([2.01, -1.99, -0.49])  # clipped to -1


def test_ant_direction_2d_pays_the_velocity_along_it(monkeypatch: pytest.MonkeyPatch) -> None:
    ant = Steered(AntDirection2D(), [[0], [math.pi / 2], [math.pi], [math.pi / 4]], monkeypatch)
    velocity = [[2, 9], [2, 9], [2, 9], [3, -1]]
    # x, y, -x, and (3 - 1) / sqrt 2; 0.05 for being alive
    assert ant.rewards(velocity=velocity) == pytest.approx([2.05, 9.05, -1.95, 2**0.5 + 0.05])
    assert ant.rewards(velocity=velocity, action=-9.0)[0] == pytest.approx(2.01)


def test_ant_velocity_pays_1_minus_the_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    ant = Steered(AntVelocity(), [[1.5], [1.5], [0]], monkeypatch)
    velocity = [[1, 9], [2.5, 9], [-1, 9]]
    assert ant.rewards(velocity=velocity) == pytest.approx([0.55, 0.05, 0.05])
    assert ant.rewards(velocity=velocity, action=1.0) == pytest.approx([0.51, 0.01, 0.01])


def test_ant_goal_pays_1_minus_the_distance_in_radii(monkeypatch: pytest.MonkeyPatch) -> None:
    ant = Steered(AntGoal(radius=2.0), [[0, 2], [0.6, 0.8], [-2, 0]], monkeypatch)
    # distances 0, 1, 4
    assert ant.rewards(at=[[0, 2], [0, 0], [2, 0]]) == pytest.approx([1.05, 0.55, -0.95])


def test_ant_body_pays_the_x_velocity(monkeypatch: pytest.MonkeyPatch) -> None:
    ant = Steered(AntBody(), [[0, 1, 1, 1], [1, 1, 0.5, 1]], monkeypatch)
    assert ant.rewards(velocity=[[2, 9], [-1, 9]]) == pytest.approx([2.05, -0.95])


def test_half_cheetahs_get_nothing_for_being_alive_and_pay_more_for_control(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    direction = Steered(HalfCheetahDirection(), [[1], [-1]], monkeypatch)
    assert direction.rewards(velocity=[[3], [3]]) == pytest.approx([3, -3])
    assert direction.rewards(velocity=[[3], [3]], action=2.0) == pytest.approx([2.7, -3.3])  # 0.05 * 6
    velocity = Steered(HalfCheetahVelocity(), [[1], [1]], monkeypatch)
    assert velocity.rewards(velocity=[[3], [0.5]]) == pytest.approx([-2, -0.5])
    assert not velocity.terminated.any()


def test_an_ant_ends_above_and_below_its_heights_and_stays_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    ant = Steered(AntDirection(), [[1]] * 5, monkeypatch)
    still = [[0, 0]] * 5
    z = [0.2, 1.0, np.nextafter(0.2, 0), np.nextafter(1.0, 2), math.nan]
    assert ant.rewards(velocity=still, z=z) == [0.05, 0.05, 0, 0, 0]
    assert ant.terminated[:, 0].tolist() == [False, False, True, True, True]
    ant.rewards(velocity=still, z=0.5)
    assert ant.terminated[:, 0].tolist() == [False, False, True, True, True]


def test_velocity_is_that_of_the_last_step() -> None:
    env = HalfCheetahDirection(preset="gymnasium")
    env.reset(torch.ones(2, 1), 1, TaskStreams(0))
    for action in actions(env, 2, 1, 3):
        before = env.position()
        env.step(action)
        assert np.array_equal(env.velocity(), (env.position() - before) / 0.05)


def test_ended_episodes_are_not_simulated() -> None:
    env = AntDirection(timestep=0.01)
    env.reset(torch.ones(4, 1), 2, TaskStreams(0))
    env.physics.qpos[[1, 6], 2] = 1.5
    alive: list[list[int]] = []
    step = env.physics.step
    env.physics.step = lambda ctrl, mask: (alive.append(np.flatnonzero(mask).tolist()), step(ctrl, mask))[1]
    moves = actions(env, 4, 2, 3)
    assert env.step(moves[0])[2].flatten().nonzero().flatten().tolist() == [1, 6]
    ended = env.physics.qpos[[1, 6]].copy()
    for action in moves[1:]:
        env.step(action)
    assert alive == [list(range(8)), *[[0, 2, 3, 4, 5, 7]] * 2]
    assert np.array_equal(env.physics.qpos[[1, 6]], ended)


def test_horizon_and_physics_can_be_set() -> None:
    env = AntDirection()
    assert (env.horizon, env.dt, env.physics.frame_skip) == (200, 0.02, 1)
    assert AntDirection(preset="gymnasium").dt == pytest.approx(0.05)
    env = AntDirection(preset="gymnasium", timestep=0.004, frame_skip=3, horizon=7)
    assert (env.horizon, env.model.opt.timestep, env.physics.frame_skip) == (7, 0.004, 3)
    assert env.dt == pytest.approx(0.012)
    assert np.array_equal(env.model.geom_solimp, AntDirection(preset="gymnasium").model.geom_solimp)
    env = AntDirection(timestep=0.004)
    assert (env.model.opt.timestep, env.physics.frame_skip) == (0.004, 1)
    assert np.array_equal(env.model.geom_solimp, AntDirection().model.geom_solimp)


# Divergence


def fall_apart(env: MujocoEnv) -> None:
    env.physics.qvel[1] = 1e9


def fly_away(env: MujocoEnv) -> None:
    env.physics.qpos[1, 0], env.physics.qvel[1, 0] = 9.99e9, 9e9


def become_infinite(env: MujocoEnv) -> None:
    step = env.physics.step

    def poisoned(ctrl: np.ndarray, alive: np.ndarray) -> np.ndarray:
        env.physics.step = step
        diverged = step(ctrl, alive)
        env.physics.qpos[1, 0] = np.inf
        return diverged | (np.arange(len(alive)) == 1)

    env.physics.step = poisoned


@pytest.mark.parametrize("family", [AntDirection, AntGoal, HalfCheetahVelocity])
@pytest.mark.parametrize("disturb", [fall_apart, fly_away, become_infinite])
@pytest.mark.filterwarnings("error")
def test_a_diverged_episode_ends_unpaid_and_touches_no_other(
    family: Any, disturb: Callable[[MujocoEnv], None]
) -> None:
    env, quiet = family(), family()
    tasks = env.sample_tasks(2, stream())
    for each in (env, quiet):
        each.reset(tasks, 2, TaskStreams(1))
    diverged = []
    for t, action in enumerate(actions(env, 2, 2, 8)):
        if t == 3:
            disturb(env)
        results, expected = env.step(action), quiet.step(action)
        for actual, undisturbed in zip(results, expected, strict=True):
            actual, undisturbed = actual.flatten(0, 1), undisturbed.flatten(0, 1)
            assert torch.equal(actual[[0, 2, 3]], undisturbed[[0, 2, 3]])
        assert bool(results[2][0, 1]) == (t >= 3)
        if t == 3:
            assert results[1][0, 1] == 0
        diverged.append([failure[:4] for failure in env.failures])
    assert diverged == [[]] * 3 + [[(0, 1, 3, "simulation diverged")]] * 5
    assert quiet.failures == []
    env.reset(tasks, 2, TaskStreams(1))
    assert env.failures == []


# Starts and tasks


def test_starts_have_gymnasiums_noise() -> None:
    env = AntDirection(observe_position=True)
    first = env.reset(torch.ones(2, 1, dtype=torch.float64), 2000, TaskStreams(0)).flatten(0, 1)
    position = first[:, :15] - torch.from_numpy(env.model.qpos0)
    velocity = first[:, 15:]
    # Uniform on +-0.1: variance 0.2^2 / 12, and a fifth of it in every fifth of the range
    assert position.abs().max() <= 0.1
    assert position.mean(0).abs().max() < 0.006  # 4.4 of the mean's deviations
    torch.testing.assert_close(position.T.cov(), torch.eye(15).double() * 0.04 / 12, rtol=0, atol=3e-4)
    assert float((position.abs() < 0.05).double().mean()) == pytest.approx(0.5, abs=0.01)
    # Normal with deviation 0.1: 68 % within one, 95 % within two
    assert velocity.mean(0).abs().max() < 0.01
    torch.testing.assert_close(velocity.T.cov(), torch.eye(14).double() * 0.01, rtol=0, atol=1.2e-3)
    for deviations, share in ((0.1, 0.6827), (0.2, 0.9545), (0.3, 0.9973)):
        assert float((velocity.abs() < deviations).double().mean()) == pytest.approx(share, abs=0.005)


def test_the_noise_of_starts_can_be_scaled() -> None:
    env = AntDirection(observe_position=True, reset_noise_scale=0.0)
    still = env.reset(torch.ones(1, 1, dtype=torch.float64), 2, TaskStreams(0))[0]
    assert torch.equal(still, torch.from_numpy(np.append(env.model.qpos0, np.zeros(14))).expand(2, -1))
    env = AntDirection(observe_position=True, reset_noise_scale=0.05)
    half = env.reset(torch.ones(1, 1, dtype=torch.float64), 2, TaskStreams(0))[0]
    whole = AntDirection(observe_position=True).reset(
        torch.ones(1, 1, dtype=torch.float64), 2, TaskStreams(0)
    )[0]
    torch.testing.assert_close(2 * (half - still), whole - still)


def test_directions_are_equally_likely() -> None:
    tasks = AntDirection().sample_tasks(4000, stream())
    assert tasks.shape == (4000, 1)
    assert set(tasks.flatten().tolist()) == {-1.0, 1.0}
    assert abs(tasks.mean()) < 0.05  # 3 of its deviations
    only = AntDirection(directions=(1,)).sample_tasks(10, stream())
    assert only.dtype == torch.float32
    assert (only == 1).all()


@pytest.mark.parametrize("family", [AntVelocity, HalfCheetahVelocity])
def test_goal_velocities_are_uniform_up_to_the_highest(family: Any) -> None:
    for highest, env in ((2.0, family()), (3.0, family(max_velocity=3.0))):
        goals = env.sample_tasks(4000, stream())
        assert goals.shape == (4000, 1)
        assert 0 <= goals.min() < 0.01
        assert highest - 0.01 < goals.max() <= highest
        assert float(goals.mean()) == pytest.approx(highest / 2, abs=0.04)
        assert float(goals.var()) == pytest.approx(highest**2 / 12, rel=0.05)
        assert env.task_space.high.item() == highest


def test_goals_are_uniform_in_the_disc() -> None:
    env = AntGoal(radius=3.0)
    goals = env.sample_tasks(8000, stream())
    radius = goals.norm(dim=1)
    assert radius.max() <= 3.0
    for r in (1.0, 2.0, 2.5):  # shares of the area
        assert float((radius < r).float().mean()) == pytest.approx((r / 3) ** 2, abs=0.02)
    torch.testing.assert_close(goals.T.cov(), torch.eye(2) * 9 / 4, rtol=0, atol=0.1)
    assert goals.mean(0).abs().max() < 0.06


def test_directions_of_the_plane_are_uniform() -> None:
    angles = AntDirection2D().sample_tasks(8000, stream())
    assert angles.shape == (8000, 1)
    assert 0 <= angles.min() < 0.01
    assert 6.27 < angles.max() <= 2 * math.pi
    for quarter in (1, 2, 3):
        share = float((angles < quarter * math.pi / 2).float().mean())
        assert share == pytest.approx(quarter / 4, abs=0.02)


def test_bodies_have_one_leg_that_differs() -> None:
    tasks = AntBody(factors=(0.2, 0.6)).sample_tasks(4000, stream())
    weak = tasks != 1
    assert (weak.sum(1) == 1).all()
    assert weak.float().mean(0).tolist() == pytest.approx([0.25] * 4, abs=0.03)
    assert tasks[weak].min() >= 0.2
    assert tasks[weak].max() <= 0.6
    assert float(tasks[weak].mean()) == pytest.approx(0.4, abs=0.01)


@every_family
def test_tasks_and_starts_depend_on_the_generator_alone(family: Any) -> None:
    env, other = family(), family()
    play(other)  # a past
    torch.manual_seed(99)
    np.random.seed(99)  # noqa: NPY002
    before = torch.get_rng_state()
    tasks = env.sample_tasks(20, stream())
    assert torch.equal(tasks, other.sample_tasks(20, stream()))
    assert not torch.equal(tasks, other.sample_tasks(20, stream(1)))
    starts = [e.reset(tasks, 2, TaskStreams(s)) for e, s in ((env, 0), (other, 0), (other, 1))]
    assert torch.equal(starts[0], starts[1])
    assert not torch.equal(starts[0], starts[2])
    assert torch.equal(torch.get_rng_state(), before)


@every_family
def test_tasks_lie_in_their_space_and_have_names(family: Any) -> None:
    env = family()
    tasks = env.sample_tasks(200, stream())
    assert tasks.shape == (200, len(env.task_parameters))
    assert all(env.task_space.contains(task) for task in tasks.numpy())
    assert np.array_equal(env.action_space.high, np.ones(env.model.nu))


@every_family
def test_any_number_of_tasks_and_episodes_one_after_the_other(family: Any) -> None:
    env = family()
    for n, k in ((3, 2), (1, 1), (2, 3), (4, 1), (3, 2)):
        observations, rewards, ended = results = play(env, n, k, steps=5)
        assert observations.shape == (6, n, k, *env.observation_space.shape)
        assert rewards.shape == ended.shape == (5, n, k)
        assert equal(results, play(family(), n, k, steps=5))


@every_family
def test_the_same_numbers_at_any_number_of_threads(family: Any) -> None:
    one, *others = (play(family(num_threads=threads), steps=30) for threads in (1, 2, 3, 0))
    assert all(equal(one, other) for other in others)


# Bodies


def compiled(leg: str, factor: float) -> mujoco.MjModel:
    """The ant with the density of one leg changed before MuJoCo compiles it."""
    spec = mujoco.MjSpec.from_file(str(ASSETS / "ant.xml"))
    bodies = [spec.body(leg)]
    for body in bodies:  # grows while it is walked
        bodies += body.bodies
        for geom in body.geoms:
            geom.density *= factor
    assert len(bodies) == 3
    return spec.compile()


@pytest.mark.parametrize("leg", LEGS)
def test_a_heavy_leg_is_that_of_a_model_compiled_so(leg: str) -> None:
    env = AntBody(vary="mass", preset="gymnasium")
    task = torch.ones(2, 4)
    task[1, LEGS.index(leg)] = 3.0
    env.reset(task, 1, TaskStreams(0))
    heavy, model = compiled(leg, 3.0), env.physics.batch.get_model(1)
    for name in ("body_mass", "body_inertia", "body_subtreemass", "body_invweight0", "dof_invweight0"):
        assert getattr(model, name) == pytest.approx(getattr(heavy, name), rel=1e-9), name
        assert np.array_equal(getattr(env.physics.batch.get_model(0), name), getattr(env.model, name)), name
    changed = model.body_mass != env.model.body_mass
    assert changed.sum() == 3
    assert changed[env.model.body(leg).id]


@pytest.mark.parametrize(("leg", "joints"), zip(LEGS, "1234", strict=True))
def test_a_weak_leg_has_weak_motors(leg: str, joints: str) -> None:
    env = AntBody()
    task = torch.ones(3, 4)
    task[1, LEGS.index(leg)] = 0.25
    env.reset(task, 2, TaskStreams(0))
    gears = env.physics.batch.expand("actuator_gear")
    model = env.model
    expected = np.repeat(model.actuator_gear[None], 6, 0)
    for joint in ("hip", "ankle"):
        motor = np.flatnonzero(model.actuator_trnid[:, 0] == model.joint(f"{joint}_{joints}").id)
        expected[2:4, motor] *= 0.25  # the episodes of task 1
    assert np.array_equal(gears, expected)
    assert (expected != model.actuator_gear).sum() == 4


@pytest.mark.parametrize("vary", ["strength", "mass"])
def test_a_body_moves_as_its_own_model_does_alone(vary: Any) -> None:
    env = AntBody(vary=vary)
    tasks = env.sample_tasks(3, stream())
    tasks[1] = 1.0
    env.reset(tasks, 2, TaskStreams(1))
    start = env.physics.qpos.copy(), env.physics.qvel.copy()
    moves = actions(env, 3, 2, 30).clamp(-1, 1).double()
    for action in moves:
        env.step(action)
    assert env._alive.all()
    moved = env.positions()
    for i, task in enumerate(tasks.double().numpy()):
        own = AntBody(vary=vary).model  # a fresh one
        for name, values in env.model_fields(task[None]).items():
            getattr(own, name)[:] = values[0]
        data = mujoco.MjData(own)
        mujoco.mj_setConst(own, data)
        for k in range(2):
            mujoco.mj_resetData(own, data)
            data.qpos[:], data.qvel[:] = (x[2 * i + k] for x in start)
            mujoco.mj_forward(own, data)
            for action in moves:
                data.ctrl[:] = action[i, k]
                mujoco.mj_step(own, data)
            assert np.array_equal(data.qpos, moved[i, k])


@pytest.mark.parametrize("vary", ["strength", "mass"])
def test_a_whole_body_is_the_plain_ants_and_another_one_is_not(vary: Any) -> None:
    env, plain = AntBody(vary=vary), AntDirection(directions=(1.0,))
    forward = play(plain, tasks=torch.ones(3, 1))
    assert equal(play(env, tasks=torch.ones(3, 4)), forward)
    other = play(env, tasks=torch.tensor([[1.0, 1, 1, 1], [2, 1, 1, 1], [1, 1, 1, 0.5]]))[0]
    assert torch.equal(other[:, 0], forward[0][:, 0])
    assert not torch.isclose(other[-1, 1:], forward[0][-1, 1:], atol=1e-3).all(-1).any()
    assert equal(play(env, tasks=torch.ones(3, 4)), forward)  # nothing is left of the bodies before


def test_factors_have_a_default_for_either_kind() -> None:
    for vary, low, high in (("strength", 0.0, 0.5), ("mass", 2.0, 4.0)):
        tasks = AntBody(vary=vary).sample_tasks(500, stream())  # type: ignore[arg-type]
        changed = tasks[tasks != 1]
        assert low <= changed.min() < low + 0.1
        assert high - 0.1 < changed.max() <= high


# Input


@pytest.mark.parametrize(
    ("family", "arguments", "key"),
    [
        (AntDirection, {"preset": "slow"}, "preset 'slow' is unknown; choose one of paper, gymnasium"),
        (AntDirection, {"horizon": 0}, "horizon"),
        (AntDirection, {"reset_noise_scale": -0.1}, "reset_noise_scale"),
        (AntDirection, {"reset_noise_scale": math.nan}, "reset_noise_scale"),
        (AntDirection, {"timestep": 0.0}, "timestep"),
        (AntDirection, {"frame_skip": 0}, "frame_skip"),
        (AntDirection, {"num_threads": -1}, "num_threads"),
        (AntDirection, {"directions": ()}, "directions"),
        (AntDirection, {"directions": (0.5,)}, "directions"),
        (AntDirection, {"xml_file": "half_cheetah.xml"}, "AntDirection: its first joints must be free"),
        (AntDirection, {"xml_file": "humanoid.xml"}, "it starts at a height of 1.4 m, outside"),
        (HalfCheetahDirection, {"xml_file": "ant.xml"}, "first joints must be slide, slide, hinge"),
        (AntBody, {"factors": (0.5, 0.2)}, "factors"),
        (AntBody, {"factors": (-0.1, 0.2)}, "factors"),
        (AntBody, {"factors": (0.5, 11)}, "factors"),
        (AntBody, {"factors": (math.nan, 1)}, "factors"),
        (AntBody, {"vary": "mass", "factors": (0.0, 0.2)}, "factors"),
        (AntVelocity, {"max_velocity": 0.0}, "max_velocity"),
        (AntVelocity, {"max_velocity": math.inf}, "max_velocity"),
        (AntGoal, {"radius": 0.0}, "radius"),
    ],
)
def test_impossible_values(family: Any, arguments: dict[str, Any], key: str) -> None:
    with pytest.raises(ValueError, match=key):
        family(**arguments)


def test_actions_are_scaled_to_the_limits_of_the_motors(tmp_path: Path) -> None:
    text = (ASSETS / "ant.xml").read_text()
    text = text.replace('ctrlrange="-1.0 1.0" joint="hip_4"', 'ctrlrange="-0.5 2" joint="hip_4"')
    text = text.replace('ctrllimited="true" ctrlrange="-1.0 1.0" joint="ankle_3"', 'joint="ankle_3"')
    (tmp_path / "my_ant.xml").write_text(text)
    env = AntDirection(xml_file=str(tmp_path / "my_ant.xml"))
    env.reset(torch.ones(3, 1), 1, TaskStreams(0))
    env.step(torch.tensor([-7.0, 0.0, 1.0])[:, None, None].expand(3, 1, 8))
    ctrl = env.physics.batch.bind("ctrl")
    assert ctrl[:, 0].tolist() == [-0.5, 0.75, 2.0]  # hip_4
    assert (ctrl[:, 1:] == [[-1.0], [0.0], [1.0]]).all()  # -1 to 1, also of the one without limits


def test_a_model_without_motors_is_no_robot(tmp_path: Path) -> None:
    before, _, rest = (ASSETS / "ant.xml").read_text().partition("<actuator>")
    (tmp_path / "statue.xml").write_text(before + rest.partition("</actuator>")[2])
    with pytest.raises(ValueError, match=r"statue\.xml is no robot for AntDirection: .* must have actuators"):
        AntDirection(xml_file=str(tmp_path / "statue.xml"))


def test_an_ant_without_the_legs_of_ours_has_no_body_to_vary(tmp_path: Path) -> None:
    file = tmp_path / "other_ant.xml"
    file.write_text((ASSETS / "ant.xml").read_text().replace('"back_leg"', '"tail"'))
    AntDirection(xml_file=str(file))
    with pytest.raises(ValueError, match=f"xml_file {file} has no body back_leg, which AntBody needs"):
        AntBody(xml_file=str(file))


@pytest.mark.parametrize(
    ("family", "content", "complaint"),
    [
        (AntDirection, "direction\n0.5\n", "line 2, column direction: 0.5 is none of -1, 1"),
        (AntDirection, "direction\n2\n", "line 2, column direction: 2 is outside [-1, 1]"),
        (AntDirection, "goal_velocity\n1\n", "unknown column 'goal_velocity'; the tasks have direction"),
        (AntVelocity, "goal_velocity\n1\n2.1\n", "line 3, column goal_velocity: 2.1 is outside [0, 2]"),
        (AntVelocity, "goal_velocity\n-0.1\n", "is outside [0, 2]"),
        (AntGoal, "goal_x\n1\n", "column goal_y is missing"),
        (AntGoal, "goal_x,goal_y\n1,3.1\n", "column goal_y: 3.1 is outside [-3, 3]"),
        (AntDirection2D, "angle\n3\n-0.1\n", "line 3, column angle: -0.1 is outside [0, 6.28319]"),
        (AntBody, "back_leg\n1.5\n", "column back_leg: 1.5 is outside [0, 1]"),
        (AntBody, "tail\n1\n", "unknown column 'tail'"),
    ],
)
def test_tasks_of_a_file_that_cannot_be(tmp_path: Path, family: Any, content: str, complaint: str) -> None:
    (tmp_path / "tasks.csv").write_text(content)
    with pytest.raises(UserError) as error:
        read_tasks(tmp_path / "tasks.csv", family())
    assert complaint in str(error.value)


def test_tasks_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "tasks.csv").write_text("right_back_leg\n0.5\n0\n")
    assert read_tasks(tmp_path / "tasks.csv", AntBody()).tolist() == [[1, 1, 1, 0.5], [1, 1, 1, 0]]
