"""From run directories to a report, as data."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from meta_rl.errors import UserError
from meta_rl.report.ablation import ablation_charts
from meta_rl.report.adaptation import adaptation_charts
from meta_rl.report.collect import collect
from meta_rl.report.factors import Factor, find_factors, peers, reference_groups
from meta_rl.report.findings import find
from meta_rl.report.groups import Group, group_runs
from meta_rl.report.learning import learning_charts
from meta_rl.report.model import Chart, Report, Verdict
from meta_rl.report.notes import notes_on, setting
from meta_rl.report.profiles import score_charts
from meta_rl.report.published import Published, find_published
from meta_rl.report.records import record
from meta_rl.report.scale import STEP, Scale, find_scale, judge, scores
from meta_rl.report.scatter import scatter_charts
from meta_rl.report.second_order import second_order_charts
from meta_rl.report.settings import REFERENCE
from meta_rl.report.summary import summary_table
from meta_rl.report.timing import timing_charts

REASONS = 3  # of skipped runs, in the error that none is left


def build(paths: Sequence[Path], evaluation: str, made: dict[str, Any]) -> Report:
    """The report on the runs in `paths`.

    Args:
        paths: Run directories, or directories of them.
        evaluation: Name of the folder in each run that holds its evaluation.
        made: How the report itself is made.

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
    scale, about_scale = find_scale(chosen, published)
    verdicts = _verdicts(chosen, scale, about_scale)
    words = _words(groups, factors, scale, about_scale)
    return Report(
        title=f"{', '.join(chosen)} on {runs[0].family['data.env']}",
        findings=tuple(find(chosen, verdicts, published.returns)),
        summary=summary_table(groups, scale, words),
        verdicts=verdicts[STEP],
        charts=tuple(_charts(groups, chosen, factors, published, scale)),
        runs=tuple(record(run, group) for group in groups for run in group.runs),
        skipped=tuple(skipped),
        videos=tuple(video for group in groups for video in _videos(group)),
        notes=tuple(notes_on(groups, chosen, factors, verdicts[STEP], about_scale, published)),
        made=made,
    )


def _charts(
    groups: Sequence[Group],
    chosen: Mapping[str, Group],
    factors: Sequence[Factor],
    published: Published,
    scale: Scale | None,
) -> list[Chart]:
    return [
        *adaptation_charts(chosen, published, scale),
        *score_charts(scores(chosen, scale), normalised=scale is not None),
        *scatter_charts(chosen),
        *learning_charts(chosen, setting(factors)),
        *ablation_charts(groups, chosen, factors),
        *second_order_charts(groups, list(chosen.values()), factors),
        *timing_charts(list(chosen.values())),
    ]


def _verdicts(
    chosen: Mapping[str, Group], scale: Scale | None, about_scale: str
) -> dict[int, tuple[Verdict, ...]]:
    """By gradient steps: after one, and where there is a scale after the last."""
    last = max((e.steps for group in chosen.values() for e in group.evaluations), default=STEP)
    steps = [STEP, last] if last > STEP and scale is not None else [STEP]
    return {step: judge(scores(chosen, scale, step), scale, about_scale) for step in steps}


def _words(
    groups: Sequence[Group], factors: Sequence[Factor], scale: Scale | None, about_scale: str
) -> dict[str, str]:
    """By label, the verdict on each group beside MAML at the same setting."""
    words = {}
    for group in groups:
        if group.method == REFERENCE:
            at_same = peers(groups, group, factors)
            for verdict in judge(scores(at_same, scale), scale, about_scale):
                words[at_same[verdict.method].label] = verdict.word
    return words


def _videos(group: Group) -> tuple[Path, ...]:
    """Those of the first seed that has any: other seeds look alike, and videos are large."""
    return next((evaluation.videos for evaluation in group.evaluations if evaluation.videos), ())
