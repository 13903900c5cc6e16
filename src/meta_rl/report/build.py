"""From run directories to a report, as data."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from meta_rl.errors import UserError
from meta_rl.evaluation.equivalence import MARGIN, verdicts
from meta_rl.report.ablation_figures import ablation_charts
from meta_rl.report.choose import collect
from meta_rl.report.evaluation_figures import adaptation_charts, task_charts
from meta_rl.report.files import Report
from meta_rl.report.groups import Factor, Group, find_factors, group_runs, reference_groups
from meta_rl.report.normalisation import find_published, find_score_range, score_samples
from meta_rl.report.runs import ITERATIONS
from meta_rl.report.score_figures import score_charts
from meta_rl.report.tables import record, summary_table
from meta_rl.report.timing import timing_charts
from meta_rl.report.training_figures import learning_charts, second_order_charts
from meta_rl.run.directory import VIDEO

REASONS = 3  # that the error names if no run is left


def build(paths: Sequence[Path], evaluation: str, made: dict[str, Any], margin: float = MARGIN) -> Report:
    """The report on the runs in `paths`.

    Args:
        paths: Run directories, or directories of run directories.
        evaluation: Name of the folder in each run directory that holds its evaluation.
        made: How the report itself is made: command, date, commit and versions.
        margin: Largest difference between mean scores that does not matter to a verdict.

    Raises:
        UserError: if no run is left.
    """
    runs, skipped = collect(paths, evaluation)
    if not runs:
        more = f"; and {len(skipped) - REASONS} more" if len(skipped) > REASONS else ""
        raise UserError(f"no run to report on: {'; '.join(skipped[:REASONS])}{more}")
    groups = group_runs(runs)
    factors = find_factors(groups)
    chosen = reference_groups(groups, factors)
    published = find_published(runs)
    score_range, about_scores = find_score_range(chosen, published)
    scores = score_samples(chosen, score_range) if score_range else {}
    charts = [
        *adaptation_charts(chosen, published, score_range),
        *score_charts(scores),
        *task_charts(chosen),
        *learning_charts(chosen, setting(factors)),
        *ablation_charts(groups, chosen, factors),
        *second_order_charts(chosen),
        *timing_charts(chosen),
    ]
    return Report(
        title=f"{', '.join(chosen)} on {runs[0].family['data.env']}",
        verdicts=verdicts(scores, margin),
        summary=summary_table(groups, factors, score_range),
        charts=tuple(charts),
        runs=tuple(record(run, group.label) for group in groups for run in group.runs),
        skipped=tuple(skipped),
        videos=tuple(video for group in groups for video in _videos(group)),
        notes=tuple(filter(None, [published.problem, *notes_on(chosen, factors), about_scores])),
        made=made,
    )


def setting(factors: Sequence[Factor]) -> str:
    """A sentence on the values of the factors in figures other than ablations; "" if nothing is varied."""
    parts = [factor.heading(factor.reference) for factor in factors]
    return f"Where no ablation is shown, the runs are those with {', '.join(parts)}." if parts else ""


def notes_on(chosen: Mapping[str, Group], factors: Sequence[Factor]) -> list[str]:
    """What one must know to read the numbers, in sentences.

    Args:
        chosen: By method, the group in figures other than ablations.
        factors: The settings that are varied.
    """
    notes, single = [setting(factors)], []
    for method, group in chosen.items():
        if parts := [f.heading(f.of(group)) for f in factors if f.of(group) != f.reference]:
            notes.append(f"{method} is shown at {', '.join(parts)}: it was not run at the setting above.")
        if group.evaluations:
            iteration, last = group.evaluations[0].facts.get("iteration"), group.settings[ITERATIONS]
            if iteration not in (None, last):
                notes.append(
                    f"{method} is evaluated after {iteration} iterations; its training goes on to {last}."
                )
        if len(group.runs) == 1:
            single.append(method)
    if single:
        notes.append(f"A single seed shows no spread and has no interval over seeds: {', '.join(single)}.")
    starts = [start for group in chosen.values() for run in group.runs for start in run.starts]
    if len(machines := {str(start["machine"]) for start in starts if start.get("machine")}) > 1:
        notes.append(f"Runs were made on {len(machines)} different machines: compare no times.")
    return notes


def _videos(group: Group) -> list[Path]:
    """The videos of the first seed that has any: other seeds look alike, and videos are large."""
    found = (sorted((evaluation.path / VIDEO).glob("*.mp4")) for evaluation in group.evaluations)
    return next(filter(None, found), [])
