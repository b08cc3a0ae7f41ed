"""Where processes are killed: a home with a cache and environments, states of it that are kept, and pictures of it.

Children are forked from a process that has loaded kaa already, so that each costs little more than its own work.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from kaa.cli.dispatch import parse
from kaa.cli.main import main
from kaa.cli.table import find_command
from tests.channels import serve

Entry = tuple[str, int, str]
"""What stands at a path: its kind, its mode, and its content's hash or where it leads."""
Picture = Mapping[str, Entry]

LEFT_OUT = re.compile(r"\.kaa-lock$|\.lock$|/\.locks(/|$)|/\.conda/(\.?scripts\.json|\.environments\.txt\.)")
"""Locks are files that may stay: nobody holds them. What a user knows of scripts is known, whatever became of them;
what a kill left on the way to such a file goes when it is written again.
"""
TIME = re.compile(rb"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)?|\b1[6-9]\d{8}\.\d+")
TIME_IN_PATH = re.compile(r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d")
WATCHDOG = 300
SAID = 1500
NO_VARIABLES: Mapping[str, str] = {}


@dataclass(frozen=True)
class Result:
    """What a command of kaa left: its exit code (negative: the signal that ended it) and what it printed."""

    code: int
    text: str


class Ground:
    """A folder with one live home, kept states of it, and a channel."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.live = folder / "live"
        self.kept = folder / "kept"
        self.channel = folder / "channel"
        self.output = folder / "output"
        for path in (self.live / "home", self.kept, self.channel):
            path.mkdir(parents=True, exist_ok=True)

    @property
    def environments(self) -> Path:
        return self.live / "root" / "envs"

    @property
    def cache(self) -> Path:
        return self.live / "root" / "pkgs"

    def environ(self, more: Mapping[str, str] = NO_VARIABLES) -> dict[str, str]:
        """The variables of a command: of this ground and nothing else."""
        return {
            "HOME": str(self.live / "home"),
            "KAA_ROOT_PREFIX": str(self.live / "root"),
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "CONDA_SUBDIR": "linux-64",
            "CONDA_OVERRIDE_GLIBC": "2.36",
            "NO_COLOR": "1",
            **more,
        }

    def keep(self, name: str) -> None:
        """Remember what is live under a name."""
        subprocess.run(["rm", "-rf", "--", str(self.kept / name)], check=True)
        copy_tree(self.live, self.kept / name)

    def bring(self, name: str) -> None:
        """Make a kept state live."""
        subprocess.run(["rm", "-rf", "--", str(self.live)], check=True)
        copy_tree(self.kept / name, self.live)

    def work(
        self,
        words: Sequence[str],
        variables: Mapping[str, str] = NO_VARIABLES,
        checkpoint: Callable[[str], None] | None = None,
    ) -> Callable[[], int]:
        """What a child does that runs a command line; with a checkpoint, that is called at every step of a change."""

        def run() -> int:
            environ = self.environ(variables)
            os.chdir(self.live)
            os.environ.clear()
            os.environ.update(environ)
            descriptor = os.open(self.output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
            os.dup2(descriptor, 1)
            os.dup2(descriptor, 2)
            os.close(descriptor)
            code = main(words) if checkpoint is None else run_with_checkpoint(words, checkpoint)
            sys.stdout.flush()
            sys.stderr.flush()
            return code

        return run

    def run(self, words: Sequence[str], variables: Mapping[str, str] = NO_VARIABLES) -> Result:
        """Run a command line to its end."""
        with in_child(self.work(words, variables)) as child:
            code = child.wait()
        return Result(code, self.said())

    def said(self) -> str:
        """What the last command printed, the end of it."""
        return self.output.read_text(errors="replace")[-SAID:] if self.output.exists() else ""


def run_with_checkpoint(words: Sequence[str], checkpoint: Callable[[str], None]) -> int:
    """Run a command as the program does, in a session that calls `checkpoint`."""
    from importlib import import_module

    from kaa.api.session import Session
    from kaa.cli.configuring import configure
    from kaa.cli.progress import reporting

    command = find_command(words[0])
    assert command is not None, words[0]
    module = import_module(command.module)
    arguments = parse(command, module, words[1:])
    arguments.words = list(words)
    config = configure(arguments, os.environ)
    arguments.json = config.json
    with (
        reporting(config) as reporter,
        Session(config, reporter, environ=os.environ, cwd=Path.cwd(), checkpoint=checkpoint) as session,
    ):
        code: int = module.run(arguments, session)
    return code


# -- children ---------------------------------------------------------------------------------------------------------


@dataclass
class Child:
    """A child in a session of its own."""

    process: int
    status: int | None = None

    def wait(self) -> int:
        """Its exit code, or the negative number of the signal that ended it."""
        if self.status is None:
            _, self.status = os.waitpid(self.process, 0)
        return os.waitstatus_to_exitcode(self.status)

    def kill(self, *, alone: bool) -> None:
        """End it with SIGKILL; `alone`: what it started goes on."""
        with contextlib.suppress(ProcessLookupError):
            if alone:
                os.kill(self.process, signal.SIGKILL)
            else:
                os.killpg(self.process, signal.SIGKILL)


@contextlib.contextmanager
def in_child(work: Callable[[], int]) -> Iterator[Child]:
    """Do `work` in a child; nothing that it started is there any more afterwards."""
    sys.stdout.flush()
    sys.stderr.flush()
    process = os.fork()
    if not process:
        _do(work)
    child = Child(process)
    try:
        with contextlib.suppress(PermissionError):
            # Whoever of the two comes first: from here on there is a group to kill.
            os.setpgid(process, process)
        yield child
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process, signal.SIGKILL)
        child.wait()


def _do(work: Callable[[], int]) -> NoReturn:
    code = 70
    try:
        with contextlib.suppress(PermissionError):
            os.setpgid(0, 0)
        signal.alarm(0)
        code = work()
    except SystemExit as exit:
        code = exit.code if isinstance(exit.code, int) else 1
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.write(2, f"{type(error).__name__}: {error}\n".encode())
    finally:
        os._exit(code)


class Stuck(Exception):
    """Something did not end in a time in which it must have ended on any machine."""


@contextlib.contextmanager
def watchdog(what: str, seconds: int = WATCHDOG) -> Iterator[None]:
    """Raise Stuck when a block takes so long that it will never end."""

    def ring(number: int, frame: object) -> NoReturn:
        raise Stuck(f"{what} did not end in {seconds} seconds")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@dataclass
class ServerElsewhere:
    """A loopback server in another process."""

    url: str
    _pipe: tuple[int, int]

    def requests(self) -> int:
        """How many requests it has seen."""
        os.write(self._pipe[1], b"?")
        return int(os.read(self._pipe[0], 100))


@contextlib.contextmanager
def served_elsewhere(folder: Path) -> Iterator[ServerElsewhere]:
    """Serve a folder from a process of its own: whoever forks must have no threads."""
    to_server, from_server = os.pipe(), os.pipe()
    process = os.fork()
    if not process:
        os.close(to_server[1])
        os.close(from_server[0])
        os.setpgid(0, 0)
        try:
            with serve(folder) as server:
                os.write(from_server[1], server.url.encode())
                while os.read(to_server[0], 1):
                    os.write(from_server[1], str(len(server.requests)).encode())
        finally:
            os._exit(0)
    os.close(to_server[0])
    os.close(from_server[1])
    try:
        yield ServerElsewhere(os.read(from_server[0], 1000).decode(), (from_server[0], to_server[1]))
    finally:
        os.close(to_server[1])
        os.close(from_server[0])
        os.waitpid(process, 0)


# -- trees ------------------------------------------------------------------------------------------------------------


def copy_tree(source: Path, target: Path) -> None:
    """Copy a tree with its modes, times and links, hard links among its files included."""
    subprocess.run(["cp", "-a", "--", str(source), str(target)], check=True)


def picture(folder: Path, *, exact: bool = True) -> Picture:
    """What is below a folder; not `exact`: times that are written down in files do not count."""
    found: dict[str, tuple[str, int, str]] = {}
    root = len(str(folder)) + 1

    def key(path: str) -> str:
        return path[root:] if exact else TIME_IN_PATH.sub("TIME", path[root:])

    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = f"{parent}/{name}"
            if LEFT_OUT.search(path):
                continue
            state = os.lstat(path)
            mode = stat.S_IMODE(state.st_mode)
            if stat.S_ISLNK(state.st_mode):
                found[key(path)] = ("link", 0, str(Path(path).readlink()))
            elif stat.S_ISDIR(state.st_mode):
                found[key(path)] = ("directory", mode, "")
            else:
                content = Path(path).read_bytes()
                if path.endswith("/.conda/environments.txt"):
                    # A list in no order.
                    content = b"".join(sorted(content.splitlines(keepends=True)))
                if not exact and ("/conda-meta/" in path or "/.conda/" in path):
                    content = TIME.sub(b"TIME", content)
                found[key(path)] = ("file", mode, hashlib.sha256(content).hexdigest())
    return found


def differences(found: Picture, expected: Picture) -> list[str]:
    """What is not as it should be, a line each."""
    lines = []
    for path in sorted({*found, *expected}):
        here, there = found.get(path), expected.get(path)
        if here == there:
            continue
        if there is None:
            lines.append(f"too much: {path}")
        elif here is None:
            lines.append(f"missing: {path}")
        else:
            lines.append(f"differs: {path} {here} instead of {there}")
    return lines


def cache_problems(cache: Path) -> list[str]:
    """What is wrong with the packages of a cache, by their own lists of files and by nothing of kaa's."""
    problems = []
    for path in sorted(cache.iterdir()) if cache.is_dir() else ():
        if path.name.endswith((".kaa~", ".partial")) or (path.name == ".trash" and any(path.iterdir())):
            problems.append(f"left over in the cache: {path.name}")
        record_file = path / "info" / "repodata_record.json"
        if path.name.startswith(".") or not path.is_dir() or path.name == "cache":
            continue
        if not record_file.is_file():
            problems.append(f"without a record: {path.name}")
            continue
        problems += [f"{path.name}: {text}" for text in package_problems(path)]
        archive = cache / json.loads(record_file.read_text())["fn"]
        if archive.is_file() and path.name in archive.name:
            digest = hashlib.sha256(archive.read_bytes()).hexdigest()
            if digest != json.loads(record_file.read_text())["sha256"]:
                problems.append(f"{archive.name} has other bytes than its record")
    return problems


def package_problems(package: Path) -> Iterator[str]:
    """Where an unpacked package differs from its own paths.json."""
    try:
        paths: list[dict[str, Any]] = json.loads((package / "info" / "paths.json").read_text())["paths"]
    except ValueError:
        yield "paths.json is damaged"
        return
    for entry in paths:
        path = package / entry["_path"]
        if entry["path_type"] == "softlink":
            if not path.is_symlink():
                yield f"{entry['_path']} is no link"
        elif not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != entry["sha256"]:
            yield f"{entry['_path']} is damaged"


# -- file systems of one's own ----------------------------------------------------------------------------------------

_CLONE_NEWNS, _MS_REC_PRIVATE = 0x20000, 0x44000


def enter_own_mounts() -> str:
    """See to it that what this process mounts ends with it; gives why that is not possible, empty when it is."""
    if sys.platform != "linux":
        return f"file systems are mounted on Linux only, not on {sys.platform}"
    libc: Any = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNS) or libc.mount(b"none", b"/", None, _MS_REC_PRIVATE, None):
        return f"nothing may be mounted here: {os.strerror(ctypes.get_errno())}"
    return ""


