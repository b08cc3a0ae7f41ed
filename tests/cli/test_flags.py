"""The flags of conda's commands: every one is taken, and those that mean something do what they say."""

from __future__ import annotations

import argparse
import importlib
import io
import json
import shutil
from pathlib import Path

import pytest

from kaa.cli.parsers import make_parser
from kaa.cli.table import find_command
from kaa.prefix.generations import GENERATIONS
from tests.channels import ChannelBuilder, Package
from tests.cli.commands import Kaa

TARGET = "-n --name -p --prefix"
OUTPUT = "--json -v --verbose -q --quiet --console --debug --trace"
PROMPTS = "-y --yes -d --dry-run"
CHANNELS = (
    "-c --channel --use-local -O --override-channels --repodata-fn --experimental --no-lock --repodata-use-zst "
    "--no-repodata-use-zst --repodata-use-shards --no-repodata-use-shards"
)
SOLVER = (
    "--strict-channel-priority --no-channel-priority --channel-priority --no-deps --only-deps --no-pin "
    "--exclude-newer --solver --prune"
)
MODE = "--freeze-installed --no-update-deps --update-deps -S --satisfied-skip-solve --update-all --all --update-specs"
NETWORK = "-C --use-index-cache -k --insecure --offline"
LINKING = (
    "--copy --clobber --shortcuts --no-shortcuts --shortcuts-only --force --download-only --show-channel-urls "
    "--no-show-channel-urls"
)
FILES = "-f --file --format --environment-specifier --env-spec"
OLD = "--dev --force-pscheck --unknown"
SUBDIR = "--subdir --platform"
FROZEN = "--override-frozen"
EXPORT = (
    f"{TARGET} {OUTPUT} -c -O {SUBDIR} --override-platforms -f --file --format --no-builds --ignore-channels "
    "--from-history"
)
CHANGE = f"{TARGET} {OUTPUT} {PROMPTS} {CHANNELS} {SOLVER} {NETWORK} {LINKING} {FILES} {OLD} -m --mkdir {SUBDIR}"

FLAGS = {
    "create": f"{CHANGE} --clone --no-default-packages",
    "install": f"{CHANGE} {MODE} {FROZEN} --force-reinstall --revision",
    "update": f"{CHANGE} {MODE} {FROZEN} --force-reinstall",
    "upgrade": TARGET,
    "remove": f"{TARGET} {OUTPUT} {PROMPTS} {CHANNELS} {SOLVER} {NETWORK} {FROZEN} {OLD} --all --keep-env --features "
    "--force-remove --force --no-pin",
    "uninstall": TARGET,
    "list": f"{TARGET} {OUTPUT} -f --full-name -c --canonical -e --export --explicit --md5 --sha256 --auth -r "
    "--revisions --size --reverse --fields --no-pip --show-channel-urls --no-show-channel-urls",
    "search": f"{OUTPUT} {CHANNELS} {NETWORK} {SUBDIR} -i --info --envs --skip-flexible-search --canonical -f "
    "--full-name --names-only -o --outdated --spec --reverse-dependency",
    "info": f"{OUTPUT} -a --all --base -e --envs -s --system --size --unsafe-channels --offline -l --license",
    "env list": f"{OUTPUT} --size",
    "env create": f"{TARGET} {OUTPUT} {PROMPTS} {NETWORK} {FILES} {SUBDIR} --no-default-packages --solver --force",
    "env update": f"{TARGET} {OUTPUT} -f --file --prune --solver",
    "env remove": f"{TARGET} {OUTPUT} {PROMPTS} {FROZEN} --solver",
    "env export": EXPORT,
    "export": EXPORT,
    "env config vars list": f"{TARGET} {OUTPUT}",
    "env config vars set": TARGET,
    "env config vars unset": TARGET,
    "config": f"{TARGET} {OUTPUT} --system --env --file --show --show-sources --validate --describe --write-default "
    "--get --append --prepend --add --set --remove --clear --remove-key --stdin -f --force",
    "clean": f"{OUTPUT} {PROMPTS} -a --all -i --index-cache -p --packages -t --tarballs -f --force-pkgs-dirs -c "
    "--tempfiles -l --logfiles",
    "init": f"{OUTPUT} --all --user --reverse -d --dry-run",
    "run": f"{TARGET} -s --no-capture-output --live-stream --cwd --debug-wrapper-scripts --dev -v",
    "rename": f"{TARGET} {OUTPUT} {PROMPTS}",
    "compare": f"{TARGET} {OUTPUT}",
    "doctor": f"{TARGET} {OUTPUT} {FROZEN} --list --fix --heal",
    "check": TARGET,
    "notices": f"{OUTPUT} -c -O",
    "package": f"{TARGET} {OUTPUT} -w --which -r --reset -u --untracked --pkg-name --pkg-version --pkg-build",
    "plugins list": OUTPUT,
    "commands": OUTPUT,
    "activate": "--stack --no-stack",
}


