"""meta_rl.load: a trained policy by its path, its name, or its place on the Hugging Face Hub."""

from pathlib import Path

from meta_rl.api.hub import PREFIX, download
from meta_rl.api.pretrained import pretrained
from meta_rl.api.trained import Trained
from meta_rl.errors import UserError
from meta_rl.evaluation.loaded import load_run
from meta_rl.run.shipped import nearest


def load(source: str | Path) -> Trained:
    """Load a policy. No code that a file may carry is run (docs/security.md).

    Args:
        source: A run's directory, a checkpoint, a YAML file for an untrained policy, a name among
            `meta_rl.pretrained()`, or `hf://OWNER/NAME`, with `@REVISION` if wanted. A path wins over a name.

    Raises:
        UserError: if it is none of these, or damaged.
    """
    text = str(source)
    if text.startswith(PREFIX):
        path = download(text.removeprefix(PREFIX))
        return Trained(load_run(path), path)
    path, known = Path(source), pretrained()
    if not path.exists() and text in known:
        path = known[text]
    elif not path.exists() and path.name == text and not path.suffix:
        remedy = nearest(text, known) or "meta_rl.pretrained() names those there are"
        raise UserError(f"no path and no pretrained policy: {text!r}; {remedy}")
    return Trained(load_run(path), path)
