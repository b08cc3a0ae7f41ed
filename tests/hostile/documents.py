"""Files that a user is sent: environment files, lists of specs and of addresses, configuration, saved problems."""

from __future__ import annotations

import json
import os

from tests.channels import Package
from tests.hostile.runner import Outcome
from tests.hostile.world import Case, Cases, Harmless, Make, Refused, World

INVALID = "CondaValueError"
CREATE = ("create", "-y", "-n", "new")
ENV_CREATE = ("env", "create", "-y", "-n", "new", "-f")
STEER = "\x1b[2J\x1b]0;pwned\x07"


def file(name: str, text: str | bytes, *words: str) -> Make:
    """A file in the user's directory, and a command that reads it; the channel is named where that is possible."""

    def make(world: World) -> list[str]:
        world.offer(Package("tool", files={"share/a": "a"}))
        data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
        data = data.replace(b"URL", world.url.encode()).replace(b"CANARY", str(world.canary).encode())
        (world.home / name).write_bytes(data)
        world.environ.pop("CONDARC", None)
        return [*words, *([] if words[0] in ("env", "config", "info", "solve-problem") else world.channel)]

    return make


def environment(text: str | bytes) -> Make:
    return file("environment.yml", text, *ENV_CREATE, "environment.yml")


def condarc(text: str | bytes, *words: str) -> Make:
    return file(".condarc", text, *(words or ("info",)))


