"""From condarc files, environment variables and the command line to one `Config` that knows where each value is from.

The order, from what counts least to what counts most, is conda's:

1. the defaults
2. the system's files: `/etc/conda/`, then `/var/lib/conda/` (Windows: `C:/ProgramData/conda/`)
3. the root prefix: `<root>/`
4. the user's files: `$XDG_CONFIG_HOME/conda/`, `~/.config/conda/`, `~/.conda/`, `~/.condarc`, and kaa's own
   `~/.config/kaa/config.yaml`
5. the environment that the command works on (or the active one): `<environment>/`
6. the file that `$CONDARC` names
7. variables `CONDA_<NAME>`, then `KAA_<NAME>`
8. the command line

In each directory the files are `.condarc`, `condarc` and `condarc.d/*.yml`, `*.yaml`. Of one-valued options the source
that counts most wins; lists are put together, the source that counts most in front, each item once; maps are merged by
key. `#!final` behind a key makes a file win over all that come later; `#!top` and `#!bottom` behind an item of a list
move it to that end. `!important` at the end of a variable's value is the same as `#!final`.

The files of an environment (step 5, unless it is the root prefix) are not trusted: a package can bring them. They may
not set options that decide whom kaa trusts or where it writes (`Option.trusted`); such settings end in
`Config.ignored`. A file there, or in the root prefix, that belongs to an installed package is not read at all.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from kaa.config.condarc import Entry, read_condarc
from kaa.config.kinds import UnfitValue
from kaa.config.options import NAMES, OPTIONS, Config, Option, Setting, Source
from kaa.errors import KaaError
from kaa.host.directories import home_directory, user_config_directory
from kaa.host.files import read_regular_file
from kaa.models.index_words import names_index
from kaa.models.pattern import Pattern
from kaa.models.redaction import redact

SYSTEM_DIRECTORIES: tuple[Path, ...] = (
    (Path("C:/ProgramData/conda"),) if sys.platform == "win32" else (Path("/etc/conda"), Path("/var/lib/conda"))
)
ENVIRONMENT = "environment"
COMMAND_LINE = "command line"
IMPORTANT = "!important"


class InvalidOption(KaaError):
    """A value that an option cannot take, and where it stands."""

    conda_name = "InvalidTypeError"

    def __init__(self, name: str, value: object, source: Source, expected: str) -> None:
        super().__init__(
            f"{source}: {name} is {redact(repr(value))}; it takes {expected}.",
            hints=(_way_out(name, source),),
        )
        self.option = name
        self.value = redact(str(value))
        self.source = str(source)
        self.expected = expected


class ContradictingKeys(KaaError):
    """One option stands in a file twice, under two of its names, with two values."""

    conda_name = "MultipleKeysError"

    def __init__(self, path: str, name: str, keys: tuple[str, str], lines: tuple[int | None, int | None]) -> None:
        super().__init__(
            f"{path}: {keys[0]} (line {lines[0]}) and {keys[1]} (line {lines[1]}) are names of the same option and "
            "say different things.",
            hints=(f"keep {name} and remove the other line",),
        )
        self.path = path
        self.option = name
        self.keys = keys


def _way_out(name: str, source: Source) -> str:
    if source.kind == "file":
        return f"correct it there, or take it out: kaa config --file {source.where} --remove-key {name}"
    if source.kind == ENVIRONMENT:
        return f"unset {source.where}, or give it another value"
    return f"kaa config --describe {name}"


class Layer:
    """What one source says, by option name, checked and typed."""

    __slots__ = ("entries", "kind", "where")

    def __init__(self, kind: str, where: str, entries: Mapping[str, Entry]) -> None:
        self.kind = kind
        self.where = where
        self.entries = entries

    def setting(self, name: str) -> Setting:
        entry = self.entries[name]
        return Setting(Source(self.kind, self.where, entry.line), entry.value)


def load_config(
    environ: Mapping[str, str],
    command_line: Mapping[str, object],
    *,
    root_prefix: Path,
    prefix: Path | None = None,
    override_channels: bool = False,
    system_directories: Sequence[Path] = SYSTEM_DIRECTORIES,
) -> Config:
    """Read every source and merge them.

    `prefix` is the environment that the command works on, or the active one. `command_line` maps option names to
    values; with `override_channels` its channels stand alone.
    """
    unknown: list[tuple[str, Setting]] = []
    ignored: list[tuple[str, Setting]] = []
    layers: list[Layer] = []
    for path, trusted in iter_files(environ, root_prefix, prefix, system_directories):
        layers.append(_file_layer(path, trusted, unknown, ignored))
    layers.extend(_variable_layers(environ))
    layers.append(Layer(COMMAND_LINE, "", _given(command_line)))

    values: dict[str, object] = {}
    provenance: dict[str, tuple[Setting, ...]] = {}
    for name, option in OPTIONS.items():
        setting = [layer for layer in layers if name in layer.entries]
        if name == "channels" and override_channels:
            setting = [layer for layer in setting if layer.kind == COMMAND_LINE]
        if setting:
            values[name], provenance[name] = merge(option, setting, add_default=not override_channels)
        if option.expand and name in values:
            values[name] = expand_value(values[name], environ)
    _complete_directories(values, environ, root_prefix)
    return Config(
        values,
        root_prefix=root_prefix,
        home=home_directory(environ),
        prefix=prefix,
        provenance=provenance,
        files=tuple(layer.where for layer in layers if layer.kind == "file"),
        unknown=tuple(unknown),
        ignored=tuple(ignored),
    )


# -- files ------------------------------------------------------------------------------------------------------------


def iter_files(
    environ: Mapping[str, str],
    root_prefix: Path,
    prefix: Path | None,
    system_directories: Sequence[Path] = SYSTEM_DIRECTORIES,
) -> Iterator[tuple[Path, bool]]:
    """The configuration files that are there, from what counts least to what counts most, and whether we trust them."""
    seen: set[Path] = set()
    yield from ((path, True) for directory in system_directories for path in files_of(directory, seen))
    yield from ((path, True) for path in files_of(root_prefix, seen) if not belongs_to_package(root_prefix, path))
    for directory in _user_directories(environ):
        yield from ((path, True) for path in files_of(directory, seen))
    for path in _user_files(environ):
        if path not in seen and _is_file(path):
            seen.add(path)
            yield path, True
    if prefix is not None and prefix != root_prefix:
        for path in files_of(prefix, seen):
            if not belongs_to_package(prefix, path):
                yield path, False
    named = environ.get("CONDARC")
    if named:
        path = Path(expand_text(named, environ))
        if path not in seen and _is_file(path):
            yield path, True


def places_of_files(
    environ: Mapping[str, str], root_prefix: Path, system_directories: Sequence[Path] = SYSTEM_DIRECTORIES
) -> list[Path]:
    """Whatever decides which files `load_config` reads when no environment is given, and what they say.

    As long as each of these files and directories is as it was, or is still not there, so is the configuration.
    """
    found: list[Path] = []
    for directory in (*system_directories, root_prefix, *_user_directories(environ)):
        inner = directory / "condarc.d"
        found += [directory / ".condarc", directory / "condarc", inner]
        try:
            found += sorted(inner.iterdir())
        except OSError:
            continue
    named = environ.get("CONDARC")
    found += [*_user_files(environ), *([Path(expand_text(named, environ))] if named else [])]
    # Whether a file of the root prefix belongs to a package, its records say.
    return [*found, root_prefix / "conda-meta"] if next(files_of(root_prefix, set()), None) else found


def _user_directories(environ: Mapping[str, str]) -> list[Path]:
    home, user_config = home_directory(environ), environ.get("XDG_CONFIG_HOME")
    return [*([Path(user_config) / "conda"] if user_config else []), home / ".config" / "conda", home / ".conda"]


def _user_files(environ: Mapping[str, str]) -> list[Path]:
    return [home_directory(environ) / ".condarc", user_config_directory(environ) / "config.yaml"]


def files_of(directory: Path, seen: set[Path]) -> Iterator[Path]:
    """`.condarc`, `condarc` and `condarc.d/*` of a directory, as far as they are there and were not seen.

    A directory that this user may not look into has none for them.
    """
    try:
        inner = sorted(path for path in (directory / "condarc.d").iterdir() if path.suffix in (".yml", ".yaml"))
    except OSError:
        inner = []
    for path in (directory / ".condarc", directory / "condarc", *inner):
        if path not in seen and _is_file(path):
            seen.add(path)
            yield path


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except PermissionError:
        return False


def belongs_to_package(prefix: Path, path: Path) -> bool:
    """Whether an installed package of the environment lists the file, or the directory it is in, as its own.

    A record that cannot be read may list anything.
    """
    own = path.relative_to(prefix)
    needles = [f'"{place.as_posix()}"'.encode() for place in (own, *own.parents) if place.name]
    try:
        for record in sorted((prefix / "conda-meta").glob("*.json")):
            content = read_regular_file(record)
            if any(needle in content for needle in needles):
                return True
    except OSError:
        return True
    return False


def _file_layer(
    path: Path, trusted: bool, unknown: list[tuple[str, Setting]], ignored: list[tuple[str, Setting]]
) -> Layer:
    entries: dict[str, Entry] = {}
    keys: dict[str, str] = {}
    for key, entry in read_condarc(path).items():
        source = Source("file", str(path), entry.line)
        name = NAMES.get(key)
        if name is None:
            unknown.append((key, Setting(source, entry.value)))
            continue
        option = OPTIONS[name]
        value = parse_value(option, entry.value, source)
        if option.trusted and not trusted:
            ignored.append((name, Setting(source, value)))
            continue
        if name in entries and entries[name].value != value:
            raise ContradictingKeys(str(path), name, (keys[name], key), (entries[name].line, entry.line))
        keys[name] = key
        entries[name] = Entry(value, entry.line, entry.flag, entry.item_flags)
    return Layer("file", str(path), entries)


def parse_value(option: Option[object], value: object, source: Source) -> object:
    """The option's value; raises InvalidOption."""
    try:
        return option.kind.parse(value)
    except UnfitValue as error:
        raise InvalidOption(option.name, value, source, str(error)) from None