def parser_of(words: list[str]) -> argparse.ArgumentParser:
    """The parser of a command, or of a word of it."""
    command = find_command(words[0])
    assert command is not None
    parser = make_parser(command, importlib.import_module(command.module))
    for word in words[1:]:
        [action] = [one for one in parser._actions if isinstance(one, argparse._SubParsersAction)]
        parser = action.choices[word]
    return parser


@pytest.mark.parametrize("command", FLAGS)
def test_every_flag_of_conda_is_taken(command: str) -> None:
    missing = set(FLAGS[command].split()) - set(parser_of(command.split())._option_string_actions)
    assert not missing


@pytest.fixture
def demo(kaa: Kaa, channel: ChannelBuilder) -> Path:
    """An environment with tool 1.0, lib 1.0 and notes; the channel is configured."""
    kaa.ok("config", "--set", "channel_alias", channel.folder.parent.as_uri())
    kaa.ok("config", "--add", "channels", channel.folder.name)
    kaa.ok("create", "-y", "-n", "demo", "tool=1", "notes")
    return kaa.environment("demo")


def names(kaa: Kaa) -> list[str]:
    return [f"{one['name']}-{one['version']}" for one in kaa.ok("list", "-n", "demo", "--json").json()]


IGNORED = (
    "--no-lock --experimental jlap --repodata-fn current_repodata.json -C --dev --force-pscheck --unknown -m "
    "--console classic --solver libmamba --prune --shortcuts-only x --format environment.yml --env-spec y --use-local"
)


def test_what_means_nothing_changes_nothing(kaa: Kaa, demo: Path) -> None:
    plain = kaa.ok("install", "-n", "demo", "tool=2", "--dry-run", "--json").json()
    assert kaa.ok("install", "-n", "demo", "tool=2", "--dry-run", "--json", *IGNORED.split()).json() == plain
    kaa.ok("create", "-y", "-n", "other", "alone", *IGNORED.split(), "--force")
    kaa.ok("env", "remove", "-y", "-n", "other", "--solver", "classic")


# -- list -------------------------------------------------------------------------------------------------------------


def test_fields(kaa: Kaa, demo: Path) -> None:
    lines = kaa.ok("list", "-n", "demo", "--fields", "version, name,size,depends,fn").out.splitlines()
    assert lines[2].split() == ["#", "Version", "Name", "Size", "Depends", "Fn"]
    [tool] = [line.split() for line in lines[3:] if "tool" in line]
    assert tool[:2] + tool[-3:] == ["1.0", "tool", "lib", "<2", "tool-1.0-0.conda"]
    usual = kaa.ok("list", "-n", "demo", "--json").json()
    assert kaa.ok("list", "-n", "demo", "--fields", "name", "--json").json() == usual
    assert kaa.ok("list", "-n", "demo", "--fields", "name,version,build,channel_name").out == (
        kaa.ok("list", "-n", "demo").out
    )


@pytest.mark.parametrize(("text", "hint"), [("nmae", "did you mean name?"), ("qqq", "the fields are"), (",", "the fi")])
def test_fields_that_are_none(kaa: Kaa, demo: Path, text: str, hint: str) -> None:
    answer = kaa("list", "-n", "demo", "--fields", text)
    assert answer.code == 2
    assert hint in answer.err


def test_sizes_of_packages(kaa: Kaa, demo: Path) -> None:
    sizes = {one["name"]: one["size"] for one in kaa.ok("list", "-n", "demo", "--size", "--json").json()}
    assert sizes["lib"] == len(b"library 1.0") + len(b"#define X")
    lines = kaa.ok("list", "-n", "demo", "--size").out.splitlines()
    assert lines[2].split()[-1] == "Size"
    assert lines[3].split() == ["lib", "1.0", "0", "channel", "20", "B"]


def test_sizes_of_environments(kaa: Kaa, demo: Path) -> None:
    (demo / "mine").write_bytes(b"x" * 5_000_000)
    (demo / "again").hardlink_to(demo / "mine")
    nested = kaa.root / "conda-meta"
    nested.mkdir(parents=True, exist_ok=True)
    (nested / "history").touch()
    for words in (["env", "list"], ["info", "--envs"]):
        details = kaa.ok(*words, "--size", "--json").json()["envs_details"]
        assert 5_000_000 < details[str(demo)]["size"] < 6_000_000
        assert details[str(kaa.root)]["size"] < 1_000_000
        assert "size" not in kaa.ok(*words, "--json").json()["envs_details"][str(demo)]
        [line] = [line for line in kaa.ok(*words, "--size").out.splitlines() if line.startswith("demo")]
        assert line.split()[0] == "demo"
        assert line.split()[-1] == str(demo)
        assert "5.0 MB" in line


