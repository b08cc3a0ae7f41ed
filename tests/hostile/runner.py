"""A process that has kaa loaded and runs each command line in a fork of itself: a real process, with limits, in 30 ms.

`python -m tests.hostile.runner` reads one JSON request per line, and answers with one JSON line.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

MEMORY = 2 << 30
"""Address space that a command may have; kaa and its libraries take a tenth of it."""
SECONDS = 20
"""Processor time that a command may take."""
PATIENCE = 30
"""Seconds after which a command that only waits is ended."""


@dataclass(frozen=True)
class Outcome:
    """What a command left behind: its exit code (negative: the signal that ended it), outputs and expenses."""

    code: int
    out: bytes
    err: bytes
    seconds: float
    """Of the processor."""
    left_processes: bool

    @property
    def text(self) -> str:
        return (self.out + self.err).decode("utf-8", "replace")


class Runner:
    """The process, from the side of the tests."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.hostile.runner"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
        )

    def run(self, words: Sequence[str], *, environ: Mapping[str, str], cwd: Path) -> Outcome:
        """Run one command line of kaa."""
        out, err = self._folder / "out", self._folder / "err"
        request = {"words": list(words), "environ": dict(environ), "cwd": str(cwd), "out": str(out), "err": str(err)}
        answer = self._ask(request)
        return Outcome(answer["code"], out.read_bytes(), err.read_bytes(), answer["seconds"], answer["left_processes"])

    def _ask(self, request: dict[str, Any]) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request).encode() + b"\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


def serve_requests(requests: IO[str]) -> None:
    """Answer until the requests end."""
    for line in requests:
        print(json.dumps(_run(json.loads(line))), flush=True)


def _run(request: Mapping[str, Any]) -> dict[str, object]:
    child = os.fork()
    if child == 0:
        _become_command(request)
    started = time.monotonic()
    while True:
        found, status, usage = os.wait4(child, os.WNOHANG)
        if found:
            break
        if time.monotonic() - started > PATIENCE:
            os.killpg(child, signal.SIGKILL)
        time.sleep(0.002)
    return {
        "code": os.waitstatus_to_exitcode(status),
        "seconds": usage.ru_utime + usage.ru_stime,
        "left_processes": _group_lives(child),
    }


def _group_lives(leader: int) -> bool:
    try:
        os.killpg(leader, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def _become_command(request: Mapping[str, Any]) -> None:
    """Run kaa in this process, which ends with it."""
    from kaa.cli.main import main

    os.setsid()
    code = 70
    try:
        os.chdir(request["cwd"])
        os.environ.clear()
        os.environ.update(request["environ"])
        os.umask(0o022)
        for number, name in ((0, os.devnull), (1, request["out"]), (2, request["err"])):
            descriptor = os.open(name, os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
            os.dup2(descriptor, number)
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        sys.argv = ["kaa", *request["words"]]
        try:
            code = main(request["words"])
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


if __name__ == "__main__":
    import gc
    import importlib

    # What nearly every command needs, so that no fork has to load it.
    for name in (
        "kaa.cli.dispatch",
        "kaa.cli.opening",
        "kaa.cli.commands.create",
        "kaa.cli.commands.install",
        "kaa.api.execution",
        "kaa.package_cache.fetching",
        "kaa.transaction.execute",
        "kaa.index.index_writer",
        "kaa.index.decompress",
        "kaa.index.shard_writer",
        "urllib3",
        "ruamel.yaml",
        "concurrent.futures",
        "argparse",
    ):
        importlib.import_module(name)
    # What is there stays, and a fork need not copy it to say so.
    gc.collect()
    gc.freeze()
    serve_requests(sys.stdin)