# -- variables and the command line -----------------------------------------------------------------------------------


def _variable_layers(environ: Mapping[str, str]) -> Iterator[Layer]:
    """One layer per variable; those of kaa after those of conda, an option's own name after its aliases."""
    for prefix in ("CONDA_", "KAA_"):
        for option in OPTIONS.values():
            if option.inert:
                continue
            for key in (*option.aliases, option.name):
                variable = prefix + key.upper()
                text = environ.get(variable, "")
                if text.strip():
                    yield Layer(ENVIRONMENT, variable, {option.name: _variable_entry(option, variable, text)})


def _variable_entry(option: Option[object], variable: str, text: str) -> Entry:
    final = text.rstrip().endswith(IMPORTANT)
    if final:
        text = text.rstrip()[: -len(IMPORTANT)]
    separator = os.pathsep if option.separator == ":" else option.separator
    try:
        value = option.kind.parse_text(text, separator)
    except UnfitValue as error:
        raise InvalidOption(option.name, text, Source(ENVIRONMENT, variable), str(error)) from None
    return Entry(value, None, "final" if final else "")


def _given(command_line: Mapping[str, object]) -> dict[str, Entry]:
    entries = {}
    for key, value in command_line.items():
        option = OPTIONS[NAMES[key]]
        entries[option.name] = Entry(parse_value(option, value, Source(COMMAND_LINE)), None)
    return entries


