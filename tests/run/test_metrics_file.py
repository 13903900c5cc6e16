"""metrics.csv after a kill or another accident: healed where only its last line is torn, else refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from meta_rl.errors import UserError
from meta_rl.run.metrics_file import MetricsFile

ROWS = b"step,kl\n1,0.1\n2,0.2\n3,0.3\n"


def test_metrics_truncated_anywhere_are_healed_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    for size in range(len(ROWS)):
        path.write_bytes(ROWS[:size])
        file = MetricsFile(path)
        if size <= ROWS.index(b"3,"):  # more is missing than a part of the last line
            with pytest.raises(UserError, match=r"metrics.csv: .*; move it away and resume again"):
                file.rewind(3)
            assert path.read_bytes() == ROWS[:size]
            continue
        file.rewind(3)
        file.append({"step": 4, "kl": 0.4})
        assert path.read_bytes() == ROWS[: ROWS.index(b"3,")] + b"4,0.4\n"


JUNK = {
    "NUL bytes": b"step,kl\n1,0.1\n\0\0\0\0\n3,0.3\n",
    "a NUL byte in a cell": b"step,kl\n1,0.1\n2,\x000.2\n3,0.3\n",
    "binary": b"step,kl\n1,0.1\n\x80\xfe\n3,0.3\n",
    "words": b"step,kl\n1,0.1\n2,hello\n3,0.3\n",
    "rows out of order": b"step,kl\n2,0.2\n1,0.1\n3,0.3\n",
    "two headers": b"step,kl\n1,0.1\nstep,kl\n2,0.2\n3,0.3\n",
    "a column twice": b"step,kl,kl\n1,0.1,2\n2,0.2,2\n3,0.3,3\n",
    "rows missing": b"step,kl\n1,0.1\n",
    "a row missing in between": b"step,kl\n1,0.1\n3,0.3\n",
}


@pytest.mark.parametrize("kind", JUNK)
def test_junk_in_the_metrics_is_one_line(lab: Any, refused: Callable[..., str], kind: str) -> None:
    assert lab.train() == 0
    (lab.runs / "tiny/metrics.csv").write_bytes(JUNK[kind])
    line = refused("--ckpt_path=last", "--trainer.max_steps=5")
    assert line.startswith("runs/tiny/metrics.csv: ")
    assert "move it away and resume again" in line


def test_zeros_at_the_end_of_the_metrics_are_a_torn_line(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    path.write_bytes(ROWS + b"\0" * 40)
    file = MetricsFile(path)
    file.rewind(3)
    file.append({"step": 4, "kl": 0.4})
    assert path.read_bytes() == ROWS + b"4,0.4\n"
