"""Tools: programs for the command line, each package in an environment of its own, reached by launchers in one place.

    <root>/tools/NAME/           the environment
    <root>/tools/bin/            the launchers, unless another directory is chosen
    <root>/tools/.records/NAME   what was asked for, the launchers that may be there, and the state
    <root>/tools/.lock           held by whoever changes any of it

The record comes first and goes last. A launcher is in the record before it is a file, and a file that goes is in the
record until it is gone; so what was interrupted is known from the record, and the next command finishes it or takes it
back (`repair_tools`).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from kaa.api.environments import ChangeOptions, plan_create
from kaa.api.execution import execute
from kaa.api.removal import plan_environment_removal, remove_environment
from kaa.api.session import Session
from kaa.api.settling import settle
from kaa.errors import KaaError
from kaa.events import Note, Warned
from kaa.host.files import create_temporary, read_regular_file, remove_file, remove_unfinished, write_atomic
from kaa.host.locks import LockHolder, file_lock
from kaa.models.match_spec import MatchSpec
from kaa.models.prefix_record import PrefixRecord
from kaa.prefix.prefix import Prefix
from kaa.shell.launcher import is_launcher, launcher_text
from kaa.transaction.plan import Transaction, plan_transaction

DIRECTORY = "tools"
RECORDS = ".records"
RESERVED = "bin"


class Tool(msgspec.Struct, frozen=True, kw_only=True):
    """A tool as its record says: what was asked for, and what there may be of it."""

    name: str
    spec: str
    extra: tuple[str, ...] = ()
    """More packages in its environment, as specs"""
    exposed: tuple[str, ...] = ()
    """Packages besides its own whose programs have launchers, too"""
    channels: tuple[str, ...] = ()
    """Those that were named when it was installed"""
    only_these_channels: bool = False
    directory: str
    """Where its launchers belong"""
    launchers: tuple[str, ...] = ()
    """Paths of launchers that are there, or may be"""
    state: Literal["installing", "ready", "removing"] = "installing"


class ToolNotFound(KaaError):
    """No tool of that name is installed."""

    conda_name = "CondaValueError"

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(
            f"no tool {name!r} is installed",
            hints=("see which are: kaa tool list", f"install it: kaa tool install {name}"),
        )


class InvalidToolName(KaaError):
    """What was asked for cannot be a tool."""

    conda_name = "CondaValueError"

    def __init__(self, spec: str, reason: str) -> None:
        self.spec = spec
        super().__init__(f"{spec!r} cannot be installed as a tool: {reason}")


class NoPrograms(KaaError):
    """A package brings no programs, so that there is nothing to launch."""

    conda_name = "CondaValueError"

    def __init__(self, package: str) -> None:
        self.package = package
        super().__init__(
            f"{package} brings no programs",
            hints=("name the package that does with --expose, or make an environment: kaa create",),
        )


class LauncherInTheWay(KaaError):
    """Something that is not kaa's is where a launcher belongs."""

    conda_name = "CondaValueError"

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = [str(path) for path in paths]
        super().__init__(
            f"{', '.join(self.paths)}: there already, and not made for this tool",
            hints=("move it away, or choose another directory with --bin-dir",),
        )


def tools_directory(root_prefix: Path) -> Path:
    """Where a root prefix keeps its tools."""
    return root_prefix / DIRECTORY


def tool_prefix(session: Session, name: str) -> Path:
    """The environment of a tool."""
    return tools_directory(session.config.root_prefix) / name


def read_tools(session: Session) -> tuple[Tool, ...]:
    """The records of all tools, by name."""
    try:
        names = sorted(os.listdir(tools_directory(session.config.root_prefix) / RECORDS))  # noqa: PTH208
    except OSError:
        return ()
    found = (_read_tool(session, name) for name in names if not name.startswith("."))
    return tuple(tool for tool in found if tool is not None)


def get_tool(session: Session, name: str) -> Tool:
    """The record of one tool; raises ToolNotFound."""
    tool = _read_tool(session, name)
    if tool is None:
        raise ToolNotFound(name)
    return tool


def tool_package(session: Session, tool: Tool) -> PrefixRecord | None:
    """The installed package of a tool."""
    return Prefix(tool_prefix(session, tool.name)).find(tool.name)