def mount_tmpfs(folder: Path, options: str) -> str:
    """Mount a file system in memory on a folder; gives why that is not possible, empty when it is."""
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True, text=True)
    return "" if not done.returncode else f"no tmpfs can be mounted here: {done.stderr.strip()}"


def show(source: Path, target: Path) -> str:
    """Have a directory at another path, too, for reading; gives why that is not possible, empty when it is."""
    target.mkdir(exist_ok=True)
    done = subprocess.run(
        ["mount", "-o", "bind,ro", str(source), str(target)], capture_output=True, text=True, check=False
    )
    return "" if not done.returncode else f"{source} cannot be shown at another path: {done.stderr.strip()}"


def in_new_folder(work: Callable[[Path], object]) -> int:
    """Do `work` in a child with a folder that is gone afterwards; the child's exit code.

    Whatever the child mounts there is its own: this process, which removes the folder, does not see it.
    """
    folder = Path(tempfile.mkdtemp(prefix="kaa-survival-")).resolve()
    try:
        process = os.fork()
        if not process:
            code = 1
            try:
                work(folder)
                sys.stdout.flush()
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)
        _, status = os.waitpid(process, 0)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return os.waitstatus_to_exitcode(status)


def now() -> float:
    """Seconds that only go forward."""
    return time.monotonic()
