"""A report as one page that needs nothing but itself, with its figures as files."""

import base64
import hashlib
import mimetypes
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from meta_rl.charts.chart import Chart, Panel
from meta_rl.charts.draw import draw, panel_svg, shared_limits, swatch
from meta_rl.charts.looks import legend, looks
from meta_rl.report.files import Report, figure_files, load
from meta_rl.report.tables import RunRecord

ASSETS = Path(__file__).parent / "assets"
MOST_EMBEDDED = 8e6  # bytes of all videos; more of them stay beside the page
FACTS = 4  # columns of the table of runs at most, besides name and method


def render(output: Path, progress: Callable[[tuple[Chart, ...]], Any] = iter) -> Report:
    """Draw the figures and the page of a report from its data/*.csv and report.json.

    Args:
        output: The folder of the report.
        progress: Wraps the charts in a progress bar.

    Returns:
        The report.

    Raises:
        UserError: if there is no report in the folder, or a file of it is damaged.
    """
    report = load(output)
    (output / "figures").mkdir(exist_ok=True)
    for chart in progress(report.charts):
        for file in figure_files(output, chart.key):
            draw(chart, file)
    write_page(report, output)
    return report


def write_page(report: Report, output: Path) -> None:
    """Write index.html, and the folder videos/ if they are too large to be inside it.

    Args:
        report: The report; sections without content are left out.
        output: The folder of the report. The page links to figures/KEY.png, figures/KEY.pdf and data/KEY.csv
            in it.
    """
    output.mkdir(parents=True, exist_ok=True)
    # Every name in a report is text: only what is Markup here goes into the page as it is.
    environment = Environment(
        loader=FileSystemLoader(ASSETS),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    script = (ASSETS / "page.js").read_text(encoding="utf-8")
    page = environment.get_template("page.html.j2").render(
        report=report,
        sections=_sections(report),
        columns=[str(name) for name in report.summary.columns],
        rows=report.summary.astype(str).to_numpy().tolist(),
        figures=[_figure(chart) for chart in report.charts],
        run_facts=_common_facts(report.runs),
        videos=_videos(report.videos, output),
        css=Markup((ASSETS / "page.css").read_text(encoding="utf-8")),
        script=Markup(script),
        script_hash="sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )
    (output / "index.html").write_text(page, encoding="utf-8", newline="\n")


def _sections(report: Report) -> dict[str, str]:
    """The ids and headings of the sections that have content."""
    found = {
        "findings": ("Findings", True),
        "summary": ("Summary", len(report.summary.columns) or report.verdicts),
        "figures": ("Figures", report.charts),
        "videos": ("Videos", report.videos),
        "statistics": ("Statistics", report.notes),
        "runs": (f"Runs ({len(report.runs)})", report.runs),
        "skipped": (f"Skipped ({len(report.skipped)})", report.skipped),
        "made": ("This page", report.made),
    }
    return {key: name for key, (name, content) in found.items() if content}


def _figure(chart: Chart) -> dict[str, Any]:
    styles, limits = looks(chart), shared_limits(chart)
    panels, points = [], []
    for number, panel in enumerate(chart.panels, 1):
        label = _label(chart, panel, number)
        svg, data = panel_svg(panel, styles, label, limits)
        panels.append({"title": panel.title, "x": panel.x, "y": panel.y, "label": label, "svg": Markup(svg)})
        points.append(data)
    entries = [
        {"name": name, "swatch": Markup(swatch(series.kind, styles[name]))}
        for name, series in legend(chart).items()
    ]
    count = len(panels)
    columns = 2 if count == 4 else min(3, count)
    return {"chart": chart, "legend": entries, "panels": panels, "points": points, "columns": columns}


def _label(chart: Chart, panel: Panel, number: int) -> str:
    """The text alternative of a panel."""
    which = f" ({number} of {len(chart.panels)})" if len(chart.panels) > 1 else ""
    title = f"{chart.title}: {panel.title}" if panel.title else chart.title
    names = ", ".join(series.name for series in panel.series)
    return f"{title}{which}. {panel.y} against {panel.x} of {names}"


def _common_facts(runs: Sequence[RunRecord]) -> list[str]:
    """The names of the first facts that all runs have, without the method, which has its own column."""
    first = runs[0].facts if runs else {}
    return [key for key in first if key != "method" and all(key in run.facts for run in runs)][:FACTS]


def _videos(paths: Sequence[Path], output: Path) -> list[dict[str, str]]:
    embedded = sum(path.stat().st_size for path in paths) <= MOST_EMBEDDED
    found = []
    for number, path in enumerate(paths, 1):
        source = _data_url(path) if embedded else _link(path, output, number)
        found.append({"name": "/".join(path.parts[-2:]), "source": source})
    return found


def _data_url(path: Path) -> str:
    kind = mimetypes.guess_type(path.name)[0] or "video/mp4"
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"


def _link(path: Path, output: Path, number: int) -> str:
    """The link to a video, which is copied to the folder of the page unless it is there already."""
    if not path.resolve().is_relative_to(output.resolve()):
        copy = output / "videos" / f"{number:02d}-{path.name}"
        copy.parent.mkdir(exist_ok=True)
        path = Path(shutil.copyfile(path, copy))
    return quote(path.resolve().relative_to(output.resolve()).as_posix())
