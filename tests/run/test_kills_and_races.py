"""Kills, limits of the operating system and races, each in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

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
    jobs = {f"job{n}": n for n in (1, 2, 3, 4, 6, 9)}  # config.yaml, run.json, metrics.csv, checkpoints
    codes, _ = run_children([f"{name}:kill:{n}" for name, n in jobs.items()])
    assert set(codes.values()) == {-9}
    assert len(list(lab.runs.rglob("*.tmp"))) == len(jobs)
    for name in jobs:
        assert lab.train(f"--name={name}", "--ckpt_path=auto", LONG, every) == 0
        lab.assert_same(name, "whole")
        assert lab.kept(name) == lab.kept("whole")
    assert not list(lab.runs.rglob("*.tmp"))


def test_a_limit_of_the_operating_system_is_one_line(lab: Any) -> None:
    every = "--checkpoint_every=1"
    assert lab.train("--name=whole", LONG, every) == 0
    size = (lab.runs / "whole/checkpoints/last.ckpt").stat().st_size
    codes, error = run_children([f"job1:limit:{size // 2}", "job2:limit:100"])
    assert codes == {"job1": 1, "job2": 2}
    first, second = error.splitlines()
    assert first.startswith("error: cannot write runs/job1/checkpoints/best.ckpt: File too large; ")
    assert second.startswith("error: cannot write runs/job2/run.json: File too large; ")
    assert not list(lab.runs.rglob("*.tmp"))
    assert not (lab.runs / "job2").exists()
    assert lab.train("--name=job1", "--ckpt_path=auto", LONG, every) == 0
    lab.assert_same("job1", "whole")


RACE = """
import sys
from meta_rl.errors import UserError
from meta_rl.run.directory import RunDirectory

run = RunDirectory("runs", "raced")
print("ready", flush=True)
sys.stdin.readline()
try:
    run.hold()
    run.make()
    print("won", flush=True)
except UserError as error:
    print(error, flush=True)
sys.stdin.readline()  # hold it until all have tried
"""


@pytest.mark.parametrize("kind", ["new", "existing"])
def test_one_of_eight_processes_gets_the_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.chdir(tmp_path)
    if kind == "existing":
        Path("runs/raced/checkpoints").mkdir(parents=True)
        Path("runs/raced/checkpoints/last.ckpt").touch()
    call = [sys.executable, "-c", RACE]
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
    assert all(answer == "won" or "another process" in answer for answer in answers), answers
