"""What programs read of kaa as they read it of conda: the keys, types and order of every JSON answer, and the texts."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from kaa.cli.main import CONDA_VERSION
from tests.channels import ChannelBuilder, Package
from tests.cli.commands import Kaa

Shape = Any
"""A type or tuple of types; [shape] for a list of such; {key: shape} for an object with at least these keys, in this
order; {str: shape} for an object of such; a callable for anything else."""


class Exactly(dict[str, Shape]):
    """An object with these keys and no others, in this order."""


def check(value: object, shape: Shape, where: str = "answer") -> None:
    """Fail with the place where a value is not of a shape."""
    if isinstance(shape, list):
        assert isinstance(value, list), where
        for position, item in enumerate(value):
            check(item, shape[0], f"{where}[{position}]")
    elif isinstance(shape, Mapping) and str in shape:
        assert isinstance(value, dict), where
        for key, item in value.items():
            check(item, shape[str], f"{where}[{key!r}]")
    elif isinstance(shape, Mapping):
        assert isinstance(value, dict), where
        assert not isinstance(shape, Exactly) or list(value) == list(shape), where
        assert [key for key in value if key in shape] == list(shape), where
        for key, inner in shape.items():
            check(value[key], inner, f"{where}[{key!r}]")
    elif isinstance(shape, type | tuple):
        assert isinstance(value, shape), f"{where} is {value!r}"
        assert isinstance(value, bool) == (bool in (shape if isinstance(shape, tuple) else (shape,))), where
    else:
        assert shape(value), f"{where} is {value!r}"


def equal(expected: object) -> Callable[[object], bool]:
    return lambda value: value == expected


def none_or(kind: type) -> tuple[type, type]:
    return (kind, type(None))


LISTED = {
    "base_url": str,
    "build_number": int,
    "build_string": str,
    "channel": str,
    "dist_name": str,
    "name": str,
    "platform": str,
    "version": str,
}
LINKED = {**LISTED, "fn": str, "url": str, "md5": str, "sha256": str, "depends": [str]}
FETCHED = {
    "name": str,
    "version": str,
    "build": str,
    "build_number": int,
    "channel": lambda text: text.endswith(("/linux-64", "/noarch")),
    "subdir": str,
    "fn": str,
    "md5": str,
    "url": str,
    "sha256": str,
    "depends": [str],
    "constrains": [str],
}
OFFERED = {**FETCHED, "size": int}
DETAILS = {
    "name": str,
    "created": none_or(str),
    "last_modified": none_or(str),
    "active": bool,
    "base": bool,
    "frozen": bool,
    "writable": bool,
}
SUCCESS = equal(True)
NOTHING = {"success": SUCCESS, "message": equal("All requested packages already installed.")}


def change(*actions: str, dry: bool = False) -> Shape:
    """The answer of a command that changes an environment."""
    shapes: dict[str, Shape] = {"FETCH": [FETCHED], "PREFIX": str, "UNLINK": [LISTED], "LINK": [LINKED]}
    present = {name: shape for name, shape in shapes.items() if name in ("FETCH", "PREFIX", *actions)}
    ends = {"dry_run": SUCCESS} if dry else {}
    return Exactly({"success": SUCCESS, "actions": Exactly(present), "prefix": str, **ends})


RELOCATED = Exactly({"success": SUCCESS, "untracked_files": [str], "src_prefix": str, "dst_prefix": str})
EDITED = {"success": SUCCESS, "rc_path": str, "warnings": [str], "get": dict}
CLEANED = {"warnings": [str], "pkg_sizes": {str: {str: int}}, "pkgs_dirs": {str: [str]}, "total_size": int}
CHANNEL = {
    "auth": none_or(str),
    "location": none_or(str),
    "name": none_or(str),
    "package_filename": none_or(str),
    "platform": none_or(str),
    "scheme": none_or(str),
    "token": none_or(str),
}
REVISION = {"date": str, "rev": int, "install": [str], "remove": [str], "upgrade": list, "downgrade": list}
WRITTEN = {"success": SUCCESS, "file": str, "format": equal("environment-yaml"), "warnings": equal([])}
CUSTOM = {"custom_channels": {str: CHANNEL}, "custom_multichannels": {str: [CHANNEL]}}
DESCRIBED = {
    "name": str,
    "aliases": [str],
    "default_value": list,
    "description": str,
    "element_types": [str],
    "parameter_type": equal("sequence"),
}
ALL_CLEANED = {
    "success": SUCCESS,
    "tarballs": CLEANED,
    "index_cache": {"files": [str]},
    "packages": CLEANED,
    "tempfiles": [str],
    "logfiles": [str],
}
EXPORTED = {"name": str, "channels": [str], "dependencies": list}

ANSWERS: list[tuple[str, Shape]] = [
    ("env list", {"envs": [str], "envs_details": {str: DETAILS}}),
    ("info --base", {"root_prefix": str}),
    ("info --unsafe-channels", {"channels": [str]}),
    ("list -n demo", [LISTED]),
    ("list -n demo -c", [LISTED]),
    ("list -n demo -e", [LISTED]),
    ("list -n demo -f lib", [LISTED]),
    ("list -n empty", equal([])),
    ("list -n empty anything", equal([])),
    ("list -n demo --revisions", [REVISION]),
    ("search tool", {"tool": [OFFERED]}),
    ("search --envs lib", [{"location": str, "package_records": [FETCHED]}]),
    ("create -n new alone --dry-run", change("LINK", dry=True)),
    ("create -n new alone", change("LINK")),
    ("create -n new", change()),
    ("create -n new --download-only alone", change("LINK")),
    ("install -n demo alone", change("LINK")),
    ("install -n demo alone --dry-run", change("LINK", dry=True)),
    ("install -n demo tool=2", change("UNLINK", "LINK")),
    ("install -n demo tool", NOTHING),
    ("install -n demo tool -S", NOTHING),
    ("update -n demo tool", change("UNLINK", "LINK")),
    ("update -n demo --all --dry-run", change("UNLINK", "LINK", dry=True)),
    ("update -n demo tool -S", NOTHING),
    ("remove -n demo notes", change("UNLINK")),
    ("remove -n demo --all", change("UNLINK")),
    ("remove -n empty --all", change()),
    ("env remove -n demo", change("UNLINK")),
    ("env remove -n demo --dry-run", change("UNLINK", dry=True)),
    ("env create -n new -f environment.yml", change("LINK")),
    ("env create -n new -f environment.yml --dry-run", change("LINK", dry=True)),
    ("env update -n demo -f environment.yml", change("LINK")),
    ("create -n new --clone demo", RELOCATED),
    ("rename -n demo new", RELOCATED),
    ("rename -n demo new --dry-run", Exactly({**RELOCATED, "dry_run": SUCCESS})),
    ("env export -n demo", EXPORTED),
    ("export -n demo --from-history", EXPORTED),
    ("export -n demo --file out.yml", WRITTEN),
    ("env config vars list -n demo", equal({"A": "1"})),
    ("notices", equal([])),
    ("plugins list", equal([])),
    ("compare -n demo environment.yml", [str]),
    ("config --show channels", equal({"channels": ["channel"]})),
    ("config --show channel_alias default_channels", {"channel_alias": CHANNEL, "default_channels": [CHANNEL]}),
    ("config --show custom_channels custom_multichannels", CUSTOM),
    ("config --show", {str: lambda value: True}),
    ("config --show-sources", {str: {str: lambda value: True}}),
    ("config --describe channels", [DESCRIBED]),
    ("config --get channels", {**EDITED, "get": equal({"channels": ["channel"]})}),
    ("config --get channel_priority", {**EDITED, "get": equal({})}),
    ("config --get nonsense", {**EDITED, "get": equal({})}),
    ("config --set channel_priority strict", {**EDITED, "get": equal({})}),
    ("config --add channels other", {**EDITED, "get": equal({})}),
    ("config --append channels other", {**EDITED, "get": equal({})}),
    ("config --remove channels channel", {**EDITED, "get": equal({})}),
    ("config --remove-key channels", {**EDITED, "get": equal({})}),
    ("clean --tarballs --dry-run", {"success": SUCCESS, "tarballs": CLEANED}),
    ("clean --packages", {"success": SUCCESS, "packages": CLEANED}),
    ("clean --index-cache", {"success": SUCCESS, "index_cache": {"files": [str]}}),
    ("clean --all", ALL_CLEANED),
    ("clean --force-pkgs-dirs", {"success": SUCCESS, "pkgs_dirs": [str]}),
]  # fmt: skip


@pytest.fixture
def house(kaa: Kaa, channel: ChannelBuilder) -> Kaa:
    """A user with a channel, the environment `demo` (tool 1.0, lib 1.0, notes), an empty one, and a file."""
    kaa.ok("config", "--set", "channel_alias", channel.folder.parent.as_uri())
    kaa.ok("config", "--add", "channels", channel.folder.name)
    kaa.ok("create", "-y", "-n", "empty")
    old = ChannelBuilder(channel.folder.parent / "old").add(
        Package("lib", "1.0", files={"lib/libx.so": "library 1.0"}),
        Package("tool", "1.0", depends=["lib <2"], files={"bin/tool": "tool"}),
        Package("notes", "1.0", noarch="generic", files={"share/notes.txt": "noted"}),
    )
    kaa.ok("create", "-y", "-n", "demo", "-O", "-c", old.write().folder.as_uri(), "tool", "notes")
    kaa.ok("env", "config", "vars", "set", "-n", "demo", "A=1")
    (kaa.home / "environment.yml").write_text("dependencies: [notes, alone]\n")
    return kaa


@pytest.mark.parametrize(("words", "shape"), ANSWERS, ids=[words for words, _ in ANSWERS])
def test_answers(house: Kaa, words: str, shape: Shape) -> None:
    answer = house(*words.split(), "--json")
    assert answer.code == (1 if words.startswith("compare") else 0), answer.err
    assert "\0" not in answer.out
    document = json.loads(answer.out)
    check(document, shape)
    # One key, or one item, to a line: some read it with tools for lines.
    assert answer.out == json.dumps(document, indent=2) + "\n"


INFO = {
    "platform": str, "conda_version": equal(CONDA_VERSION), "conda_env_version": str, "conda_build_version": str,
    "root_prefix": str, "conda_prefix": str, "conda_location": str, "root_writable": bool, "av_data_dir": str,
    "av_metadata_url_base": none_or(str), "active_prefix": none_or(str), "active_prefix_name": none_or(str),
    "default_prefix": str, "conda_shlvl": int, "user_rc_path": str, "rc_path": str, "sys_rc_path": str,
    "config_files": [str], "pkgs_dirs": [str], "envs_dirs": [str], "envs": [str], "envs_details": {str: DETAILS},
    "channels": [str], "offline": bool, "virtual_pkgs": [[str]],
    "solver": {"name": str, "user_agent": str, "default": bool}, "user_agent": str, "requests_version": str,
    "python_version": lambda text: re.fullmatch(r"\d+\.\d+\.\d+\.\w+\.\d+", text), "sys.version": str,
    "sys.prefix": str, "sys.executable": str, "site_dirs": [str], "netrc_file": none_or(str), "tmp_dir": str,
    "notices_cache_dir": str, "env_vars": {str: str}, "UID": int, "GID": int,
}  # fmt: skip


@pytest.mark.parametrize("words", ["info", "info --envs", "info --all", "info -s"])
def test_information(house: Kaa, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONDA_PREFIX_1", str(house.root))
    answer = house.ok(*words.split(), "--json")
    check(answer.json(), INFO)
    assert [line.strip() for line in answer.out.splitlines() if "conda_prefix" in line] == [
        f'"conda_prefix": "{house.root}",'
    ]


# -- errors -----------------------------------------------------------------------------------------------------------

ERROR = {
    "caused_by": str,
    "error": str,
    "exception_name": str,
    "exception_type": str,
    "message": str,
}
ERRORS: list[tuple[str, int, str, dict[str, Shape]]] = [
    ("create -n new nothing-like-that", 1, "PackagesNotFoundInChannelsError", {"packages": [str]}),
    ("search nothing-like-that", 1, "PackagesNotFoundInChannelsError", {"packages": [str], "channel_urls": [str]}),
    ("create -n new tool=2 lib=1", 1, "UnsatisfiableError", {}),
    ("remove -n demo alone", 1, "PackagesNotFoundInPrefixError", {"packages": [str], "prefix": str}),
    ("update -n demo alone", 1, "PackageNotInstalledError", {"package_name": [str], "prefix": str}),
    ("update -n demo lib=2", 1, "CondaUpdatePackageError", {}),
    ("update -n demo lib>1", 1, "CondaUpdatePackageError", {}),
    ("update -n demo", 1, "CondaValueError", {}),
    ("install -n demo", 1, "CondaValueError", {}),
    ("list -n demo zzz", 1, "CondaValueError", {}),
    ("list -n demo -f zzz", 1, "PackageNotInstalledError", {"package_name": str}),
    ("list -p nowhere", 1, "EnvironmentLocationNotFound", {"location": str}),
    ("install -p nowhere tool", 1, "EnvironmentLocationNotFound", {"location": str}),
    ("env remove -p nowhere", 1, "EnvironmentLocationNotFound", {"location": str}),
    ("run -p nowhere true", 1, "EnvironmentLocationNotFound", {"location": str}),
    ("list -n absent", 1, "EnvironmentNameNotFound", {"environment_name": str}),
    ("env create -f absent.yml -n new", 1, "EnvironmentFileNotFound", {"filename": str}),
    ("env create -f environment.yml -n demo", 1, "CondaValueError", {}),
    ("create tool", 2, "ArgumentError", {}),
    ("clean", 2, "ArgumentError", {}),
    ("config --show nonsense", 2, "ArgumentError", {}),
    ("config --set nonsense 1", 1, "CondaKeyError", {"key": str}),
    ("config --remove-key ssl_verify", 1, "CondaKeyError", {}),
    ("config --remove channels absent", 1, "CondaKeyError", {}),
    ("search tool -O -c https://127.0.0.1:9/c", 1, "CondaHTTPError", {"url": str}),
    ("search tool --offline -O -c https://127.0.0.1:9/c", 1, "OfflineError", {}),
    ("list -n demo --md5 --explicit [", 1, "CondaValueError", {}),
    ("activate demo", 1, "CondaError", {}),
]


@pytest.mark.parametrize(("words", "code", "name", "fields"), ERRORS, ids=[one[0] for one in ERRORS])
def test_errors(
    house: Kaa, words: str, code: int, name: str, fields: dict[str, Shape], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONDA_REMOTE_MAX_RETRIES", "0")
    before = house.tree(house.root / "envs")
    answer = house(*words.split(), *([] if words.startswith("run") else ["--json"]))
    assert answer.code == code, answer.out
    if words.startswith("run"):
        assert f"{name}: " in answer.err
        return
    document = json.loads(answer.out)
    check(document, ERROR)
    assert (document["exception_name"], document["error"]) == (name, f"{name}: {document['message']}")
    assert document["exception_type"] == f"<class 'conda.exceptions.{name}'>"
    assert list(document) == sorted(document)
    for field, shape in fields.items():
        check(document[field], shape, field)
    assert house.tree(house.root / "envs") == before
    plain = house(*words.split())
    assert (plain.code, plain.out) == (code, "")
    # What was done before the error may be told as well, on lines of its own.
    assert re.search(rf"^\n{'error' if name == 'CondaError' else name}[: ]", plain.err, re.MULTILINE)
    assert plain.err.endswith("\n\n")


@pytest.mark.parametrize(
    "words",
    ["", "-h", "create --help", "env --help", "frobnicate", "list --no-such-flag", "--no-such-flag", "run -n demo"],
)
def test_usage(house: Kaa, words: str) -> None:
    answer = house(*words.split())
    helps = not words or words.endswith(("-h", "--help"))
    assert answer.code == (0 if helps else 2)
    assert bool(answer.out) == helps
    assert bool(answer.err) != helps


# -- texts ------------------------------------------------------------------------------------------------------------


def test_texts(house: Kaa) -> None:
    demo = house.environment("demo")
    assert house.ok("install", "-y", "-n", "demo", "tool").out.strip() == "# All requested packages already installed."
    head = house.ok("list", "-n", "demo").out.splitlines()[:3]
    assert head[:2] == [f"# packages in environment at {demo}:", "#"]
    assert head[2].split() == ["#", "Name", "Version", "Build", "Channel"]
    lines = house.ok("env", "list").out.splitlines()
    assert lines[:5] == ["", "# conda environments:", "#", "# * -> active", "# + -> frozen"]
    assert [line.split() for line in lines if line.startswith("demo")] == [["demo", str(demo)]]
    for flag, marker in (("--export", "lib=1.0=0"), ("--explicit", "@EXPLICIT")):
        lines = house.ok("list", "-n", "demo", flag).out.splitlines()
        assert lines[2] == "# platform: linux-64"
        assert [line.startswith("#") for line in lines[:5]] == [True, True, True, True, False]
        assert lines[4] == marker
    explicit = house.ok("list", "-n", "demo", "--explicit", "--md5", "--json").out
    assert re.search(r"^file://.*/lib-1\.0-0\.conda#[0-9a-f]{32}$", explicit, re.MULTILINE)
    assert house.ok("info", "--base").out == f"{house.root}\n"
    assert house.ok("env", "config", "vars", "list", "-n", "demo").out == "A = 1\n"
    assert house.ok("config", "--get", "channels").out == "--add channels 'channel'   # highest priority\n"
    answer = house.ok("create", "-n", "new", "alone", "--dry-run")
    assert "alone" in answer.out
    assert answer.err.endswith("\nDryRunExit: Dry run. Exiting.\n\n")
