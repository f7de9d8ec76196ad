"""The pages for readers: README, docs, and the READMEs of the packages, with their blocks
of code.
"""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
PAGES = sorted(
    [
        README,
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "gate").rglob("*.md"),
        *(ROOT / "meter").rglob("*.md"),
        ROOT / "benchmarks/README.md",
        ROOT / "CHANGELOG.md",
    ]
)

_FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block of code."""

    language: str
    text: str


def name_of(page: Path) -> str:
    """Returns the page's path from the top of the project."""
    return str(page.relative_to(ROOT))


def text_of(page: Path) -> str:
    """Returns the page's text."""
    return page.read_text(encoding="utf-8")


def blocks_of(page: Path) -> list[Block]:
    """Returns the page's blocks, in order."""
    return [Block(language, text) for language, text in _FENCED.findall(text_of(page))]


def prose_of(page: Path) -> str:
    """Returns the page's text without the blocks."""
    return _FENCED.sub("", text_of(page))
