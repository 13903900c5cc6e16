"""A trained point mass, and a policy for discrete actions."""

import sys
from pathlib import Path

import pytest

import meta_rl

sys.path.append(str(Path(__file__).parent))


@pytest.fixture(scope="session")
def trained() -> meta_rl.Trained:
    return meta_rl.load("fomaml_point_mass")


@pytest.fixture(scope="session")
def discrete() -> meta_rl.Trained:
    """Untrained, for CartPole."""
    return meta_rl.load(Path(__file__).parents[2] / "conf/maml_cartpole.yaml")
