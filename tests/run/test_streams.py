"""Standard output and error that cannot be written, and locales that are not UTF-8."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from meta_rl.run.files import WriteError
from meta_rl.run.streams import _Lossy

ROOT = Path(__file__).parents[2]
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"}


def test_what_nobody_reads_is_lost() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with _Lossy(writer, "w") as stream:
        assert stream.write(b"one") == 3
        assert os.write(writer, b"two") == 3  # of a library in C


def test_a_full_disk_stays_an_error() -> None:
    with _Lossy(os.open("/dev/full", os.O_WRONLY), "w") as stream:
        with pytest.raises(WriteError, match="No space left"):
            stream.write(b"one")
        assert stream.write(b"two") == 3


def test_a_command_whose_output_and_locale_are_of_no_use_does_its_work(tmp_path: Path) -> None:
    (tmp_path / "grüße.yaml").write_text((ROOT / "sweeps/point_mass_methods.yaml").read_text() + "# ±\n")
    reader, writer = os.pipe()
    os.close(reader)
    call = [sys.executable, str(ROOT / "sweep.py"), str(tmp_path / "grüße.yaml"), "--dry_run"]
    done = subprocess.run(call, cwd=ROOT, env=os.environ | ASCII, stdout=writer, stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (0, b"")


def test_letters_that_a_stream_lacks_are_escaped_and_files_are_utf_8() -> None:
    code = "from meta_rl.run import streams; streams.prepare(); print('\\xb1', open(0).encoding)"
    call = [sys.executable, "-c", code]
    done = subprocess.run(call, env=os.environ | ASCII, capture_output=True, stdin=subprocess.DEVNULL)
    assert done.stdout.decode().lower() == "\\xb1 utf-8\n"
