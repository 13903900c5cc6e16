"""How the numbers of a report were made, in sentences."""

from collections.abc import Mapping, Sequence

from meta_rl.report.factors import Factor
from meta_rl.report.groups import Group
from meta_rl.report.model import Verdict
from meta_rl.report.published import Published
from meta_rl.report.records import machines


def setting(factors: Sequence[Factor]) -> str:
    """A sentence on the setting that the figures besides the ablations are of; empty without ablations."""
    parts = [factor.heading(factor.reference) for factor in factors]
    return f"Where no ablation is shown, the runs are those with {', '.join(parts)}." if parts else ""


def notes_on(
    groups: Sequence[Group],
    chosen: Mapping[str, Group],
    factors: Sequence[Factor],
    verdicts: Sequence[Verdict],
    about_scale: str,
    published: Published,
) -> list[str]:
    """How the statistics were made."""
    notes = [published.problem, setting(factors)]
    notes += [_off_reference(group, factors) for group in chosen.values()]
    evaluated = [group for group in chosen.values() if group.evaluations]
    if evaluated:
        notes += [_tasks(evaluated), *map(_earlier, evaluated), about_scale]
    if verdicts:
        notes.append(
            "Verdicts: two one-sided t-tests over seeds at 5 %, after one gradient step. Each stands for "
            "itself, without a correction for their number."
        )
    if len(machines(groups)) > 1:
        notes.append(f"Runs were made on {len(machines(groups))} different machines: compare no times.")
    return [note for note in notes if note]


def _off_reference(group: Group, factors: Sequence[Factor]) -> str:
    """A sentence on a method that was not run at the reference values; empty otherwise."""
    parts = [f.heading(f.of(group)) for f in factors if f.of(group) != f.reference]
    return (
        f"{group.method} is shown at {', '.join(parts)}: it was not run at the setting above."
        if parts
        else ""
    )


def _tasks(groups: Sequence[Group]) -> str:
    """How many unseen tasks and episodes the evaluations used, as a sentence."""
    evaluation = groups[0].evaluations[0]
    n, episodes = len(evaluation.tasks), evaluation.episodes
    return f"Evaluations: {n} unseen tasks, {episodes} episodes a task and gradient step, the same for all."


def _earlier(group: Group) -> str:
    """A sentence on evaluations of another checkpoint than the last; empty otherwise."""
    iteration, last = group.evaluations[0].facts.get("iteration"), group.runs[0].iterations
    if iteration in (None, last):
        return ""
    return f"{group.method} is evaluated after {iteration} iterations; its training goes on to {last}."
