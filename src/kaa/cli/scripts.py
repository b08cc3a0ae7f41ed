"""Scripts that say what they need, as `kaa run` runs them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from kaa.envfiles.script_blocks import PYTHON_BLOCK, ScriptBlock, parse_script, shell_line
from kaa.errors import KaaError
from kaa.host.files import read_bounded
from kaa.host.platform import current_subdir
from kaa.prefix.temporary import key_of

LARGEST_SCRIPT = 10_000_000


class NotAScript(KaaError):
    """A file was to be run as a script that says what it needs, and it does not."""

    conda_name = "CondaValueError"

    def __init__(self, path: str, reason: str, *, hints: tuple[str, ...] = ()) -> None:
        self.path = path
        self.reason = reason
        super().__init__(f"{path}: {reason}", hints=hints)


class WrongPlatform(KaaError):
    """A script is for other platforms."""

    conda_name = "CondaValueError"

    def __init__(self, path: str, platforms: Sequence[str], subdir: str) -> None:
        self.path = path
        self.platforms = list(platforms)
        super().__init__(
            f"{path} is for {', '.join(platforms)}, and this is {subdir}",
            hints=("add the platform to `platforms` in its block if the script works there",),
        )


class Script:
    """A file and its block."""

    __slots__ = ("block", "path")

    def __init__(self, path: Path, block: ScriptBlock) -> None:
        self.path = path
        self.block = block

    def command(self, words: Sequence[str], prefix: str, environ: dict[str, str]) -> list[str]:
        """The words that run it; `words` are those of the command line. An entry point finds SCRIPT and CACHE."""
        if not self.block.entrypoint:
            return ["python", *words]
        cache = Path(prefix, "var", "kaa-script", key_of({"script": str(self.path)}))
        cache.mkdir(parents=True, exist_ok=True)
        environ["SCRIPT"], environ["CACHE"] = str(self.path), str(cache)
        return ["sh", "-c", shell_line(self.block.entrypoint), words[0], *words[1:]]


def read_script(word: str, cwd: str | None, subdir: str | None, *, must_be: bool) -> Script | None:
    """The script at a path; None when it has no block, which it `must_be` able to show otherwise."""
    path = Path(os.path.abspath(Path(cwd or "", word)))  # noqa: PTH100 - links stay as they are written
    try:
        content = read_bounded(path, LARGEST_SCRIPT)
    except OSError as error:
        if not must_be:
            return None
        raise NotAScript(word, error.strerror or str(error), hints=("give the path of a script",)) from error
    # What is not UTF-8 has no block that could be meant.
    block = parse_script(content.decode(errors="replace"), word, subdir or current_subdir())
    if block is None:
        if not must_be:
            return None
        hint = "begin it with a block `# /// script`, or leave --script out"
        raise NotAScript(word, "it has no block that says what it needs", hints=(hint,))
    here = subdir or current_subdir()
    if block.platforms and here not in block.platforms:
        raise WrongPlatform(word, block.platforms, here)
    if block.kind != PYTHON_BLOCK and not block.entrypoint and path.suffix != ".py":
        hint = 'add one, as in entrypoint = "Rscript ${SCRIPT}"'
        raise NotAScript(word, "its block has no entrypoint", hints=(hint,))
    return Script(path, block)
