"""The page of the documentation that lists the corpus: `python -m tests.hostile.page` writes it."""

from __future__ import annotations

from pathlib import Path

from tests.hostile import archives, channels, documents, environments, packages, terminal, wheels
from tests.hostile.cases import CASES
from tests.hostile.world import Cases

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "hostile-input.md"

HEAD = """# Hostile input, and what it gets

This page is written from the table in `tests/hostile` (`python -m tests.hostile.page`). Each of these {count} cases is
made by a script and met by a real `kaa` command, in a process with limits on memory and processor time. After each one
it is checked that nothing beside the environment changed, that no process was left, that nothing in the output can
steer a terminal, and that an error names what is wrong and a way out. What follows from it is told in
[what a hostile package cannot do](../concepts.md#what-a-hostile-package-cannot-do).
"""

SECTIONS: tuple[tuple[str, Cases], ...] = (
    ("Archives", archives.CASES),
    ("What packages say of themselves", packages.CASES),
    ("Channels", channels.CASES),
    ("Environments and caches that somebody prepared", environments.CASES),
    ("Files that a user is sent", documents.CASES),
    ("Text that steers terminals", terminal.CASES),
    ("Wheels", wheels.CASES),
)


def page_text() -> str:
    """The whole page."""
    lines = [HEAD.format(count=len(CASES))]
    for title, cases in SECTIONS:
        lines += [f"## {title}", "", "| case | result |", "|---|---|"]
        lines += [f"| {_cell(name)} | {_cell(str(case.expected))} |" for name, case in cases.items()]
        lines.append("")
    return "\n".join(lines)


def _cell(text: str) -> str:
    return text.replace("|", " or ")


if __name__ == "__main__":
    PAGE.write_text(page_text(), encoding="utf-8")