# -- merging ----------------------------------------------------------------------------------------------------------


def merge(
    option: Option[object], layers: Sequence[Layer], *, add_default: bool = True
) -> tuple[object, tuple[Setting, ...]]:
    """The value that layers (what counts least first) make together, and their settings, what counts most first."""
    name = option.name
    final = next((i for i, layer in enumerate(layers) if layer.entries[name].flag == "final"), None)
    relevant = list(layers if final is None else layers[: final + 1])
    settings = tuple(layer.setting(name) for layer in reversed(relevant))
    entries = [layer.entries[name] for layer in relevant]
    if option.kind.parameter_type == "map":
        return _merge_maps(entries), settings
    if option.kind.parameter_type != "sequence":
        return entries[-1].value, settings
    value = _merge_lists(entries)
    only_command_line = all(layer.kind == COMMAND_LINE for layer in relevant)
    # Who names indexes of Python packages alone need not reach a server of conda packages that nobody configured.
    stays = option.default_stays == COMMAND_LINE and not all(map(names_index, map(str, value)))
    if add_default and (not value or (stays and only_command_line)):
        value = _unique([*value, *_items(option.default)]) if option.default_stays else value
        settings = (*settings, Setting(Source("default"), option.default)) if option.default_stays else settings
    return value, settings


