"""From run directories to a report, as data."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from meta_rl.errors import UserError
from meta_rl.report.ablation_figures import ablation_charts
from meta_rl.report.choose import collect
from meta_rl.report.equivalence import Verdict, verdicts
from meta_rl.report.evaluation_figures import adaptation_charts, scatter_charts, score_charts
from meta_rl.report.files import Report
from meta_rl.report.groups import Factor, Group, find_factors, group_runs, peers, reference_groups
from meta_rl.report.normalisation import (
    STEP,
    Published,
    ScoreRange,
    find_published,
    find_score_range,
    score_samples,
)
from meta_rl.report.runs import REFERENCE
from meta_rl.report.tables import findings, notes_on, record, setting, summary_table
from meta_rl.report.training_figures import learning_charts, second_order_charts, timing_charts

REASONS = 3  # that the error names if no run is left


def build(paths: Sequence[Path], evaluation: str, made: dict[str, Any]) -> Report:
    """The report on the runs in `paths`.

    Args:
        paths: Run directories, or directories of run directories.
        evaluation: Name of the folder in each run directory that holds its evaluation.
        made: How the report itself is made: command, date, commit and versions.

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
    evaluated = [run for group in chosen.values() for run in group.runs if run.evaluation is not None]
    published = find_published(evaluated[0]) if evaluated else Published()
    scale, about_scores = find_score_range(chosen, published)
    charts = [
        *adaptation_charts(chosen, published, scale),
        *score_charts(score_samples(chosen, scale), normalised=scale is not None),
        *scatter_charts(chosen),
        *learning_charts(chosen, setting(factors)),
        *ablation_charts(groups, chosen, factors),
        *second_order_charts(groups, list(chosen.values()), factors),
        *timing_charts(list(chosen.values())),
    ]
    return Report(
        title=f"{', '.join(chosen)} on {runs[0].family['data.env']}",
        verdicts=_verdicts(chosen, scale),
        summary=summary_table(groups, scale, _words(groups, factors, scale)),
        findings=tuple(findings(chosen, published.returns)),
        charts=tuple(charts),
        runs=tuple(record(run, group) for group in groups for run in group.runs),
        skipped=tuple(skipped),
        videos=tuple(video for group in groups for video in _videos(group)),
        notes=tuple(notes_on(chosen, factors, about_scores, published)),
        made=made,
    )


def _verdicts(chosen: dict[str, Group], scale: ScoreRange | None) -> tuple[Verdict, ...]:
    """After one gradient step, and if there are normalised scores, after the last."""
    last = max((e.steps for group in chosen.values() for e in group.evaluations), default=STEP)
    steps = [STEP, last] if last > STEP and scale is not None else [STEP]
    samples = {step: score_samples(chosen, scale, step) for step in steps}
    return tuple(v for step in steps for v in verdicts(samples[step], scale is not None, step))


def _words(groups: Sequence[Group], factors: Sequence[Factor], scale: ScoreRange | None) -> dict[str, str]:
    """By the label of a group, the word of its verdict beside MAML at the same setting."""
    words = {}
    for group in (group for group in groups if group.method == REFERENCE):
        at_same = peers(groups, group, factors)
        for verdict in verdicts(score_samples(at_same, scale), scale is not None, STEP):
            words[at_same[verdict.method].label] = verdict.word
    return words


def _videos(group: Group) -> tuple[Path, ...]:
    """The videos of the first seed that has any: other seeds look alike, and videos are large."""
    return next((evaluation.videos for evaluation in group.evaluations if evaluation.videos), ())
