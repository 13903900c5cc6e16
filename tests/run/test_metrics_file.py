"""metrics.csv after a kill or another accident: healed where only its last line is torn, else refused."""

from pathlib import Path

import pytest

from meta_rl.errors import UserError
from meta_rl.run.callbacks import MetricsFile

ROWS = b"step,kl\n1,0.1\n2,0.2\n3,0.3\n"


def test_metrics_truncated_anywhere_keep_their_whole_rows(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    for size in range(len(ROWS)):
        path.write_bytes(ROWS[:size])
        file = MetricsFile(path)
        if b"\n" not in ROWS[:size]:
            with pytest.raises(UserError, match=r"metrics.csv: .*; move it away and resume again"):
                file.rewind(3)
            assert path.read_bytes() == ROWS[:size]
            continue
        file.rewind(3)
        file.append({"step": 4, "kl": 0.4})
        assert path.read_bytes() == ROWS[: ROWS.rindex(b"\n", 0, size) + 1] + b"4,0.4\n"


JUNK = {
    "NUL bytes": b"step,kl\n1,0.1\n\0\0\0\0\n3,0.3\n",
    "binary": b"step,kl\n1,0.1\n\x80\xfe\n3,0.3\n",
    "two headers": b"step,kl\n1,0.1\nstep,kl\n2,0.2\n3,0.3\n",
    "nothing": b"",
    "no step": b"a,b\n1,2\n",
    "a step that is no number": b"step,kl\nx,1\n",
    "too few cells": b"step,kl\n1\n",
    "too many cells": b"step\n1,2\n",
}


@pytest.mark.parametrize("kind", JUNK)
def test_junk_in_the_metrics_is_one_line(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "metrics.csv"
    path.write_bytes(JUNK[kind])
    with pytest.raises(UserError, match=r"metrics.csv: .*; move it away and resume again"):
        MetricsFile(path).rewind(3)
    assert path.read_bytes() == JUNK[kind]


def test_zeros_at_the_end_of_the_metrics_are_a_torn_line(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    path.write_bytes(ROWS + b"\0" * 40)
    file = MetricsFile(path)
    file.rewind(3)
    file.append({"step": 4, "kl": 0.4})
    assert path.read_bytes() == ROWS + b"4,0.4\n"
