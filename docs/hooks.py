"""What mkdocs does not do: equations as MathML, links out of docs/, notebooks, reports, pages of packages.

Pages are written for two readers, the site and a browser of the repository, so equations and links have the
form that GitHub understands. mkdocs calls the functions named on_*; a warning ends a strict build.
"""

import base64
import html
import json
import logging
import os
import re
import shutil
import subprocess
import sys
import unicodedata
from functools import cache
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

from griffe import Attribute, Docstring, Extension
from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
FENCE = re.compile(r"^(```|~~~).*?^\1", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\[(?P<text>[^\[\]]*)\]\((?P<target>[^)\s#]+)(?P<anchor>#[^)\s]*)?\)")
REPORT = re.compile(r"`results/(?P<name>[\w/]+)/index\.html`")  # a page that results/redraw.sh makes
DRAWN = TemporaryDirectory(prefix="reports-")  # until mkdocs ends
SHOWN_AS_TEXT = {".md", ".py", ".sh", ".yaml"}  # browsers would offer to save them
SHOWN = ("image/gif", "image/png", "text/html", "text/plain")  # of a cell's outputs, the first that there is
log = logging.getLogger("mkdocs.plugins.hooks")


class Comments(Extension):
    """Takes the comment behind a field, such as a tensor's shape, for its docstring."""

    def on_attribute_instance(self, *, attr: Attribute, **_: Any) -> None:
        if attr.docstring is None and attr.lineno == attr.endlineno:
            comment = attr.source.partition("  # ")[2]
            if comment and not comment.startswith(("noqa", "pyright", "type:")):
                attr.docstring = Docstring(comment, parent=attr, lineno=attr.lineno)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Let ```math blocks be equations."""
    fence = {"name": "math", "class": "math", "format": _math_block}
    config.mdx_configs.setdefault("pymdownx.superfences", {})["custom_fences"] = [fence]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add notebooks, and the pages that lie outside docs/, such as results/point_mass/README.md."""
    for path in (ROOT / "docs").glob("*.ipynb"):
        for uri, content in _notebook(path).items():
            files.append(File.generated(config, uri, content=content))
    for path in _leaves(config.nav):
        if files.get_file_from_path(path) is None and (ROOT / path).is_file():
            files.append(File.generated(config, path, abs_src_path=str(ROOT / path)))
    reports = _draw_reports()
    for file in sorted(reports.rglob("*")):
        if file.is_file():
            uri = f"reports/{file.relative_to(reports).as_posix()}"
            files.append(File.generated(config, uri, abs_src_path=str(file)))
    return files


def _notebook(path: Path) -> dict[str, str | bytes]:
    """A notebook with its outputs as a page and its pictures, by their places in the site."""
    parts: list[str] = []
    pictures: dict[str, str | bytes] = {}
    for cell in json.loads(path.read_text("utf-8"))["cells"]:
        source = "".join(cell["source"])
        parts.append(source if cell["cell_type"] == "markdown" else f"```python\n{source}\n```")
        outputs = cell.get("outputs", ())
        printed = "".join(text for output in outputs for text in output.get("text", ())).rstrip()
        parts += [f"```text\n{printed}\n```"] if printed else []
        for data in (output["data"] for output in outputs if "data" in output):
            kind = next(kind for kind in SHOWN if kind in data)
            content = "".join(data[kind])
            if kind.startswith("image/"):
                name = f"{path.stem}-{len(pictures)}.{kind.removeprefix('image/')}"
                pictures[name] = base64.b64decode(content)
                parts.append(f"![Output of the cell above]({name})")
            else:
                parts.append(content if kind == "text/html" else f"```text\n{content}\n```")
    return {f"{path.stem}.md": "\n\n".join(parts), **pictures}


@cache
def _draw_reports() -> Path:
    """Draw the reports of results/ from their tables, once for all the builds of `mkdocs serve`.

    The site has them in reports/, because the index.html of results/NAME is the page of its README there.
    """
    reports = []
    for file in sorted(ROOT.glob("results/**/report.json")):
        source, report = file.parent, Path(DRAWN.name, file.parent.relative_to(ROOT / "results"))
        report.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, report)
        for folder in ("data", "videos"):
            if (source / folder).is_dir():
                shutil.copytree(source / folder, report / folder)
        reports.append(str(report))
    command = [sys.executable, str(ROOT / "report.py"), "--redraw", *reports]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
    return Path(DRAWN.name)


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Link reports, bring the files outside docs/ that are linked into the site, expand `::: package.*`."""
    here = _in_repository(page.file.src_uri)

    def link(match: re.Match[str]) -> str:
        target = match["target"]
        if ":" in target:
            return match[0]
        path = PurePosixPath(os.path.normpath(here.parent / target))
        if path.parts[0] != "docs" and files.get_file_from_path(str(path)) is None:
            if (ROOT / path).is_dir():
                return match["text"]  # a site has no page for a folder
            if not (ROOT / path).is_file():
                log.warning("%s links to %s, which does not exist", here, target)
                return match[0]
            copy = f"{path}.txt" if path.suffix in SHOWN_AS_TEXT else str(path)
            if files.get_file_from_path(copy) is None:
                files.append(File.generated(config, copy, abs_src_path=str(ROOT / path)))
            path = PurePosixPath(copy)
        return f"[{match['text']}]({from_here(_in_site(path))}{match['anchor'] or ''})"

    def report(match: re.Match[str]) -> str:
        return f"[{match[0]}]({from_here(PurePosixPath('reports', match['name'], 'index.html'))})"

    def from_here(path: PurePosixPath) -> str:
        return os.path.relpath(path, PurePosixPath(page.file.src_uri).parent)

    def text(markdown: str) -> str:
        return REPORT.sub(report, LINK.sub(link, markdown))

    parts, last = [], 0
    for fence in FENCE.finditer(markdown):
        parts += [text(markdown[last : fence.start()]), fence[0]]
        last = fence.end()
    markdown = "".join([*parts, text(markdown[last:])])
    return re.sub(r"^::: ([\w.]+)\.\*$", _modules, markdown, flags=re.MULTILINE)


def on_page_content(content: str, **_: Any) -> str:
    """Turn what arithmatex marks as inline equations into MathML."""
    pattern = r'<span class="arithmatex">\\\((.+?)\\\)</span>'
    return re.sub(pattern, lambda match: _mathml(html.unescape(match[1]), "inline"), content, flags=re.DOTALL)


def _math_block(source: str, *_: Any, **__: Any) -> str:
    return f'<div class="math">{_mathml(source, "block")}</div>'


def _mathml(latex: str, display: str) -> str:
    result = convert(latex, display=display)
    if "\\" in result:  # a command that the converter has passed through
        log.warning("not understood in an equation: %s", re.findall(r"\\\w+", result))
    # Browsers ignore this attribute; the letters of that style are characters of their own.
    return re.sub(r'<mi mathvariant="script">(\w)</mi>', lambda m: f"<mi>{_script(m[1])}</mi>", result)


def _script(letter: str) -> str:
    return unicodedata.lookup(f"MATHEMATICAL SCRIPT CAPITAL {letter}")


def _modules(match: re.Match[str]) -> str:
    """`::: package.*`: one line for every public module of the package."""
    folder = ROOT / "src" / match[1].replace(".", "/")  # not imported: that would load torch
    names = sorted(file.stem for file in folder.glob("*.py") if not file.stem.startswith("_"))
    return "\n\n".join(f"::: {match[1]}.{name}" for name in names)


def _leaves(tree: Any) -> list[str]:
    """The files of a navigation."""
    if isinstance(tree, str):
        return [tree]
    branches = tree.values() if isinstance(tree, dict) else tree
    return [leaf for branch in branches for leaf in _leaves(branch)]


def _in_repository(src_uri: str) -> PurePosixPath:
    """Where a page of the site lies in the repository."""
    return PurePosixPath("docs") / src_uri if (ROOT / "docs" / src_uri).exists() else PurePosixPath(src_uri)


def _in_site(path: PurePosixPath) -> PurePosixPath:
    path = path.with_suffix(".md") if path.suffix == ".ipynb" else path
    return path.relative_to("docs") if path.parts[0] == "docs" else path
