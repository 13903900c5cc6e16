"""The script for bash: printed by `meta-rl`, and bash completes programs, keys and values with it."""

import subprocess
import sys
from pathlib import Path

import pytest

from meta_rl.cli import completion
from meta_rl.cli.main import main

COMPLETE = """
source {script}
COMP_WORDS=({words} {last}) COMP_CWORD={position} COMP_LINE="{words} {last}"
_shtab_meta_rl
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("shtab")
    # In a process of its own: the parser looks for all subclasses of its types, and tests load many more.
    program = [sys.executable, "-m", "meta_rl.cli", "--print_completion=bash"]
    done = subprocess.run(program, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    file = tmp_path_factory.mktemp("completion") / "meta-rl"
    file.write_text(done.stdout)
    return file


@pytest.mark.parametrize(
    ("words", "last", "expected"),
    [
        ("meta-rl", "tr", {"train"}),
        ("meta-rl", "e", {"evaluate"}),
        ("meta-rl train", "--data.m", {"--data.meta_batch_size"}),
        ("meta-rl train --matmul_precision", "hi", {"high", "highest"}),
        ("meta-rl evaluate", "--gra", {"--gradient_steps"}),
        ("meta-rl sweep", "--dry", {"--dry_run"}),
        ("meta-rl report", "--re", {"--redraw"}),
        ("meta-rl new", "--h", {"--help"}),
    ],
)
def test_bash_completes(script: Path, words: str, last: str, expected: set[str]) -> None:
    program = COMPLETE.format(script=script, words=words, last=last, position=len(words.split()))
    done = subprocess.run(["bash", "-c", program], capture_output=True, text=True)
    assert set(done.stdout.split()) == expected, done.stderr


def test_it_belongs_to_the_command(script: Path) -> None:
    assert script.read_text().rstrip().endswith("-F _shtab_meta_rl meta-rl")


def test_what_is_missing_is_said_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(completion, "find_spec", lambda _: None)
    assert main(["--print_completion=bash"]) == 2
    assert capsys.readouterr().err == (
        "error: completion needs shtab; install it with: pip install 'meta_rl[completion]'\n"
    )
    assert main(["--print_completion", "fish"]) == 2
    assert "--print_completion: expected bash, zsh, tcsh, got 'fish'" in capsys.readouterr().err