def name_tool(spec: str) -> str:
    """The name of the tool that a spec asks for; raises InvalidMatchSpec, InvalidToolName."""
    name = MatchSpec.parse(spec).name or ""
    if not name or "*" in name or name.startswith("__"):
        raise InvalidToolName(spec, "it names no package")
    if name == RESERVED:
        raise InvalidToolName(spec, "launchers are in a directory of that name")
    return name


def install_tool(session: Session, tool: Tool, kaa: Sequence[str], *, command: str = "") -> Tool:
    """Install a tool, or bring one that is installed to what is asked for now; `kaa` are the words that run kaa.

    Raises LauncherInTheWay and NoPrograms; a new tool is not there then.
    """
    with _locked(session):
        repair_tools(session, kaa)
        before = _read_tool(session, tool.name)
        transaction = _plan(session, tool, command)
        if before is not None:
            session.checkpoint("change")
            execute(session, transaction)
            return _settle_launchers(session, msgspec.structs.replace(tool, launchers=before.launchers), kaa)
        session.checkpoint("record")
        _write_tool(session, tool)
        try:
            execute(session, transaction)
            return _settle_launchers(session, tool, kaa, strict=True)
        except BaseException:
            # What cannot be taken back now is taken back by the next command.
            with contextlib.suppress(KaaError, OSError):
                _remove(session, _read_tool(session, tool.name) or tool)
            raise


def upgrade_tool(session: Session, tool: Tool, kaa: Sequence[str], *, command: str = "") -> Transaction:
    """Bring a tool to the newest versions that its spec allows, all that it needs included; what changed."""
    with _locked(session):
        repair_tools(session, kaa)
        tool = get_tool(session, tool.name)
        transaction = _plan(session, tool, command)
        if not transaction.is_empty:
            execute(session, transaction)
        _settle_launchers(session, tool, kaa)
        return transaction


def uninstall_tool(session: Session, name: str, kaa: Sequence[str]) -> Tool:
    """Remove a tool, its environment and its launchers; raises ToolNotFound."""
    with _locked(session):
        repair_tools(session, kaa, but=name)
        tool = get_tool(session, name)
        _remove(session, tool)
    return tool


def repair_tools(session: Session, kaa: Sequence[str], *, but: str = "") -> None:
    """Finish what was interrupted, or take it back: tools, environments and launchers agree after this."""
    for tool in read_tools(session):
        if tool.name == but:
            continue
        if tool.state == "removing":
            _remove(session, tool)
            session.reporter(Warned(f"the interrupted removal of the tool {tool.name} is finished now"))
            continue
        settle(session, tool_prefix(session, tool.name))
        if not Prefix(tool_prefix(session, tool.name)).is_environment() or tool_package(session, tool) is None:
            _remove(session, tool)
            begun = f"the interrupted installation of {tool.name} is taken back"
            gone = f"the environment of the tool {tool.name} is gone; its launchers are removed"
            session.reporter(Warned(begun if tool.state == "installing" else gone))
            continue
        try:
            _settle_launchers(session, tool, kaa, strict=tool.state == "installing")
        except (LauncherInTheWay, NoPrograms) as error:
            _remove(session, tool)
            session.reporter(Warned(f"the interrupted installation of {tool.name} is taken back: {error.message}"))


def check_tools(session: Session, kaa: Sequence[str]) -> None:
    """`repair_tools`, where this user may."""
    directory = tools_directory(session.config.root_prefix)
    if (directory / RECORDS).is_dir() and os.access(directory, os.W_OK):
        with _locked(session):
            repair_tools(session, kaa)


@contextlib.contextmanager
def _locked(session: Session) -> Iterator[None]:
    def tell(holder: LockHolder | None) -> None:
        session.reporter(Note(f"waiting for {holder or 'another process'}, which is changing tools"))

    with file_lock(tools_directory(session.config.root_prefix) / ".lock", waiting=tell):
        yield


def _plan(session: Session, tool: Tool, command: str) -> Transaction:
    """The way from what the environment of a tool holds to a new solution of what is asked for."""
    prefix = tool_prefix(session, tool.name)
    settle(session, prefix)
    specs = (tool.spec, *tool.extra, *(name for name in tool.exposed))
    environment = Prefix(prefix)
    if not environment.is_environment():
        return plan_create(session, prefix, specs, ChangeOptions(command=command))
    anew = plan_create(session, prefix.with_name(f".{tool.name}.new"), specs, ChangeOptions(command=command))
    current = environment.records()
    asked = dict(anew.requested_specs)
    return plan_transaction(prefix, anew.subdir, current, anew.final, requested_specs=asked, command=command)


