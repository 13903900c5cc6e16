"""Shipped experiments, made small and then wrong in one to three ways."""

import copy
import datetime
import math
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml

VALUES: list[Any] = [
    None, True, False, 0, 1, 2, -1, 3.5, -0.0, 1e-300, 1e300, math.nan, math.inf, -math.inf, 10**12,
    2**63, 2**64, 10**30, "", " ", "nan", "1e-3", "1_000", "0x10", "ünï©ödé", "a\0b", "a\nb", "None",
    "${model}", "${seed_everything}", "${nope.x}", "${oc.env:HOME}", "${", "a: b", "[1", "-", "~",
    "../x", "x" * 300, [], [[]], [1, "x", None], {}, {"a": 1}, {1: 2}, {"class_path": "os.system"},
    datetime.date(2026, 1, 1), b"\xff\x00", {"x", "y"},
]  # fmt: skip
CLASSES = [
    "MAML", "meta_rl.algorithms.maml.MAML", "meta_rl.algorithms.Maml", "meta_rl.algorithms",
    "torch.nn.Linear", "os.system", "builtins.dict", "nope.Nope", "meta_rl.envs.PointMass", "PointMass",
    "meta_rl.algorithms.MAML ", ".MAML", "MAML()", "meta_rl.algorithms.Random",
    "meta_rl.algorithms.MetaLearner", "meta_rl.envs.BatchedEnv", "meta_rl..algorithms.MAML", "",
    "antigravity.x", "__main__.x",
]  # fmt: skip
KEYS = [
    "name", "runs_dir", "ckpt_path", "checkpoint_every", "keep_checkpoints", "matmul_precision",
    "trainer.precision", "trainer.strategy", "trainer.accelerator", "trainer.devices",
    "trainer.num_nodes", "trainer.max_epochs", "trainer.max_time", "trainer.limit_train_batches",
    "trainer.fast_dev_run", "trainer.detect_anomaly", "trainer.profiler", "trainer.callbacks",
    "trainer.logger", "trainer.plugins", "trainer.min_steps", "trainer.overfit_batches",
    "trainer.deterministic", "trainer.benchmark", "trainer.inference_mode", "trainer.log_every_n_steps",
    "trainer.val_check_interval", "trainer.gradient_clip_val", "trainer.barebones",
    "trainer.default_root_dir", "trainer.enable_progress_bar",
    "trainer.reload_dataloaders_every_n_epochs", "model.init_args.policy",
    "model.init_args.policy.hidden_sizes", "model.init_args.policy.nonlinearity",
    "model.init_args.policy.min_std", "model.init_args.inner_optimizer",
    "model.init_args.inner_optimizer_args", "model.init_args.adapt_log_std",
    "model.init_args.curvature_every_n_steps", "model.init_args.outer_optimizer",
    "model.init_args.line_search_steps", "data.env.init_args.num_threads",
    "data.env.init_args.goal_radius", "data.advantage", "data.seed", "data.normalise",
    "data.env.init_args.xml_file", "seed",
]  # fmt: skip
TEXTS: list[Callable[[random.Random, str], str]] = [
    lambda r, t: t[: r.randrange(len(t))],
    lambda r, t: _insert(r, t, "\t"),
    lambda r, t: _insert(r, t, r.choice("[]{}:,&*!|>%@`'\"#-?")),
    lambda r, t: _insert(r, t, r.choice(["\0", "\x07", "\u2028", "\ufeff", "\u202e", "\x85", "😀"])),
    lambda r, t: t.replace("\n", r.choice(["\r\n", "\r", "\n\n", " \n"])),
    lambda r, t: _line(r, t, lambda line: [line, line]),
    lambda r, t: _line(r, t, lambda line: []),
    lambda r, t: _line(r, t, lambda line: [" " + line]),
    lambda r, t: t + f"---\n{t}",
    lambda r, t: t + "loop: &a {b: *a}\n",
    lambda r, t: t.replace("model:", "model: &m", 1) + "<<: *m\n",
    lambda r, t: t + "<<: {seed_everything: 7, checkpoint_every: 5}\n",
    lambda r, t: t + f"{r.choice(['data', 'x', 'trainer'])}: {'[' * 3000}{']' * 3000}\n",
    lambda r, t: LAUGHS + t + f"{r.choice(['data', 'x', 'name', 'trainer', 'model'])}: *l9\n",
    lambda r, t: t + f"seed_everything: {'9' * r.choice([19, 5000])}\n",
    lambda r, t: t + "a: ${b}\nb: ${a}\n",
    lambda r, t: t + "name: ${name}\n",
    lambda r, t: t + "name: !!python/object/apply:os.system [id]\n",
    lambda r, t: t.replace(": ", ":", 3),
    lambda r, t: t.swapcase(),
]
LAUGHS = "l0: &l0 [x, x]\n" + "".join(
    f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]\n" for n in range(1, 10)
)


