"""Environments and caches that somebody prepared: records, journals, generations, links in place of directories."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.channels import Package
from tests.hostile.runner import Outcome
from tests.hostile.world import CANARY, Case, Cases, Harmless, Make, Refused, World

CORRUPT = "CorruptedEnvironmentError"
DEEP = b"[" * 1_000_000
CREATE = ("create", "-y", "-n", "new")
TOOL = Package("tool", files={"lib/victim.py": "spoilt", "share/tool": "t"})
GOOD = Package("good", files={"share/good": "good"})


def in_environment(prepare: Callable[[World, Path], None], *words: str) -> Make:
    """An environment `env` with the package `good`, prepared in some way, and a command on it."""

    def make(world: World) -> list[str]:
        environment = world.make_environment(GOOD)
        world.offer(GOOD, TOOL)
        prepare(world, environment)
        return [word.replace("ENV", str(environment)) for word in words] + (
            world.channel if words[0] in ("install", "update", "create") else []
        )

    return make


def recorded(*files: str, link: bool = False, **fields: Any) -> Callable[[World, Path], None]:
    """A record `evil-1.0-0` with these files; `link`: and a link `out` to the canary in the environment."""

    def prepare(world: World, environment: Path) -> None:
        names = [name.replace("CANARY", str(world.canary)) for name in files]
        entries = [{"_path": name, "path_type": "hardlink", "sha256": "0" * 64} for name in names]
        world.add_record(environment, files=names, paths_data={"paths_version": 1, "paths": entries}, **fields)
        if link:
            (environment / "out").symlink_to(world.canary)

    return prepare


def written(name: str, content: bytes | str) -> Callable[[World, Path], None]:
    """A file below the environment with this content."""

    def prepare(world: World, environment: Path) -> None:
        path = environment / name
        path.parent.mkdir(parents=True, exist_ok=True)
        data = content.encode() if isinstance(content, str) else content
        path.write_bytes(data.replace(b"CANARY", os.fsencode(world.canary)).replace(b"ENV", os.fsencode(environment)))

    return prepare


def linked(name: str, target: str) -> Callable[[World, Path], None]:
    """A path of the environment is a link to a place in the canary's directory."""

    def prepare(world: World, environment: Path) -> None:
        path = environment / name
        if path.is_dir() and not path.is_symlink():
            # What was there is behind the link: it looks as before.
            for child in path.iterdir():
                child.rename(world.canary / target / child.name)
            path.rmdir()
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
        path.symlink_to(world.canary / target)

    return prepare


def pipe(name: str) -> Callable[[World, Path], None]:
    """A pipe that nobody writes to, in place of a file."""

    def prepare(world: World, environment: Path) -> None:
        path = environment / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        os.mkfifo(path)

    return prepare


def both(*prepares: Callable[[World, Path], None]) -> Callable[[World, Path], None]:
    def prepare(world: World, environment: Path) -> None:
        for one in prepares:
            one(world, environment)

    return prepare


def evil_gone(world: World, outcome: Outcome) -> None:
    """The record went, and nothing else did."""
    environment = world.environment("env")
    assert not (environment / "conda-meta" / "evil-1.0-0.json").exists()
    assert (environment / "share" / "good").read_text() == "good"
    assert (environment / "users-own").read_text() == "mine"
    assert (environment / "conda-meta" / "history").is_file()


def named(*texts: str) -> Callable[[World, Outcome], None]:
    """The outcome tells of these."""

    def check(world: World, outcome: Outcome) -> None:
        for text in texts:
            assert text in outcome.text, f"{text!r} is not in {outcome.text}"

    return check


def tool_is_there(world: World, outcome: Outcome) -> None:
    assert (world.environment("env") / "share" / "tool").read_text() == "t"


def environment_gone(world: World, outcome: Outcome) -> None:
    assert not world.environment("env").exists()


def journal(*lines: Any) -> Callable[[World, Path], None]:
    text = "".join(json.dumps(line) + "\n" for line in lines)
    return written("conda-meta/.kaa-journal", text)


