"""Packages whose archives are sound, and whose metadata is not: paths.json, link.json, entry points, records."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from tests.channels import File, Package, Symlink, tar
from tests.hostile.runner import Outcome
from tests.hostile.world import Case, Cases, Harmless, Make, Refused, World

BAD = "CondaVerificationError"
LINK = "LinkError"
CREATE = ("create", "-y", "-n", "new")
PYTHON = Package("python", "3.12.1", files={"bin/python3.12": File(b"#!/bin/sh\nexit 0\n", mode=0o755)})


def package(**fields: Any) -> Make:
    """A package `tool` of the channel."""

    def make(world: World) -> list[str]:
        world.offer(Package("tool", **fields))
        return [*CREATE, *world.channel, "tool"]

    return make


def paths(*entries: Any, files: dict[str, Any] | None = None, **document: Any) -> Make:
    """A package whose paths.json holds these entries."""

    def make(world: World) -> list[str]:
        text = json.dumps({"paths_version": 1, "paths": entries, **document}).replace("CANARY", str(world.canary))
        world.offer(Package("tool", files=files or {"share/a": "a"}, info_files={"paths.json": text.encode()}))
        return [*CREATE, *world.channel, "tool"]

    return make


def info(name: str, content: bytes | Callable[[], bytes], **fields: Any) -> Make:
    """A package with a file of info/ that is this."""

    def make(world: World) -> list[str]:
        data = content if isinstance(content, bytes) else content()
        world.offer(Package("tool", files={"share/a": "a"}, info_files={name: data}, **fields))
        return [*CREATE, *world.channel, "tool"]

    return make


def into_root(**fields: Any) -> Make:
    """A package for the root prefix."""

    def make(world: World) -> list[str]:
        world.offer(Package("tool", **fields))
        return ["create", "-y", "-p", str(world.home / "root"), *world.channel, "tool"]

    return make


def old_style(**files: bytes) -> Make:
    """A package without paths.json, with the files that stood for it."""

    def make(world: World) -> list[str]:
        one = Package("tool", files={"share/a": "a"}, extension=".tar.bz2")
        contents = {f"info/{name}": content for name, content in files.items()}
        everything = {path: data for path, data in one.info().items() if path not in ("info/paths.json", "info/files")}
        members = {path: File(data) for path, data in {**everything, **contents}.items()}
        world.offer_bytes(tar({**members, "share/a": File(b"a")}, "bz2"), extension=".tar.bz2")
        return [*CREATE, *world.channel, "tool"]

    return make


def entry_point(text: object) -> Make:
    """A noarch python package with this entry point."""

    def make(world: World) -> list[str]:
        tool = Package(
            "tool",
            noarch="python",
            depends=["python"],
            files={"site-packages/tool.py": "def main(): pass"},
            entry_points=[text],  # type: ignore[list-item]
        )
        world.offer(PYTHON, tool)
        return [*CREATE, *world.channel, "tool"]

    return make


def site_packages(path: str) -> Make:
    """A python that says that its site-packages is there, and a package that goes into it."""

    def make(world: World) -> list[str]:
        python = Package(
            "python",
            "3.12.1",
            files={"bin/python3.12": "x", "out": Symlink("lib")},
            index_extra={"python_site_packages_path": path.replace("CANARY", str(world.canary))},
        )
        tool = Package("tool", noarch="python", depends=["python"], files={"site-packages/victim.py": "spoilt"})
        world.offer(python, tool)
        return [*CREATE, *world.channel, "tool"]

    return make


def two_packages(first: Package, second: Package) -> Make:
    """Two packages that meet in one environment."""

    def make(world: World) -> list[str]:
        world.offer(first, second)
        return [*CREATE, *world.channel, first.name, second.name]

    return make


def installed(world: World, outcome: Outcome) -> None:
    assert (world.environment("new") / "conda-meta" / "tool-1.0-0.json").is_file()


def not_executed(world: World, outcome: Outcome) -> None:
    """The link that a package brought is there as it was, and nothing was read or changed through it."""
    installed(world, outcome)


def no_config(world: World, outcome: Outcome) -> None:
    """What a package says in a condarc of its own does not count."""
    found = world.environment("new") if world.environment("new").exists() else world.home / "root"
    assert (found / "conda-meta" / "tool-1.0-0.json").is_file()
    shown = world.ok("config", "--show", "--json", "-p", str(found))
    values = json.loads(shown.out)
    assert values["ssl_verify"] is not False, values["ssl_verify"]
    assert "evil" not in json.dumps(values)


CONDARC = b"ssl_verify: false\nchannel_alias: http://evil.invalid\nproxy_servers: {http: 'http://evil.invalid'}\n"

CASES: Cases = {
    # paths.json
    "paths.json lists a path with `..`": Case(
        paths({"_path": "../../../canary/victim"}), Refused(BAD, ("info/paths.json", r"\.\./canary"))
    ),
    "paths.json lists an absolute path": Case(
        paths({"_path": "CANARY/victim"}), Refused(BAD, ("info/paths.json", "canary/victim"))
    ),
    "paths.json lists an absolute directory": Case(
        paths({"_path": "CANARY/new", "path_type": "directory"}), Refused(BAD, ("info/paths.json",))
    ),
    "paths.json lists a file of conda-meta": Case(
        paths({"_path": "conda-meta/history"}), Refused(BAD, ("info/paths.json", "conda-meta/history"))
    ),
    "paths.json lists conda-meta by another spelling": Case(
        paths({"_path": "./Conda-Meta//state", "path_type": "directory"}), Refused(LINK, ("Conda-Meta",))
    ),
    "paths.json lists what kaa keeps aside": Case(
        paths({"_path": "__clobbers__/good/share/a", "path_type": "directory"}), Refused(LINK, ("__clobbers__",))
    ),
    "paths.json lists an empty path": Case(paths({"_path": ""}), Refused(BAD, ("info/paths.json",))),
    "paths.json lists a path with NUL": Case(paths({"_path": "a\0b"}), Refused(BAD, ("info/paths.json",))),
    "paths.json lists a path with a newline and an escape": Case(
        paths({"_path": "share/a\n\x1b[2J"}), Refused(BAD, ("is missing", r"\\x1b"))
    ),
    "paths.json lists a file that is not there": Case(
        paths({"_path": "share/a"}, {"_path": "share/b"}), Refused(BAD, ("share/b", "is missing"))
    ),
    "paths.json lists a file twice": Case(
        paths({"_path": "share/a"}, {"_path": "share/a"}), Harmless("linked once", installed), changes="envs/new"
    ),
    "paths.json lists a file as a directory": Case(
        paths({"_path": "share/a", "path_type": "directory"}), Harmless("a directory", installed), changes="envs/new"
    ),
    "paths.json lists a file as a link": Case(
        paths({"_path": "share/a", "path_type": "softlink"}),
        Harmless("the file that it is", installed),
        changes="envs/new",
    ),
    "paths.json lists a directory as a file": Case(
        paths({"_path": "share"}), Refused(BAD, ("share", "is a directory"))
    ),
    "paths.json with a path type that nobody knows": Case(
        paths({"_path": "share/a", "path_type": "device"}),
        Harmless("a file as any other", installed),
        changes="envs/new",
    ),
    "paths.json lists a wrong size": Case(
        paths({"_path": "share/a", "size_in_bytes": 99}), Refused(BAD, ("share/a", "1 bytes instead of 99"))
    ),
    "paths.json with sizes beyond all numbers": Case(
        paths({"_path": "share/a", "size_in_bytes": 10**30}), Refused(BAD, ("info/paths.json", "size_in_bytes"))
    ),
    "paths.json with wrong types": Case(paths({"_path": ["a"]}), Refused(BAD, ("info/paths.json",))),
    "paths.json with paths that are none": Case(paths(paths=7), Refused(BAD, ("info/paths.json",))),
    "paths.json of another version": Case(paths(paths_version=9), Refused(BAD, ("paths_version is 9",))),
    "paths.json nested a million deep": Case(
        info("paths.json", b'{"paths_version": 1, "x": ' + b"[" * 1_000_000), Refused(BAD, ("info/paths.json",))
    ),
    "paths.json that is not UTF-8": Case(
        info("paths.json", b'{"paths": [{"_path": "\xff\xfe"}]}'), Refused(BAD, ("info/paths.json",))
    ),
    "paths.json with half of a character": Case(
        info("paths.json", b'{"paths": [{"_path": "\\ud800"}]}'), Refused(BAD, ("info/paths.json",))
    ),
    "paths.json with 300,000 files that are not there": Case(
        info("paths.json", lambda: json.dumps({"paths": [{"_path": f"a/{i}"} for i in range(300_000)]}).encode()),
        Refused(BAD, ("a/0", "is missing")),
    ),
    "info/files lists paths with `..`": Case(
        old_style(files=b"../../../canary/victim\nshare/a\n"), Refused(BAD, (r"\.\./canary",))
    ),
    "info/has_prefix names a file outside": Case(
        old_style(files=b"share/a\n", has_prefix=b"/opt/x text ../../../canary/victim\n"),
        Harmless("only listed files count", installed),
        changes="envs/new",
    ),
    # Replacing prefixes
    "an empty prefix placeholder": Case(
        paths({"_path": "share/a", "prefix_placeholder": "", "file_mode": "text"}),
        Harmless("nothing is replaced", installed),
        changes="envs/new",
    ),
    "an empty prefix placeholder of a binary": Case(
        paths({"_path": "share/a", "prefix_placeholder": "", "file_mode": "binary"}),
        Harmless("nothing is replaced", installed),
        changes="envs/new",
    ),
    "a prefix placeholder of one letter, a million times": Case(
        paths(
            {"_path": "share/a", "prefix_placeholder": "x", "file_mode": "text"}, files={"share/a": "x" * 20_000_000}
        ),
        Refused(LINK, ("share/a", "placeholder")),
    ),
    "a prefix placeholder of a megabyte": Case(
        paths({"_path": "share/a", "prefix_placeholder": "x" * (1 << 20), "file_mode": "text"}),
        Harmless("not found", installed),
        changes="envs/new",
    ),
    "a prefix placeholder in a link": Case(
        paths(
            {"_path": "share/l", "prefix_placeholder": "a", "file_mode": "text", "path_type": "softlink"},
            {"_path": "share/a"},
            files={"share/a": "a", "share/l": Symlink("a")},
        ),
        Harmless("the link as it is", installed),
        changes="envs/new",
    ),
    "a file mode that nobody knows": Case(
        paths({"_path": "share/a", "prefix_placeholder": "a", "file_mode": "device"}),
        Harmless("taken as text", installed),
        changes="envs/new",
    ),
    # link.json
    "link.json with wrong types": Case(info("link.json", b'{"noarch": 7}'), Refused(BAD, ("info/link.json",))),
    "link.json that is no JSON": Case(info("link.json", b"{"), Refused(BAD, ("info/link.json",))),
    "link.json with entry points that are none": Case(
        info("link.json", b'{"noarch": {"type": "python", "entry_points": {"a": 1}}}'),
        Refused(BAD, ("info/link.json",)),
    ),
    "index.json that is no JSON": Case(info("index.json", b"\xff"), Refused(BAD, ("info/index.json",))),
    "index.json nested a million deep": Case(
        info("index.json", b'{"name": ' + b"[" * 1_000_000), Refused(BAD, ("info/index.json",))
    ),
    # Entry points
    **{
        f"the entry point `{text}`".replace("\n", "⏎").replace("\0", "␀"): Case(
            entry_point(text), Refused(LINK, ("entry point", reason))
        )
        for text, reason in {
            "../../../canary/victim = tool:main": "not a simple file name",
            "/bin/sh = tool:main": "not a simple file name",
            "..\\x = tool:main": "not a simple file name",
            ".bashrc = tool:main": "not a simple file name",
            "-rf = tool:main": "not a simple file name",
            "a;b = tool:main": "not a simple file name",
            "a\nb = tool:main": "not a simple file name",
            "a\0b = tool:main": "not a simple file name",
            " = tool:main": "not a simple file name",
            "t = tool:main()": "module:function",
            "t = os:system('id')": "module:function",
            "t = tool:main\nimport os; os.system('id')": "module:function",
            "t = tool;import os:main": "module:function",
            "t = tool:__import__('os').system": "module:function",
            "t = tool": "module:function",
            "t = tool:": "module:function",
            "t = :main": "module:function",
            "t = tool:a-b": "module:function",
            "t = ..tool:main": "module:function",
            "t": "command = module:function",
        }.items()
    },
    "the entry point with a name of 300 letters": Case(
        entry_point("t" * 300 + " = tool:main"), Refused(LINK, ("entry point", "not a simple file name"))
    ),
    "the entry point `t = tool:import`": Case(entry_point("t = tool:import"), Refused(LINK, ("module:function",))),
    "the entry point in place of python": Case(
        entry_point("python3.12 = tool:main"),
        Harmless("the later package owns the path, the other is kept aside", installed),
        changes="envs/new",
    ),
    # python_site_packages_path
    "python's site-packages leaves": Case(site_packages("../../../canary/lib"), Refused(LINK, (r"\.\./canary",))),
    "python's site-packages is absolute": Case(site_packages("CANARY/lib"), Refused(LINK, ("canary",))),
    "python's site-packages is conda-meta": Case(site_packages("conda-meta"), Refused(LINK, ("conda-meta",))),
    "python's site-packages is conda-meta, spelt otherwise": Case(
        site_packages("lib/../Conda-Meta"), Refused(LINK, ("python",))
    ),
    "python's site-packages is empty": Case(
        site_packages(""), Harmless("the usual one is taken", installed), changes="envs/new"
    ),
    # Files with a meaning
    "a condarc for the environment": Case(
        package(files={".condarc": CONDARC, "condarc.d/x.yml": CONDARC, "condarc": CONDARC}),
        Harmless("not read: it is a package's", no_config),
        changes="envs/new",
    ),
    "a condarc for the root prefix": Case(
        into_root(files={".condarc": CONDARC, "condarc.d/x.yml": CONDARC, "condarc": CONDARC}),
        Harmless("not read: it is a package's", no_config),
        changes=".",
    ),
    "a condarc by way of a link": Case(
        into_root(files={"condarc.d": Symlink("share/conf"), "share/conf/x.yml": CONDARC}),
        Harmless("not read: it is a package's", no_config),
        changes=".",
    ),
    "a link that leads out of the environment by way of another package's": Case(
        two_packages(
            Package("first", files={"share/here": Symlink("../lib"), "lib/x": "x"}),
            Package("second", depends=["first"], files={"share/here/y": "y"}),
        ),
        Harmless("written inside the environment", lambda world, outcome: None),
        changes="envs/new",
    ),
    "a file where another package has a directory": Case(
        two_packages(Package("first", files={"share/a/b": "x"}), Package("second", files={"share/a": "y"})),
        Refused("ClobberError", ("share/a",)),
    ),
}
