"""`kaa config`: show what is set and where, and change condarc files without losing a comment in them."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from kaa.cli.arguments import add_output, add_target, flag, ignored
from kaa.cli.configuring import (
    ArgumentsMissing,
    configure,
    environment_directories,
    given_options,
    root_prefix_of,
)
from kaa.cli.output import print_json
from kaa.cli.settings import channel_json, describe_json, describe_text, shown, sources_of, yaml_lines
from kaa.config.condarc import CondarcFile, InvalidConfigFile
from kaa.config.kinds import TextMap
from kaa.config.options import NAMES, OPTIONS, Config, Option, Source
from kaa.config.sources import ContradictingKeys, InvalidOption, expand_text, parse_value
from kaa.errors import KaaError
from kaa.host.directories import home_directory
from kaa.host.files import write_atomic
from kaa.models.redaction import redact

HELP = """Show settings and where they come from, or change them in a condarc file.

Without --system, --env, --file, --name or --prefix the file is $CONDARC, or ~/.condarc."""

EDITS = ("prepend", "append", "set", "remove", "clear", "remove_key")


class UnknownOption(KaaError):
    """A key that is no option was to be written."""

    conda_name = "CondaKeyError"

    def __init__(self, key: str, near: Sequence[str]) -> None:
        super().__init__(
            f"{key!r} is not an option",
            hints=tuple(f"did you mean {name}?" for name in near) or ("`kaa config --describe` lists the options",),
        )
        self.key = key


class NotThere(KaaError):
    """A key or an item was to be removed that the file does not hold."""

    conda_name = "CondaKeyError"

    def __init__(self, path: Path, what: str) -> None:
        what = redact(what)
        super().__init__(f"{path} does not hold {what}", hints=(f"see what it holds: kaa config --get --file {path}",))
        self.path = str(path)
        self.what = what


class WrongKindOfOption(KaaError):
    """An operation for lists on an option that is none, or the other way round."""

    conda_name = "CondaValueError"

    def __init__(self, name: str, kind: str, hint: str) -> None:
        super().__init__(f"{name} is {kind}", hints=(hint,))
        self.option = name


class NotForEnvironments(KaaError):
    """An option that no file inside an environment may set."""

    conda_name = "CondaValueError"

    def __init__(self, name: str, path: Path) -> None:
        super().__init__(
            f"{name} has no effect in {path}: files in environments may come with packages, so they may not decide "
            "whom kaa trusts or where it writes",
            hints=(f"set it for yourself: kaa config --set {name} …",),
        )
        self.option = name
        self.path = str(path)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    where = parser.add_argument_group("which file").add_mutually_exclusive_group()
    where.add_argument("--system", action="store_true", help="the file of the root prefix")
    where.add_argument("--env", action="store_true", help="the file of the active environment")
    where.add_argument("--file", metavar="FILE", help="this file")
    add_target(parser)
    look = parser.add_argument_group("look")
    look.add_argument("--show", nargs="*", metavar="KEY", help="what counts now, of all options or of these")
    look.add_argument("--show-sources", nargs="*", metavar="KEY", help="what each file, variable and flag says")
    look.add_argument("--describe", nargs="*", metavar="KEY", help="what the options mean")
    look.add_argument("--get", nargs="*", metavar="KEY", help="what the file says")
    look.add_argument("--validate", action="store_true", help="read all files and tell what is wrong with them")
    change = parser.add_argument_group("change the file")
    pair = ("KEY", "VALUE")
    for names, help in (
        (("--prepend", "--add"), "put a value at the beginning of a list"),
        (("--append",), "put a value at the end of a list"),
        (("--set",), "set an option (`map.key` sets one key of a map)"),
        (("--remove",), "take a value out of a list"),
    ):
        change.add_argument(*names, nargs=2, action="append", default=[], metavar=pair, help=help)
    change.add_argument("--clear", action="append", default=[], metavar="KEY", help="empty a list")
    change.add_argument("--remove-key", action="append", default=[], metavar="KEY", help="take an option out")
    change.add_argument("--stdin", action="store_true", help="set what YAML on standard input says")
    change.add_argument("--write-default", action="store_true", help="write a file with every option as a comment")
    ignored(change, "-f", "--force")
    flag(change, "-d", "--dry-run", option="dry_run", help="print the file as it would be")
    add_output(parser)


def run(arguments: argparse.Namespace) -> int:
    config = read_config(arguments)
    arguments.json = config.json
    if arguments.show is not None:
        return show(config, arguments.show)
    if arguments.show_sources is not None:
        return show_sources(config, arguments.show_sources)
    if arguments.describe is not None:
        return describe(config, arguments.describe)
    if arguments.validate:
        return validate(config)
    path = target_file(arguments, config)
    if arguments.write_default:
        return write_default(config, path)
    if arguments.get is not None:
        return get(config, path, arguments.get)
    if arguments.stdin or any(getattr(arguments, name) for name in EDITS):
        return change(arguments, config, path)
    raise ArgumentsMissing("nothing to do", hints=("`kaa config --show` shows what is set", "kaa config --help"))


def read_config(arguments: argparse.Namespace) -> Config:
    """The configuration; when a file is to be looked at or changed, a wrong value in one of them is no obstacle."""
    looks_at_all = arguments.validate or any(
        getattr(arguments, name) is not None for name in ("show", "show_sources", "describe")
    )
    try:
        return configure(arguments, os.environ)
    except (InvalidOption, InvalidConfigFile, ContradictingKeys):
        if looks_at_all:
            raise
    root_prefix = root_prefix_of(arguments, os.environ)
    return Config(given_options(arguments), root_prefix=root_prefix, home=home_directory(os.environ))


def target_file(arguments: argparse.Namespace, config: Config) -> Path:
    """The file that is read by --get and changed by the others."""
    if arguments.file:
        return Path(expand_text(arguments.file, os.environ)).absolute()
    if arguments.system:
        return config.root_prefix / ".condarc"
    if arguments.prefix:
        return Path(expand_text(arguments.prefix, os.environ)).absolute() / ".condarc"
    if arguments.name:
        return environment_directories(config).get(arguments.name) / ".condarc"
    if arguments.env:
        active = os.environ.get("CONDA_PREFIX")
        if not active:
            raise ArgumentsMissing(
                "--env means the active environment, and none is active", hints=("name one with --name or --prefix",)
            )
        return Path(active) / ".condarc"
    return Path(expand_text(os.environ.get("CONDARC") or "~/.condarc", os.environ)).absolute()


# -- look -------------------------------------------------------------------------------------------------------------


def known(keys: Iterable[str]) -> list[Option[object]]:
    """The options of those names; raises ArgumentsMissing (exit code 2) for others."""
    options = []
    for key in keys:
        if key not in NAMES:
            raise ArgumentsMissing(f"{key!r} is not an option", hints=_near_hints(key))
        options.append(OPTIONS[NAMES[key]])
    return options


def near_names(key: str) -> list[str]:
    """Names of options that look like a key."""
    import difflib  # noqa: PLC0415 - only for mistakes

    return difflib.get_close_matches(key, NAMES, n=2, cutoff=0.7)


def _near_hints(key: str) -> tuple[str, ...]:
    return tuple(f"did you mean {name}?" for name in near_names(key)) or ("`kaa config --describe` lists them",)


def show(config: Config, keys: Sequence[str]) -> int:
    """What counts, of the given options or of all."""
    options = known(keys) if keys else sorted(OPTIONS.values(), key=lambda option: option.name)
    if config.json:
        print_json({option.name: channel_json(config, option.name) for option in options})
        return 0
    for option in options:
        if keys or not option.inert:
            print("\n".join(yaml_lines(option.name, shown(config.get(option.name)))))
    return 0


def show_sources(config: Config, keys: Sequence[str]) -> int:
    """What each source says, from what counts least to what counts most."""
    names = {option.name for option in known(keys)} if keys else None
    sources = sources_of(config, names)
    if config.json:
        print_json({where: dict(values) for where, values in sources.items()})
        return 0
    for where, values in sources.items():
        print(f"==> {where} <==")
        for name, value in values.items():
            print("\n".join(yaml_lines(name, shown(value))))
        print()
    tell_problems(config)
    return 0


def validate(config: Config) -> int:
    """Tell about keys that mean nothing; wrong values were errors already."""
    if config.json:
        print_json(
            {
                "success": True,
                "unknown": [{"key": key, "source": str(setting.source)} for key, setting in config.unknown],
                "ignored": [{"key": key, "source": str(setting.source)} for key, setting in config.ignored],
            }
        )
    else:
        tell_problems(config)
    return 0


def tell_problems(config: Config) -> None:
    """Unknown keys and settings without effect, on standard error."""
    for key, setting in config.unknown:
        near = near_names(key)
        hint = f"; did you mean {near[0]}?" if near else ""
        print(f"warning: {setting.source}: {key} is not an option{hint}", file=sys.stderr)
    for name, setting in config.ignored:
        print(
            f"warning: {setting.source}: {name} has no effect in the file of an environment",
            file=sys.stderr,
        )


def describe(config: Config, keys: Sequence[str]) -> int:
    """What options mean."""
    options = known(keys) if keys else [option for option in OPTIONS.values() if not option.inert]
    if config.json:
        print_json([describe_json(option) for option in options])
    else:
        print("\n\n".join("\n".join(describe_text(option)) for option in options))
    return 0


# -- the file ---------------------------------------------------------------------------------------------------------


def read(path: Path) -> CondarcFile:
    """The file as it is; an empty one if there is none."""
    return CondarcFile(path.read_text(encoding="utf-8-sig") if path.is_file() else "", str(path))


def get(config: Config, path: Path, keys: Sequence[str]) -> int:
    """What the file says, as the arguments that would say it."""
    values = read(path).values
    warnings = [f"Unknown key: {key!r}" for key in keys if key.split(".")[0] not in NAMES]
    if keys:
        values = {key: value for key in keys for value in find_values(values, key)}
    if config.json:
        print_json(result(path, warnings, values))
        return 0
    for warning in warnings:
        print(warning, file=sys.stderr)
    for key, value in values.items():
        print("\n".join(get_lines(key, value)))
    return 0


def find_values(values: Mapping[str, object], key: str) -> list[object]:
    """The value of a key, an alias of it, or a key inside a map; nothing if it is not there."""
    option = OPTIONS.get(NAMES.get(key, ""))
    for name in (key, *((option.name, *option.aliases) if option else ())):
        if name in values:
            return [values[name]]
    first, _, rest = key.partition(".")
    inner = values.get(first)
    return [inner[rest]] if isinstance(inner, dict) and rest in inner else []


def get_lines(key: str, value: object) -> list[str]:
    """The arguments of `kaa config` that would set a value."""
    if isinstance(value, Mapping):
        return [f"--set {key}.{name} {item}" for name, item in value.items()]
    if not isinstance(value, list):
        return [f"--set {key} {value}"]
    lines = [f"--add {key} {item!r}" for item in reversed(value)]
    if key == "channels" and lines:
        lines[-1] += "   # highest priority"
        if len(lines) > 1:
            lines[0] += "   # lowest priority"
    return lines


def result(path: Path, warnings: Sequence[str], values: Mapping[str, object]) -> dict[str, object]:
    """The JSON that --get and changes print."""
    return {"success": True, "rc_path": str(path), "warnings": list(warnings), "get": dict(values)}


def change(arguments: argparse.Namespace, config: Config, path: Path) -> int:
    """Apply the operations of the command line to the file, and write it if it changed."""
    file = read(path)
    before = file.text
    warnings: list[str] = []
    check = _checker(config, path)
    if arguments.stdin:
        for key, value in CondarcFile(sys.stdin.read(), "standard input").values.items():
            file.set(key, parsed(check(key), value, "standard input"))
    for first, pairs in ((True, arguments.prepend), (False, arguments.append)):
        for key, item in pairs:
            insert(file, check(key), key, item, warnings, first=first)
    for key, text in arguments.set:
        set_value(file, check(key), key, text)
    for key, item in arguments.remove:
        with telling(path, f"{item!r} in {key}"):
            file.remove_item(key, item)
    for key in arguments.clear:
        check_list(check(key), key, "a list is cleared; take this one out with --remove-key")
        file.set(key, [])
    for key in arguments.remove_key:
        with telling(path, key):
            file.remove_key(key)
    if config.dry_run:
        print(file.text, end="")
    elif file.text != before:
        write(path, file.text)
    if config.json and not config.dry_run:
        print_json(result(path, warnings, {}))
    for warning in warnings:
        print(warning, file=sys.stderr)
    return 0


def write(path: Path, text: str) -> None:
    """Write the file at once or not at all; where the name is a link, the file it points to."""
    path = path.resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, text.encode(), sync=True)


def _checker(config: Config, path: Path) -> Callable[[str], Option[object]]:
    """A function that gives the option for a key, if this file may set it."""
    folder = path.parent.parent if path.parent.name == "condarc.d" else path.parent
    in_environment = folder != config.root_prefix and (folder / "conda-meta" / "history").is_file()
    in_environment = in_environment and folder != home_directory(os.environ)

    def check(key: str) -> Option[object]:
        name = NAMES.get(key) or NAMES.get(key.partition(".")[0])
        if name is None:
            raise UnknownOption(key, near_names(key))
        if in_environment and OPTIONS[name].trusted:
            raise NotForEnvironments(name, path)
        return OPTIONS[name]

    return check


def check_list(option: Option[object], key: str, hint: str) -> None:
    """Raise WrongKindOfOption unless the option is a list."""
    if option.kind.parameter_type == "map" and "." in key:
        return
    if option.kind.parameter_type != "sequence" and not (option.inert and isinstance(option.default, list)):
        kind = "a map" if option.kind.parameter_type == "map" else "no list"
        raise WrongKindOfOption(option.name, kind, hint)


def insert(file: CondarcFile, option: Option[object], key: str, item: str, warnings: list[str], *, first: bool) -> None:
    check_list(option, key, f"kaa config --set {option.name} VALUE")
    if key not in NAMES and "." in key:
        inner = next(iter(find_values(file.values, key)), None)
        others = [other for other in inner if other != item] if isinstance(inner, list) else []
        file.set(key, [item, *others] if first else [*others, item])
    elif file.insert(key, item, first=first):
        place = "top" if first else "bottom"
        warnings.append(f"Warning: {redact(item)!r} already in {key!r} list, moving to the {place}")


def set_value(file: CondarcFile, option: Option[object], key: str, text: str) -> None:
    """Set an option, or one key of a map, from the text of the command line."""
    source = Source("command line")
    inside = key not in NAMES and "." in key
    if option.kind.parameter_type == "sequence":
        raise WrongKindOfOption(option.name, "a list", f"kaa config --add {option.name} VALUE")
    if option.kind.parameter_type == "map":
        if not inside:
            raise WrongKindOfOption(option.name, "a map", f"kaa config --set {option.name}.KEY VALUE")
        if not isinstance(option.kind, TextMap):
            raise WrongKindOfOption(key, "a list", f"kaa config --add {key} VALUE")
        file.set(key, text)
    elif option.inert:
        file.set(key, CondarcFile(f"value: {text}\n", "command line").get("value"))
    else:
        file.set(key, parse_value(option, text, source))


def parsed(option: Option[object], value: object, where: str) -> object:
    """A value from YAML, checked, in a form that YAML can write."""
    parse_value(option, value, Source("file", where))
    return value


@contextlib.contextmanager
def telling(path: Path, what: str) -> Iterator[None]:
    """Turn the KeyError of a missing key into an error that people can read."""
    try:
        yield
    except KeyError:
        raise NotThere(path, what) from None


def write_default(config: Config, path: Path) -> int:
    """A file with every option as a comment; one that is there stays as it is."""
    if path.exists():
        raise ArgumentsMissing(f"{path} is there already", hints=("choose another with --file",))
    lines = ["# Every option of kaa with its default; take the # away in front of what you want to set.", ""]
    for option in OPTIONS.values():
        if not option.inert:
            lines += [f"# {line}".rstrip() for line in describe_text(option)] + [""]
    write(path, "\n".join(lines))
    if config.json:
        print_json(result(path, [], {}))
    else:
        print(path)
    return 0