def generation(**fields: Any) -> Callable[[World, Path], None]:
    """A generation that the environment could go back to."""

    def prepare(world: World, environment: Path) -> None:
        content = {"number": 1, "time": "2026-01-01T00:00:00Z", "packages": [], "cause": "change", **fields}
        text = json.dumps(content).replace("CANARY", str(world.canary))
        written("conda-meta/generations/1.json", text)(world, environment)

    return prepare


def pip_distribution(record: str, name: str = "evil") -> Callable[[World, Path], None]:
    """A distribution of pip's whose RECORD is this."""
    base = f"lib/python3.12/site-packages/{name}-1.0.dist-info"
    return both(
        written(f"{base}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"),
        written(f"{base}/INSTALLER", "pip\n"),
        written(f"{base}/RECORD", record + f"\n{base.rpartition('/')[2]}/RECORD,,\n"),
    )


def in_cache(prepare: Callable[[World, Path], None], *words: str) -> Make:
    """A cache that holds the package `good`, prepared in some way, and a command that uses it."""

    def make(world: World) -> list[str]:
        world.make_environment(GOOD)
        prepare(world, world.packages)
        return [*words, *(world.channel if words[0] in ("install", "create") else [])]

    return make


def replaced_by_link(name: str, target: str) -> Callable[[World, Path], None]:
    def prepare(world: World, packages: Path) -> None:
        path = packages / name
        if path.exists():
            path.rename(packages / f"{name}.was")
        path.symlink_to(world.canary / target)

    return prepare


def good_is_new(world: World, outcome: Outcome) -> None:
    assert (world.environment("new") / "share" / "good").read_text() == "good"


def canary_whole(world: World, outcome: Outcome) -> None:
    assert (world.canary / "victim").read_text() == CANARY
    assert (world.canary / "lib" / "victim.py").read_text() == CANARY


OUTSIDE = "../../../../canary/victim"
REMOVE = ("remove", "-y", "-n", "env", "evil")
INSTALL = ("install", "-y", "-n", "env", "tool")


