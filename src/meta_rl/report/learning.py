"""Learning curves: returns against iterations, environment steps and time."""

from collections.abc import Iterable, Mapping, Sequence

from meta_rl.report.curves import Axis, block_size, curve, iterations, million_steps, minutes
from meta_rl.report.groups import Group
from meta_rl.report.model import Chart, Panel, Series

RETURN = "mean episode return"
COLUMNS = {"return_post": "after adaptation", "return_pre": "before adaptation"}
AXES: dict[str, tuple[Axis, str, str]] = {
    "iterations": (iterations, "iterations", "Against iterations."),
    "steps": (
        million_steps,
        "environment steps (millions)",
        "Against environment steps, those of all phases.",
    ),
    "time": (
        minutes,
        "time (minutes)",
        "Against time_sampling + time_update so far, without starting up, logging and checkpoints. What else "
        "the machine did counts: it slows some seeds, and widens the band.",
    ),
}
OVER_SEEDS = "Mean over seeds; band: 95 % t-interval over seeds, for 3 or more."


def learning_charts(groups: Mapping[str, Group], setting: str) -> list[Chart]:
    """Three charts, each with a panel for the returns after and before adaptation.

    Args:
        groups: By method, the one to show.
        setting: A sentence on what these groups are, for the captions; may be empty.
    """
    trained = [group for group in groups.values() if group.metrics]
    if not trained:
        return []
    charts = []
    for name, (axis, label, sentence) in AXES.items():
        panels = tuple(
            Panel(title, label, RETURN, curves(trained, column, axis)) for column, title in COLUMNS.items()
        )
        caption = [
            "Return on the training tasks while meta-learning, before each outer update.",
            sentence,
            OVER_SEEDS,
            averaging(trained),
            setting,
        ]
        title = f"Learning curves against {label.partition(' (')[0]}"
        charts.append(Chart(f"learning_{name}", title, " ".join(filter(None, caption)), panels))
    return charts


def curves(groups: Iterable[Group], column: str, axis: Axis) -> tuple[Series, ...]:
    """One curve for each group that has the metric, under its method's name."""
    found = ((group, curve(group.metrics, column, axis)) for group in groups)
    return tuple(Series(group.method, data, look=group.method) for group, data in found if data is not None)


def averaging(groups: Sequence[Group]) -> str:
    """A sentence on how many iterations make one point, empty if it is one."""
    size = block_size(max(len(metrics) for group in groups for metrics in group.metrics))
    return f"Each point averages up to {size} iterations." if size > 1 else ""