def programs_of(prefix: Path, packages: Sequence[str]) -> list[str]:
    """The programs that packages bring into the `bin` of an environment."""
    found = []
    environment = Prefix(prefix)
    for package in packages:
        record = environment.find(package)
        for path in record.files if record is not None else ():
            folder, _, name = path.rpartition("/")
            # Those with a dot are scripts for when the package is linked.
            if folder == "bin" and not name.startswith(".") and os.access(prefix / path, os.X_OK):
                found.append(name)
    return sorted(set(found))


def _settle_launchers(session: Session, tool: Tool, kaa: Sequence[str], *, strict: bool = False) -> Tool:
    """Make the launchers those of the programs that are there; the tool is ready then.

    Where something else is in the way of a launcher, `strict` raises LauncherInTheWay; else it is told and left out.
    """
    prefix, directory = tool_prefix(session, tool.name), Path(tool.directory)
    programs = programs_of(prefix, [tool.name, *tool.exposed])
    if strict and not programs:
        raise NoPrograms(tool.name)
    wanted = {directory / name: launcher_text(kaa, session.config.root_prefix, prefix, name) for name in programs}
    foreign = [path for path in wanted if os.path.lexists(path) and not is_launcher(path, prefix)]
    if foreign and strict:
        raise LauncherInTheWay(foreign)
    for path in foreign:
        session.reporter(Warned(f"{path} is not kaa's, and stays: {tool.name} has no launcher there"))
        del wanted[path]
    stale = [path for path in map(Path, tool.launchers) if path not in wanted]
    intended = tuple(sorted({*tool.launchers, *map(str, wanted)}))
    if intended != tool.launchers or tool.state != "ready":
        session.checkpoint("intend")
        _write_tool(session, msgspec.structs.replace(tool, launchers=intended))
    if wanted:
        directory.mkdir(parents=True, exist_ok=True)
    for path, text in wanted.items():
        remove_unfinished(path)
        if not os.path.lexists(path) or read_regular_file(path) != text or not os.access(path, os.X_OK):
            session.checkpoint(f"launcher {path.name}")
            _place(path, text)
    _take_launchers(session, prefix, stale)
    ready = msgspec.structs.replace(tool, launchers=tuple(sorted(map(str, wanted))), state="ready")
    if ready != _read_tool(session, tool.name):
        session.checkpoint("ready")
        _write_tool(session, ready)
    return ready


def _place(path: Path, text: bytes) -> None:
    """Write a launcher: over an older one, never over anything that has come there just now."""
    if os.path.lexists(path):
        write_atomic(path, text, mode=0o755, sync=True)
        return
    descriptor, temporary = create_temporary(path.parent, f".{path.name[:100]}.")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.chmod(0o755)
        os.link(temporary, path)
    except FileExistsError:
        raise LauncherInTheWay([path]) from None
    except OSError:
        # No hard links there.
        write_atomic(path, text, mode=0o755, sync=True)
    finally:
        temporary.unlink(missing_ok=True)


def _take_launchers(session: Session, prefix: Path, paths: Sequence[Path]) -> None:
    for path in paths:
        remove_unfinished(path)
        if is_launcher(path, prefix):
            session.checkpoint(f"remove {path.name}")
            remove_file(path)


def _remove(session: Session, tool: Tool) -> None:
    """Remove all there is of a tool, its record last."""
    prefix = tool_prefix(session, tool.name)
    if tool.state != "removing":
        session.checkpoint("removing")
        tool = msgspec.structs.replace(tool, state="removing")
        _write_tool(session, tool)
    _take_launchers(session, prefix, [Path(path) for path in tool.launchers])
    settle(session, prefix)
    if Prefix(prefix).is_environment():
        remove_environment(session, plan_environment_removal(session, prefix))
    session.checkpoint("forget")
    record = _record_file(session, tool.name)
    remove_unfinished(record)
    remove_file(record)


def _record_file(session: Session, name: str) -> Path:
    return tools_directory(session.config.root_prefix) / RECORDS / name


def _read_tool(session: Session, name: str) -> Tool | None:
    try:
        return msgspec.json.decode(read_regular_file(_record_file(session, name)), type=Tool)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None


def _write_tool(session: Session, tool: Tool) -> None:
    path = _record_file(session, tool.name)
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_unfinished(path)
    write_atomic(path, msgspec.json.encode(tool), sync=True)
