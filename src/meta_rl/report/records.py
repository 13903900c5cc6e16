"""How each run was made, as far as its directory says."""

from collections.abc import Mapping, Sequence
from typing import Any

from meta_rl.report.curves import seconds
from meta_rl.report.groups import Group
from meta_rl.report.model import RunRecord
from meta_rl.report.run import Run

UNRECORDED = "not recorded (made before run.json existed)"


def record(run: Run, group: Group) -> RunRecord:
    """Facts, commands and configuration of a run of `group`."""
    facts = {"method": group.label, "seed": str(run.seed), "iterations": str(run.iterations)}
    if run.metrics is not None:
        facts["environment steps"] = f"{run.metrics['env_steps'].iloc[-1]:,.0f}"
        facts["sampling and updates"] = f"{seconds(run.metrics).sum() / 60:.1f} minutes"
        facts |= _provenance(run)
    facts |= _evaluation(run)
    return RunRecord(run.path.as_posix(), run.method, facts, tuple(_commands(run)), run.config)


def _provenance(run: Run) -> dict[str, str]:
    """Of the last start; earlier ones show in the commands."""
    if not run.starts:
        return {"command, versions and machine": UNRECORDED}
    last = run.starts[-1]
    spent = [start["seconds"] for start in run.starts if start.get("seconds") is not None]
    facts = {
        "starts": str(len(run.starts)),
        "last start": last.get("started"),
        "wall time": f"{sum(spent) / 60:.1f} minutes" if spent else None,
        "outcome": last.get("outcome"),
        "commit": last.get("commit"),
        "machine": _pairs(last.get("machine")),
        "versions": _pairs(last.get("versions")),
    }
    return {name: str(value) for name, value in facts.items() if value}


def _evaluation(run: Run) -> dict[str, str]:
    if run.evaluation is None:
        return {"evaluation": "none"}
    evaluation, facts = run.evaluation, run.evaluation.facts
    parts = [f"{len(evaluation.tasks)} tasks", f"{evaluation.episodes} episodes"]
    parts += [
        f"{name} {facts[name]}"
        for name in ("iteration", "seed", "inner_lr")
        if facts.get(name) not in (None, [])
    ]
    return {"evaluation": f"{evaluation.path.name}: {', '.join(parts)}"}


def _commands(run: Run) -> list[str]:
    commands = [str(start["command"]) for start in run.starts if start.get("command")]
    if run.evaluation is not None and run.evaluation.facts.get("command"):
        commands.append(str(run.evaluation.facts["command"]))
    return commands


def _pairs(values: Any) -> str:
    return ", ".join(f"{k} {v}" for k, v in values.items()) if isinstance(values, Mapping) else ""


def machines(groups: Sequence[Group]) -> set[str]:
    """The different machines that are recorded."""
    starts = [start for group in groups for run in group.runs for start in run.starts]
    return {_pairs(start.get("machine")) for start in starts} - {""}
