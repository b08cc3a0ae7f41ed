"""Groups of arguments that commands share.

Arguments that set an option of `kaa.config.options` are stored under the option's name, and under None while they are
not given: what was given is then what the command line says (`kaa.cli.opening.given_options`).
"""

from __future__ import annotations

import importlib

from kaa.cli.plain_words import SUPPRESS
from kaa.models.subdir import KNOWN_SUBDIRS, NOARCH

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

CHANNEL_PRIORITIES = ("strict", "flexible", "disabled")
STRATEGIES = ("highest", "lowest", "lowest-direct")

MAP = "map"
"""The action of a flag that takes NAME=VALUE, several times, as one map."""
NAMES = "names"
"""The action of a flag that takes a NAME, several times."""


def flag(parser: argparse._ActionsContainer, *names: str, option: str, value: object = True, help: str) -> None:
    """A flag that sets an option to a value."""
    parser.add_argument(*names, dest=option, action="store_const", const=value, default=None, help=help)


def ignored(parser: argparse._ActionsContainer, *names: str, nargs: int | str | None = 0) -> None:
    """A flag of conda that means nothing here; accepted, so that scripts go on working."""
    if nargs == 0:
        parser.add_argument(*names, dest="_ignored", action="store_true", default=None, help=SUPPRESS)
    else:
        parser.add_argument(*names, dest="_ignored", nargs=nargs, help=SUPPRESS)


def add_output(parser: argparse.ArgumentParser) -> None:
    """--json, --quiet, --verbose, --root-prefix; every command has them."""
    group = parser.add_argument_group("output")
    flag(group, "--json", option="json", help="print the result as JSON")
    flag(group, "-q", "--quiet", option="quiet", help="show no progress")
    group.add_argument("-v", "--verbose", dest="verbosity", action="count", default=None, help="tell more")
    group.add_argument("--root-prefix", metavar="DIR", help="where kaa lives (default: $KAA_ROOT_PREFIX, or ~/kaa)")
    flag(group, "--debug", option="verbosity", value=3, help=SUPPRESS)
    flag(group, "--trace", option="verbosity", value=4, help=SUPPRESS)
    ignored(group, "--no-plugins")
    ignored(group, "--console", nargs=None)


def add_target(parser: argparse.ArgumentParser) -> None:
    """--name and --prefix."""
    group = parser.add_argument_group("which environment").add_mutually_exclusive_group()
    group.add_argument("-n", "--name", metavar="NAME", help="the environment of that name")
    group.add_argument("-p", "--prefix", metavar="DIR", help="the environment in that directory")


def add_prompts(parser: argparse.ArgumentParser) -> None:
    """--yes and --dry-run."""
    group = parser.add_argument_group("before anything changes")
    flag(group, "-y", "--yes", option="always_yes", help="do not ask")
    flag(group, "-d", "--dry-run", option="dry_run", help="show what would be done, and stop")


def _unfit(text: str) -> Exception:
    """What argparse shows: it is there when it has asked for a value."""
    error: Exception = importlib.import_module("argparse").ArgumentTypeError(text)
    return error


def point_in_time(text: str) -> str:
    """What --exclude-newer takes; an empty text (of a variable that is not set) must not let everything in."""
    if text.strip():
        return text
    raise _unfit("it is empty; give a date, a time or an age, or false for no cut-off")


def platform(text: str) -> str:
    """The name of a platform; a misspelt one would only look like a channel without packages."""
    known = [subdir for subdir in KNOWN_SUBDIRS if subdir != NOARCH]
    if text in known:
        return text
    near: list[str] = importlib.import_module("difflib").get_close_matches(text, known)
    meant = f"did you mean {' or '.join(near)}?" if near else "it is one like linux-64, osx-arm64 or win-64"
    raise _unfit(f"{text!r} is no platform; {meant}")


