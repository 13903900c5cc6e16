"""The Hugging Face Hub: a checkpoint with its model card there, and back."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import yaml

from meta_rl.errors import UserError, one_line
from meta_rl.evaluation.statistics import summarise_adaptation
from meta_rl.run.arguments import is_config
from meta_rl.run.directory import CHECKPOINTS, LAST

if TYPE_CHECKING:
    import pandas as pd

    from meta_rl.api.trained import Trained

PREFIX = "hf://"
CHECKPOINT, CARD = "policy.ckpt", "README.md"  # the files of a repository there
TEXT = """# {label}

{algorithm} on `{family}`, after {iteration} meta-iterations, made with meta_rl: an initial policy that
policy-gradient steps on a few episodes adapt to a task.

| gradient steps | mean return | half the 95 % interval |
| --- | --- | --- |
{rows}

Means over {tasks} tasks, drawn apart from those of training, with {episodes} episodes a task and step.

```python
import meta_rl

trained = meta_rl.load("hf://{repo_id}")
policy = trained.adapt({task})
action = policy.act(observation)
```

The experiment:

```yaml
{config}```
"""


def push(trained: Trained, repo_id: str, curve: pd.DataFrame, private: bool) -> str:
    """See `Trained.push_to_hub`."""
    if is_config(trained.source) or not trained.iteration:
        raise UserError(f"push_to_hub: {trained.label} is not trained; push a checkpoint")
    file = trained.source if trained.source.is_file() else trained.source / CHECKPOINTS / LAST
    hub = _hub()
    with TemporaryDirectory() as folder:
        Path(folder, CHECKPOINT).write_bytes(file.read_bytes())
        Path(folder, CARD).write_text(card(trained, repo_id, curve), encoding="utf-8")
        try:
            api = hub.HfApi()
            api.create_repo(repo_id, private=private, exist_ok=True)
            api.upload_folder(repo_id=repo_id, folder_path=folder, commit_message=f"{trained!r}")
        except (hub.errors.HfHubHTTPError, hub.errors.HFValidationError, OSError) as error:
            raise UserError(f"push_to_hub {repo_id}: {one_line(error)}") from error
    return f"https://huggingface.co/{repo_id}"


def download(place: str) -> Path:
    """The checkpoint of OWNER/NAME or OWNER/NAME@REVISION, in the Hub's cache.

    Raises:
        UserError: if huggingface_hub is not installed, or there is no such file.
    """
    hub = _hub()
    repo_id, _, revision = place.partition("@")
    try:
        return Path(hub.hf_hub_download(repo_id, CHECKPOINT, revision=revision or None))
    except (hub.errors.HfHubHTTPError, hub.errors.HFValidationError, OSError) as error:
        raise UserError(f"{PREFIX}{place}: {one_line(error)}") from error


def card(trained: Trained, repo_id: str, curve: pd.DataFrame) -> str:
    """The model card: front matter for the Hub's search, then text, measured returns and configuration.

    Args:
        trained: The policy.
        repo_id: Where it will be.
        curve: What `Trained.curve` has returned.
    """
    summary, family = summarise_adaptation(curve), type(trained.env).__name__
    after = [
        {"type": f"return_after_{step}_gradient_steps", "value": round(float(mean), 2)}
        for step, mean in zip(summary.index, summary["mean"], strict=True)
    ]
    task = {"task": {"type": "reinforcement-learning"}, "dataset": {"name": family, "type": family}}
    front = {
        "library_name": "meta_rl",
        "pipeline_tag": "reinforcement-learning",
        "tags": ["meta-reinforcement-learning", "reinforcement-learning", trained.algorithm.lower(), family],
        "model-index": [{"name": trained.label, "results": [{**task, "metrics": after}]}],
    }
    rows = [
        f"| {step} | {mean:.2f} | {f'{half:.2f}' if tasks > 1 else ''} |"
        for step, mean, half, tasks in summary.itertuples()
    ]
    first = curve.iloc[0][list(trained.env.task_parameters)]
    text = TEXT.format(
        label=trained.label,
        algorithm=trained.algorithm,
        family=family,
        iteration=trained.iteration,
        rows="\n".join(rows),
        tasks=summary["n"].iloc[0],
        episodes=curve["episodes"].iloc[0],
        repo_id=repo_id,
        task={name: round(float(value), 3) for name, value in first.items()},
        config=yaml.safe_dump(trained.config, sort_keys=False),
    )
    return f"---\n{yaml.safe_dump(front, sort_keys=False)}---\n\n{text}"


def _hub() -> Any:
    """huggingface_hub, which is an extra."""
    try:
        import huggingface_hub
        import huggingface_hub.errors  # noqa: F401
    except ImportError:
        raise UserError("the Hub needs huggingface_hub; install it: pip install 'meta_rl[hub]'") from None
    return huggingface_hub
