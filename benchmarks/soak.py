"""Whether runs survive: interruptions at random moments, long training, and input that is broken at random.

    python benchmarks/soak.py kills --config conf/maml_point_mass.yaml --kills 50 --seed 1 -- OVERRIDES
    python benchmarks/soak.py growth --config conf/maml_point_mass.yaml --iterations 2000 -- OVERRIDES
    python benchmarks/soak.py fuzz --configs 200 --checkpoints 100 --seed 1

Each prints a small table, writes everything to --output, and exits with 1 if something failed. Linux only.
"""

import argparse
import json
import os
import random
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import soak_growth
import soak_kills
import torch
from tqdm import tqdm


def main() -> int:
    words = sys.argv[1:]
    cut = words.index("--") if "--" in words else len(words)
    args = _parser().parse_args(words[:cut])
    args.overrides = words[cut + 1 :]
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        return int(not args.run(args, Path(folder)))


def kills(args: argparse.Namespace, folder: Path) -> bool:
    soak = soak_kills.Soak(args.config, args.overrides, args.signal, folder, random.Random(args.seed))
    soak.reference()
    number = 0
    while len(soak.done) < args.kills:
        soak.run(number, args.kills - len(soak.done))
        number += 1
        write(args.output, soak_kills.summary(soak))
        print(f"{len(soak.done)} of {args.kills}, {len(soak.failures)} failures", file=sys.stderr)
    for key, value in soak_kills.summary(soak).items():
        if key not in ("events", "failures", "overrides"):
            print(f"{key:28} {value}")
    print(*[f"failed: {failure}" for failure in soak.failures], f"{len(soak.failures)} failures", sep="\n")
    return not soak.failures


def growth(args: argparse.Namespace, folder: Path) -> bool:
    result = soak_growth.growth(args.config, args.iterations, args.overrides, folder)
    write(args.output, result)
    print(soak_growth.table(result))
    return soak_growth.passed(result)


def fuzz(args: argparse.Namespace, folder: Path) -> bool:
    os.environ["WANDB_MODE"] = "disabled"
    torch.set_num_threads(1)
    import soak_checkpoint_check  # loads what the forks share
    import soak_config_check
    import soak_configs
    import soak_fuzz

    kinds: dict[str, Counter[str]] = {"configs": Counter(), "checkpoints": Counter()}
    findings, files = [], soak_configs.shipped()
    for number in tqdm(range(args.configs), "configs"):
        r = random.Random(f"{args.seed} {number}")
        kind, finding = soak_config_check.check(
            *soak_configs.mutate(r, r.choice(files)), folder / str(number)
        )
        kinds["configs"][kind] += 1
        findings += [finding] if finding else []
    subject = soak_checkpoint_check.Subject.make(folder / "subject") if args.checkpoints else None
    for number in tqdm(range(args.checkpoints), "checkpoints"):
        assert subject
        kind, several = soak_checkpoint_check.check(
            random.Random(f"{args.seed} {number}"), subject, str(number)
        )
        kinds["checkpoints"][kind] += 1
        findings += several
    result = {name: dict(counts.most_common()) for name, counts in kinds.items()}
    write(args.output, {"seed": args.seed, **result, "findings": soak_fuzz.as_json(findings)})
    for name, counts in result.items():
        print(name, *(f"    {count:4}  {kind}" for kind, count in counts.items()), sep="\n")
    print(*[f"{f.mutation}: {f.problem}" for f in findings], f"{len(findings)} findings", sep="\n")
    return not findings


def write(output: Path | None, result: dict[str, Any]) -> None:
    if output:
        output.write_text(json.dumps(result, indent=1) + "\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    commands = parser.add_subparsers(required=True)
    killing = commands.add_parser("kills", help="interrupt runs and compare them with one that never was")
    killing.add_argument("--config", type=Path, required=True)
    killing.add_argument("--kills", type=int, default=50)
    killing.add_argument("--seed", type=int, default=1)
    killing.add_argument("--signal", choices=soak_kills.CODES, default="KILL")
    killing.set_defaults(run=kills)
    growing = commands.add_parser("growth", help="memory, threads, files and processes of a long run")
    growing.add_argument("--config", type=Path, required=True)
    growing.add_argument("--iterations", type=int, default=2000)
    growing.set_defaults(run=growth)
    fuzzing = commands.add_parser("fuzz", help="mutated configurations and checkpoints")
    fuzzing.add_argument("--configs", type=int, default=200)
    fuzzing.add_argument("--checkpoints", type=int, default=100)
    fuzzing.add_argument("--seed", type=int, default=1)
    fuzzing.set_defaults(run=fuzz)
    for command in (killing, growing, fuzzing):
        command.add_argument("--output", type=Path, help="JSON with everything")
    return parser


if __name__ == "__main__":
    sys.exit(main())
