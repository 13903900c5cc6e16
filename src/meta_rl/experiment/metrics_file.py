"""metrics.csv: one row an iteration, continued by a resumed run."""

import csv
import io
from collections.abc import Mapping
from pathlib import Path

from meta_rl.errors import UserError

Row = dict[str, str]


class MetricsFile:
    """A CSV whose rows are ordered by `step` and whose columns may grow.

    Rows are flushed one by one, so that the file is as long as the run even if it is killed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.columns: list[str] = []

    def rewind(self, step: int) -> None:
        """Drop the rows after `step`, and what a killed process left of its last line.

        Raises:
            UserError: if the file holds anything else than metrics.
        """
        if not self.path.exists():
            return
        try:
            columns, rows = self._read()
            kept = [row for row in rows if int(row["step"]) <= step]
            if "step" not in columns or any(None in row or None in row.values() for row in rows):
                raise ValueError("cells are missing or too many")
        except (KeyError, TypeError, ValueError, csv.Error):
            raise UserError(f"{self.path}: not the metrics of a run; move it away and resume again") from None
        self.columns = columns
        self._write(kept)

    def append(self, values: Mapping[str, float]) -> None:
        """Add a row. Columns seen for the first time are empty in the earlier rows."""
        row = {name: _format(value) for name, value in values.items()}
        new = [name for name in row if name not in self.columns]
        if new:
            rows = self._read()[1] if self.columns else []
            self.columns += new
            self._write([*rows, row])
            return
        with self.path.open("a", newline="") as stream:
            csv.DictWriter(stream, self.columns, lineterminator="\n").writerow(row)

    def _read(self) -> tuple[list[str], list[Row]]:
        text = self.path.read_text()
        whole = text[: text.rfind("\n") + 1]
        reader = csv.DictReader(io.StringIO(whole))
        return list(reader.fieldnames or []), list(reader)

    def _write(self, rows: list[Row]) -> None:
        temporary = self.path.with_suffix(".tmp")
        with temporary.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, self.columns, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        temporary.replace(self.path)


def _format(value: float) -> str:
    """Whole numbers in full, others with the digits that a float32 holds."""
    return str(int(value)) if float(value).is_integer() else f"{value:.9g}"
