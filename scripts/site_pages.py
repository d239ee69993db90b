"""A hook of MkDocs: the pages of the site that are not in docs/, and the links from there to here and back."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

import click
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from multi_model_endpoint.command import mme

ROOT = Path(__file__).parents[1]
LANGUAGES = {".py": "python", ".pbtxt": "text", ".yml": "yaml", "": "dockerfile"}
LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)#\s]+)(#[^)\s]*)?\)")
ALONE = ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "benchmarks/RESULTS.md", "examples/README.md")
EXAMPLES = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "examples").glob("*/README.md"))


def on_config(config: MkDocsConfig) -> None:
    """Have every example in the navigation."""
    (examples,) = (section["Examples"] for section in config.nav or [] if "Examples" in section)
    examples += EXAMPLES


def on_files(files: Files, config: MkDocsConfig) -> None:
    """Add the pages that are not in docs/."""
    for name in (*ALONE, *EXAMPLES):
        path = ROOT / name
        if path.exists():
            content = path.read_text(encoding="utf-8") + (programs(path.parent) if name in EXAMPLES else "")
            files.append(File.generated(config, name, content=content))


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Make links between files of the repository links between pages; of those to other files only the text stays."""
    if page.file.src_uri == "index.md":
        page.meta["hide"] = ["navigation", "toc"]
    if page.file.src_uri.startswith(("api/", "examples/", "CHANGELOG", "rules")):
        page.meta["search"] = {"boost": 0.3}  # whoever looks for something wants to read of it first
    if page.file.src_uri == "api/command.md":
        return markdown + commands()
    here = page.file.src_uri if page.file.generated_by else f"docs/{page.file.src_uri}"

    def moved(link: re.Match[str]) -> str:
        mark, text, target, anchor = link.groups(default="")
        if ":" in target:
            return link[0]
        there = posixpath.normpath(posixpath.join(posixpath.dirname(here), target))
        if (ROOT / there).is_dir():
            there += "/README.md"
        uri = there.removeprefix("docs/")
        if (ROOT / there).exists() and uri not in files.src_uris:
            return text
        return f"{mark}[{text}]({posixpath.relpath(uri, posixpath.dirname(page.file.src_uri) or '.')}{anchor})"

    parts = re.split(r"(^ *```.*?^ *```$)", markdown, flags=re.MULTILINE | re.DOTALL)
    return "".join(part if part.lstrip().startswith("```") else LINK.sub(moved, part) for part in parts)


def programs(folder: Path) -> str:
    """The files of an example, below its README."""
    text = ""
    for path in sorted(folder.rglob("*")):
        if path.name == "Dockerfile" or path.suffix in LANGUAGES.keys() - {""}:
            code = path.read_text(encoding="utf-8").rstrip()
            text += f"\n## `{path.relative_to(folder).as_posix()}`\n\n```{LANGUAGES[path.suffix]}\n{code}\n```\n"
    return text


def commands() -> str:
    """What ``mme --help`` and its like say."""
    text = ""
    for path, command in described("mme", mme):
        context = click.Context(command, info_name=path, max_content_width=88, terminal_width=88)
        text += f"\n## {path}\n\n```text\n{command.get_help(context)}\n```\n"
    return text


def described(path: str, command: click.Command) -> list[tuple[str, click.Command]]:
    """A command and those below it, by what is typed."""
    found = [(path, command)]
    if isinstance(command, click.Group):
        context = click.Context(command, info_name=path)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            found += described(f"{path} {name}", below)
    return found
