"""Text from elsewhere that steers terminals, in every field that is ever shown."""

from __future__ import annotations

import json
from typing import Any

from tests.channels import File, Package
from tests.hostile.runner import Outcome
from tests.hostile.world import Case, Cases, Harmless, Make, Refused, World

STEER = "\x1b[2J\x1b]0;pwned\x07\x9b31m\x08\r\u202eevil\u2028"
CREATE = ("create", "-y", "-n", "new")
FIELDS = (
    "license",
    "license_family",
    "summary",
    "features",
    "track_features",
    "platform",
    "arch",
    "python_site_packages_path",
)


def offered(*words: str, **fields: Any) -> Make:
    """A package whose record has these fields, and a command."""

    def make(world: World) -> list[str]:
        world.offer(Package("tool", files={"share/a": "a"}, index_extra=fields))
        return [*words, *world.channel]

    return make


def after_install(*words: str, **fields: Any) -> Make:
    """An environment with a package whose record has these fields, and a command on it."""

    def make(world: World) -> list[str]:
        world.offer(Package("tool", files={"share/a": "a"}, index_extra=fields))
        world.ok("create", "-y", "-n", "env", *world.channel, "tool")
        return [*words, "-n", "env"]

    return make


def as_json(world: World, outcome: Outcome) -> None:
    """The JSON on standard output can be read, and holds the text whole."""
    assert json.loads(outcome.out)


def every(value: str) -> dict[str, Any]:
    return dict.fromkeys(FIELDS, value)


def said(world: World, outcome: Outcome) -> None:
    assert "hello" in outcome.text


def revision(world: World) -> list[str]:
    channel = world.offer(Package("tool", files={"share/a": "a"}))
    info = {"subdir": "linux-64", "repodata_revisions": {"v9": {"message": STEER, "n_packages": 7}}}
    world.offer_document({**channel.repodata["linux-64"], "info": info})
    return [*CREATE, *world.channel, "tool", "-v"]


def unknown_format(world: World) -> list[str]:
    channel = world.offer(Package("tool", files={"share/a": "a"}))
    world.offer_document({**channel.repodata["linux-64"], "v3": {STEER: {"x-1-0": {}}}})
    return [*CREATE, *world.channel, "tool", "-v"]


def script(world: World) -> list[str]:
    body = f"#!/bin/sh\nprintf '%s' '{STEER}'\necho evil >&2\nexit 3\n"
    world.offer(Package("tool", files={"bin/.tool-post-link.sh": File(body.encode(), mode=0o755)}))
    return [*CREATE, *world.channel, "tool"]


def messages(world: World) -> list[str]:
    body = f"#!/bin/sh\nprintf '%s' 'hello {STEER}' > \"$PREFIX/.messages.txt\"\n"
    world.offer(Package("tool", files={"bin/.tool-post-link.sh": File(body.encode(), mode=0o755)}))
    return [*CREATE, *world.channel, "tool"]


CASES: Cases = {
    "every field of a record, searched": Case(offered("search", "tool", **every(STEER)), Harmless("shown escaped")),
    "every field of a record, searched with all it says": Case(
        offered("search", "tool", "--info", **every(STEER)), Harmless("shown escaped")
    ),
    "every field of a record, as JSON": Case(
        offered("search", "tool", "--json", **every(STEER)), Harmless("whole, with escapes", as_json)
    ),
    "every field of a record, installed": Case(
        offered(*CREATE, "tool", **{**every(STEER), "python_site_packages_path": None}),
        Harmless("shown escaped"),
        changes="envs/new",
    ),
    "every field of a record, listed": Case(after_install("list", **every(STEER)), Harmless("shown escaped")),
    "every field of a record, exported": Case(after_install("export", **every(STEER)), Harmless("shown escaped")),
    "every field of a record, explained": Case(after_install("why", "tool", **every(STEER)), Harmless("shown escaped")),
    "dependencies that steer the terminal": Case(
        offered(*CREATE, "tool", depends=[f"other{STEER}", f"lib >={STEER}"]),
        Refused("UnsatisfiableError", ("tool",), way_out=False),
    ),
    "a conflict of names that steer the terminal": Case(
        offered("why-not", "tool", depends=[f"other[build='{STEER}']"]), Harmless("shown escaped", codes=(0, 1))
    ),
    "a channel with a name that steers the terminal": Case(
        lambda world: [*CREATE, "--override-channels", "-c", f"{world.url}/{STEER}", "tool"],
        Refused("UnavailableInvalidChannel", ("%1B",)),
    ),
    "a spec that steers the terminal": Case(
        lambda world: (world.offer(), [*CREATE, *world.channel, f"tool{STEER}"])[1],
        Refused("InvalidMatchSpec", (), way_out=False),
    ),
    "a message of a repodata revision": Case(revision, Harmless("shown escaped", codes=(0, 1)), changes="envs/new"),
    "an unknown archive format that steers the terminal": Case(
        unknown_format, Harmless("shown escaped", codes=(0, 1)), changes="envs/new"
    ),
    "output of a link script": Case(
        script,
        Refused("LinkError", ("post-link", "evil")),
    ),
    "a message of a link script": Case(messages, Harmless("shown without what steers", said), changes="envs/new"),
}