# -- install --revision -----------------------------------------------------------------------------------------------


def forget_generations(prefix: Path) -> None:
    """What an environment looks like that conda made."""
    for path in sorted((prefix / GENERATIONS).rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()


@pytest.mark.parametrize("cached", [True, False])
@pytest.mark.parametrize("by_conda", [False, True])
def test_install_a_revision(kaa: Kaa, demo: Path, by_conda: bool, cached: bool) -> None:
    kaa.ok("install", "-y", "-n", "demo", "tool=2")
    kaa.ok("remove", "-y", "-n", "demo", "notes")
    if by_conda:
        forget_generations(demo)
    if not cached:
        shutil.rmtree(kaa.packages)
    assert names(kaa) == ["lib-2.0", "tool-2.0"]
    before = kaa.tree(demo)
    dry = kaa.ok("install", "-n", "demo", "--revision", "0", "--dry-run", "--json").json()
    assert {one["name"] for one in dry["actions"]["LINK"]} == {"lib", "notes", "tool"}
    assert kaa.tree(demo) == before
    kaa.ok("install", "-y", "-n", "demo", "--revision", "0")
    assert names(kaa) == ["lib-1.0", "notes-1.0", "tool-1.0"]
    assert kaa.ok("export", "-n", "demo", "--from-history", "--json").json()["dependencies"] == ["tool=1", "notes"]
    answer = kaa.ok("install", "-y", "-n", "demo", "--revision", "1", "--json").json()
    assert answer["success"] is True
    assert names(kaa) == ["lib-2.0", "notes-1.0", "tool-2.0"]


def test_revisions_that_are_not_to_be_had(kaa: Kaa, demo: Path, channel: ChannelBuilder) -> None:
    answer = kaa("install", "-y", "-n", "demo", "--revision", "7", "--json")
    assert (answer.code, answer.json()["exception_name"]) == (1, "CondaIndexError")
    answer = kaa("install", "-y", "-n", "demo", "--revision", "0", "alone", "--json")
    assert (answer.code, answer.json()["exception_name"]) == (2, "TooManyArgumentsError")
    assert kaa("install", "-y", "-n", "demo", "--revision", "-1").code == 2
    history = demo / "conda-meta" / "history"
    text = history.read_text().replace("lib-1.0-0", "lib-0.9-0")
    kaa.ok("install", "-y", "-n", "demo", "tool=2")
    history.write_text(text + history.read_text()[len(text) :])
    forget_generations(demo)
    answer = kaa("install", "-y", "-n", "demo", "--revision", "0", "--json")
    assert (answer.code, answer.json()["packages"]) == (1, ["lib-0.9-0"])


# -- remove --features ------------------------------------------------------------------------------------------------


def test_remove_features(kaa: Kaa, demo: Path, channel: ChannelBuilder) -> None:
    channel.add(Package("mkl", "1.0", files={"share/mkl": "x"}, index_extra={"track_features": "fast,wide"})).write()
    kaa.ok("install", "-y", "-n", "demo", "mkl")
    answer = kaa("remove", "-y", "-n", "demo", "--features", "slow", "--json")
    assert (answer.code, answer.json()["exception_name"]) == (1, "PackagesNotFoundInPrefixError")
    assert "mkl-1.0" in names(kaa)
    kaa.ok("remove", "-y", "-n", "demo", "--features", "wide")
    assert names(kaa) == ["lib-1.0", "notes-1.0", "tool-1.0"]
    assert json.loads((demo / "conda-meta" / "lib-1.0-0.json").read_text())["name"] == "lib"


# -- package ----------------------------------------------------------------------------------------------------------


def test_which_package_brought_a_file(kaa: Kaa, demo: Path) -> None:
    (demo / "mine.txt").write_text("mine")
    words = ["package", "-w", str(demo / "bin" / "tool"), "root/envs/demo/mine.txt", "root/envs/demo/../../nowhere"]
    answer = kaa(*words, "--json")
    assert answer.code == 1
    assert answer.json() == [
        {"path": str(demo / "bin" / "tool"), "prefix": str(demo), "packages": ["tool 1.0 0"]},
        {"path": str(demo / "mine.txt"), "prefix": str(demo), "packages": []},
        {"path": str(kaa.root / "nowhere"), "prefix": None, "packages": []},
    ]
    lines = [line.split() for line in kaa(*words).out.splitlines()]
    assert [line[1:] for line in lines] == [["tool", "1.0", "0"], ["no", "package"], ["in", "no", "environment"]]
    assert kaa.ok("package", "--which", str(demo / "lib" / "libx.so")).out.split()[1:] == ["lib", "1.0", "0"]
    assert kaa("package").code == 2
    assert kaa("package", "-w").code == 2


def add_loose_files(kaa: Kaa, demo: Path) -> list[str]:
    """Two files of the user in the environment, one of pip, and an environment within it."""
    kaa.ok("create", "-y", "-p", str(demo / "inner"), "alone")
    site = demo / "lib" / "python3.12" / "site-packages"
    for path, text in {
        site / "rich-13.0.dist-info" / "METADATA": "Metadata-Version: 2.1\nName: rich\nVersion: 13.0\n",
        site
        / "rich-13.0.dist-info"
        / "RECORD": "rich.py,,\nrich-13.0.dist-info/METADATA,,\nrich-13.0.dist-info/RECORD,,\n",
        site / "rich.py": "",
        site / "__pycache__" / "other.cpython-312.pyc": "",
        demo / "bin" / "mine": f"#!{demo}/bin/python\n",
        demo / "own" / "deep" / "data": "data",
    }.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (demo / "bin" / "mine").chmod(0o755)
    (demo / "own" / "link").symlink_to("deep/data")
    return ["bin/mine", "own/deep/data", "own/link"]


def with_python(kaa: Kaa, channel: ChannelBuilder) -> None:
    python = ChannelBuilder(channel.folder.parent / "python")
    python.add(Package("python", "3.12.1", files={"bin/python3.12": "x"})).write()
    kaa.ok("install", "-y", "-n", "demo", "-c", python.folder.as_uri(), "python")


def test_untracked_files_are_listed_and_removed(
    kaa: Kaa, demo: Path, channel: ChannelBuilder, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_python(kaa, channel)
    bare = kaa.tree(demo)
    assert kaa.ok("package", "-u", "-n", "demo").out == ""
    loose = add_loose_files(kaa, demo)
    assert kaa.ok("package", "--untracked", "-p", str(demo)).out.splitlines() == loose
    assert kaa.ok("package", "-u", "-n", "demo", "--json").json()["untracked_files"] == loose
    before = kaa.tree(demo)
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    answer = kaa("package", "--reset", "-n", "demo")
    assert answer.code == 0
    assert "CondaSystemExit: Exiting." in answer.err
    kaa("package", "--reset", "-n", "demo", "--dry-run")
    assert kaa.ok("package", "--reset", "-n", "demo", "--dry-run", "--json").json()["untracked_files"] == loose
    assert kaa.tree(demo) == before
    assert kaa.ok("package", "--reset", "-n", "demo", "--json").json()["untracked_files"] == loose
    assert set(before) - set(kaa.tree(demo)) == {*loose, "own", "own/deep"}
    assert set(bare) <= set(kaa.tree(demo))
    kaa.ok("package", "--reset", "-y", "-n", "demo")


def test_a_package_of_untracked_files(kaa: Kaa, demo: Path, channel: ChannelBuilder) -> None:
    with_python(kaa, channel)
    loose = add_loose_files(kaa, demo)
    words = ["package", "-n", "demo", "--pkg-name", "mine", "--pkg-version", "1.2", "--pkg-build", "h_3"]
    document = kaa.ok(*words, "--json").json()
    path = kaa.home / "mine-1.2-h_3.conda"
    assert (document["path"], document["files"]) == (str(path), loose)
    kaa.ok("create", "-y", "-n", "other", str(path))
    other = kaa.environment("other")
    assert (other / "bin" / "mine").read_text() == f"#!{other}/bin/python\n"
    assert (other / "bin" / "mine").stat().st_mode & 0o777 == 0o755
    assert (other / "own" / "link").read_text() == "data"
    (demo / "bin" / "mine").write_bytes(b"\0" + bytes(demo))
    answer = kaa(*words, "--json")
    assert (answer.code, answer.json()["files"]) == (1, ["bin/mine"])


@pytest.mark.parametrize("words", ["--pkg-name no/name", "--pkg-name a --pkg-version 1-2", "--pkg-name mine"])
def test_packages_that_cannot_be_made(kaa: Kaa, demo: Path, words: str) -> None:
    assert kaa("package", "-n", "demo", *words.split()).code == 2
    assert list(kaa.home.glob("?*.conda")) == []