def bomb(depth: int) -> str:
    """A billion laughs: lists of lists, each of the one before, by aliases."""
    lines = ["a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, depth)]
    return "\n".join(lines) + "\n"


def no_pwned_file(world: World, outcome: Outcome) -> None:
    assert not (world.home / "pwned").exists()


def pipe(world: World) -> list[str]:
    """The user's configuration is a pipe; conda's own clients would wait for it."""
    os.mkfifo(world.home / "condarc-pipe")
    (world.home / ".condarc").symlink_to(world.home / "condarc-pipe")
    world.environ["CONDARC"] = str(world.home / "condarc-pipe")
    return ["info"]


CASES: Cases = {
    # environment.yml
    "an environment file of a billion laughs": Case(
        environment(bomb(12) + "dependencies: [tool]\nchannels: [URL, nodefaults]\n"),
        Refused(INVALID, ("environment.yml, line", "aliases")),
    ),
    "an environment file of a billion dependencies": Case(
        environment(bomb(12) + "dependencies: *a11\nchannels: [URL]\n"),
        Refused(INVALID, ("environment.yml, line", "aliases")),
    ),
    "an environment file that holds itself": Case(
        environment("dependencies: &a [*a]\n"), Refused(INVALID, ("environment.yml, line 1", "holds itself"))
    ),
    "an environment file that makes Python objects": Case(
        environment("dependencies: [!!python/object/apply:os.system ['touch pwned']]\n"),
        Refused(INVALID, ("environment.yml",)),
    ),
    "an environment file with a tag on all of it": Case(
        environment("!!python/object/new:os.system [touch pwned]\n"), Refused(INVALID, ("environment.yml",))
    ),
    "an environment file nested without end": Case(
        environment("dependencies: " + "[" * 100_000), Refused(INVALID, ("environment.yml, line 1", "deeper than 50"))
    ),
    "an environment file nested without end, by lines": Case(
        environment("".join(" " * n + "a:\n" for n in range(1000))),
        Refused(INVALID, ("environment.yml, line", "deeper than 50")),
    ),
    "an environment file of 40 MB": Case(
        environment("dependencies: [tool]\n#" + "x" * 40_000_000),
        Refused(INVALID, ("environment.yml", "larger than 1048576 bytes")),
    ),
    "an environment file that is no text": Case(
        environment(b"dependencies: [\xff\xfe\x00]\n"),
        Refused(INVALID, ("environment.yml", "not UTF-8"), way_out=False),
    ),
    "an environment file with NUL": Case(
        environment("dependencies: [tool]\0\n"), Refused(INVALID, ("environment.yml",))
    ),
    "an environment file with a key twice": Case(
        environment("dependencies: [tool]\ndependencies: [other]\n"), Refused(INVALID, ("environment.yml",))
    ),
    "an environment file with a date that is none": Case(
        environment("name: 2024-99-99\ndependencies: [tool]\n"), Refused(INVALID, ("environment.yml",))
    ),
    "an environment file that steers the terminal": Case(
        environment('dependencies: ["tool\\e[2J\\x9b31m"]\n'),
        Refused(INVALID, ("environment.yml, line 1",), way_out=False),
    ),
    "an environment file with unknown keys that steer the terminal": Case(
        environment('"\\e[2J": 1\nchannels: [URL, nodefaults]\ndependencies: [tool]\n'),
        Harmless("told, escaped"),
        changes="envs/new",
    ),
    "an environment file with a name that leaves": Case(
        file(
            "environment.yml",
            "name: ../../../canary/x\ndependencies: []\n",
            "env",
            "create",
            "-y",
            "-f",
            "environment.yml",
        ),
        Refused("CondaValueError", ("cannot be the name",)),
    ),
    "an environment file with a directory of the system as its prefix": Case(
        file("environment.yml", "prefix: /usr\ndependencies: []\n", "env", "create", "-y", "-f", "environment.yml"),
        Refused("DirectoryNotACondaEnvironmentError", ("/usr", "other things")),
    ),
    "an environment file with variables that are code": Case(
        environment(
            "channels: [URL, nodefaults]\ndependencies: [tool]\nvariables: {'A;touch pwned': x, B: '$(touch pwned)'}\n"
        ),
        Harmless("a name that is none has no effect, values are quoted", no_pwned_file),
        changes="envs/new",
    ),
    # Lists
    "a list of specs of a megabyte in one line": Case(
        file("specs.txt", "a" * 1_000_000, *CREATE, "--file", "specs.txt"),
        Refused(INVALID, ("specs.txt, line 1", "characters more"), way_out=False),
    ),
    "a list of specs that is /dev/zero": Case(
        lambda world: [*CREATE, *world.channel, "--file", "/dev/zero"],
        Refused("EnvironmentFileNotFound", ("/dev/zero", "larger than")),
    ),
    "a list of addresses with a path that leaves": Case(
        file("list.txt", "@EXPLICIT\nURL/linux-64/../../../../canary/victim\n", *CREATE, "--file", "list.txt"),
        Refused(INVALID, ("list.txt, line 2", "victim")),
    ),
    "a list of addresses with an escaped slash": Case(
        file("list.txt", "@EXPLICIT\nURL/linux-64/..%2f..%2fx-1.0-0.conda\n", *CREATE, "--file", "list.txt"),
        Refused(INVALID, ("list.txt, line 2", "x-1.0-0")),
    ),
    "a list of addresses that steers the terminal": Case(
        file("list.txt", f"@EXPLICIT\nURL/linux-64/{STEER}-1.0-0.conda\n", *CREATE, "--file", "list.txt"),
        Refused(INVALID, ("list.txt, line 2", r"\\x1b")),
    ),
    "a list of addresses with a wrong hash": Case(
        file("list.txt", "@EXPLICIT\nURL/linux-64/tool-1.0-0.conda#" + "0" * 32 + "\n", *CREATE, "--file", "list.txt"),
        Refused("ChecksumMismatchError", ("md5",)),
    ),
    # Configuration
    "a condarc of a billion laughs": Case(
        condarc(bomb(12) + "channels: *a11\n"), Refused("ConfigurationLoadError", (r"\.condarc", "alias"))
    ),
    "a condarc that makes Python objects": Case(
        condarc("channels: !!python/object/apply:os.system ['touch pwned']\n"),
        Harmless("not made", no_pwned_file, codes=(0, 1)),
    ),
    "a condarc nested without end": Case(
        condarc("channels: " + "[" * 100_000), Refused("ConfigurationLoadError", (r"\.condarc",))
    ),
    "a condarc of 40 MB": Case(
        condarc("channels: [a]\n#" + "x" * 40_000_000),
        Refused("ConfigurationLoadError", (r"\.condarc", "larger than 1048576 bytes")),
    ),
    "a condarc that is no text": Case(condarc(b"\xff\xfe\x00"), Refused("ConfigurationLoadError", (r"\.condarc",))),
    "a condarc that steers the terminal": Case(
        condarc('channels: ["\\e[2J\\x9b31m"]\n"\\e[2J": 1\n', "config", "--show", "channels"),
        Harmless("shown escaped", codes=(0, 1)),
    ),
    "a condarc that is a pipe": Case(pipe, Harmless("not read, not waited for")),
    # Saved problems
    "a saved problem nested without end": Case(
        file("problem.json", b"[" * 1_000_000, "solve-problem", "problem.json"), Refused("error", ("problem.json",))
    ),
    "a saved problem of wrong types": Case(
        file("problem.json", json.dumps({"version": 1, "request": 7}), "solve-problem", "problem.json"),
        Refused("error", ("problem.json",)),
    ),
}
