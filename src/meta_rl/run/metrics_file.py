"""metrics.csv: one row an iteration, continued by a resumed run."""

import csv
import io
from collections.abc import Mapping
from pathlib import Path

from meta_rl.errors import UserError
from meta_rl.run.files import write_atomically, writing

Row = dict[str, str]


class MetricsFile:
    """A CSV with a row for each `step`, whose columns may grow.

    Rows are flushed one by one, so that the file is as long as the run even if it is killed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.columns: list[str] = []
        self.kept: list[Row] | None = None  # what `rewind` leaves, until the next row is written

    def rewind(self, step: int) -> None:
        """Drop the rows after `step`, and what a killed process left of its last line.

        The file stays as it is until the next row, so that a start that fails before it changes nothing.

        Raises:
            UserError: if the file holds anything else than metrics, or those up to `step` are not all there.
        """
        if not self.path.exists():
            return
        try:
            text = self.path.read_text()
            columns, rows = _parse(text)
        except (OSError, ValueError, csv.Error):
            raise UserError(f"{self.path}: not the metrics of a run; move it away and resume again") from None
        rows = [row for row in rows if int(row["step"]) <= step]
        reached = int(rows[-1]["step"]) if rows else 0
        if reached + (not text.endswith("\n")) < step:  # a torn line is one of them
            raise UserError(f"{self.path}: rows up to {step} are missing; move it away and resume again")
        self.columns, self.kept = columns, rows

    def append(self, values: Mapping[str, float]) -> None:
        """Add a row. Columns seen for the first time are empty in the earlier rows."""
        row = {name: _format(value) for name, value in values.items()}
        new = [name for name in row if name not in self.columns]
        text = io.StringIO(newline="")
        if not new and self.kept is None:
            csv.DictWriter(text, self.columns, lineterminator="\n").writerow(row)
            with writing(self.path), self.path.open("a", newline="") as stream:
                stream.write(text.getvalue())
            return
        rows = self.kept if self.kept is not None else self._read()
        self.columns += new
        writer = csv.DictWriter(text, self.columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows([*rows, row])
        write_atomically(self.path, text.getvalue().encode())
        self.kept = None

    def _read(self) -> list[Row]:
        return _parse(self.path.read_text())[1] if self.columns else []


def _parse(text: str) -> tuple[list[str], list[Row]]:
    """Columns and rows, without a torn last line. Raises a ValueError or csv.Error for anything else."""
    reader = csv.DictReader(io.StringIO(text[: text.rfind("\n") + 1]))
    columns, rows = list(reader.fieldnames or []), list(reader)
    whole = all(None not in row and None not in row.values() for row in rows)
    if "step" not in columns or "" in columns or len(set(columns)) < len(columns) or not whole:
        raise ValueError("columns are missing or too many")
    for row in rows:
        [float(cell or 0) for cell in row.values()]
    steps = [int(row["step"]) for row in rows]
    if steps and steps != list(range(steps[0], steps[0] + len(steps))):
        raise ValueError("rows are missing or out of order")
    return columns, rows


def _format(value: float) -> str:
    """Whole numbers in full, others with the digits that a float32 holds."""
    return str(int(value)) if float(value).is_integer() else f"{value:.9g}"
