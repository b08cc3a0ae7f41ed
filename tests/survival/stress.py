"""Many processes of several users work on one cache and one channel at random, and some are killed.

    python -m tests.survival.stress --processes 24 --seconds 120 --seed 7

prints a report as JSON. Three users create, install, update, remove, undo, clone, rename and clean, in environments of
their own and in shared ones. Two of them fill one cache together, by their group; the third has only what root put into
another one, and a cache of its own for the rest. Afterwards every environment must be sound by `kaa verify`, the caches
whole, no file writable by everybody, and nothing left over.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import pkgutil
import random
import re
import signal
import site
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import kaa
from kaa.cli.main import main as kaa_main
from kaa.cli.table import find_command
from tests.survival.grounds import (
    Ground,
    Stuck,
    cache_problems,
    enter_own_mounts,
    in_child,
    in_new_folder,
    mount_tmpfs,
    now,
    served_elsewhere,
    show,
    watchdog,
)
from tests.survival.scenes import build_channel

GROUP = 54320
USERS = (54321, 54322, 54323)
"""The last one is not of the group."""
SHARED_ENVIRONMENTS = 3
OWN_ENVIRONMENTS = 2
KILLED = 0.08
"""How many of the commands are killed."""
WHOLE_PROCESS = 0.15
"""How many of the commands are programs of their own, and no children with kaa loaded."""
LONGEST = 240
"""Seconds in which a command ends on any machine, unless it waits for ever."""
MOST_PROBLEMS = 20

EXPECTED = {
    # What can become of a command when others do something else at the same time.
    "EnvironmentNameNotFound",
    "EnvironmentLocationNotFound",
    "DirectoryNotACondaEnvironmentError",
    "PackagesNotFoundInPrefixError",
    "PackageNotInstalledError",
}
EXPECTED_TEXTS = (
    "changed since the plan was made",
    "already exists",
    "is an environment already",
    "is changing this environment now",
    "holds other things",
    "nothing can be undone",
    "has no generation",
)


@dataclass
class Report:
    """What was done, and what is wrong afterwards."""

    seed: int
    processes: int
    seconds: float
    commands: dict[str, int] = field(default_factory=dict)
    killed: int = 0
    waits: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    """Commands that ended with an error that the others explain."""
    environments: int = 0
    packages: int = 0
    problems: list[str] = field(default_factory=list)
    skipped: str = ""


class Place:
    """The directories of all users, and how each user runs kaa."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.url = url
        self.shared_cache = folder / "shared-pkgs"
        self.root_cache = folder / "root-pkgs"
        self.shared_environments = folder / "shared-envs"
        self.python = folder / "python"

    def home(self, user: int) -> Path:
        return self.folder / "home" / str(user)

    def make(self) -> None:
        """All directories, each with its owner and mode."""
        for path in (self.shared_cache, self.shared_environments):
            path.mkdir()
            os.chown(path, 0, GROUP)
            path.chmod(0o2775)
        self.root_cache.mkdir()
        (self.folder / "home").mkdir()
        for user in USERS:
            self.home(user).mkdir(mode=0o700)
            os.chown(self.home(user), user, user)

    def show_program(self) -> str:
        """Make the python of these tests, and kaa, reachable for every user; gives why that is not possible."""
        for name, source in self.sources().items():
            why = show(source, self.folder / name)
            if why:
                return why
        return ""

    def sources(self) -> dict[str, Path]:
        packages = next(path for path in map(Path, site.getsitepackages()) if (path / "msgspec").is_dir())
        return {
            "python": Path(sys.base_prefix),
            "site": packages,
            "src": Path(kaa.__file__).parents[1],
            "tests-of-kaa": Path(__file__).parents[2],
        }

    @property
    def interpreter(self) -> str:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        return str(self.python / "bin" / f"python{version}")

    def environ(self, user: int) -> dict[str, str]:
        """The variables of a user."""
        caches = [self.shared_cache] if user != USERS[-1] else [self.root_cache, self.home(user) / "pkgs"]
        return {
            "HOME": str(self.home(user)),
            "KAA_ROOT_PREFIX": str(self.home(user) / "root"),
            "CONDA_PKGS_DIRS": ",".join(map(str, caches)),
            "PATH": os.environ["PATH"],
            "PYTHONPATH": ":".join(str(self.folder / name) for name in ("src", "site", "tests-of-kaa")),
            # Where the interpreter's own library lies; the path that is written in it may be closed to others.
            "LD_LIBRARY_PATH": str(self.python / "lib"),
            "LANG": "C.UTF-8",
            "CONDA_SUBDIR": "linux-64",
            "CONDA_OVERRIDE_GLIBC": "2.36",
            "NO_COLOR": "1",
        }

    def environments(self, user: int) -> list[Path]:
        """Where a user makes environments."""
        own = [self.home(user) / "root" / "envs" / f"own{number}" for number in range(OWN_ENVIRONMENTS)]
        shared = [self.shared_environments / f"shared{number}" for number in range(SHARED_ENVIRONMENTS)]
        return [*own, *(shared if user != USERS[-1] else ())]


