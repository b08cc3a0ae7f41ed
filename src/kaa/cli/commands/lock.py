"""`kaa lock`: solve what files ask for into exact packages, for one or several platforms."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from kaa.api.environment_files import FileContent, channels_for, find_file, put_together, read_environment_file
from kaa.api.lock_formats import LOCK_FORMATS, as_written, lock_format_of, lock_text
from kaa.api.locking import Asked, lock_environment
from kaa.api.pip_sections import PipSection, put_together_sections
from kaa.api.session import Session
from kaa.cli.arguments import add_channels, add_network, add_output, add_prompts, add_solving
from kaa.cli.changing import Request, change_options
from kaa.cli.env_files import section_of, tell_unknown_keys
from kaa.cli.lock_differences import Differences, as_on_that_machine, differences_of, read_present
from kaa.cli.output import print_json
from kaa.cli.prompt import DryRunEnds
from kaa.config.sources import expand_text
from kaa.envfiles.lock import Lock
from kaa.envfiles.spec import InvalidEnvironmentFile
from kaa.host.files import write_atomic

HELP = """Solve what environment files and lists of specs ask for, and write the exact packages into a lock.

    kaa lock environment.yml
    kaa lock environment.yml --platform linux-64 --platform osx-arm64
    kaa lock environment.yml --output conda-lock.yml

Several files are put together. The lock of kaa's own format holds no places: `kaa sync` and `kaa create --file` take
its packages, recognised by their hashes, from the cache, a folder, a mirror or the channel, with the same lock."""

DEFAULT_OUTPUT = "kaa.lock"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="*", metavar="FILE", help="environment files or lists of specs")
    parser.add_argument("-o", "--output", metavar="FILE", help=f"where the lock is written (default: {DEFAULT_OUTPUT})")
    parser.add_argument("--format", choices=LOCK_FORMATS, help="the format, if the name of the output does not say it")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if the lock would change")
    parser.add_argument("--without-pip", action="store_true", help="leave the pip sections of the files out")
    add_channels(parser, several_platforms=True)
    add_solving(parser)
    add_prompts(parser)
    add_network(parser)
    add_output(parser)


def run(arguments: argparse.Namespace, session: Session) -> int:
    output = session.cwd / expand_text(arguments.output or DEFAULT_OUTPUT, session.environ)
    files = arguments.files or [find_file(session, None)]
    form = arguments.format or lock_format_of(output.name)
    lock = as_written(session, lock_files(arguments, session, files), form)
    return put_down(arguments, session, output, lock, form, lambda lock: lock_text(lock, form, sources=files))


def lock_files(arguments: argparse.Namespace, session: Session, files: list[str]) -> Lock:
    """The lock of what files ask for, for the platforms of the command line, else of the files, else this one."""

    def asked(platform: str) -> Asked:
        contents = [read_environment_file(session, file, platform) for file in files]
        for content in contents:
            if content.entries:
                raise InvalidEnvironmentFile(
                    content.filename,
                    "it lists packages by address, which are as exact as a lock",
                    hints=(f"make the environment from it: kaa create --file {content.filename}",),
                )
        spec = put_together([content.spec for content in contents])
        channels = channels_for(session, spec, arguments.channels or (), override=arguments.override_channels)
        if arguments.without_pip or not spec.pip:
            return Asked(spec, channels)
        return Asked(spec, channels, partial(sections_of, contents=contents, request=Request(spec.specs)))

    spec = asked(session.subdir).spec
    tell_unknown_keys(session, ", ".join(files), spec)
    platforms = list(dict.fromkeys(arguments.platforms or spec.platforms or [session.subdir]))
    return lock_environment(session, asked, platforms, options=change_options(arguments))


def sections_of(session: Session, contents: Sequence[FileContent], request: Request) -> PipSection:
    """What the sections for pip of the files ask for; paths in each are relative to its file."""
    return put_together_sections([section_of(session, content, request) for content in contents])


def put_down(
    arguments: argparse.Namespace,
    session: Session,
    output: Path,
    lock: Lock,
    form: str,
    text_of: Callable[[Lock], str],
) -> int:
    """Write the lock, or tell what would change; exit code 1 when --check finds it changed."""
    config = session.config
    text = text_of(lock)
    present = read_present(output)
    differences = differences_of(present, lock)
    changed = present is None or present.text != text_of(as_on_that_machine(lock, present))
    if not (arguments.check or config.dry_run) and changed:
        write_atomic(output, text.encode())
    if config.json:
        print_json(
            {
                "success": not (arguments.check and changed),
                "file": str(output),
                "format": form,
                "changed": changed,
                "dry_run": bool(config.dry_run),
                "platforms": {name: difference.as_json() for name, difference in differences.items()},
            }
        )
    else:
        print(told(arguments, output, lock, changed, differences))
        if config.dry_run and not arguments.check:
            raise DryRunEnds
    return 1 if arguments.check and changed else 0


def told(
    arguments: argparse.Namespace, output: Path, lock: Lock, changed: bool, differences: dict[str, Differences]
) -> str:
    """What became of the lock, in lines."""
    first = lock.environments[0]
    counts = ", ".join(
        f"{len(found) + len(first.pypi.get(name, ()))} packages for {name}" for name, found in first.conda.items()
    )
    if not changed:
        return f"{output} is as it was: {counts}"
    lines = [line for name, difference in differences.items() for line in difference.lines(name)]
    head = f"{output} would change" if arguments.check else f"{output}: {counts}"
    return "\n".join([head, *lines])