def add_channels(parser: argparse.ArgumentParser, *, several_platforms: bool = False) -> argparse._ArgumentGroup:
    """--channel, --override-channels, --subdir, and how repodata is fetched."""
    group = parser.add_argument_group("channels")
    group.add_argument(
        "-c",
        "--channel",
        dest="channels",
        action="append",
        metavar="CHANNEL",
        help="take packages from this channel as well, before the configured ones; may be repeated",
    )
    group.add_argument(
        "-O", "--override-channels", action="store_true", help="use the channels given with -c and no others"
    )
    group.add_argument(
        "--subdir",
        "--platform",
        dest="platforms" if several_platforms else "subdir",
        action="append" if several_platforms else "store",
        type=platform,
        metavar="SUBDIR",
        help=f"the platform to take packages for{'; may be repeated' if several_platforms else ''}",
    )
    flag(
        group,
        "--follow-channel-relations",
        option="follow_channel_relations",
        help="use the channels, too, that a channel names as its base or as what it overrides",
    )
    flag(group, "--no-follow-channel-relations", option="follow_channel_relations", value=False, help=SUPPRESS)
    flag(group, "--repodata-use-zst", option="repodata_use_zst", help=SUPPRESS)
    flag(group, "--no-repodata-use-zst", option="repodata_use_zst", value=False, help=SUPPRESS)
    flag(group, "--repodata-use-shards", option="repodata_use_shards", help=SUPPRESS)
    flag(
        group,
        "--no-repodata-use-shards",
        option="repodata_use_shards",
        value=False,
        help="read whole lists of packages, also where a channel offers them in shards",
    )
    ignored(group, "--use-local")
    ignored(group, "--repodata-fn", nargs=None)
    ignored(group, "--experimental", nargs=None)
    ignored(group, "--no-lock")
    return group


def add_network(parser: argparse.ArgumentParser) -> None:
    """--offline, --insecure."""
    group = parser.add_argument_group("network")
    flag(group, "--offline", option="offline", help="use what is on this machine")
    flag(group, "-k", "--insecure", option="ssl_verify", value=False, help="trust any server (dangerous)")
    ignored(group, "-C", "--use-index-cache")


def add_solving(parser: argparse.ArgumentParser) -> None:
    """Channel priority, which dependencies, pins."""
    group = parser.add_argument_group("solving")
    flag(
        group,
        "--strict-channel-priority",
        option="channel_priority",
        value="strict",
        help="take a package only from the first channel that has it",
    )
    flag(
        group,
        "--no-channel-priority",
        option="channel_priority",
        value="disabled",
        help="let versions decide, not channels",
    )
    group.add_argument(
        "--channel-priority",
        dest="channel_priority",
        nargs="?",
        const="flexible",
        choices=CHANNEL_PRIORITIES,
        default=None,
        help="how much the order of channels means",
    )
    chosen = group.add_mutually_exclusive_group()
    chosen.add_argument("--no-deps", action="store_true", help="only the named packages, not what they need")
    chosen.add_argument("--only-deps", action="store_true", help="only what the named packages need")
    group.add_argument("--no-pin", action="store_true", help="leave pinned specs aside")
    group.add_argument(
        "--strategy",
        "--solve-strategy",
        dest="solve_strategy",
        choices=STRATEGIES,
        default=None,
        help="which versions to prefer: the highest, the lowest, or the lowest of the named packages alone",
    )
    group.add_argument(
        "--solve-timeout",
        dest="solve_timeout",
        metavar="SECONDS",
        default=None,
        help="give up looking for a solution after so many seconds; 0: never",
    )
    group.add_argument(
        "--exclude-newer",
        dest="exclude_newer",
        type=point_in_time,
        metavar="WHEN",
        default=None,
        help="leave out packages newer than a date (2026-03-01), a time or an age (7d); false: none",
    )
    group.add_argument(
        "--exclude-newer-package",
        dest="exclude_newer_package",
        action=MAP,
        metavar="NAME=WHEN",
        help="the same for one package; may be repeated",
    )
    group.add_argument(
        "--virtual-package",
        dest="override_virtual_packages",
        action=MAP,
        metavar="NAME=VERSION",
        help="solve for a machine with this virtual package, as in __glibc=2.28; empty: without it; may be repeated",
    )
    group.add_argument(
        "--save-problem",
        metavar="FILE",
        help="write all that the solver saw to a file (compressed: .zst), for `kaa solve-problem`",
    )
    add_building(group)
    ignored(group, "--solver", nargs=None)


