"""A report as one page that asks for nothing but its own folder, with its figures as files."""

import base64
import hashlib
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import vl_convert as vlc
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from meta_rl.charts.chart import Chart
from meta_rl.charts.draw import draw, specification
from meta_rl.report.equivalence import MARGIN, Verdict
from meta_rl.report.files import FIGURES, Report, figure_files, load
from meta_rl.report.tables import RunRecord

ASSETS = Path(__file__).parent / "assets"
FIRST = "adaptation"  # the figure before the table
FACTS = 4  # columns of the table of runs at most, besides name and method


def render(output: Path, progress: Callable[[tuple[Chart, ...]], Any] = iter) -> Report:
    """Draw the figures and the page of a report from its data/*.csv and report.json.

    Args:
        output: The folder of the report.
        progress: Wraps the charts in a progress bar.

    Raises:
        UserError: if there is no report in the folder, or a file of it is damaged.
    """
    report = load(output)
    (output / "figures").mkdir(exist_ok=True)
    for chart in progress(report.charts):
        draw(chart, *figure_files(output, chart.key))
    write_page(report, output)
    return report


def write_page(report: Report, output: Path) -> None:
    """Write index.html, which links to figures/KEY.*, data/KEY.csv and the films in the folder `output`."""
    output.mkdir(parents=True, exist_ok=True)
    # Every name in a report is text: only what is Markup here goes into the page as it is.
    environment = Environment(
        loader=FileSystemLoader(ASSETS),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    scripts = [library(), (ASSETS / "page.js").read_text(encoding="utf-8")] if report.charts else []
    films = [quote(path.resolve().relative_to(output.resolve()).as_posix()) for path in report.videos]
    figures = [{"chart": chart, "tables": values(chart)} for chart in report.charts]
    page = environment.get_template("page.html.j2").render(
        report=report,
        forest=forest(report.verdicts),
        rows=report.summary.astype(str).to_numpy().tolist(),
        first=[figure for figure in figures if figure["chart"].key == FIRST],
        others=[figure for figure in figures if figure["chart"].key != FIRST],
        films=films,
        formats=[("figures", suffix) for suffix in FIGURES] + [("data", ".csv")],
        specification=specification,
        run_facts=_common_facts(report.runs),
        css=Markup((ASSETS / "page.css").read_text(encoding="utf-8")),
        scripts=[Markup(script) for script in scripts],
        hashes=[_hash(script) for script in scripts],
    )
    (output / "index.html").write_text(page, encoding="utf-8", newline="\n")


@cache
def library() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script."""
    return vlc.javascript_bundle()  # pyright: ignore[reportCallIssue]


def _hash(script: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def forest(verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """The lines of the verdicts, with their intervals as places from -100 to 100.

    Returns:
        margin: The place of the margin, of the given size; lines: for each verdict its text, and `at`: the
        places of the lower ends of the 95 % and 90 % intervals, of the difference, and of the upper ends.
    """
    results = [verdict.result for verdict in verdicts if verdict.result]
    margin = results[0].margin if results else MARGIN
    reach = max([1.5 * margin] + [abs(end) for result in results for end in result.outer])
    lines = []
    for verdict in verdicts:
        text, at = "", None
        if r := verdict.result:
            ends = (r.outer[0], r.inner[0], r.difference, r.inner[1], r.outer[1])
            at = [round(95 * end / reach, 1) for end in ends]
            text = f"{r.difference:+.3f} ({r.outer[0]:+.3f} to {r.outer[1]:+.3f})"
        lines.append({"verdict": verdict, "text": text, "at": at})
    return {"margin": round(95 * margin / reach, 1), "size": margin, "lines": lines}


def values(chart: Chart) -> list[dict[str, Any]]:
    """For each panel of a chart its heading, the names of the columns, and the rows, as texts."""
    tables = []
    for panel in chart.panels:
        rows = []
        for series in panel.series:
            for row in series.data.to_dict("records"):
                place = "" if series.kind == "level" else row["x"]
                numbers = [place, row["y"], row["low"], row["high"]]
                rows.append([series.name, *map(number, numbers), row["note"]])
        names = ["", panel.x or "of", panel.y, "95 % from", "to", ""]
        tables.append({"title": panel.title or chart.title, "columns": names, "rows": rows})
    return tables


def number(value: Any) -> str:
    """Four significant digits, from 1000 on a whole number with separators: 12,345; "" for NaN."""
    if isinstance(value, str):
        return value
    if value != value:
        return ""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _common_facts(runs: Sequence[RunRecord]) -> list[str]:
    """The names of the first facts that all runs have, without the method, which has its own column."""
    first = runs[0].facts if runs else {}
    return [key for key in first if key != "method" and all(key in run.facts for run in runs)][:FACTS]
