"""Write a repository's address into what PyPI shows: the projects' URLs, and the links of the README.

Usage: ``python -m scripts.name_repository https://example.com/owner/name v1.2.3``. The release workflow does it before
it builds, since the address is nowhere in the repository.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
_LINK = re.compile(r"""(\]\(|src="|srcset="|href=")(?!https?:|mailto:|#)([^)"\s]+)""")
_PICTURE = re.compile(r"\.(png|svg|jpg|gif)$")


def main(address: str, tag: str, root: Path = ROOT) -> None:
    """Change ``pyproject.toml`` and ``README.md`` of each package."""
    for folder in (root, root / "toolkit", root / "local"):
        with (folder / "pyproject.toml").open("a") as file:
            file.write(
                f'\n[project.urls]\nRepository = "{address}"\nDocumentation = "{address}/tree/{tag}/docs"\n'
                f'Changelog = "{address}/blob/{tag}/CHANGELOG.md"\nIssues = "{address}/issues"\n'
            )
        _make_links_absolute(folder / "README.md", address, tag, folder.relative_to(root))


def _make_links_absolute(readme: Path, address: str, tag: str, folder: Path) -> None:
    def absolute(link: re.Match[str]) -> str:
        kind = "raw" if _PICTURE.search(link[2]) else "blob"
        return f"{link[1]}{address}/{kind}/{tag}/{(folder / link[2]).as_posix()}"

    readme.write_text(_LINK.sub(absolute, readme.read_text()))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