def spoil(path: Path, content: bytes | None) -> None:
    """Put this in the place of a file; None: a pipe."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    if content is None:
        os.mkfifo(path)
    else:
        path.write_bytes(content)


def undone(world: World) -> list[str]:
    """pip, as it seems, put something into an environment after its last change, and that is undone."""
    environment = world.make_environment(GOOD)
    pip_distribution("../../../../../../../../canary/victim,,\nCANARY/lib/victim.py,,")(world, environment)
    return ["undo", "-y", "-n", "env"]


def link_for_environment(world: World, *words: str) -> list[str]:
    """The directory of an environment is a link to a directory that is none."""
    world.make_environment(GOOD)
    (world.home / "root" / "envs" / "linked").symlink_to(world.canary)
    return [*words, *(world.channel if words[0] == "install" else [])]


CASES: Cases = {
    # Records that name what is not theirs
    "a record with a path with `..`, removed": Case(
        in_environment(recorded(OUTSIDE), *REMOVE),
        Harmless("left alone, with a warning", evil_gone),
        changes="envs/env",
    ),
    "a record with an absolute path, removed": Case(
        in_environment(recorded("CANARY/victim"), *REMOVE),
        Harmless("left alone, with a warning", evil_gone),
        changes="envs/env",
    ),
    "a record with a path through a link, removed": Case(
        in_environment(recorded("out/victim", "out/lib/victim.py", link=True), *REMOVE),
        Harmless("left alone, with a warning", evil_gone),
        changes="envs/env",
    ),
    "a record with a path through its own link, removed": Case(
        in_environment(recorded("out", "out/victim", link=True), *REMOVE),
        Harmless("the link goes, what is behind it stays", evil_gone),
        changes="envs/env",
    ),
    "a record with files of conda-meta, removed": Case(
        in_environment(recorded("conda-meta/history", "conda-meta/good-1.0-0.json", "conda-meta"), *REMOVE),
        Harmless("left alone, with a warning", evil_gone),
        changes="envs/env",
    ),
    "a record with files of another package, removed": Case(
        in_environment(recorded("share/good", "share"), *REMOVE),
        Harmless("they stay: they are the other's", evil_gone),
        changes="envs/env",
    ),
    "a record with the environment itself, removed": Case(
        in_environment(recorded(".", "", "..", "/", "lib/.."), *REMOVE),
        Harmless("left alone, with a warning", evil_gone),
        changes="envs/env",
    ),
    "a record with a path with NUL, removed": Case(
        in_environment(recorded("a\0b"), *REMOVE), Harmless("left alone, with a warning", evil_gone), changes="envs/env"
    ),
    "a record with a path of 5000 letters, removed": Case(
        in_environment(recorded("a" * 5000, "b/" * 2000 + "c"), *REMOVE),
        Harmless("it cannot be there", evil_gone),
        changes="envs/env",
    ),
    "a record with a path of bytecode outside, removed": Case(
        in_environment(recorded("../../../../canary/lib/victim.py", "out/lib/victim.py", link=True), *REMOVE),
        Harmless("left alone, with a warning", evil_gone),
        changes="envs/env",
    ),
    "a record with a path outside, verified": Case(
        in_environment(recorded(OUTSIDE, "CANARY/victim"), "verify", "-n", "env"),
        Harmless("told, not read", named("evil-1.0-0"), codes=(1,)),
    ),
    "a record with a path through a link, verified": Case(
        in_environment(recorded("out/victim", link=True), "verify", "-n", "env"),
        Harmless("told, not read", named("evil-1.0-0"), codes=(1,)),
    ),
    "a record with a path outside, repaired": Case(
        in_environment(recorded(OUTSIDE, "CANARY/victim"), "repair", "-y", "-n", "env"),
        Harmless("left alone", canary_whole, codes=(0, 1)),
        changes="envs/env",
    ),
    "a record with a path outside, cloned": Case(
        in_environment(recorded(OUTSIDE, "out/victim", link=True), "create", "-y", "-n", "new", "--clone", "env"),
        Harmless("left alone", canary_whole, codes=(0, 1)),
        changes="envs",
    ),
    "a record with a path outside, renamed": Case(
        in_environment(recorded(OUTSIDE, "out/victim", link=True), "rename", "-y", "-n", "env", "new"),
        Harmless("left alone", canary_whole, codes=(0, 1, 2)),
        changes="envs",
    ),
    "a record with a path outside, with its environment": Case(
        in_environment(recorded(OUTSIDE, "out/victim", link=True), "env", "remove", "-y", "-n", "env"),
        Harmless("only the environment's own directory goes", environment_gone),
        changes="envs",
    ),
    "a record of a package with `..` in its name": Case(
        in_environment(recorded("share/x", name="../../evil"), "list", "-n", "env"),
        Harmless("does not count: the name of its file is another"),
    ),
    "a record that steers the terminal": Case(
        in_environment(
            both(recorded("share/x", license="\x1b[2J", url="https://x/\x1b]0;x\x07", channel="\x9b31m")),
            "list",
            "-n",
            "env",
            "--show-channel-urls",
        ),
        Harmless("shown escaped", named("evil")),
    ),
    "a record nested without end": Case(
        in_environment(written("conda-meta/evil-1.0-0.json", b'{"name": ' + DEEP), "list", "-n", "env"),
        Refused(CORRUPT, ("evil-1.0-0.json",)),
    ),
    "a record with wrong types": Case(
        in_environment(written("conda-meta/evil-1.0-0.json", '{"name": 7, "files": "x"}'), "list", "-n", "env"),
        Refused(CORRUPT, ("evil-1.0-0.json",)),
    ),
    "a record that is a list": Case(
        in_environment(written("conda-meta/evil-1.0-0.json", "[]"), *INSTALL), Refused(CORRUPT, ("evil-1.0-0.json",))
    ),
    "a record of numbers beyond measure": Case(
        in_environment(recorded(build_number=10**40, size=-(10**40), timestamp=10**300), "list", "-n", "env"),
        Refused(CORRUPT, ("evil-1.0-0.json",)),
    ),
    "a record that is a pipe": Case(
        in_environment(pipe("conda-meta/evil-1.0-0.json"), "list", "-n", "env"),
        Refused(CORRUPT, ("evil-1.0-0.json", "no regular file")),
    ),
    "a record that is a pipe, verified": Case(
        in_environment(pipe("conda-meta/evil-1.0-0.json"), "verify", "-n", "env"),
        Harmless("told", named("evil-1.0-0.json"), codes=(1,)),
    ),
    "a record that is /dev/zero": Case(
        in_environment(
            lambda world, env: (env / "conda-meta" / "evil-1.0-0.json").symlink_to("/dev/zero"), "list", "-n", "env"
        ),
        Refused(CORRUPT, ("evil-1.0-0.json", "no regular file")),
    ),
    "a record that is a directory": Case(
        in_environment(lambda world, env: (env / "conda-meta" / "evil-1.0-0.json").mkdir(), *INSTALL),
        Refused(CORRUPT, ("evil-1.0-0.json",)),
    ),
    "a record of a package that lies elsewhere, repaired": Case(
        in_environment(recorded("share/x", extracted_package_dir="/etc"), "repair", "-y", "-n", "env"),
        Harmless("nothing is taken from there", canary_whole, codes=(0, 1)),
        changes="envs/env",
    ),
    # Other files of conda-meta
    "a history that is a link to a file outside": Case(
        in_environment(linked("conda-meta/history", "victim"), *INSTALL),
        Refused(CORRUPT, ("conda-meta/history", "link")),
    ),
    "a history that is a pipe": Case(
        in_environment(pipe("conda-meta/history"), "list", "-n", "env"),
        Refused("DirectoryNotACondaEnvironmentError", ("conda-meta/history",)),
    ),
    "a history with code in its specs": Case(
        in_environment(
            written(
                "conda-meta/history", "==> 2026-01-01 00:00:00 <==\n# update specs: [__import__('os').system('id')]\n"
            ),
            "list",
            "-n",
            "env",
            "--revisions",
        ),
        Harmless("not run"),
    ),
    "a history nested without end": Case(
        in_environment(
            written("conda-meta/history", b"==> 2026-01-01 00:00:00 <==\n# update specs: " + DEEP + b"\n"), *INSTALL
        ),
        Harmless("says nothing", tool_is_there),
        changes="envs/env",
    ),
    "variables that are no JSON": Case(
        in_environment(written("conda-meta/state", DEEP), "env", "config", "vars", "list", "-n", "env"),
        Refused(CORRUPT, ("conda-meta/state",)),
    ),
    "variables with code in their names": Case(
        in_environment(
            written(
                "conda-meta/state",
                json.dumps({"env_vars": {"A;touch CANARY/x;": "1", "B": "$(touch CANARY/x)`id`'\"\n"}}),
            ),
            "run",
            "-n",
            "env",
            "true",
        ),
        Harmless("a name that is none is left out; values are quoted", canary_whole, codes=(0, 1)),
        changes="envs/env",
    ),
    "variables that are a pipe": Case(
        in_environment(pipe("conda-meta/state"), "env", "config", "vars", "list", "-n", "env"),
        Refused(CORRUPT, ("conda-meta/state",)),
    ),
    "variables that are a link to a file outside": Case(
        in_environment(linked("conda-meta/state", "victim"), "env", "config", "vars", "set", "-n", "env", "A=b"),
        Refused(CORRUPT, ("conda-meta/state",)),
    ),
    "pins that are a pipe": Case(
        in_environment(pipe("conda-meta/pinned"), *INSTALL),
        Harmless("says nothing", canary_whole, codes=(0, 1)),
        changes="envs/env",
    ),
    "a frozen marker that is a pipe": Case(
        in_environment(pipe("conda-meta/frozen"), *INSTALL), Refused("EnvironmentIsFrozenError", ())
    ),
    "a frozen marker that steers the terminal": Case(
        in_environment(written("conda-meta/frozen", json.dumps({"message": "no\x1b[2J\x9b31m\u202e"})), *INSTALL),
        Refused("EnvironmentIsFrozenError", ("no",)),
    ),
    "a lock that is a link to a file outside": Case(
        in_environment(linked("conda-meta/.kaa-lock", "victim"), *INSTALL),
        Harmless("the file behind it is not written to", canary_whole, codes=(0, 1)),
        changes="envs/env",
    ),
    "a lock that is a pipe": Case(
        in_environment(pipe("conda-meta/.kaa-lock"), *INSTALL),
        Harmless("not waited for", canary_whole, codes=(0, 1)),
        changes="envs/env",
    ),
    # Journals
    "a journal with paths outside": Case(
        in_environment(journal(["made", []], ["create", [OUTSIDE]]), "recover", "-n", "env"),
        Refused(CORRUPT, ("line 2", "kaa-journal")),
    ),
    "a journal with absolute moves": Case(
        in_environment(journal(["made", []], ["move", [["/etc/passwd", "x"]]]), *INSTALL),
        Refused(CORRUPT, ("line 2", "kaa-journal")),
    ),
    "a journal that removes through a link": Case(
        in_environment(
            both(linked("out", "."), journal(["made", []], ["create", ["out/victim", "out/lib/victim.py"]])),
            "recover",
            "-n",
            "env",
        ),
        Refused(CORRUPT, ("out/victim", "kaa-journal")),
    ),
    "a journal that moves through a link": Case(
        in_environment(
            both(linked("out", "."), journal(["made", []], ["move", [["users-other", "out/victim"]]])), *INSTALL
        ),
        Refused(CORRUPT, ("out/victim", "kaa-journal")),
    ),
    "a journal that cuts off a file behind a link": Case(
        in_environment(both(linked("out", "."), journal(["made", []], ["append", "out/victim", 0])), *INSTALL),
        Refused(CORRUPT, ("out/victim", "kaa-journal")),
    ),
    "a journal that cuts off a file that is a link": Case(
        in_environment(both(linked("note", "victim"), journal(["made", []], ["append", "note", 0])), *INSTALL),
        Refused(CORRUPT, ("note", "kaa-journal")),
    ),
    "a journal that had directories of the user's made": Case(
        in_environment(
            both(
                lambda world, env: (world.canary / "empty").mkdir(),
                journal(["made", ["CANARY/empty", "/"]]),
            ),
            "recover",
            "-n",
            "env",
        ),
        Harmless("only the environment's own count", canary_whole),
        changes="envs/env",
    ),
    "a journal that is no JSON": Case(
        in_environment(written("conda-meta/.kaa-journal", DEEP + b"\n"), "recover", "-n", "env"),
        Refused(CORRUPT, ("line 1", "kaa-journal")),
    ),
    "a journal that is a pipe": Case(
        in_environment(pipe("conda-meta/.kaa-journal"), *INSTALL),
        Harmless("not waited for", canary_whole, codes=(0, 1)),
        changes="envs/env",
    ),
    "a staging directory that is a link": Case(
        in_environment(linked("conda-meta/.kaa-staging", "lib"), *INSTALL),
        Harmless("the link goes, what is behind it stays", tool_is_there),
        changes="envs/env",
    ),
    # Notes of a rename
    "a note of a rename from elsewhere": Case(
        in_environment(
            written(
                "conda-meta/.kaa-relocation",
                json.dumps({"id": "x", "kind": "rename", "source": "CANARY", "target": "ENV", "complete": True}),
            ),
            "recover",
            "-n",
            "env",
        ),
        Harmless("a place that does not say the same is left alone", canary_whole, codes=(0, 1)),
        changes="envs/env",
    ),
    "a note of a rename to elsewhere": Case(
        in_environment(
            written(
                "conda-meta/.kaa-relocation",
                json.dumps({"id": "x", "kind": "rename", "source": "ENV", "target": "CANARY", "made": ["CANARY"]}),
            ),
            *INSTALL,
        ),
        Harmless("a place that does not say the same is left alone", canary_whole, codes=(0, 1)),
        changes="envs/env",
    ),
    "a note of a rename that is no JSON": Case(
        in_environment(written("conda-meta/.kaa-relocation", DEEP), "recover", "-n", "env"),
        Refused(CORRUPT, ("kaa-relocation",)),
    ),
    # Generations
    "a generation nested without end": Case(
        in_environment(written("conda-meta/generations/1.json", b'{"number": ' + DEEP), "history", "-n", "env"),
        Harmless("told", named("generations/1.json")),
    ),
    "a generation that is a pipe": Case(
        in_environment(pipe("conda-meta/generations/1.json"), "history", "-n", "env"),
        Harmless("told, not waited for", named("generations/1.json")),
    ),
    "a generation with a package of files of this machine": Case(
        in_environment(
            generation(
                packages=[{"name": "../x", "version": "1", "build": "0", "url": "file://CANARY/victim", "fn": "../x"}]
            ),
            "rollback",
            "-y",
            "-n",
            "env",
            "1",
        ),
        Refused("error", (r"\.\./x-1-0", "cannot be the name")),
    ),
    "a generation with a distribution outside": Case(
        in_environment(
            generation(
                distributions=[
                    {"name": "e", "version": "1", "metadata": "../../../../canary", "key": "../../x-000000000000"}
                ]
            ),
            "rollback",
            "-y",
            "-n",
            "env",
            "1",
        ),
        Harmless("refused or left alone", canary_whole, codes=(0, 1)),
        changes="envs/env",
    ),
    "a generation with pins that steer the terminal": Case(
        in_environment(generation(pins="\x1b[2J", command="\x9b31m", user="\x1b]0;x\x07"), "history", "-n", "env"),
        Harmless("shown escaped"),
    ),
    "generations in a directory outside": Case(
        in_environment(linked("conda-meta/generations", "lib"), *INSTALL),
        Refused(CORRUPT, ("conda-meta/generations", "link")),
    ),
    # What pip might have written
    "a RECORD with paths outside, verified": Case(
        in_environment(pip_distribution("../../../../../../canary/victim,,\n/etc/passwd,,"), "verify", "-n", "env"),
        Harmless("told, not read", canary_whole, codes=(0, 1)),
    ),
    "a RECORD with paths outside, and a change": Case(
        in_environment(
            pip_distribution("../../../../../../../../canary/victim,,\nCANARY/lib/victim.py,,\n../../../users-own,,"),
            *INSTALL,
        ),
        Harmless("nothing of it is kept", tool_is_there),
        changes="envs/env",
    ),
    "a RECORD with paths outside, undone": Case(
        undone,
        Harmless("left alone", canary_whole, codes=(0, 1)),
        changes="envs/env",
    ),
    "a distribution's direct_url.json nested without end": Case(
        in_environment(
            both(
                pip_distribution(""), written("lib/python3.12/site-packages/evil-1.0.dist-info/direct_url.json", DEEP)
            ),
            "list",
            "-n",
            "env",
        ),
        Harmless("listed without it", named("evil")),
    ),
    "metadata that steers the terminal": Case(
        in_environment(
            written("lib/python3.12/site-packages/e-1.dist-info/METADATA", "Name: e\x1b[2J\x07\nVersion: 1\x9b31m\n"),
            "list",
            "-n",
            "env",
        ),
        Harmless("shown escaped"),
    ),
    "metadata that is a pipe": Case(
        in_environment(pipe("lib/python3.12/site-packages/e-1.dist-info/METADATA"), "list", "-n", "env"),
        Harmless("not waited for"),
    ),
    # Links where directories were
    "conda-meta as a link to elsewhere": Case(
        in_environment(linked("conda-meta", "lib"), *INSTALL),
        Refused(CORRUPT, ("conda-meta", "link")),
    ),
    "a directory of a package as a link to elsewhere, removed": Case(
        in_environment(
            both(linked("share", "lib"), lambda world, env: spoil(world.canary / "lib" / "good", b"mine")),
            *REMOVE[:-1],
            "good",
        ),
        Harmless("what is behind the link, and not what was installed, stays", named("left alone")),
        changes="envs/env",
    ),
    "a directory that the user linked to elsewhere": Case(
        in_environment(linked("lib", "lib"), *INSTALL),
        Refused("LinkError", ("lib/victim.py", "out of the environment")),
    ),
    "an environment that is a link, removed": Case(
        lambda world: link_for_environment(world, "env", "remove", "-y", "-n", "linked"),
        Refused("DirectoryNotACondaEnvironmentError", ("linked",)),
    ),
    "an environment that is a link to no environment": Case(
        lambda world: link_for_environment(world, "install", "-y", "-n", "linked", "good"),
        Refused("DirectoryNotACondaEnvironmentError", ("linked",)),
    ),
    # The cache
    "a package of the cache as a link to elsewhere": Case(
        in_cache(replaced_by_link("good-1.0-0", "lib"), *CREATE, "good"),
        Harmless("fetched again, the link goes", good_is_new),
        changes="envs/new",
    ),
    "a package of the cache as a link to elsewhere, cleaned": Case(
        in_cache(replaced_by_link("evil-1.0-0", "lib"), "clean", "-y", "--all"),
        Harmless("what is behind it stays", canary_whole),
    ),
    "an archive of the cache as a link to elsewhere": Case(
        in_cache(
            lambda world, packages: (
                replaced_by_link("good-1.0-0.conda", "victim")(world, packages),
                (packages / "good-1.0-0").rename(packages / "good-1.0-0.was"),
            )[0],
            *CREATE,
            "good",
        ),
        Harmless("fetched again, the link goes", good_is_new),
        changes="envs/new",
    ),
    "a record of the cache nested without end": Case(
        in_cache(
            lambda world, packages: spoil(packages / "good-1.0-0" / "info" / "repodata_record.json", DEEP),
            *CREATE,
            "good",
        ),
        Harmless("fetched again", good_is_new),
        changes="envs/new",
    ),
    "a record of the cache that is a pipe": Case(
        in_cache(
            lambda world, packages: spoil(packages / "good-1.0-0" / "info" / "repodata_record.json", None),
            *CREATE,
            "good",
        ),
        Harmless("fetched again", good_is_new),
        changes="envs/new",
    ),
    "a note of what an environment needs, nested without end": Case(
        in_cache(lambda world, packages: spoil(packages / ".roots" / "0.evil.json", DEEP), "clean", "-y", "--all"),
        Harmless("does not count", canary_whole),
    ),
    "a note of what an environment needs that is a pipe": Case(
        in_cache(lambda world, packages: spoil(packages / ".roots" / "0.evil.json", None), "clean", "-y", "--all"),
        Harmless("not waited for", canary_whole),
    ),
    "a hold that is a pipe": Case(
        in_cache(lambda world, packages: spoil(packages / ".holds" / "a-1-b.names", None), "clean", "-y", "--all"),
        Harmless("not waited for", canary_whole),
    ),
    "a list of environments with anything in it": Case(
        in_environment(
            lambda world, env: spoil(
                world.home / ".conda" / "environments.txt",
                b"\xff\xfe\0\n../../canary\n/dev/zero\n\x1b[2J\n" + b"x" * 5000 + b"\n",
            ),
            "env",
            "list",
        ),
        Harmless("lines that are no environments do not count"),
    ),
}
