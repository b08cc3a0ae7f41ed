"""Write docs/reference/commands.md, options.md and kaa.1 from the code; with --check, tell whether they are current."""

from __future__ import annotations

import sys
from pathlib import Path

from kaa.cli.man_page import man_page
from kaa.cli.reference import commands_page, options_page

FOLDER = Path(__file__).parent / "reference"


def main(arguments: list[str]) -> int:
    pages = {"commands.md": commands_page(), "options.md": options_page(), "kaa.1": man_page()}
    stale = [
        name
        for name, text in pages.items()
        if not (FOLDER / name).is_file() or (FOLDER / name).read_text(encoding="utf-8") != text
    ]
    if "--check" in arguments:
        for name in stale:
            print(f"docs/reference/{name} is not current: run docs/generate_reference.py", file=sys.stderr)
        return 1 if stale else 0
    FOLDER.mkdir(exist_ok=True)
    for name in stale:
        (FOLDER / name).write_text(pages[name], encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