def become(user: int) -> None:
    """Be an ordinary user from here on."""
    os.setgroups([GROUP] if user != USERS[-1] else [])
    os.setgid(user)
    os.setuid(user)
    os.umask(0o002)


class Worker:
    """One of the processes: a user who gives one command after the other."""

    def __init__(self, place: Place, user: int, number: int, seed: int) -> None:
        self.place = place
        self.user = user
        self.random = random.Random(f"{seed} {number}")
        self.output = place.folder / "output" / str(number)
        self.report = Report(seed, 1, 0)

    def work(self, until: float) -> None:
        """Give commands until a moment; what became of them is in the report."""
        while now() < until and len(self.report.problems) < MOST_PROBLEMS:
            words = self.command()
            add(self.report.commands, words[0] if words[0] != "env" else "env remove")
            try:
                with watchdog(" ".join(words), LONGEST):
                    self.give(words)
            except Stuck as error:
                self.report.problems.append(f"{error}; it said {self.said()}")

    def command(self) -> list[str]:
        """A command, at random."""
        prefix = self.random.choice(self.place.environments(self.user))
        # Who waits says so in words only.
        form = ["--json"] if self.random.random() < 0.5 else []
        target = ["-y", *form, "-v", "-p", str(prefix)]
        channel = ["--override-channels", "-c", self.place.url]
        version = self.random.choice("12")
        names = ["left", "right", "tiny", f"plain={version}", f"prefixed={version}", "scripted", f"pure={version}"]
        some = self.random.sample(names, self.random.randint(1, 4))
        another = str(prefix.with_name(f"{prefix.name}-{self.random.choice('ab')}"))
        choices: list[tuple[int, list[str]]] = [
            (4, ["create", *target, *channel, *some, "python"]),
            (6, ["install", *target, *channel, *some]),
            (3, ["update", *target, *channel, "--all"]),
            (3, ["remove", *target, *channel, some[0].partition("=")[0]]),
            (3, ["undo", *target]),
            (1, ["env", "remove", *target]),
            (2, ["clean", "-y", *form, "-v", "--all"]),
            (1, ["clean", "-y", *form, "-v", "--packages", "--tempfiles"]),
            (2, ["list", *target[1:]]),
            (1, ["verify", *target[1:]]),
            (1, ["create", "-y", *form, "-v", "-p", another, "--clone", str(prefix)]),
            (1, ["env", "remove", "-y", *form, "-v", "-p", another]),
            (1, ["rename", "-y", *form, "-v", "-p", another, str(prefix.with_name(f"{prefix.name}-c"))]),
        ]
        known = [(weight, words) for weight, words in choices if find_command(words[0]) is not None]
        return self.random.choices([words for _, words in known], [weight for weight, _ in known])[0]

    def give(self, words: Sequence[str]) -> None:
        """Run a command, kill it or let it end, and note what became of it."""
        is_killed = self.random.random() < KILLED
        with in_child(self.of_its_own(words) if self.random.random() < WHOLE_PROCESS else self.loaded(words)) as child:
            if is_killed:
                time.sleep(self.random.random() ** 2)
                child.kill(alone=self.random.random() < 0.5)
            code = child.wait()
        said = self.said()
        self.report.waits += said.count("waiting for")
        if code == -signal.SIGKILL and is_killed:
            self.report.killed += 1
        elif code:
            self.judge(words, code, said)

    def judge(self, words: Sequence[str], code: int, said: str) -> None:
        """Note an error, as a problem unless what the others do explains it."""
        name = found_exception(said)
        if "Traceback" not in said and (name in EXPECTED or any(text in said for text in EXPECTED_TEXTS)):
            add(self.report.refused, name or "other")
        elif words[0] == "verify" and "interrupted" in said:
            add(self.report.refused, "interrupted")
        else:
            self.report.problems.append(f"user {self.user}: kaa {' '.join(words)} ended with {code}: {said}")

    def loaded(self, words: Sequence[str]) -> Callable[[], int]:
        def run() -> int:
            self.begin()
            code = kaa_main(words)
            sys.stdout.flush()
            sys.stderr.flush()
            return code

        return run

    def of_its_own(self, words: Sequence[str]) -> Callable[[], int]:
        def run() -> int:
            self.begin()
            os.execve(self.place.interpreter, [self.place.interpreter, "-m", "kaa", *words], dict(os.environ))

        return run

    def begin(self) -> None:
        """What comes before a command in its process."""
        environ = self.place.environ(self.user)
        os.chdir(self.place.home(self.user))
        os.environ.clear()
        os.environ.update(environ)
        descriptor = os.open(self.output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        os.close(descriptor)

    def said(self) -> str:
        """What the last command printed."""
        return self.output.read_text(errors="replace") if self.output.exists() else ""


def add(counts: dict[str, int], name: str, number: int = 1) -> None:
    """Count one more of a name."""
    counts[name] = counts.get(name, 0) + number


def found_exception(said: str) -> str:
    """The name of the exception in the JSON that a command printed."""
    for start in (said.find("{"), said.rfind("\n{")):
        with contextlib.suppress(ValueError):
            value, _ = json.JSONDecoder().raw_decode(said[max(start, 0) :].lstrip())
            return str(value.get("exception_name", "")) if isinstance(value, dict) else ""
    named = re.search(r"^(\w+Error|\w+NotFound): ", said, re.MULTILINE)
    return named[1] if named else ""


# -- all together -----------------------------------------------------------------------------------------------------


def stress_in(folder: Path, arguments: argparse.Namespace) -> Report:
    """Show the program to all users below a folder, and go on from there; the report when that cannot be done."""
    report = Report(arguments.seed, arguments.processes, arguments.seconds)
    if os.getuid() != 0:
        report.skipped = "only root can be several users"
        return report
    report.skipped = enter_own_mounts() or mount_tmpfs(folder, "size=4g,mode=755")
    place = Place(folder, "")
    if not report.skipped:
        report.skipped = place.show_program()
    if not report.skipped:
        words = [f"--{name}={getattr(arguments, name)}" for name in ("processes", "seconds", "seed")]
        environ = {**os.environ, **place.environ(USERS[0])}
        os.chdir("/")
        os.execve(place.interpreter, [place.interpreter, "-m", __spec__.name, *words, f"--inside={folder}"], environ)
    return report


def stress(folder: Path, arguments: argparse.Namespace) -> Report:
    """Let everybody work below a folder."""
    report = Report(arguments.seed, arguments.processes, arguments.seconds)
    with served_elsewhere(folder / "channel") as server:
        place = Place(folder, server.url)
        place.make()
        build_channel(Ground(folder), place.interpreter)
        (folder / "output").mkdir()
        (folder / "output").chmod(0o1777)
        load_everything()
        fill_root_cache(place)
        run_workers(place, arguments.processes, arguments.seconds, report)
        check(place, report)
    return report


def load_everything() -> None:
    """Load all of kaa, so that children find it loaded that may not read it."""
    for module in pkgutil.walk_packages(kaa.__path__, "kaa."):
        if not module.name.endswith("__main__"):
            with contextlib.suppress(ImportError):
                importlib.import_module(module.name)
    for name in ("urllib3", "truststore", "zstandard", "ruamel.yaml", "rich.progress", "concurrent.futures.thread"):
        importlib.import_module(name)


def fill_root_cache(place: Place) -> None:
    """Put some packages into the cache that only root writes to."""
    words = ["create", "-y", "-p", str(place.folder / "nowhere"), "--download-only"]
    words += ["--override-channels", "-c", place.url, "plain=1", "prefixed=1", "pure=1", "python"]
    environ = {**place.environ(USERS[-1]), "CONDA_PKGS_DIRS": str(place.root_cache), "HOME": str(place.folder)}
    done = subprocess.run([sys.executable, "-m", "kaa", *words], env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def run_workers(place: Place, processes: int, seconds: float, report: Report) -> None:
    """Start all workers, wait for all, and add up what they tell."""
    until = now() + seconds
    pipes: list[tuple[int, int]] = []
    for number in range(processes):
        user = USERS[number % len(USERS)]
        read, write = os.pipe()
        process = os.fork()
        if not process:
            worker = Worker(place, user, number, report.seed)
            try:
                become(user)
                worker.work(until)
            except BaseException as error:
                worker.report.problems.append(f"a worker ended with {type(error).__name__}: {error}")
            try:
                with os.fdopen(write, "w") as stream:
                    json.dump(asdict(worker.report), stream)
            finally:
                os._exit(0)
        os.close(write)
        pipes.append((process, read))
    for process, read in pipes:
        with os.fdopen(read) as stream:
            told = json.load(stream)
        os.waitpid(process, 0)
        for name in told["commands"]:
            add(report.commands, name, told["commands"][name])
        for name in told["refused"]:
            add(report.refused, name, told["refused"][name])
        report.killed += told["killed"]
        report.waits += told["waits"]
        report.problems += told["problems"]


def check(place: Place, report: Report) -> None:
    """Look at everything when all is quiet."""
    for user in USERS:
        worker = Worker(place, user, 1000 + user, report.seed)
        for prefix in sorted({*environments_below(place.home(user)), *environments_below(place.shared_environments)}):
            if user == USERS[-1] and prefix.is_relative_to(place.shared_environments):
                continue
            for words in (["recover", "-p", str(prefix)], ["verify", "-p", str(prefix)]):
                code, said = once(worker, words)
                if code and (prefix / "conda-meta").exists():
                    report.problems.append(f"afterwards, user {user}: kaa {' '.join(words)}: {code} {said}")
            report.environments += prefix.exists()
        code, said = once(worker, ["clean", "-y", "--tempfiles"])
        if code:
            report.problems.append(f"afterwards, user {user}: kaa clean: {code} {said}")
    for cache in (place.shared_cache, place.root_cache, *(place.home(user) / "pkgs" for user in USERS)):
        report.problems += [f"{cache}: {problem}" for problem in cache_problems(cache)]
        report.packages += len(list(cache.glob("*/info/repodata_record.json")))
    report.problems += left_over(place)


def once(worker: Worker, words: Sequence[str]) -> tuple[int, str]:
    """Run a command as a worker's user; its exit code and what it said."""

    def run() -> int:
        become(worker.user)
        return worker.loaded(words)()

    with watchdog(" ".join(words), LONGEST), in_child(run) as child:
        code = child.wait()
    return code, worker.said()


def environments_below(folder: Path) -> Iterator[Path]:
    """What looks like an environment, whole or not."""
    for path in sorted(folder.rglob("conda-meta")):
        if "pkgs" not in path.parts:
            # What is on its way to an environment, or was one, is settled with that environment.
            beside = re.fullmatch(r"\.(.+)\.kaa-\w+", path.parent.name)
            yield path.parent.with_name(beside[1]) if beside else path.parent


def left_over(place: Place) -> Iterator[str]:
    """Files that should not be there, and files that everybody may write to."""
    for folder in (place.shared_cache, place.root_cache, place.shared_environments, place.folder / "home"):
        for parent, folders, files in os.walk(folder):
            for name in (*folders, *files):
                path = Path(parent, name)
                mode = path.lstat().st_mode
                if mode & stat.S_IWOTH and not stat.S_ISLNK(mode):
                    yield f"everybody may write to {path} ({stat.filemode(mode)})"
                if name.endswith((".kaa~", ".kaa-journal", ".kaa-staging", ".kaa-relocation", ".partial")):
                    yield f"left over: {path}"
    for home in (place.shared_environments, *(place.home(user) / "root" / "envs" for user in USERS)):
        for path in sorted(home.iterdir()) if home.is_dir() else ():
            if not (path / "conda-meta" / "history").is_file() and not path.name.endswith("lock"):
                yield f"no environment: {path} with {sorted(str(one.relative_to(path)) for one in path.rglob('*'))[:8]}"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--processes", type=int, default=24)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    parser.add_argument("--inside", type=Path)
    arguments = parser.parse_args()
    if arguments.inside is not None:
        tell(stress(arguments.inside, arguments))
        return
    sys.exit(in_new_folder(lambda folder: tell(stress_in(folder, arguments))))


def tell(report: Report) -> None:
    """Print a report as JSON."""
    print(json.dumps(asdict(report), indent=1))


if __name__ == "__main__":
    main()
