"""Gymnasium's names for the task families: `gymnasium.make("meta_rl/AntDirection-v0", horizon=100)`."""

import gymnasium as gym

DRAWN = ("AntBody", "AntDirection", "AntGoal", "AntVelocity", "HalfCheetahDirection", "HalfCheetahVelocity")
VIEWS = {"PointMass": "TaskEnv", **dict.fromkeys(DRAWN, "MujocoTaskEnv")}

for _family, _view in VIEWS.items():
    gym.register(
        id=f"meta_rl/{_family}-v0",
        entry_point=f"meta_rl.envs.gymnasium_views:{_view}",
        kwargs={"family": f"meta_rl.envs.{_family}"},
    )
