"""Starts train.py and evaluate.py with configurations broken at random, and with damaged checkpoints.

    python tests/stress/fuzz.py --configs 200 --checkpoints 100 --seed 1

A broken file must end in an error of one line, or train as it says; nothing may crash, hang, leave files
behind or go on with wrong numbers. Prints how many starts ended in which way, and exits with 1 if there are
findings. `tests/test_fuzz.py` runs a selection. Linux only.
"""

import argparse
import os
import random
import sys
import tempfile
from collections import Counter
from pathlib import Path

os.environ["WANDB_MODE"] = "disabled"  # for all forks
import judge_checkpoint
import judge_config
import mutate_config
from forked_start import Finding, as_json
from tqdm import tqdm
from watched_run import write

from meta_rl import threads


def configs(count: int, seed: int, folder: Path) -> tuple[Counter[str], list[Finding]]:
    kinds: Counter[str] = Counter()
    findings, files = [], mutate_config.shipped()
    for number in tqdm(range(count), "configs"):
        r = random.Random(f"{seed} {number}")
        content, mutation = mutate_config.mutate(r, r.choice(files))
        kind, finding = judge_config.check(content, mutation, folder / str(number))
        kinds[kind] += 1
        findings += [finding] if finding else []
    return kinds, findings


def checkpoints(count: int, seed: int, folder: Path) -> tuple[Counter[str], list[Finding]]:
    kinds: Counter[str] = Counter()
    findings = []
    subject = judge_checkpoint.Subject.make(folder / "subject")
    for number in tqdm(range(count), "checkpoints"):
        kind, found = judge_checkpoint.check(random.Random(f"{seed} {number}"), subject, str(number))
        kinds[kind] += 1
        findings += found
    return kinds, findings


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--configs", type=int, default=200)
    parser.add_argument("--checkpoints", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, help="JSON with everything")
    args = parser.parse_args()
    threads.use(1)
    result, findings = {}, []
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        for check, count in ((configs, args.configs), (checkpoints, args.checkpoints)):
            kinds, found = check(count, args.seed, Path(folder, check.__name__))
            result[check.__name__] = dict(kinds.most_common())
            findings += found
    write(args.output, {"seed": args.seed, **result, "findings": as_json(findings)})
    for name, counts in result.items():
        print(name, *(f"    {count:4}  {kind}" for kind, count in counts.items()), sep="\n")
    print(*[f"{f.mutation}: {f.problem}" for f in findings], f"{len(findings)} findings", sep="\n")
    return int(bool(findings))


if __name__ == "__main__":
    sys.exit(main())
