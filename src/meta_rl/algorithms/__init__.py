"""Meta-algorithms. A new one is a subclass of `MetaLearner`, named in YAML by its `class_path`."""

from meta_rl.algorithms.anil import ANIL
from meta_rl.algorithms.base import MetaLearner
from meta_rl.algorithms.controls import Oracle, Pretrained, Random
from meta_rl.algorithms.es_maml import ESMAML
from meta_rl.algorithms.maml import FOMAML, MAML
from meta_rl.algorithms.meta_sgd import MetaSGD
from meta_rl.algorithms.reptile import Reptile
from meta_rl.policy import PolicyConfig

__all__ = [
    "ANIL",
    "ESMAML",
    "FOMAML",
    "MAML",
    "MetaLearner",
    "MetaSGD",
    "Oracle",
    "PolicyConfig",
    "Pretrained",
    "Random",
    "Reptile",
]