def add_building(group: argparse._ActionsContainer) -> None:
    """--build and --build-package."""
    flag(
        group,
        "--build",
        option="build_sdists",
        value=("*",),
        help="build wheels of projects of which an index of Python packages has only source archives; this runs code "
        "of their makers",
    )
    group.add_argument(
        "--build-package",
        dest="build_sdists",
        action=NAMES,
        metavar="NAME",
        help="the same for one project; may be repeated",
    )


def add_update_mode(parser: argparse.ArgumentParser) -> None:
    """What may change beside the named packages."""
    group = parser.add_argument_group("what else may change").add_mutually_exclusive_group()
    group.add_argument(
        "--freeze-installed", "--no-update-deps", action="store_true", help="change nothing that is installed"
    )
    group.add_argument("--update-deps", action="store_true", help="update what the named packages need as well")
    group.add_argument(
        "-S",
        "--satisfied-skip-solve",
        action="store_true",
        help="do nothing if what is installed satisfies the request",
    )
    group.add_argument("--update-all", "--all", dest="update_all", action="store_true", help="update every package")
    group.add_argument("--update-specs", action="store_true", help="update the named packages")


def add_linking(parser: argparse.ArgumentParser) -> None:
    """How packages come into the environment."""
    group = parser.add_argument_group("linking")
    flag(group, "--copy", option="always_copy", help="copy files, never link them")
    flag(
        group,
        "--verify-cache",
        option="verify_cache",
        help="compare packages of the cache with their archives, and fetch again what differs",
    )
    group.add_argument("--download-only", action="store_true", help="fill the package cache, change no environment")
    flag(group, "--shortcuts", option="shortcuts", help=SUPPRESS)
    flag(group, "--no-shortcuts", option="shortcuts", value=False, help=SUPPRESS)
    flag(group, "--clobber", option="path_conflict", value="clobber", help=SUPPRESS)
    ignored(group, "--shortcuts-only", nargs=None)
    flag(group, "--show-channel-urls", option="show_channel_urls", help=SUPPRESS)
    flag(group, "--no-show-channel-urls", option="show_channel_urls", value=False, help=SUPPRESS)
    add_old_flags(group)


def add_old_flags(parser: argparse._ActionsContainer) -> None:
    """What old scripts give, and what means nothing any more."""
    for name in ("--force-pscheck", "--dev", "--unknown"):
        ignored(parser, name)
    ignored(parser, "-m", "--mkdir")


def add_frozen(parser: argparse.ArgumentParser) -> None:
    """--override-frozen."""
    flag(
        parser,
        "--override-frozen",
        option="protect_frozen_envs",
        value=False,
        help="change an environment that is marked as frozen",
    )


def add_files(parser: argparse.ArgumentParser) -> None:
    """--file."""
    parser.add_argument(
        "-f",
        "--file",
        dest="files",
        action="append",
        default=[],
        metavar="FILE",
        help="read specs, or URLs after a line @EXPLICIT, from a file; may be repeated",
    )
    add_file_format(parser)


def add_file_format(parser: argparse._ActionsContainer) -> None:
    """conda's word for which kind of file it is; kaa goes by its name and content."""
    ignored(parser, "--format", "--environment-specifier", "--env-spec", nargs=None)


def add_specs(parser: argparse.ArgumentParser, help: str) -> None:
    """The positional specs."""
    parser.add_argument("specs", nargs="*", metavar="SPEC", help=help)
