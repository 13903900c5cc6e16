"""A report as plain data, and the files that keep it: report.json, data/*.csv and videos/."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from meta_rl.charts.chart import Chart, from_csv, to_csv
from meta_rl.errors import UserError
from meta_rl.report.equivalence import Comparison, Verdict
from meta_rl.report.tables import RunRecord

FORMAT = 2  # of report.json; in the first one verdicts are sentences
FIGURES = (".png", ".svg", ".pdf")


@dataclass(frozen=True)
class Report:
    """Everything that report.py writes.

    Attributes:
        title: The title of the page.
        verdicts: How each method compares with MAML, those after one gradient step first.
        summary: A row for each group of runs; column names are headings, cells are texts.
        findings: Sentences on numbers that need words.
        charts: The figures.
        runs: How each run was made.
        skipped: A line for everything that was left out.
        videos: Paths of the videos.
        notes: Sentences on how the statistics were made.
        made: How the report itself was made: command, date, commit and versions.
    """

    title: str
    verdicts: tuple[Verdict, ...] = ()
    summary: pd.DataFrame = field(default_factory=pd.DataFrame)
    findings: tuple[str, ...] = ()
    charts: tuple[Chart, ...] = ()
    runs: tuple[RunRecord, ...] = ()
    skipped: tuple[str, ...] = ()
    videos: tuple[Path, ...] = ()
    notes: tuple[str, ...] = ()
    made: dict[str, Any] = field(default_factory=dict)


def save(report: Report, output: Path) -> None:
    """Write report.json, data/*.csv and videos/ to the folder `output`, in place of an earlier report."""
    for file in _earlier_files(output):
        file.unlink(missing_ok=True)
    (output / "data").mkdir(parents=True, exist_ok=True)
    for chart in report.charts:
        (output / "data" / f"{chart.key}.csv").write_text(to_csv(chart), "utf-8")
    videos = tuple(_copy_video(video, report.runs, output) for video in report.videos)
    (output / "report.json").write_text(_to_json(replace(report, videos=videos)), "utf-8")


def _copy_video(video: Path, runs: Sequence[RunRecord], output: Path) -> Path:
    """Copy a video of a run to the report; its path relative to `output`."""
    number, run = next((i, Path(r.name)) for i, r in enumerate(runs, 1) if video.is_relative_to(r.name))
    kept = Path("videos", f"{number}-{run.name}", video.name)
    (output / kept).parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(video, output / kept)
    return kept


def load(output: Path) -> Report:
    """The report in the folder `output`.

    Raises:
        UserError: if there is none, or a file of it is damaged.
    """
    file = output / "report.json"
    try:
        content = json.loads(file.read_text("utf-8"))
        charts = []
        for key in content.pop("charts"):
            file = output / "data" / f"{key}.csv"
            charts.append(_named(key, from_csv(file.read_text("utf-8"))))
        file = output / "report.json"
        return _from_json(content, tuple(charts), output)
    except OSError as error:
        raise UserError(f"{file}: {error.strerror}; report.py RUNS writes it") from None
    except (ValueError, LookupError, TypeError, AttributeError, yaml.YAMLError):
        raise UserError(f"{file}: not written by this report.py, or damaged; make the report again") from None


def _named(key: Any, chart: Chart) -> Chart:
    """The chart of a file. Raises a ValueError unless it has this key, and the key is a plain file name."""
    if not isinstance(key, str) or Path(key).name != key or chart.key != key:
        raise ValueError("another chart")
    return chart


def _to_json(report: Report) -> str:
    """The text of report.json: everything but the charts, which it names by their keys."""
    content = {
        **asdict(replace(report, charts=(), summary=pd.DataFrame())),
        "format": FORMAT,
        "summary": report.summary.to_dict("split", index=False),
        "charts": [chart.key for chart in report.charts],
        "videos": [path.as_posix() for path in report.videos],
    }
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def _from_json(content: dict[str, Any], charts: tuple[Chart, ...], output: Path) -> Report:
    if content.pop("format") not in (1, FORMAT):
        raise ValueError("another format")
    summary = content.pop("summary")
    content |= {name: tuple(content[name]) for name in ("findings", "skipped", "notes")}
    return Report(
        **content
        | {
            "verdicts": tuple(map(_verdict, content["verdicts"])),
            "summary": pd.DataFrame(summary["data"], columns=summary["columns"]),
            "charts": charts,
            "runs": tuple(
                RunRecord(**{**run, "commands": tuple(run["commands"])}) for run in content["runs"]
            ),
            "videos": tuple(path for path in _own_videos(content, output) if path.exists()),
        }
    )


def _verdict(content: dict[str, Any]) -> Verdict:
    if "sentence" in content:
        known = {name: content[name] for name in ("method", "reference", "word")}
        return Verdict(**known, step=1, remark=content["sentence"])
    result = content.pop("result")
    if result is not None:
        pairs = {name: tuple(result[name]) for name in ("inner", "outer", "seeds")}
        result = Comparison(**{**result, **pairs})
    return Verdict(**content, result=result)


def figure_files(output: Path, key: str) -> list[Path]:
    """The files of a chart's figure in the folder of a report."""
    return [output / "figures" / f"{key}{suffix}" for suffix in FIGURES]


def _earlier_files(output: Path) -> list[Path]:
    """The files of an earlier report in `output` besides report.json and the page; none outside of it."""
    try:
        earlier = json.loads((output / "report.json").read_text("utf-8"))
        keys = [key for key in earlier["charts"] if Path(key).name == key]
        videos = _own_videos(earlier, output)
    except (OSError, ValueError, LookupError, TypeError):
        return []
    return videos + [file for k in keys for file in (output / "data" / f"{k}.csv", *figure_files(output, k))]


def _own_videos(content: dict[str, Any], output: Path) -> list[Path]:
    """The videos of a report.json that are in the report's own folder: the page shows no others."""
    folder = (output / "videos").resolve()
    paths = [output / video for video in content["videos"]]
    return [path for path in paths if path.resolve().is_relative_to(folder)]
