"""Tasks from a CSV file whose header names the tasks' parameters."""

import csv
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from meta_rl.envs import BatchedEnv
from meta_rl.errors import UserError


def read_tasks(path: str | Path, env: BatchedEnv) -> Tensor:
    """The tasks [N, P] in a CSV file, columns in any order; those of `env.task_defaults` may be left out.

    A column without a name, or named `index`, is passed over.

    Raises:
        UserError: naming file, line (the header's is 1) and column, for anything that is not a legal task.
    """
    try:
        with Path(path).open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.reader(stream)
            rows = [(reader.line_num, [cell.strip() for cell in row]) for row in reader if any(row)]
    except OSError as error:
        raise UserError(f"tasks file {path}: {error.strerror}") from None
    except (UnicodeDecodeError, csv.Error):
        raise UserError(f"tasks file {path}: not a CSV text file") from None
    if not rows:
        raise UserError(f"tasks file {path}: empty; its header names {', '.join(env.task_parameters)}")
    for index in {"", "index"}.intersection(rows[0][1]).difference(
        env.task_parameters
    ):  # as pandas writes one
        column = rows[0][1].index(index)
        rows = [(line, row[:column] + row[column + 1 :]) for line, row in rows]
    header = rows[0][1]
    _check_header(path, header, env)
    if len(rows) == 1:
        raise UserError(f"tasks file {path}: no task below the header")
    tasks = [_read_row(f"tasks file {path}, line {line}", header, row, env) for line, row in rows[1:]]
    return torch.tensor(tasks, dtype=torch.float32)


def _check_header(path: str | Path, header: Sequence[str], env: BatchedEnv) -> None:
    """Raise a UserError unless `header` names every required parameter once, and nothing else."""
    place = f"tasks file {path}, line 1"
    for column in header:
        if header.count(column) > 1:
            raise UserError(f"{place}: column {column} appears twice")
    try:
        env.check_task_names(header)
    except ValueError as error:
        raise UserError(f"{place}: {error}") from None


def _read_row(place: str, header: Sequence[str], cells: Sequence[str], env: BatchedEnv) -> list[float]:
    """One task in the environment's order of columns. `place` begins an error's message."""
    if len(cells) != len(header):
        raise UserError(f"{place}: {len(cells)} values for the {len(header)} columns {', '.join(header)}")
    try:
        return env.task_row(dict(zip(header, cells, strict=True)))
    except ValueError as error:
        raise UserError(f"{place}, column {error}") from None
