"""The trained policies that come with the package, by name."""

from pathlib import Path

from meta_rl.run.shipped import folder

FAMILIES = ("ant_dir", "ant_vel", "point_mass")  # results/FAMILY/checkpoints in a checkout
# The seed with the highest return after one step, where it is not 1.
CHOSEN = {"maml_ant_dir": 3, "fomaml_ant_dir": 103}


def pretrained() -> dict[str, Path]:
    """The checkpoint of every name: METHOD_FAMILY-seedN, and METHOD_FAMILY for the best of a method's seeds.

    How they were trained, and what they return on unseen tasks, is in results/FAMILY/README.md.
    """
    found = {}
    for family in FAMILIES:
        for file in sorted(
            folder(f"pretrained/{family}", f"results/{family}/checkpoints").glob("*-seed*.ckpt")
        ):
            method, seed = file.stem.partition("-")[0], int(file.stem.rpartition("seed")[2])
            name = f"{method}_{family}"
            found[f"{name}-seed{seed}"] = file
            if seed == CHOSEN.get(name, 1):
                found[name] = file
    return dict(sorted(found.items()))
