"""Batched physics against simulations that run alone, and against Gymnasium's models."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import mujoco
import numpy as np
import pytest
from mujoco.batch import Batch
from numpy.typing import NDArray

from meta_rl import threads
from meta_rl.envs import AntDirection, HalfCheetahDirection, MujocoEnv
from meta_rl.envs.mujoco_batch import MujocoBatch, Preset, joint_types, load_model
from meta_rl.errors import UserError

Array = NDArray[np.float64]
Disturbance = Callable[[MujocoBatch], None]

ANT = AntDirection.presets
N = 5
EVERYONE = np.ones(N, bool)


@pytest.fixture(scope="module")
def model() -> mujoco.MjModel:
    return load_model("ant.xml", ANT["paper"])


def starts(model: mujoco.MjModel, n: int = N, seed: int = 0) -> tuple[Array, Array]:
    """Positions and velocities that differ."""
    stream = np.random.default_rng(seed)
    qpos = model.qpos0 + stream.uniform(-0.1, 0.1, (n, model.nq))
    return qpos, 0.1 * stream.standard_normal((n, model.nv))


def controls(model: mujoco.MjModel, steps: int, n: int = N) -> Array:
    return np.random.default_rng(1).uniform(-1, 1, (steps, n, model.nu))


def state(physics: MujocoBatch) -> Array:
    return np.concatenate([physics.qpos, physics.qvel, physics.xpos[:, 1]], 1)


def trajectory(
    physics: MujocoBatch,
    steps: int = 20,
    fields: dict[str, Array] | None = None,
    disturb: dict[int, Disturbance] | None = None,
    n: int = N,
) -> tuple[Array, NDArray[np.bool_]]:
    """States [steps, n, ...] and who diverged in each step; who has diverged is left alone."""
    physics.start(*starts(physics.model, n), fields)
    alive, states, diverged = np.ones(n, bool), [], []
    for t, ctrl in enumerate(controls(physics.model, steps, n)):
        if disturb and t in disturb:
            disturb[t](physics)
        diverged.append(physics.step(ctrl, alive))
        alive = alive & ~diverged[-1]
        states.append(state(physics))
    return np.array(states), np.array(diverged)


# The model


def parameters(model: mujoco.MjModel) -> dict[str, Any]:
    """All its numbers."""
    everything = {name: getattr(model, name) for name in dir(model) if not name.startswith("_")}
    everything |= {f"opt.{name}": getattr(model.opt, name) for name in dir(model.opt) if name[0] != "_"}
    return {name: x for name, x in everything.items() if isinstance(x, np.ndarray | int | float)}


def changes(name: str, family: type[MujocoEnv], preset: str) -> dict[str, Any]:
    """The numbers in which a preset's model differs from Gymnasium's."""
    theirs = parameters(gym.make(name).unwrapped.model)
    ours = parameters(load_model(family.xml_file, family.presets[preset]))
    assert ours.keys() == theirs.keys()
    assert len(ours) > 400
    return {key: value for key, value in ours.items() if not np.array_equal(value, theirs[key])}


def test_the_papers_ant_has_softer_contacts_and_a_longer_time_step_than_gymnasiums() -> None:
    assert changes("Ant-v5", AntDirection, "gymnasium") == {}
    paper = changes("Ant-v5", AntDirection, "paper")
    assert paper.keys() == {"opt.timestep", "geom_solimp"}
    assert paper["opt.timestep"] == 0.02
    assert (paper["geom_solimp"] == [0.8, 0.8, 0.01, 0.5, 2]).all()  # the last two are MuJoCo's defaults
    assert [ANT[name].frame_skip for name in ("paper", "gymnasium")] == [1, 5]


@pytest.mark.usefixtures("scratch")
def test_the_papers_half_cheetah_is_gymnasiums_in_shorter_steps() -> None:
    presets = HalfCheetahDirection.presets
    assert all(changes("HalfCheetah-v5", HalfCheetahDirection, name) == {} for name in presets)
    assert [presets[name].frame_skip for name in ("paper", "gymnasium")] == [1, 5]


def test_frame_skip_is_that_many_steps_of_physics(model: mujoco.MjModel) -> None:
    physics, data = MujocoBatch(model, 3), mujoco.MjData(model)
    physics.start(*starts(model))
    data.qpos[:], data.qvel[:] = (x[2] for x in starts(model))
    mujoco.mj_forward(model, data)
    for ctrl in controls(model, 5):
        physics.step(ctrl, EVERYONE)
        data.ctrl[:] = ctrl[2]
        for _ in range(3):
            mujoco.mj_step(model, data)
    assert np.array_equal(physics.qpos[2], data.qpos)


# Who is simulated


def test_only_those_alive_are_simulated(model: mujoco.MjModel, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    step = Batch.step

    def spy(self: Batch, ids: Any = None, nstep: int = 1, **kwargs: Any) -> None:
        calls.append((list(ids), nstep))
        step(self, ids, nstep, **kwargs)

    monkeypatch.setattr(Batch, "step", spy)
    physics = MujocoBatch(model, 2)
    physics.start(*starts(model))
    for alive in ([1, 1, 1, 1, 1], [1, 0, 1, 0, 1], [0, 0, 0, 0, 1], [0, 0, 0, 0, 0]):
        before = state(physics)
        physics.step(np.ones((N, model.nu)), np.array(alive, bool))
        moved = (state(physics) != before).any(1)
        assert moved.tolist() == [bool(x) for x in alive]
    assert calls == [([0, 1, 2, 3, 4], 2), ([0, 2, 4], 2), ([4], 2), ([], 2)]


def test_a_simulation_moves_as_it_would_alone(model: mujoco.MjModel) -> None:
    together, _ = trajectory(MujocoBatch(model, 1))
    qpos, qvel = starts(model)
    for i in range(N):
        alone = MujocoBatch(model, 1)
        alone.start(qpos[i : i + 1], qvel[i : i + 1])
        for ctrl, expected in zip(controls(model, 20), together, strict=True):
            alone.step(ctrl[i : i + 1], np.ones(1, bool))
            assert np.array_equal(state(alone)[0], expected[i])


def test_a_new_start_forgets_everything(model: mujoco.MjModel) -> None:
    fresh, _ = trajectory(MujocoBatch(model, 1))
    used = MujocoBatch(model, 1)
    for before in (lambda: trajectory(used), lambda: trajectory(used, disturb={3: fall_apart})):
        before()
        assert np.array_equal(trajectory(used)[0], fresh)


def test_any_number_of_simulations_one_after_the_other(model: mujoco.MjModel) -> None:
    physics = MujocoBatch(model, 1)
    for n in (N, 1, 7, 2, N):
        assert np.array_equal(trajectory(physics, n=n)[0], trajectory(MujocoBatch(model, 1), n=n)[0])


# Divergence


def fall_apart(physics: MujocoBatch) -> None:
    """MuJoCo warns of accelerations and resets the simulation."""
    physics.qvel[1] = 1e9


def fly_away(physics: MujocoBatch) -> None:
    """The step ends without a warning at a position that MuJoCo takes for an error in the next one."""
    physics.qpos[1, 0], physics.qvel[1, 0] = 9.99e9, 9e9


def become_nan(physics: MujocoBatch) -> None:
    """The step ends at a position that is no number, whatever MuJoCo says."""
    batch, step = physics.batch, physics.batch.step

    def poisoned(*args: Any, **kwargs: Any) -> None:
        step(*args, **kwargs)
        physics.qpos[1, 4] = np.nan
        del batch.step

    object.__setattr__(batch, "step", poisoned)


def fail(physics: MujocoBatch) -> None:
    """MuJoCo raises an error: there is no such integrator."""
    physics.batch.expand("opt.integrator")[1] = 99


DISTURBANCES = {"warning": fall_apart, "too large": fly_away, "not a number": become_nan, "error": fail}


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("kind", DISTURBANCES)
@pytest.mark.filterwarnings("error")
def test_a_simulation_that_diverges_is_named_and_touches_no_other(
    model: mujoco.MjModel,
    kind: str,
    threads: int,
    capfd: pytest.CaptureFixture[str],
    scratch: Path,
) -> None:
    expected, none = trajectory(MujocoBatch(model, 1, threads))
    assert not none.any()
    physics = MujocoBatch(model, 1, threads)
    states, diverged = trajectory(physics, disturb={7: DISTURBANCES[kind]})
    assert np.argwhere(diverged).tolist() == [[7, 1]]
    others = [0, 2, 3, 4]
    assert np.array_equal(states[:, others], expected[:, others])
    assert np.array_equal(states[:7, 1], expected[:7, 1])
    assert not np.array_equal(states[7:, 1], expected[7:, 1])
    assert physics.batch.warning[1, :, 1].any() == (kind == "warning")  # each kind is what it says
    assert bool(physics.batch.status[1]) == (kind == "error")
    assert capfd.readouterr() == ("", "")
    assert list(scratch.iterdir()) == []


def test_a_start_that_diverges_at_once_is_silent_too(
    model: mujoco.MjModel, capfd: pytest.CaptureFixture[str], scratch: Path
) -> None:
    physics = MujocoBatch(model, 1)
    qpos, qvel = starts(model)
    qvel[3] = 1e11
    for _ in range(2):
        physics.start(qpos, qvel)
        assert physics.step(controls(model, 1)[0], EVERYONE).tolist() == [False, False, False, True, False]
    assert capfd.readouterr() == ("", "")
    assert list(scratch.iterdir()) == []


def test_all_may_diverge_at_once(model: mujoco.MjModel) -> None:
    physics = MujocoBatch(model, 1, num_threads=3)
    qpos, qvel = starts(model, 20)
    physics.start(qpos, np.full_like(qvel, 1e9))
    assert physics.step(np.zeros((20, model.nu)), np.ones(20, bool)).all()


def test_mujocos_own_handler_of_warnings_is_put_back(model: mujoco.MjModel) -> None:
    def handler(message: str) -> None:
        raise AssertionError(message)

    before = mujoco.get_mju_user_warning()
    mujoco.set_mju_user_warning(handler)
    try:
        trajectory(MujocoBatch(model, 1), steps=2, disturb={0: fall_apart})
        assert mujoco.get_mju_user_warning() is handler
    finally:
        mujoco.set_mju_user_warning(before)


# Threads


def test_the_same_numbers_at_any_number_of_threads(model: mujoco.MjModel) -> None:
    runs = [trajectory(MujocoBatch(model, 1, threads), 50) for threads in (1, 2, 3, N, 0)]
    for states, diverged in runs[1:]:
        assert np.array_equal(states, runs[0][0])
        assert np.array_equal(diverged, runs[0][1])


def test_threads_are_those_asked_for_or_those_that_compute(model: mujoco.MjModel) -> None:
    threads.use(3)
    for asked, n, expected in ((2, 4, 2), (4, 4, 4), (0, 64, 3), (0, 3, 3), (0, 1, 1)):
        physics = MujocoBatch(model, 1, asked)
        physics.start(*starts(model, n))
        assert physics.batch.nthread == expected


def test_more_threads_than_simulations_are_refused(model: mujoco.MjModel) -> None:
    with pytest.raises(UserError, match=r"num_threads: 3 threads for 2 simulations"):
        MujocoBatch(model, 1, 3).start(*starts(model, 2))
    with pytest.raises(ValueError, match="num_threads must be"):
        MujocoBatch(model, 1, -1)


# Models that differ


def heavier(model: mujoco.MjModel, factors: Array) -> dict[str, Array]:
    """Masses and inertias of all bodies times factors [n, nbody]."""
    return {"body_mass": factors * model.body_mass, "body_inertia": factors[..., None] * model.body_inertia}


def random_factors(model: mujoco.MjModel, seed: int) -> Array:
    return np.random.default_rng(seed).uniform(0.3, 3, (N, model.nbody))


def test_fields_reach_their_simulation_with_all_that_mujoco_derives_from_them(model: mujoco.MjModel) -> None:
    fields = heavier(model, random_factors(model, 0))
    physics = MujocoBatch(model, 1, num_threads=2)
    states, _ = trajectory(physics, 30, fields)
    qpos, qvel = starts(model)
    for i in range(N):
        own = load_model("ant.xml", ANT["paper"])
        for name, values in fields.items():
            getattr(own, name)[:] = values[i]
        data = mujoco.MjData(own)
        mujoco.mj_setConst(own, data)
        assert not np.allclose(own.body_subtreemass, model.body_subtreemass)
        assert not np.allclose(own.dof_invweight0, model.dof_invweight0)
        theirs = parameters(physics.batch.get_model(i))
        for name, value in parameters(own).items():
            assert np.array_equal(theirs[name], value), name
        mujoco.mj_resetData(own, data)
        data.qpos[:], data.qvel[:] = qpos[i], qvel[i]
        mujoco.mj_forward(own, data)
        for ctrl, expected in zip(controls(model, 30), states, strict=True):
            data.ctrl[:] = ctrl[i]
            mujoco.mj_step(own, data)
            assert np.array_equal(np.concatenate([data.qpos, data.qvel, data.xpos[1]]), expected[i])


def test_fields_of_an_earlier_start_leave_no_trace(model: mujoco.MjModel) -> None:
    plain, _ = trajectory(MujocoBatch(model, 1))
    one, two = (heavier(model, random_factors(model, seed)) for seed in (0, 1))
    fresh, _ = trajectory(MujocoBatch(model, 1), fields=two)
    ones = heavier(model, np.ones((N, model.nbody)))
    used = MujocoBatch(model, 1)
    assert not np.array_equal(trajectory(used, fields=one)[0], fresh)
    assert np.array_equal(trajectory(used, fields=two)[0], fresh)
    assert np.array_equal(trajectory(used, fields=ones)[0], plain)  # factors of 1 change nothing
    trajectory(used, fields=one)
    assert np.array_equal(trajectory(used)[0], plain)  # and neither do other fields
    assert np.array_equal(model.body_mass, load_model("ant.xml", ANT["paper"]).body_mass)


# Loading


def test_a_model_by_its_path_or_by_gymnasiums_name(tmp_path: Path) -> None:
    file = tmp_path / "pendulum.xml"
    body = '<body><joint name="j" type="hinge"/><geom size="0.1"/></body>'
    file.write_text(f"<mujoco><worldbody>{body}</worldbody></mujoco>")
    model = load_model(str(file), Preset(0.005, 2))
    assert (model.nq, model.opt.timestep) == (1, 0.005)
    assert joint_types(model) == ["hinge"]
    assert joint_types(load_model("ant.xml", ANT["paper"])) == ["free", *["hinge"] * 8]


def test_a_model_that_mujoco_warns_of_is_loaded_in_silence(
    capfd: pytest.CaptureFixture[str], scratch: Path
) -> None:
    gym.make("HalfCheetah-v5")  # to see that there is a warning
    assert "WARNING" in "".join(capfd.readouterr())
    (scratch / "MUJOCO_LOG.TXT").unlink()
    HalfCheetahDirection()
    assert capfd.readouterr() == ("", "")
    assert list(scratch.iterdir()) == []


XML = "<mujoco><worldbody><bodi/></worldbody></mujoco>"


@pytest.mark.parametrize(
    ("content", "complaint"),
    [(None, "no such file; give a path, or one of"), (XML, "bodi"), ("<mujoco>", "pars"), ("", "empty")],
)
def test_a_file_that_is_no_model_is_named_in_one_line(
    tmp_path: Path, content: str | None, complaint: str, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "robot.xml"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ValueError, match=complaint) as error:
        load_model(str(file), ANT["paper"])
    assert str(error.value).startswith(f"xml_file {file}: ")
    assert "\n" not in str(error.value)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("preset", "key"),
    [
        (Preset(0.0, 1), "timestep"),
        (Preset(1.0, 1), "timestep"),
        (Preset(float("nan"), 1), "timestep"),
        (Preset(0.01, 0), "frame_skip"),
    ],
)
def test_impossible_presets(preset: Preset, key: str) -> None:
    with pytest.raises(ValueError, match=key):
        load_model("ant.xml", preset)