def _merge_lists(entries: Sequence[Entry]) -> tuple[object, ...]:
    """What counts most in front, `#!top` before all and `#!bottom` behind all, every item once."""
    top = [item for entry in entries for item in _flagged(entry, "top")]
    bottom = [item for entry in reversed(entries) for item in _flagged(entry, "bottom")]
    every = [item for entry in reversed(entries) for item in _items(entry.value)]
    front = _unique([*top, *every])
    return tuple(reversed(_unique([*reversed(bottom), *reversed(front)])))


def _merge_maps(entries: Sequence[Entry]) -> Mapping[str, object]:
    """By key, what counts most wins, unless a lower source calls its key final."""
    merged: dict[str, object] = {}
    final: set[str] = set()
    for entry in entries:
        for key, value in _mapping(entry.value).items():
            if key not in final:
                merged[key] = value
            if entry.item_flags.get(key) == "final":
                final.add(key)
    return merged


def _flagged(entry: Entry, flag: str) -> list[object]:
    return [item for at, item in enumerate(_items(entry.value)) if entry.item_flags.get(at) == flag]


def _items(value: object) -> Sequence[object]:
    return value if isinstance(value, tuple) else ()


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def _unique(items: Iterable[object]) -> tuple[object, ...]:
    found: list[object] = []
    for item in items:
        if item not in found:
            found.append(item)
    return tuple(found)


# -- variables in values, directories ---------------------------------------------------------------------------------

_VARIABLE = Pattern(r"\$(?:\{(?P<braced>\w+)\}|(?P<bare>\w+))")


def expand_text(text: str, environ: Mapping[str, str]) -> str:
    """Replace `$NAME`, `${NAME}` and a leading `~`; a variable that is not set stays as it is written."""
    text = _VARIABLE.sub(lambda match: environ.get(match["braced"] or match["bare"], match[0]), text)
    if text == "~" or text.startswith(("~/", "~\\")):
        return str(home_directory(environ)) + text[1:]
    return text


def expand_value(value: object, environ: Mapping[str, str]) -> object:
    """`expand_text` on a text, or on each text of a list or a map."""
    if isinstance(value, str):
        return expand_text(value, environ)
    if isinstance(value, tuple):
        return tuple(expand_value(item, environ) for item in value)
    if isinstance(value, Mapping):
        return {key: expand_value(item, environ) for key, item in value.items()}
    return value


def _complete_directories(values: dict[str, object], environ: Mapping[str, str], root_prefix: Path) -> None:
    """The defaults of `envs_dirs` (always searched) and `pkgs_dirs` (if none was given), and absolute paths."""
    home = home_directory(environ)
    for name, folder in (("envs_dirs", "envs"), ("pkgs_dirs", "pkgs")):
        given = [str(Path(str(item)).absolute()) for item in _items(values.get(name, ()))]
        defaults = [str(root_prefix / folder), str(home / ".conda" / folder)]
        values[name] = _unique([*given, *(defaults if name == "envs_dirs" or not given else [])])
