"""What pyproject.toml cannot say: folders outside src/ that a wheel has inside the package."""

from setuptools import find_packages, setup

SHARED = {
    "meta_rl.conf": "conf",
    "meta_rl.conf.paper": "conf/paper",
    "meta_rl.pretrained.ant_dir": "results/ant_dir/checkpoints",
    "meta_rl.pretrained.ant_vel": "results/ant_vel/checkpoints",
    "meta_rl.pretrained.point_mass": "results/point_mass/checkpoints",
}
setup(packages=[*find_packages("src"), *SHARED], package_dir={"": "src", **SHARED})
