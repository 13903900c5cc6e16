"""From run directories to a report, as data."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from meta_rl.charts.chart import Chart
from meta_rl.errors import UserError
from meta_rl.report.ablation_figures import ablation_charts
from meta_rl.report.choose import collect
from meta_rl.report.equivalence import Verdict, judge
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
from meta_rl.report.settings import REFERENCE
from meta_rl.report.tables import record, summary_table
from meta_rl.report.text import findings, notes_on, setting
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
    score_range, about_scores = find_score_range(chosen, published)
    verdicts = _verdicts(chosen, score_range, about_scores)
    words = _words(groups, factors, score_range, about_scores)
    return Report(
        title=f"{', '.join(chosen)} on {runs[0].family['data.env']}",
        findings=tuple(findings(chosen, verdicts, published.returns)),
        summary=summary_table(groups, score_range, words),
        verdicts=verdicts[STEP],
        charts=tuple(_charts(groups, chosen, factors, published, score_range)),
        runs=tuple(record(run, group) for group in groups for run in group.runs),
        skipped=tuple(skipped),
        videos=tuple(video for group in groups for video in _videos(group)),
        notes=tuple(notes_on(groups, chosen, factors, verdicts[STEP], about_scores, published)),
        made=made,
    )


def _charts(
    groups: Sequence[Group],
    chosen: Mapping[str, Group],
    factors: Sequence[Factor],
    published: Published,
    score_range: ScoreRange | None,
) -> list[Chart]:
    return [
        *adaptation_charts(chosen, published, score_range),
        *score_charts(score_samples(chosen, score_range), normalised=score_range is not None),
        *scatter_charts(chosen),
        *learning_charts(chosen, setting(factors)),
        *ablation_charts(groups, chosen, factors),
        *second_order_charts(groups, list(chosen.values()), factors),
        *timing_charts(list(chosen.values())),
    ]


def _verdicts(
    chosen: Mapping[str, Group], score_range: ScoreRange | None, about_scores: str
) -> dict[int, tuple[Verdict, ...]]:
    """By number of gradient steps: after one, and if there are normalised scores, after the last."""
    last = max((e.steps for group in chosen.values() for e in group.evaluations), default=STEP)
    steps = [STEP, last] if last > STEP and score_range is not None else [STEP]
    return {
        step: judge(score_samples(chosen, score_range, step), score_range is not None, about_scores)
        for step in steps
    }


def _words(
    groups: Sequence[Group], factors: Sequence[Factor], score_range: ScoreRange | None, about_scores: str
) -> dict[str, str]:
    """By the label of a group, the word of its verdict beside MAML at the same setting."""
    words = {}
    for group in groups:
        if group.method == REFERENCE:
            at_same = peers(groups, group, factors)
            samples = score_samples(at_same, score_range)
            for verdict in judge(samples, score_range is not None, about_scores):
                words[at_same[verdict.method].label] = verdict.word
    return words


def _videos(group: Group) -> tuple[Path, ...]:
    """The videos of the first seed that has any: other seeds look alike, and videos are large."""
    return next((evaluation.videos for evaluation in group.evaluations if evaluation.videos), ())
