"""metrics.csv: one row an iteration, continued by a resumed run."""

from collections.abc import Mapping
from pathlib import Path

from meta_rl.errors import UserError
from meta_rl.run.files import write_atomically, writing

Row = dict[str, str]


class MetricsFile:
    """A CSV with a row for each `step`, whose columns may grow; no cell needs quotes.

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
            columns, rows, torn = self._read()
        except (OSError, ValueError):
            raise UserError(f"{self.path}: not the metrics of a run; move it away and resume again") from None
        rows = [row for row in rows if int(row["step"]) <= step]
        reached = int(rows[-1]["step"]) if rows else 0
        if reached + torn < step:  # a torn line is one of them
            raise UserError(f"{self.path}: rows up to {step} are missing; move it away and resume again")
        self.columns, self.kept = columns, rows

    def append(self, values: Mapping[str, float]) -> None:
        """Add a row. Columns seen for the first time are empty in the earlier rows."""
        row = {name: _format(value) for name, value in values.items()}
        new = [name for name in row if name not in self.columns]
        if not new and self.kept is None:
            with writing(self.path), self.path.open("a", newline="") as stream:
                stream.write(self._line(row))
            return
        rows = self.kept if self.kept is not None else self._read()[1] if self.columns else []
        self.columns += new
        lines = [",".join(self.columns) + "\n", *map(self._line, [*rows, row])]
        write_atomically(self.path, "".join(lines).encode())
        self.kept = None

    def _line(self, row: Row) -> str:
        return ",".join(row.get(name, "") for name in self.columns) + "\n"

    def _read(self) -> tuple[list[str], list[Row], bool]:
        """Columns, rows, and whether a line after them is torn. A ValueError unless the rows are a run's."""
        header, *lines, rest = self.path.read_text().split("\n")
        columns = header.split(",")
        rows = [dict(zip(columns, line.split(","), strict=True)) for line in lines]
        numbers = [float(cell or 0) for row in rows for cell in row.values()]
        if "step" not in columns or len(numbers) < len(columns) * len(rows):  # a column is there twice
            raise ValueError("not the header of metrics")
        steps = [int(row["step"]) for row in rows]
        if steps and steps != list(range(steps[0], steps[0] + len(steps))):
            raise ValueError("rows are missing or out of order")
        return columns, rows, bool(rest)


def _format(value: float) -> str:
    """Whole numbers in full, others with the digits that a float32 holds."""
    return str(int(value)) if float(value).is_integer() else f"{value:.9g}"
