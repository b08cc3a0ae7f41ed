"""What a user waits for per command: the probes of editors, `run`, and activation; beside the peers that are here.

    python -m benchmarks commands

kaa is installed from this checkout first (`benchmarks.installed`). Peers that take conda's command line are looked for
on PATH; py-rattler, which has no command line, gives the same answers to a few lines of Python, as a floor.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from benchmarks.installed import clean_environ, installed_kaa
from benchmarks.measure import Figure, have_rattler, in_turn, run_program, show
from benchmarks.worlds import write_many_files

PEERS = ("conda", "mamba", "micromamba")
SHELLS = ("bash", "zsh", "dash", "fish")
TIMES = 50
"""Activations and deactivations in one measured shell."""

RATTLER = {
    "info --json": "import json, rattler; print(json.dumps([str(p) for p in rattler.VirtualPackage.detect()]))",
    "list --json": (
        "import glob, json, sys; from rattler import PrefixRecord; "
        "found = [PrefixRecord.from_path(path) for path in glob.glob(sys.argv[1] + '/conda-meta/*.json')]; "
        "print(json.dumps([[r.name.normalized, str(r.version), str(r.build)] for r in found]))"
    ),
    "shell.posix activate": (
        "import sys; from pathlib import Path; from rattler.shell import ActivationVariables, Shell, activate; "
        "print(activate(Path(sys.argv[1]), ActivationVariables(None, []), Shell.bash).script)"
    ),
}
"""Command → the same answer by py-rattler; the environment is the first word."""


def main() -> None:
    kaa = installed_kaa()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        environ = clean_environ(home)
        prefix = furnish(kaa, home, environ)
        commands = {
            "info --json": ["info", "--json"],
            "env list --json": ["env", "list", "--json"],
            "list --json": ["list", "--prefix", str(prefix), "--json"],
            "run true": ["run", "--prefix", str(prefix), "true"],
            "shell.posix activate": ["shell.posix", "activate", str(prefix)],
        }
        peers = [peer for peer in PEERS if shutil.which(peer)]
        for name, words in commands.items():
            show(name, in_turn(contestants(name, kaa, peers, words, environ, prefix), rounds=15))
        shells = {shell: activations(shell, kaa, home, environ) for shell in SHELLS if shutil.which(shell)}
        show(f"activate, through the function, nothing changed (mean of {2 * TIMES})", in_turn(shells, rounds=7))
    missing = [peer for peer in PEERS if peer not in peers] + ([] if have_rattler() else ["py-rattler"])
    missing += [shell for shell in SHELLS if shell not in shells]
    print(f"\nNot here, so not measured: {', '.join(missing) or 'nothing'}.")


def furnish(kaa: Path, home: Path, environ: Mapping[str, str]) -> Path:
    """A root prefix with environments, one of which holds packages and asks for a variable; gives that one."""
    write_many_files(home / "channel", files=20)
    channel = (home / "channel").as_uri()
    words = [f"many{number}" for number in range(24)]
    for name, specs in (("demo", words), ("other", words[:2])):
        run_program([str(kaa), "create", "-y", "-q", "-n", name, "-O", "-c", channel, *specs], environ=environ)
    run_program([str(kaa), "env", "config", "vars", "set", "-n", "demo", "FOO=bar"], environ=environ)
    return home / "kaa" / "envs" / "demo"


def contestants(
    name: str, kaa: Path, peers: Sequence[str], words: Sequence[str], environ: Mapping[str, str], prefix: Path
) -> dict[str, Callable[[], Figure]]:
    """kaa, the peers, and what is the least that any of them can take."""
    found = {"kaa": runner([str(kaa), *words], environ)}
    for peer in peers:
        found[peer] = runner([peer, *words], environ)
    if name in RATTLER and have_rattler():
        found["py-rattler, as a floor"] = runner([sys.executable, "-c", RATTLER[name], str(prefix)], environ)
    if name == "run true":
        found["true alone"] = runner(["true"], environ)
    found["python -c pass"] = runner([str(kaa.parent / "python"), "-c", "pass"], environ)
    found["python -c 'import msgspec'"] = runner([str(kaa.parent / "python"), "-c", "import msgspec"], environ)
    return found


def runner(words: Sequence[str], environ: Mapping[str, str]) -> Callable[[], Figure]:
    """A contestant that is one program."""
    return lambda: run_program(words, environ=environ)


def activations(shell: str, kaa: Path, home: Path, environ: Mapping[str, str]) -> Callable[[], Figure]:
    """A contestant that is one activation or deactivation: many in one shell, without what the shell itself takes."""
    load = (
        f"{kaa} shell hook fish | source"
        if shell == "fish"
        else f'eval "$({shlex.quote(str(kaa))} shell hook {shell})"'
    )
    script = home / f"activations.{shell}"
    pair = "kaa activate demo\nkaa deactivate\n"

    def measure(times: int) -> Figure:
        # The first pair is kept from an earlier run, unless this is the first.
        script.write_text(f"{load}\n{pair * (times + 1)}")
        return run_program([shell, str(script)], environ=environ)

    def one() -> Figure:
        with_them, without = measure(TIMES), measure(0)
        each = 2 * TIMES
        return Figure((with_them.cpu - without.cpu) / each, (with_them.wall - without.wall) / each)

    let_settle(home)
    return one


def let_settle(home: Path) -> None:
    """Let all files be a minute old: kaa keeps no activation that rests on a file which has just changed."""
    for folder, _, files in os.walk(home / "kaa"):
        for path in (Path(folder), *(Path(folder, name) for name in files)):
            if not path.is_symlink():
                changed = path.stat().st_mtime - 60
                os.utime(path, (changed, changed))