def shipped() -> list[Path]:
    """The experiments that train."""
    folder = Path(__file__).parents[2] / "conf"
    return sorted(file for file in folder.glob("*.yaml") if not file.name.startswith("random"))


def small(file: Path) -> dict[str, Any]:
    """An experiment that takes a moment."""
    config = yaml.safe_load(file.read_text())
    config["data"] |= {"meta_batch_size": 2, "fast_batch_size": 2}
    config["data"]["env"]["init_args"] |= {"horizon": 5}
    config["model"]["init_args"].setdefault("policy", {})["hidden_sizes"] = [4]
    return config | {"trainer": {"max_steps": 2}}


def _insert(r: random.Random, text: str, what: str) -> str:
    place = r.randrange(len(text))
    return text[:place] + what + text[place:]


def _line(r: random.Random, text: str, change: Callable[[str], list[str]]) -> str:
    lines = text.splitlines()
    place = r.randrange(len(lines))
    return "\n".join([*lines[:place], *change(lines[place]), *lines[place + 1 :]]) + "\n"


def _places(tree: dict[Any, Any]) -> list[tuple[dict[Any, Any], Any]]:
    """Every key with the dict that holds it."""
    below = [place for value in tree.values() if isinstance(value, dict) for place in _places(value)]
    return [(tree, key) for key in tree] + below


def _typo(r: random.Random, key: str) -> Any:
    place = r.randrange(len(key))
    return r.choice(
        [key[:place] + key[place + 1 :], key.upper(), key + "\0", key + " ", "ä" + key, 3, None, ""]
    )


Config = dict[Any, Any]


def _delete(r: random.Random, config: Config, holder: Config, key: Any) -> str:
    del holder[key]
    return str(key)


def _rename(r: random.Random, config: Config, holder: Config, key: Any) -> str:
    new = _typo(r, str(key))
    holder[new] = holder.pop(key)
    return f"{key} to {new!r}"


def _replace(r: random.Random, config: Config, holder: Config, key: Any) -> str:
    holder[key] = copy.deepcopy(r.choice(VALUES))
    return f"{key}={holder[key]!r}"


def _scale(r: random.Random, config: Config, holder: Config, key: Any) -> str:
    numbers = [(h, k) for h, k in _places(config) if type(h[k]) in (int, float)]
    if not numbers:
        return _replace(r, config, holder, key)
    holder, key = r.choice(numbers)
    holder[key] *= r.choice([-1, 0.5, 2, 3, 1.0, 10])
    return f"{key}={holder[key]!r}"


def _nest(r: random.Random, config: Config, holder: Config, key: Any) -> str:
    holder[key] = r.choice([{key: holder[key]}, [holder[key]]])
    return str(key)


def _move(r: random.Random, config: Config, holder: Config, key: Any) -> str:
    value = holder.pop(key)
    r.choice([holder, *(h for h, _ in _places(config))])[f"{key}"] = value
    return str(key)


def _class(r: random.Random, config: Config, holder: Config, key: Any) -> str:
    path = r.choice([("model", "class_path"), ("data", "env", "class_path")])
    return _put(config, path, r.choice([*CLASSES, r.choice(VALUES)]))


def _add(r: random.Random, config: Config, holder: Config, key: Any) -> str:
    return _put(config, r.choice(KEYS).split("."), copy.deepcopy(r.choice(VALUES)))


def _put(config: Config, path: Sequence[str], value: Any) -> str:
    """Set a value below dicts that are made where there are none."""
    for key in path[:-1]:
        config[key] = config[key] if isinstance(config.get(key), dict) else {}
        config = config[key]
    config[path[-1]] = value
    return f"{'.'.join(path)}={value!r}"


CHANGES = [
    _delete,
    _rename,
    _replace,
    _replace,
    _replace,
    _scale,
    _scale,
    _scale,
    _nest,
    _move,
    _class,
    _add,
    _add,
]


def change(r: random.Random, config: Config) -> str:
    """Make one change somewhere in the tree; says which."""
    config.setdefault("name", "x")  # so that there is something to change
    holder, key = r.choice(_places(config))
    how = r.choice(CHANGES)
    return f"{how.__name__[1:]} {how(r, config, holder, key)}"


def mutate(r: random.Random, file: Path) -> tuple[bytes, str]:
    """A file that is wrong in one to three ways, and which ones."""
    config = small(file)
    if r.random() < 0.3:
        place = r.randrange(len(TEXTS))
        text = TEXTS[place](r, yaml.safe_dump(config, sort_keys=False))
        content = text.encode(errors="surrogatepass")
        return (content if r.random() < 0.9 else content + b"\xff\xfe"), f"{file.stem}: text {place}"
    changes = [change(r, config) for _ in range(r.choice([1, 1, 1, 2, 3]))]
    return yaml.safe_dump(
        config, sort_keys=False, allow_unicode=True
    ).encode(), f"{file.stem}: {'; '.join(changes)}"
