"""The block of comments in a script that says what the script needs: `script` (PEP 723) and `conda-script`.

    # /// script                              # /// conda-script
    # requires-python = ">=3.11"              # channels = ["conda-forge"]
    # dependencies = ["requests<3"]           # entrypoint = "Rscript ${SCRIPT}"
    # [tool.kaa]                              # [dependencies]
    # channels = ["conda-forge"]              # r-base = ">=4.3"
    # dependencies = ["gdal >=3.8"]           # r-jsonlite = { version = "*", channel = "conda-forge" }
    # ///                                     # /// end-conda-script

The first is for Python alone, and its dependencies are requirements of PyPI; what conda's channels alone have stands in
`tool.kaa`. The second is for any language, in whatever marks a comment there; `/// end-conda-script` or `///` ends it.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping

import msgspec

from kaa.errors import KaaError
from kaa.models.match_spec import InvalidMatchSpec, MatchSpec
from kaa.models.subdir import operating_system

PYTHON_BLOCK = "script"
CONDA_BLOCK = "conda-script"
_PEP_723 = re.compile(r"(?m)^# /// (?P<kind>[a-zA-Z0-9-]+)$\s(?P<content>(^#(| .*)$\s)+)^# ///$")
_CONDA_START = re.compile(r"(?m)^(?P<mark>[^\w\s]{1,4}) ?/// conda-script[ \t]*$")
_CONDA_ENDS = ("/// end-conda-script", "///")
_CONDA_KEYS = frozenset({"channels", "platforms", "entrypoint", "dependencies", "tool"})
_BRACKETS = ("version", "build", "build-number", "channel", "when")
_WHERE = {"linux": ("linux", "unix"), "osx": ("osx", "unix"), "win": ("win",)}


class InvalidScriptBlock(KaaError):
    """A block says something that is not understood."""

    conda_name = "CondaValueError"

    def __init__(self, filename: str, line: int, reason: str, *, hints: tuple[str, ...] = ()) -> None:
        self.filename = filename
        self.line = line
        self.reason = reason
        super().__init__(f"{filename}, the block at line {line}: {reason}", hints=hints)


class ScriptBlock(msgspec.Struct, frozen=True):
    """What a script says that it needs."""

    kind: str
    line: int
    """Where the block begins"""
    requirements: tuple[str, ...] = ()
    """Requirements of PyPI (PEP 508)"""
    requires_python: str = ""
    specs: tuple[str, ...] = ()
    """Packages of channels, as specs"""
    channels: tuple[str, ...] = ()
    platforms: tuple[str, ...] = ()
    """Those that the script is for; none: all"""
    entrypoint: str = ""
    """A line for a shell that runs the script; empty: python does"""

    @property
    def is_of_python(self) -> bool:
        """Whether it is a block as Python scripts have it (PEP 723)."""
        return self.kind == PYTHON_BLOCK


def parse_script(text: str, filename: str, subdir: str) -> ScriptBlock | None:
    """The block of a script, None when it has none; raises InvalidScriptBlock.

    `subdir` is the platform that an entry point is for, where the block has several.
    """
    text = text.replace("\r\n", "\n")
    found = [*_iter_python_blocks(text), *_iter_conda_blocks(text, filename)]
    if not found:
        return None
    kind, line, content = found[0]
    if len(found) > 1:
        raise InvalidScriptBlock(filename, found[1][1], f"there is another block at line {line}; a script has one")
    try:
        document = tomllib.loads(content)
    except tomllib.TOMLDecodeError as error:
        raise InvalidScriptBlock(filename, line, f"it is not TOML: {error}") from error
    reader = _Reader(filename, line, document)
    return reader.python_block() if kind == PYTHON_BLOCK else reader.conda_block(subdir)


def _iter_python_blocks(text: str) -> list[tuple[str, int, str]]:
    return [
        (PYTHON_BLOCK, _line_of(text, match.start()), _without_mark(match["content"], "#"))
        for match in _PEP_723.finditer(text)
        if match["kind"] == PYTHON_BLOCK
    ]


def _iter_conda_blocks(text: str, filename: str) -> list[tuple[str, int, str]]:
    found = []
    for match in _CONDA_START.finditer(text):
        line, mark = _line_of(text, match.start()), match["mark"]
        content = []
        for after in text[match.end() + 1 :].splitlines():
            if not after.startswith(mark):
                raise InvalidScriptBlock(
                    filename, line, "it does not end", hints=(f"end it with a line `{mark} /// end-conda-script`",)
                )
            inner = after.removeprefix(mark)
            if inner.strip() in _CONDA_ENDS:
                break
            content.append(inner)
        else:
            raise InvalidScriptBlock(
                filename, line, "it does not end", hints=(f"end it with a line `{mark} /// end-conda-script`",)
            )
        found.append((CONDA_BLOCK, line, "\n".join(inner.removeprefix(" ") for inner in content)))
    return found


def _line_of(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


def _without_mark(content: str, mark: str) -> str:
    return "\n".join(line.removeprefix(mark).removeprefix(" ") for line in content.splitlines())


class _Reader:
    """Reads the values of one block."""

    def __init__(self, filename: str, line: int, document: Mapping[str, object]) -> None:
        self.filename = filename
        self.line = line
        self.document = document

    def invalid(self, reason: str, *hints: str) -> InvalidScriptBlock:
        return InvalidScriptBlock(self.filename, self.line, reason, hints=hints)

    def python_block(self) -> ScriptBlock:
        own = self.table(self.table(self.document, "tool"), "kaa")
        return ScriptBlock(
            PYTHON_BLOCK,
            self.line,
            requirements=self.texts(self.document, "dependencies"),
            requires_python=self.text(self.document, "requires-python"),
            specs=tuple(self.spec(text) for text in self.texts(own, "dependencies")),
            channels=self.texts(own, "channels"),
        )

    def conda_block(self, subdir: str) -> ScriptBlock:
        unknown = sorted(self.document.keys() - _CONDA_KEYS)
        if unknown:
            raise self.invalid(f"{unknown[0]} means nothing here", f"it has {', '.join(sorted(_CONDA_KEYS))}")
        dependencies = self.table(self.document, "dependencies")
        return ScriptBlock(
            CONDA_BLOCK,
            self.line,
            specs=tuple(self.dependency(name, value) for name, value in dependencies.items()),
            channels=self.texts(self.document, "channels"),
            platforms=self.texts(self.document, "platforms"),
            entrypoint=self.entrypoint(subdir),
        )

    def entrypoint(self, subdir: str) -> str:
        value = self.document.get("entrypoint", "")
        if isinstance(value, str):
            return value
        table = self.table(self.document, "entrypoint")
        for key in (subdir, *_WHERE.get(operating_system(subdir), ()), "default"):
            if key in table:
                return self.text(table, key)
        raise self.invalid(f"entrypoint says nothing about {subdir}", "add `default`, or this platform")

    def dependency(self, name: str, value: object) -> str:
        """A spec of `name = "version"`, or of a table with the version and more."""
        parts = {"version": value} if isinstance(value, str) else value
        if not isinstance(parts, Mapping):
            raise self.invalid(f"{name} is neither a version nor a table")
        pairs = []
        for key, part in parts.items():
            if key not in _BRACKETS:
                raise self.invalid(f"{name} has {key!r}, which means nothing here", f"it has {', '.join(_BRACKETS)}")
            text = str(part).strip()
            if '"' in text:
                raise self.invalid(f"{key} of {name} holds a quotation mark")
            if text not in ("", "*"):
                pairs.append(f'{key.replace("-", "_")}="{text}"')
        return self.spec(f"{name}[{','.join(pairs)}]" if pairs else name)

    def spec(self, text: str) -> str:
        try:
            MatchSpec.parse(text)
        except InvalidMatchSpec as error:
            raise self.invalid(error.message) from error
        return text

    def text(self, table: Mapping[str, object], key: str) -> str:
        value = table.get(key, "")
        if not isinstance(value, str):
            raise self.invalid(f"{key} is no text")
        return value

    def texts(self, table: Mapping[str, object], key: str) -> tuple[str, ...]:
        value = table.get(key, [])
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self.invalid(f"{key} is no list of texts")
        return tuple(value)

    def table(self, table: Mapping[str, object], key: str) -> Mapping[str, object]:
        value = table.get(key, {})
        if not isinstance(value, Mapping):
            raise self.invalid(f"{key} is no table")
        return value


def shell_line(entrypoint: str) -> str:
    """An entry point as a line of a POSIX shell, which finds SCRIPT and CACHE among its variables.

    A variable outside of quotes is put into them, so that a path stays one word; the words of the command line follow.

    >>> shell_line("Rscript ${SCRIPT}")
    'exec Rscript "${SCRIPT}" "$@"'
    """
    found, quote, at = [], "", 0
    while at < len(entrypoint):
        character = entrypoint[at]
        name = next((name for name in ("${SCRIPT}", "${CACHE}") if entrypoint.startswith(name, at)), None)
        if name is not None and not quote:
            found.append(f'"{name}"')
            at += len(name)
            continue
        if character == "\\" and quote != "'":
            found.append(entrypoint[at : at + 2])
            at += 2
            continue
        if character in "\"'" and quote in ("", character):
            quote = "" if quote else character
        found.append(character)
        at += 1
    line = "".join(found).strip() + ' "$@"'
    # One command can take the place of the shell.
    return line if set(entrypoint) & set("|&;<>()`=\n") else f"exec {line}"
