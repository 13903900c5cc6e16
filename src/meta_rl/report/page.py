"""A report as one page that asks for nothing but its own folder, with its figures as files."""

import base64
import hashlib
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import vl_convert as vlc
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from tqdm import tqdm

from meta_rl.charts.draw import draw, specification
from meta_rl.evaluation.equivalence import MARGIN
from meta_rl.report.files import FIGURES, Report, figure_files, load

ASSETS = Path(__file__).parent / "assets"
FIRST = "adaptation"  # the figure before the table


def render(output: Path) -> Report:
    """Draw the figures and the page of a report from its data/*.csv and report.json.

    Args:
        output: The folder of the report.

    Raises:
        UserError: if there is no report in the folder, or a file of it is damaged.
    """
    report = load(output)
    (output / "figures").mkdir(exist_ok=True)
    for chart in tqdm(report.charts, "figures", unit="figure", leave=False, delay=2, disable=None):
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
    environment.filters["number"] = number
    scripts = [library(), (ASSETS / "page.js").read_text(encoding="utf-8")] if report.charts else []
    page = environment.get_template("page.html.j2").render(
        report=report,
        margin=MARGIN,
        first=[chart for chart in report.charts if chart.key == FIRST],
        others=[chart for chart in report.charts if chart.key != FIRST],
        films=[quote(path.resolve().relative_to(output.resolve()).as_posix()) for path in report.videos],
        formats=[("figures", suffix) for suffix in FIGURES] + [("data", ".csv")],
        specification=specification,
        css=Markup((ASSETS / "page.css").read_text(encoding="utf-8")),
        scripts=[Markup(script) for script in scripts],
        hashes=[_hash(script) for script in scripts],
    )
    (output / "index.html").write_text(page, encoding="utf-8", newline="\n")


@cache
def library() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script."""
    return vlc.javascript_bundle()  # pyright: ignore[reportCallIssue]


def number(value: Any) -> str:
    """Four significant digits, from 1000 on a whole number with separators: 12,345; "" for NaN."""
    if isinstance(value, str):
        return value
    if value != value:
        return ""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _hash(script: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
