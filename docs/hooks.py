"""Files of the repository outside `docs/` on the site: those that pages link to, below `repository/`.

On a public host, `[keys](../config/README.md)` leads to the file; on the site, to `repository/config/README.md`.
"""

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
DOCS, OUTSIDE = "docs", "repository"
LINK = re.compile(r"(\]\(|src=\")(?!\w+:|#|/)([^)\s\"#]+)")
SHOWN = {".md", ".png", ".svg", ".csv", ".json", ".yaml", ".ipynb"}
"""What is put on the site. A link to anything else, such as code, becomes its name."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what pages link to, and what is linked to there."""
    waiting = [f"{DOCS}/{file.src_uri}" for file in files if file.src_uri.endswith((".md", ".ipynb"))]
    waiting += ["README.md", "README.zh.md", "CHANGELOG.md"]
    seen: set[str] = set()
    while waiting:
        place = waiting.pop()
        if place in seen:
            continue
        seen.add(place)
        if not place.startswith(f"{DOCS}/"):
            path = ROOT / place
            content = path.read_text() if path.suffix == ".md" else path.read_bytes()
            files.append(File.generated(config, f"{OUTSIDE}/{place}", content=content))
        if place.endswith(".md"):
            waiting += [target for target in _targets(place) if _is_shown(target)]
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links as the site needs them."""
    place = _place(page.file.src_uri)

    def moved(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(place), match[2]))
        if not (ROOT / target).exists():
            return match[0]  # a mistake: the build says so
        uri = target.removeprefix(f"{DOCS}/") if target.startswith(f"{DOCS}/") else f"{OUTSIDE}/{target}"
        if not _is_shown(target):
            uri = f"{OUTSIDE}/README.md"
        return match[1] + posixpath.relpath(uri, posixpath.dirname(page.file.src_uri) or ".")

    return LINK.sub(moved, markdown)


def _targets(place: str) -> list[str]:
    links = LINK.findall((ROOT / place).read_text())
    return [posixpath.normpath(posixpath.join(posixpath.dirname(place), link)) for _, link in links]


def _is_shown(target: str) -> bool:
    return (ROOT / target).is_file() and Path(target).suffix in SHOWN


def _place(src_uri: str) -> str:
    """Where a page's file is in the repository."""
    return src_uri.removeprefix(f"{OUTSIDE}/") if src_uri.startswith(f"{OUTSIDE}/") else f"{DOCS}/{src_uri}"
