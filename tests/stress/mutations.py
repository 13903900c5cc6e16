"""Break core lines one by one, and see that a test fails for each: python tests/stress/mutations.py

In a copy of the checkout. A mutant that no test notices is printed as SURVIVED, and the exit code is 1 then.
Takes some ten minutes on two cores.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]


class Mutant(NamedTuple):
    """A piece of a line of the package, broken, and the tests that ought to see it."""

    file: str  # below src/meta_rl
    piece: str  # occurs once
    broken: str
    tests: str  # below tests, separated by blanks


MUTANTS = [
    Mutant("advantages.py", "x[..., t] + discount * running", "x[..., t] + running", "test_returns.py"),
    Mutant("advantages.py", ".sqrt() + EPSILON", " + EPSILON", "test_returns.py test_advantages.py"),
    Mutant("advantages.py", "(delta, gamma * gae_lambda)", "(delta, gamma)", "test_returns.py"),
    Mutant("baseline.py", "RIDGE = 1e-5", "RIDGE = 1e-1", "test_baseline.py"),
    Mutant("distributions.py", "- self.log_std).sum(-1)", "- self.log_std).mean(-1)", "test_policy.py"),
    Mutant("distributions.py", "2 * tangent.log_std)", "tangent.log_std)", "test_policy.py"),
    Mutant("distributions.py", "image - p * image.sum", "image - image.sum", "test_distributions.py"),
    Mutant("distributions.py", "return (self.logits + noise)", "return self.logits", "test_distributions.py"),
    Mutant("normalizer.py", "self.count.copy_(total)", "self.count.copy_(new)", "test_normalizer.py"),
    Mutant(
        "losses.py",
        "-masked_mean(distribution.log_prob",
        "masked_mean(distribution.log_prob",
        "test_losses.py",
    ),
    Mutant(
        "losses.py",
        "masked_mean(old.kl(distribution), mask)",
        "old.kl(distribution).mean()",
        "test_losses.py",
    ),
    Mutant(
        "losses.py", "episodes[reach:] == episodes[:-reach]", "episodes[reach:] >= 0", "test_estimators.py"
    ),
    Mutant("losses.py", "variate = (1 - before)", "variate = (before - 1)", "test_estimators.py"),
    Mutant("credit.py", "return -credit * total", "return credit * total", "test_credit.py"),
    Mutant("inner.py", "self.rates[min(steps, len(self.rates) - 1)]", "self.rates[0]", "test_inner.py"),
    Mutant("inner.py", ".variance(params)\n", ".variance(params).detach()\n", "test_inner.py"),
    Mutant("inner.py", "create_graph=again", "create_graph=False", "test_objective.py"),
    Mutant(
        "inner.py", "inner.advance(adapted,", "inner.advance(inner.start(params),", "evaluation/test_curve.py"
    ),
    Mutant("mlp.py", "return -2 * h", "return -1 * h", "test_mlp.py"),
    Mutant("objective.py", "if not self._identity:", "if self._identity:", "test_objective.py"),
    Mutant("fisher.py", "self.outputs.fisher(self.outputs._make(tangent))", "tangent", "test_objective.py"),
    Mutant("objective.py", "* mask / valid)", "* mask)", "test_objective.py"),
    Mutant("trust_region.py", "sqrt(2 * group[", "sqrt(group[", "test_trust_region.py"),
    Mutant("trust_region.py", "residual -= alpha * image", "residual -= image", "test_trust_region.py"),
    Mutant("rollout.py", "alive & ~terminated & reward", "alive & reward", "test_rollout.py"),
    Mutant("randomness.py", "self.first + index)", "index)", "test_randomness.py test_ranks.py"),
    Mutant(
        "algorithms/reptile.py", "(theta[name] - mean)", "(mean - theta[name])", "algorithms/test_reptile.py"
    ),
    Mutant("perturbations.py", "[shift, -shift]", "[shift, shift]", "test_perturbations.py"),
    Mutant("algorithms/es_maml.py", "(-scale *", "(scale *", "algorithms/test_es_maml.py"),
    Mutant("algorithms/es_maml.py", "alike=2", "alike=1", "algorithms/test_es_maml.py"),
    Mutant("evolution.py", "{name: -x for", "{name: x for", "test_evolution.py"),
    Mutant(
        "algorithms/controls.py", "    pooled = True", "    pooled = False", "algorithms/test_controls.py"
    ),
]


def survives(mutant: Mutant, copy: Path) -> bool:
    """Whether the mutant's tests pass all the same."""
    file = copy / "src/meta_rl" / mutant.file
    text = file.read_text()
    if text.count(mutant.piece) != 1:
        raise SystemExit(f"{mutant.file}: {mutant.piece!r} occurs {text.count(mutant.piece)} times")
    file.write_text(text.replace(mutant.piece, mutant.broken))
    tests = [str(copy / "tests" / name) for name in mutant.tests.split()]
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-n0", "-p", "no:cacheprovider", *tests]
    environment = {**os.environ, "PYTHONPATH": str(copy / "src")}
    done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True)
    file.write_text(text)
    if done.returncode not in (0, 1):
        raise SystemExit(done.stdout[-2000:] + done.stderr[-2000:])
    return done.returncode == 0


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="", help="Only mutants of files whose name contains this.")
    args = parser.parse_args()
    chosen = [mutant for mutant in MUTANTS if args.only in mutant.file]
    survivors = 0
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy"
        ignored = shutil.ignore_patterns(".git", ".venv*", "results", "runs", "site", "__pycache__")
        shutil.copytree(ROOT, copy, ignore=ignored)
        for mutant in chosen:
            alive = survives(mutant, copy)
            survivors += alive
            print(
                "SURVIVED" if alive else "killed  ",
                mutant.file,
                "|",
                mutant.piece,
                "->",
                mutant.broken,
                flush=True,
            )
    print(f"{len(chosen) - survivors} of {len(chosen)} mutants were noticed")
    return int(survivors > 0)


if __name__ == "__main__":
    sys.exit(main())
