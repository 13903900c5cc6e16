"""A report as plain data, and the files that keep it: report.json, data/*.csv and videos/."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml
from pydantic import InstanceOf, TypeAdapter

from meta_rl.charts.chart import Chart, from_csv, to_csv
from meta_rl.errors import UserError
from meta_rl.evaluation.equivalence import Verdict
from meta_rl.report.tables import RunRecord, Table

FORMAT = 2  # of report.json
FIGURES = (".png", ".svg", ".pdf")
EMPTY = Table()


@dataclass(frozen=True)
class Report:
    """Everything that report.py writes.

    Attributes:
        title: The title of the page.
        abstract: A paragraph on top of the page, "" for none.
        verdicts: How each method compares with MAML.
        summary: A row for each group of runs.
        charts: The figures.
        runs: How each run was made.
        skipped: A line for everything that was left out.
        videos: Paths of the videos.
        notes: What one must know to read the numbers, in sentences.
        made: How the report itself was made: command, date, commit and versions.
    """

    title: str
    abstract: str = ""
    verdicts: tuple[Verdict, ...] = ()
    summary: Table = EMPTY
    charts: tuple[InstanceOf[Chart], ...] = ()
    runs: tuple[RunRecord, ...] = ()
    skipped: tuple[str, ...] = ()
    videos: tuple[Path, ...] = ()
    notes: tuple[str, ...] = ()
    made: dict[str, Any] = field(default_factory=dict)


REPORT = TypeAdapter(Report)


def save(report: Report, output: Path) -> None:
    """Write report.json, data/*.csv and videos/ to the folder `output`, in place of an earlier report."""
    _remove_earlier(output)
    (output / "data").mkdir(parents=True, exist_ok=True)
    for chart in report.charts:
        (output / "data" / f"{chart.key}.csv").write_text(to_csv(chart), "utf-8")
    videos = tuple(_copy_video(video, report.runs, output) for video in report.videos)
    content = REPORT.dump_python(replace(report, videos=videos), mode="json", exclude={"charts"})
    content |= {"format": FORMAT, "charts": [chart.key for chart in report.charts]}
    text = json.dumps(content, indent=1, ensure_ascii=False)
    (output / "report.json").write_text(text + "\n", "utf-8")


def load(output: Path) -> Report:
    """The report in the folder `output`.

    Raises:
        UserError: if there is none, or a file of it is damaged.
    """
    file = output / "report.json"
    try:
        content = json.loads(file.read_text("utf-8"))
        charts = []
        for key in content["charts"]:
            file = output / "data" / f"{key}.csv"
            charts.append(from_csv(file.read_text("utf-8")))
            if charts[-1].key != key or Path(key).name != key:  # it names files
                raise ValueError("another chart")
        file = output / "report.json"
        return _report(content | {"charts": charts}, output)
    except OSError as error:
        raise UserError(f"{file}: {error.strerror}; report.py RUNS writes it") from None
    except (ValueError, LookupError, TypeError, AttributeError, yaml.YAMLError):
        raise UserError(f"{file}: not written by this report.py, or damaged; make the report again") from None


def figure_files(output: Path, key: str) -> list[Path]:
    """The files of a chart's figure in the folder of a report."""
    return [output / "figures" / f"{key}{suffix}" for suffix in FIGURES]


def _report(content: dict[str, Any], output: Path) -> Report:
    """The report of a report.json, with those videos that are in the report's own folder."""
    if content["format"] != FORMAT:
        raise ValueError("another format")
    report = REPORT.validate_python(content)
    folder = (output / "videos").resolve()
    videos = [output / video for video in report.videos]
    own = tuple(path for path in videos if path.resolve().is_relative_to(folder) and path.exists())
    return replace(report, videos=own)


def _copy_video(video: Path, runs: Sequence[RunRecord], output: Path) -> Path:
    """Copy a video of a run to the report; its path relative to `output`."""
    number, run = next((i, Path(r.name)) for i, r in enumerate(runs, 1) if video.is_relative_to(r.name))
    kept = Path("videos", f"{number}-{run.name}", video.name)
    (output / kept).parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(video, output / kept)
    return kept


def _remove_earlier(output: Path) -> None:
    """Remove data, figures and videos of an earlier report in `output`; nothing else, and none outside."""
    try:
        earlier = load(output)
    except UserError:
        return
    data = [output / "data" / f"{chart.key}.csv" for chart in earlier.charts]
    figures = [file for chart in earlier.charts for file in figure_files(output, chart.key)]
    for file in [*data, *figures, *earlier.videos]:
        file.unlink(missing_ok=True)
