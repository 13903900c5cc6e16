"""Bad input to `GymnasiumEnv` from the command line. What its constructor says alone: test_gymnasium_env."""

from collections.abc import Callable

import pytest

ENV = {
    "class_path": "meta_rl.envs.GymnasiumEnv",
    "init_args": {"id": "Pendulum-v1", "task_parameters": {"g": [5, 15]}},
}
OVERRIDES = {
    "id=Pendulm-v1": "data.env.id 'Pendulm-v1': Environment `Pendulm` doesn't exist. Did you mean",
    "id=CartPole-v1": "data.env.task_parameters g: CartPole-v1 has no such attribute; name one, or give a",
    "id=nosuch:Pendulum-v1": "data.env.id 'nosuch:Pendulum-v1': No module named 'nosuch'",
    "id=LunarLander-v3": "data.env.id 'LunarLander-v3': Box2D is not installed, you can install it by run",
    "id=null": "data.env: the following arguments are required: id",
    "task_parameters={gravity: [5, 15]}": "data.env.task_parameters gravity: Pendulum-v1 has no such",
    "task_parameters={g: [15, 5]}": "data.env.task_parameters g: must be lowest, highest value, got 15.0",
    "task_parameters={g: [15]}": "data.env.task_parameters: Expected a tuple with 2 elements. Got value",
    "task_parameters={}": "task_parameters must give a range, such as {g: [5, 15]}",
    "task_setter=nosuch.set_g": "data.env.task_setter nosuch.set_g: No module named 'nosuch'; name a",
    "task_setter=math.sqrt": "data.env.task_setter math.sqrt: got an unexpected keyword argument 'g'; name a",
    "horizon=0": "data.env.horizon must be at least 1 step, got 0",
    "num_workers=-1": "data.env.num_workers must not be negative, got -1",
    "vectorization=asinc": "data.env.vectorization: Expected a Literal['sync', 'async', 'vec",
    "vectorization=vector_entry_point": "data.env.id 'Pendulum-v1': Cannot create vectorized environment",
    "env_kwargs={mass: 3}": "data.env.id 'Pendulum-v1': PendulumEnv.__init__() got an unexpected keyword",
    "env_kwargs={max_episode_steps: 3}": "data.env.env_kwargs must not set max_episode_steps; set horizon",
}


@pytest.mark.parametrize(("override", "expected"), OVERRIDES.items())
def test_one_line_names_the_key(refused: Callable[..., str], override: str, expected: str) -> None:
    assert expected in refused(f"--data.env.{override}", data={"env": ENV})
