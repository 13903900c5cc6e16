"""How far the gradients of independent batches agree, of MAML's pathwise part and of E-MAML's credit.

    python results/families/credit_noise.py TASKS EPISODES [OVERRIDE ...]

Prints for each part its mean norm on ten batches of the initial policy, and the mean cosine of two of them.
"""

import sys

import torch

from meta_rl.algorithms import MAML
from meta_rl.algorithms.base import Timer
from meta_rl.objective import MetaObjective
from meta_rl.run.config import instantiate, read_config

CONFIG = "conf/maml_point_mass_sparse_credit.yaml"
BATCHES = 10


def main(tasks: str, episodes: str, *overrides: str) -> None:
    sizes = [f"--data.meta_batch_size={tasks}", f"--data.fast_batch_size={episodes}"]
    learner, data = instantiate(read_config(CONFIG, [*sizes, *overrides]))
    assert isinstance(learner, MAML)
    learner.build(data.env, data.seed)
    MAML.datamodule = property(lambda _: data)  # type: ignore[assignment] (there is no trainer to ask for it)
    theta, parts = learner.theta(), {"pathwise": [], "credit": []}
    for iteration in range(BATCHES):
        batch = data.meta_batch(learner.policy, theta, 1000 + iteration)
        *before, (adapted, query) = learner.adaptation(batch, Timer())
        support = [experience for _, experience in before]
        objective = learner.objective(support, adapted.params, query, first_order=False)
        _, pathwise = MetaObjective.gradient(objective, theta, with_fisher=False)
        _, both = objective.gradient(theta, with_fisher=False)
        path, total = (torch.cat([x.flatten() for x in gradient]) for gradient in (pathwise, both))
        parts["pathwise"].append(path)
        parts["credit"].append(total - path)
    for name, gradients in parts.items():
        stacked = torch.stack(gradients)
        unit = torch.nn.functional.normalize(stacked, dim=1)
        cosines = (unit @ unit.T)[~torch.eye(BATCHES, dtype=torch.bool)]
        print(f"{name:8}  norm {stacked.norm(dim=1).mean():.3f}  cosine of two batches {cosines.mean():.3f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
