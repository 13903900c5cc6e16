"""Kills, limits of the operating system and races, each in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from meta_rl.run.directory import RunDirectory

LONG = "--trainer.max_steps=5"

CHILDREN = """
import os, random, resource, sys
from meta_rl.run.command import main
from meta_rl.run import callbacks  # loaded once, for all children
from meta_rl.run import config
from meta_rl.run import files as storage
from meta_rl.run import session as training

def dies(count, seed):
    left = [count]
    def fill(stream, content):
        left[0] -= 1
        if left[0] == 0:
            stream.write(content[: random.Random(seed).randrange(len(content) + 1)])
            stream.flush()
            os.kill(os.getpid(), 9)
        stream.write(content)
    return fill

for name, kind, number in [job.split(":") for job in sys.argv[1:]]:
    if os.fork() == 0:
        sys.argv = ["train.py"]
        if kind == "kill":
            storage._fill = dies(int(number), int(number))
        else:
            resource.setrlimit(resource.RLIMIT_FSIZE, (int(number), int(number)))
        steps = ["--trainer.max_steps=5", "--checkpoint_every=1", "--ckpt_path=auto"]
        os._exit(main(["--config=tiny.yaml", f"--name={name}", *steps]))
    print(name, os.waitstatus_to_exitcode(os.wait()[1]))
"""


def run_children(jobs: list[str]) -> tuple[dict[str, int], str]:
    """Exit code by name, and what they said on stderr."""
    call = [sys.executable, "-c", CHILDREN, *jobs]
    done = subprocess.run(call, capture_output=True, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"})
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines() if line.startswith("job")]
    return {name: int(code) for name, code in lines}, done.stderr


def test_a_run_killed_while_it_writes_goes_on_to_the_same_numbers(lab: Any) -> None:
    every = "--checkpoint_every=1"
    assert lab.train("--name=whole", LONG, every) == 0
    jobs = {
        f"job{n}": n for n in (1, 2, 3, 4, 5, 6, 8, 10)
    }  # config.yaml, run.json, metrics.csv, checkpoints
    codes, _ = run_children([f"{name}:kill:{n}" for name, n in jobs.items()])
    assert set(codes.values()) == {-9}
    assert len(list(lab.runs.rglob("*.tmp"))) == len(jobs)
    for name in jobs:
        assert lab.train(f"--name={name}", "--ckpt_path=auto", LONG, every) == 0
        lab.assert_same(name, "whole")
        assert lab.kept(name) == lab.kept("whole")
    assert not list(lab.runs.rglob("*.tmp"))


def test_the_next_start_removes_what_a_killed_one_was_writing(lab: Any) -> None:
    assert lab.train() == 0
    leftovers = [lab.runs / "tiny/config-7.yaml.tmp", lab.runs / "tiny/checkpoints/step-77.ckpt.tmp"]
    for file in leftovers:
        file.write_bytes(b"half")
    assert lab.train("--ckpt_path=last", LONG) == 0
    assert not any(file.exists() for file in leftovers)


def test_a_limit_of_the_operating_system_is_one_line(lab: Any) -> None:
    every = "--checkpoint_every=1"
    assert lab.train("--name=whole", LONG, every) == 0
    size = (lab.runs / "whole/checkpoints/last.ckpt").stat().st_size
    codes, error = run_children([f"job1:limit:{size // 2}", "job2:limit:100"])
    assert codes == {"job1": 1, "job2": 2}
    first, second = error.splitlines()
    assert first.startswith("error: cannot write runs/job1/checkpoints/best.ckpt: File too large; ")
    assert second.startswith("error: cannot write runs/job2/config.yaml: File too large; ")
    assert not list(lab.runs.rglob("*.tmp"))
    assert not (lab.runs / "job2").exists()
    assert lab.train("--name=job1", "--ckpt_path=auto", LONG, every) == 0
    lab.assert_same("job1", "whole")


RACE = """
import sys
from meta_rl.errors import UserError
from meta_rl.run.directory import RunDirectory

run = RunDirectory("runs", "raced")
resume = sys.argv[1] == "auto"
run.find("auto" if resume else None)
print("ready", flush=True)
sys.stdin.readline()
try:
    run.claim(resume)
    print("won", flush=True)
except UserError as error:
    print(error, flush=True)
sys.stdin.readline()  # hold it until all have tried
"""


@pytest.mark.parametrize("kind", ["new", "auto", "auto on an existing one"])
def test_one_of_eight_processes_gets_the_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.chdir(tmp_path)
    if kind == "auto on an existing one":
        Path("runs/raced/checkpoints").mkdir(parents=True)
        Path("runs/raced/checkpoints/last.ckpt").touch()
    call = [sys.executable, "-c", RACE, kind.partition(" ")[0]]
    pipe = subprocess.PIPE
    processes = [subprocess.Popen(call, stdin=pipe, stdout=pipe, text=True) for _ in range(8)]
    ends = [(p.stdin, p.stdout) for p in processes]
    assert all(out and out.readline() == "ready\n" for _, out in ends)
    for go, _ in ends:
        assert go
        go.write("go\n")
        go.flush()
    answers = [out.readline().strip() for _, out in ends if out]
    for p in processes:
        p.communicate("done\n")
    assert answers.count("won") == 1, answers
    reason = "holds a run already" if kind == "new" else "another process is training this run"
    assert all(answer == "won" or reason in answer for answer in answers), answers


@pytest.mark.parametrize("ckpt_path", ["last", "auto"])
def test_a_run_that_another_process_has_trained_meanwhile_is_left_alone(
    lab: Any, ckpt_path: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if ckpt_path == "last":
        assert lab.train() == 0
    claim = RunDirectory.claim

    def late(self: RunDirectory, resume: bool) -> bool:
        monkeypatch.setattr(RunDirectory, "claim", claim)
        assert lab.train("--ckpt_path=auto", "--trainer.max_steps=4") == 0
        return claim(self, resume)

    monkeypatch.setattr(RunDirectory, "claim", late)
    assert lab.train(f"--ckpt_path={ckpt_path}", LONG) == 2
    assert "another process has trained this run meanwhile; start again" in capsys.readouterr().err
    assert lab.checkpoint()["global_step"] == 4
    assert lab.train("--ckpt_path=last", LONG) == 0  # the directory has been released
