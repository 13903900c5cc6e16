"""Batched MuJoCo physics: many simulations of one model on a pool of threads. Knows no task and no reward."""

# pyright: reportAttributeAccessIssue=false
# (mujoco has no type stubs)

import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import mujoco
import numpy as np
from mujoco.batch import Batch, SimulationError
from numpy.typing import NDArray

from meta_rl import threads
from meta_rl.errors import UserError, one_line

ASSETS = Path(str(files("gymnasium"))) / "envs/mujoco/assets"
log = logging.getLogger(__name__)


class Preset(NamedTuple):
    """How finely physics is simulated, and how soft contacts are."""

    timestep: float  # s, of one physics step
    frame_skip: int  # physics steps per environment step
    solimp: tuple[float, float, float] | None = None  # of all geoms' contacts; None keeps the model's own


def load_model(xml_file: str, preset: Preset) -> mujoco.MjModel:
    """The model in an XML file, a path or the name of one of Gymnasium's, simulated as `preset` says.

    Raises:
        ValueError: if there is no such file, if MuJoCo does not accept it, or for a preset out of range.
    """
    if not 0 < preset.timestep < 1:
        raise ValueError(f"timestep must lie in (0, 1) seconds, got {preset.timestep}")
    if preset.frame_skip < 1:
        raise ValueError(f"frame_skip must be at least 1 physics step, got {preset.frame_skip}")
    path = next((p for p in (Path(xml_file), ASSETS / xml_file) if p.is_file()), None)
    if path is None:
        known = ", ".join(sorted(p.name for p in ASSETS.glob("*.xml")))
        raise ValueError(f"xml_file {xml_file}: no such file; give a path, or one of Gymnasium's: {known}")
    try:
        with _warnings_logged():
            model = mujoco.MjModel.from_xml_path(str(path))
    except ValueError as error:
        raise ValueError(f"xml_file {path}: {one_line(error)}") from None
    model.opt.timestep = preset.timestep
    if preset.solimp is not None:
        model.geom_solimp[:, :3] = preset.solimp
    return model


def joint_types(model: mujoco.MjModel) -> list[str]:
    """Types of all joints, in the order of qpos: free, ball, slide or hinge."""
    return [mujoco.mjtJoint(t).name.removeprefix("mjJNT_").lower() for t in model.jnt_type]


class MujocoBatch:
    """`n` simulations of one model, started together and stepped together.

    Results do not depend on the number of threads.

    Args:
        model: The model; left as it is.
        frame_skip: Physics steps per call of `step`.
        num_threads: Threads that simulate; 0 for as many as compute (`threads.number`).

    Raises:
        ValueError: for a negative number of threads.
    """

    # Live arrays of all simulations, made by `start`.
    qpos: NDArray[np.float64]  # [n, nq]
    qvel: NDArray[np.float64]  # [n, nv]
    xpos: NDArray[np.float64]  # [n, nbody, 3] as the last substep saw it

    def __init__(self, model: mujoco.MjModel, frame_skip: int, num_threads: int = 0) -> None:
        if num_threads < 0:
            raise ValueError(f"num_threads must be at least 1, or 0 for all cores, got {num_threads}")
        self.model = model
        self.frame_skip = frame_skip
        self.num_threads = num_threads
        self._batch: Batch | None = None
        self._made_for: tuple[int, set[str]] | None = None  # simulations, and fields in which they differ

    @property
    def batch(self) -> Batch:
        """The simulations that `start` made."""
        assert self._batch is not None, "call start first"
        return self._batch

    def start(
        self,
        qpos: NDArray[np.float64],
        qvel: NDArray[np.float64],
        fields: Mapping[str, NDArray[np.float64]] | None = None,
    ) -> None:
        """Begin anew from positions [n, nq] and velocities [n, nv].

        Args:
            qpos: Generalised positions.
            qvel: Generalised velocities.
            fields: Values [n, ...] of the model's fields in which the simulations differ, by name, such as
                `body_mass`. Constants that MuJoCo derives from them are recomputed.

        Raises:
            UserError: for more threads than simulations.
        """
        n, fields = len(qpos), fields or {}
        if self.num_threads > n:
            raise UserError(
                f"data.env.num_threads: {self.num_threads} threads for {n} simulations; "
                "give at most one a simulation, or 0 for as many as there are cores"
            )
        with _warnings_logged():
            if self._made_for != (n, set(fields)):
                self._make(n)
                self._made_for = (n, set(fields))
            batch = self.batch
            for name, values in fields.items():
                batch.expand(name)[:] = values
            if fields:
                batch.set_const()
            batch.reset(stage=int(mujoco.mjtStage.mjSTAGE_NONE))
            self.qpos[:], self.qvel[:] = qpos, qvel
            batch.forward()

    def _make(self, n: int) -> None:
        self._batch = batch = Batch(self.model, n, self.num_threads or min(n, threads.number()))
        # Before the first call: what is bound later shows zeros until the next call.
        bind = batch.bind
        self.qpos, self.qvel, self.xpos, self._ctrl = bind("qpos"), bind("qvel"), bind("xpos"), bind("ctrl")

    def step(self, ctrl: NDArray[np.floating], alive: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Move the simulations of the mask `alive` [n] by `frame_skip` physics steps, with controls [n, nu].

        The others cost nothing and stay as they are.

        Returns:
            Which simulations have diverged [n]: MuJoCo has raised an error or a warning in them, or would not
            accept their state any more. Their state is meaningless from then on; the others are not affected.
        """
        self._ctrl[:] = ctrl
        failed = np.zeros_like(alive)
        with _warnings_logged():
            try:
                self.batch.step(ids=np.flatnonzero(alive), nstep=self.frame_skip)
            except SimulationError as error:
                log.debug("%s", error)
                failed[error.ids] = True
        # A warning may reset a simulation, its other warnings' counts included: one since `start` is enough.
        warned = self.batch.warning[..., 1].any(1)  # [n, kind of warning, (last info, count)]
        state = np.concatenate([self.qpos, self.qvel], 1)
        accepted = (np.abs(state) < mujoco.mjMAXVAL).all(1)  # NaN is not
        return alive & (failed | warned | ~accepted)


class _Handler:
    """MuJoCo has one handler for all threads: the first to come sets it, the last to leave resets it."""

    lock = threading.Lock()
    users = 0
    before: Any = None


@contextmanager
def _warnings_logged() -> Iterator[None]:
    """Send MuJoCo's warnings to the log; it would print them and append them to ./MUJOCO_LOG.TXT."""
    with _Handler.lock:
        if _Handler.users == 0:
            _Handler.before = mujoco.get_mju_user_warning()
            mujoco.set_mju_user_warning(log.debug)
        _Handler.users += 1
    try:
        yield
    finally:
        with _Handler.lock:
            _Handler.users -= 1
            if _Handler.users == 0:
                mujoco.set_mju_user_warning(_Handler.before)
