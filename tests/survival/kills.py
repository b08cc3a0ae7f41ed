"""End commands at chosen points, or let their writes fail, and look at what the next command makes of it.

    python -m tests.survival.kills SCENE… --seam 10 --call 20 --short 5 --time 5 --error 10 --seed 7

prints a report as JSON. The ways:

seam    the command ends itself (SIGKILL) at a step of its change
alone   the same, and what it started goes on
call    it is ended right before a system call that changes a file
short   it is ended in the middle of a write
time    another process ends it at some moment
power   it is ended right before a call, and what was not synced to the disk is lost
error   a system call that changes a file fails, and those that follow do not
errors  a system call that changes a file fails, and so do all that follow

After each, one of several commands follows, without a network; then everything must be exactly what it was before, or
what it is when nothing interrupts, with nothing left over, whole packages in the cache, and `kaa verify` content.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import importlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.survival.grounds import (
    Entry,
    Ground,
    Picture,
    Stuck,
    cache_problems,
    differences,
    enter_own_mounts,
    in_child,
    in_new_folder,
    mount_tmpfs,
    now,
    picture,
    served_elsewhere,
    watchdog,
)
from tests.survival.power import UnsyncedData
from tests.survival.scenes import FOLLOWING, SCENES, STATES, build_channel, build_real_channel
from tests.survival.tracing import GO, KILL, SHORT, Call, trace, why_no_tracing

WAYS = ("seam", "alone", "call", "short", "power", "time", "error", "errors")
TRACED = ("call", "short", "power", "error", "errors")
ERRORS = (errno.EIO, errno.ENOSPC, errno.EROFS, errno.EDQUOT)
WRITES = ("write", "pwrite64")
OFFLINE = {"CONDA_OFFLINE": "true"}
NEWS = ("create", "install", "update", "remove")
"""Commands that take channels."""
MOST_PROBLEMS = 20
REAL = "real-"
REGISTRY = "home/.conda/environments.txt"
JOURNAL = "conda-meta/.kaa-journal"
CRASHED = "This is a fault in kaa"


@dataclass
class Report:
    """What became of all points of a scene."""

    scene: str
    seed: int
    steps: int = 0
    calls: int = 0
    points: dict[str, int] = field(default_factory=dict)
    old: int = 0
    new: int = 0
    interrupted: int = 0
    """How often a change had begun and was not complete."""
    seconds: float = 0.0
    problems: list[str] = field(default_factory=list)
    skipped: str = ""


@dataclass(frozen=True)
class Point:
    """Where a command is interrupted; `number` is that of a step or call, or thousandths of the time it takes."""

    way: str
    number: int
    error: int = 0

    def __str__(self) -> str:
        return f"{self.way} {self.number}" + (f" ({errno.errorcode[self.error]})" if self.error else "")


class Killing:
    """One scene: its states, what it makes when nothing interrupts it, and its points."""

    def __init__(
        self, ground: Ground, name: str, seed: int, url: str, requests: Callable[[], int], *, brief: bool = False
    ) -> None:
        self.ground = ground
        self.scene = SCENES[name]
        # Each that may follow costs two runs beforehand.
        self.following_names = tuple(one for one in self.scene.following if not brief or one in ("recover", "again"))
        self.random = random.Random(f"{name} {seed}")
        self.report = Report(name, seed)
        self.url = f"{url}/real" if name.startswith(REAL) else url
        self.requests = requests
        self.variables: dict[str, str] = {}
        self.writes: list[int] = []
        self.writes_fail = False
        self.failing: list[int] = []
        self.is_new = False
        self.duration = 0.0

    # -- what is expected

    def prepare(self) -> None:
        """Make the states, and the pictures to compare with."""
        self.make(self.scene.state)
        self.variables = {} if self.scene.network else OFFLINE
        words = self.words(self.scene.words)
        self.ground.bring(self.scene.state)
        self.old_exactly, self.old = self.look(), self.look(exact=False)
        steps = self.ground.folder / "steps"
        self.succeed(self.ground.work(words, self.variables, counting(steps)))
        self.report.steps = steps.read_bytes().count(b"\n")
        self.ground.keep("done")
        self.new = self.look(exact=False)
        if self.new == self.old and self.scene.words[0] != "clean":
            raise AssertionError(f"{words} changes nothing")
        self.following = {
            name: (self.made_of(self.scene.state, self.follower(name)), self.made_of("done", self.follower(name)))
            for name in self.following_names
            if name != "recover"
        }
        self.ground.bring(self.scene.state)
        start = now()
        self.succeed(self.ground.work(words, self.variables))
        self.duration = now() - start

    def count_calls(self) -> None:
        """Find out how many system calls change files."""
        self.ground.bring(self.scene.state)
        work = self.ground.work(self.words(self.scene.words), self.variables)
        ended = trace(work, lambda call: GO, below=str(self.ground.live))
        assert ended.code == 0, f"traced, the command ended with {ended.code}:\n{self.ground.said()}"
        self.report.calls = len(ended.calls)
        self.writes = [call.number for call in ended.calls if call.name in WRITES]
        # An error there is no reason to fail: without bytecode an environment is as good, and so it is with copies.
        self.failing = [
            call.number
            for call in ended.calls
            if not any(word in path for path in call.paths for word in (".bytecode", ".kaa-probe"))
        ]

    def make(self, state: str) -> None:
        """Make a state, and those that it is made of."""
        if (self.ground.kept / state).exists():
            return
        base, steps = STATES[state]
        if base is not None:
            self.make(base)
            self.ground.bring(base)
        for step in steps:
            if callable(step):
                step(self.ground)
            else:
                self.succeed(self.ground.work(self.words(step)))
        self.ground.keep(state)

    def succeed(self, work: Callable[[], int]) -> None:
        """Do work in a child that must succeed, and load here what it loaded, so that the next ones find it loaded."""
        names = self.ground.folder / "modules"

        def noting() -> int:
            try:
                return work()
            finally:
                names.write_text("\n".join(sys.modules))

        with in_child(noting) as child:
            code = child.wait()
        assert code == 0, f"ended with {code}:\n{self.ground.said()}"
        for name in names.read_text().split():
            if name not in sys.modules and not name.startswith(("_", "tests.")):
                with contextlib.suppress(ImportError):
                    importlib.import_module(name)

    def words(self, words: Sequence[str]) -> list[str]:
        """A command line, with the channel where it takes one, and the folder of environments for ENVS."""
        words = [word.replace("ENVS", str(self.ground.environments)) for word in words]
        takes = words[0] in NEWS and "--clone" not in words
        return [*words, *(("--override-channels", "-c", self.url) if takes else ())]

    def follower(self, name: str) -> tuple[str, ...]:
        return self.scene.words if name == "again" else FOLLOWING[name]

    def made_of(self, state: str, words: Sequence[str]) -> Picture:
        """What a command makes of a state, whether it succeeds or not."""
        self.ground.bring(state)
        self.ground.run(self.words(words), self.variables)
        return self.look(exact=False)

    def look(self, *, exact: bool = True) -> Picture:
        """Environments and what is registered: all but the cache, which is looked at by itself."""
        found = picture(self.ground.live, exact=exact)
        return {
            path: entry
            for path, entry in found.items()
            if path not in ("root", "root/envs", "home/.conda")
            and not path.startswith(("root/pkgs", "home/.conda/pkgs"))
        }

    # -- points

    def choose(self, way: str, count: int) -> list[Point]:
        """Points of one way, spread over the whole of the command, a random one in each part."""
        if way in TRACED and not self.report.calls:
            self.count_calls()
        every: Sequence[int] = range(
            1, 1 + {"time": 1000, "seam": self.report.steps, "alone": self.report.steps}.get(way, self.report.calls)
        )
        if way == "short":
            every = self.writes
        elif way.startswith("error"):
            every = self.failing
        if not every:
            return []
        if count >= len(every):
            chosen = list(every)
        else:
            edges = [len(every) * part // count for part in range(count + 1)]
            chosen = [self.random.choice(every[edges[part] : edges[part + 1]]) for part in range(count)]
        return [Point(way, one, self.random.choice(ERRORS) if way.startswith("error") else 0) for one in chosen]

    def interrupt(self, point: Point) -> str:
        """Run the command up to a point; gives what is wrong with how it ended."""
        words = self.words(self.scene.words)
        self.writes_fail = point.way.startswith("error")
        with watchdog(f"{self.report.scene} at {point}"):
            if point.way in TRACED:
                return self.interrupt_at_call(point, words)
            checkpoint = None if point.way == "time" else killing(point.number)
            with in_child(self.ground.work(words, self.variables, checkpoint)) as child:
                if point.way == "time":
                    time.sleep(self.duration * point.number / 1000)
                    child.kill(alone=False)
                code = child.wait()
                if code == -signal.SIGKILL and point.way == "alone":
                    # What it had started has as long as it wants; what follows is done meanwhile.
                    return self.after(point)
        return "" if code in (0, -signal.SIGKILL) else f"ended with {code}: {self.ground.said()}"

    def interrupt_at_call(self, point: Point, words: Sequence[str]) -> str:
        where: list[Call] = []
        unsynced = UnsyncedData()

        def decide(call: Call) -> int:
            if point.way == "power":
                unsynced.note(call)
            if call.number < point.number:
                return GO
            where.append(call)
            if point.way in ("call", "power"):
                return KILL
            if point.way == "short":
                return SHORT if call.number == point.number else KILL
            return point.error if call.number == point.number or point.way == "errors" else GO

        ended = trace(self.ground.work(words, self.variables), decide, below=str(self.ground.live))
        if point.way == "power":
            unsynced.lose(self.ground.live)
        if point.way in ("call", "short", "power"):
            return "" if ended.killed or not where else f"ended with {ended.code} instead: {self.ground.said()}"
        said = self.ground.said()
        if ended.killed or CRASHED in said:
            return f"failed badly ({ended.code}) at {where[:1]}: {said}"
        if point.way == "error" and ended.code and not self.is_complete():
            # Nothing kept it from taking back what it had done, so that nothing is left to do.
            return self.compare("the error", self.look(), self.old_exactly, self.old)
        return ""

    def is_complete(self) -> bool:
        """Whether the change was past the point from which on it is finished, and only cleaning up is left."""
        return self.look() != self.old_exactly and any(map(has_decided, self.ground.environments.iterdir()))

    def after(self, point: Point) -> str:
        """Let a command follow, and look; gives what is wrong."""
        name = self.random.choice(self.following_names)
        if point.way == "power" and self.scene.network:
            # What was just unpacked may be damaged in the cache; that is seen when it is wanted.
            name = "again"
        unfinished = self.unfinished()
        self.report.interrupted += bool(unfinished)
        problems = [self.reader(path) for path in unfinished[:1]]
        before = self.requests()
        with watchdog(f"{name} after {self.report.scene} at {point}"):
            if name == "recover":
                for words in self.scene.recover:
                    if self.ground.run(self.words(words), OFFLINE).code == 0:
                        break
                problems.append(self.compare(name, self.look(), self.old_exactly, self.new))
            else:
                result = self.ground.run(self.words(self.follower(name)), self.variables)
                if result.code < 0 or CRASHED in result.text:
                    problems.append(f"{name} crashed ({result.code}): {result.text}")
                for words in self.scene.settle:
                    self.ground.run(self.words(words), OFFLINE)
                problems.append(self.compare(name, self.look(exact=False), *self.following[name]))
        if not self.scene.network and self.requests() != before:
            problems.append(f"{name} used the network")
        problems += self.check_rest()
        return "; ".join(filter(None, problems))

    def unfinished(self) -> list[Path]:
        """Environments with a change that is not complete."""
        return sorted(path.parent.parent for path in self.ground.environments.glob(f"*/{JOURNAL}"))

    def reader(self, environment: Path) -> str:
        """What is wrong with what a reader is told about an unfinished change."""
        result = self.ground.run(("list", "-p", str(environment)), OFFLINE)
        return "" if "interrupted" in result.text else f"kaa list says nothing of an interruption: {result.text}"

    def compare(self, name: str, found: Picture, old: Picture, new: Picture) -> str:
        """What is wrong with what is there; counts which of the two it is."""
        self.is_new = False
        same = same_but_for_trifles if self.writes_fail else dict.__eq__
        if same(dict(found), dict(old)):
            self.report.old += 1
            return ""
        as_new = self.look(exact=False)
        if same(dict(as_new), dict(new)):
            self.is_new = True
            self.report.new += 1
            return ""
        nearest = min((differences(found, old), differences(as_new, new)), key=len)
        listed = ", ".join(nearest[:6])
        told = f"after {name} it is neither old nor new: {len(nearest)} differences: {listed}"
        return f"{told}; it said {self.ground.said()}"

    def check_rest(self) -> Iterator[str]:
        """What is wrong with the cache, and with what `kaa verify` finds."""
        if self.scene.network:
            # What a killed download left is continued by the next one, or goes with this.
            self.ground.run(("clean", "-y", "--tempfiles"), OFFLINE)
        yield from cache_problems(self.ground.cache)
        for environment in sorted(self.ground.environments.glob("*")):
            result = self.ground.run(("verify", "-p", str(environment)), OFFLINE)
            if result.code and (self.scene.state != "damaged" or self.is_new):
                yield f"verify of {environment.name}: {result.text}"
            if self.scene.works:
                done = subprocess.run(
                    ["/usr/bin/env", "-i", str(environment / "bin" / "python"), "-I", "-c", self.scene.works],
                    capture_output=True,
                    text=True,
                    check=False,
                )
                if done.returncode:
                    yield f"{environment.name} does not work: {done.stderr}"

    def run(self, counts: dict[str, int]) -> Report:
        """All points of the ways that are asked for."""
        start = now()
        self.prepare()
        for way, count in counts.items():
            for point in self.choose(way, count):
                self.ground.bring(self.scene.state)
                try:
                    problem = self.interrupt(point) or ("" if point.way == "alone" else self.after(point))
                except Stuck as error:
                    self.report.problems.append(str(error))
                    return self.report
                self.report.points[way] = self.report.points.get(way, 0) + 1
                if problem:
                    self.report.problems.append(f"{self.report.scene} at {point}: {problem}")
                if len(self.report.problems) == MOST_PROBLEMS:
                    return self.report
        self.report.seconds = round(now() - start, 1)
        return self.report


def same_but_for_trifles(found: dict[str, Entry], expected: dict[str, Entry]) -> bool:
    """Whether two pictures are the same where writes failed: an environment that could not be entered in the list of
    environments is told about, and works; so does one with an empty directory too much.
    """
    parents = {path.rpartition("/")[0] for path in found}
    empty = {path for path, (kind, _, _) in found.items() if kind == "directory" and path not in parents}
    left = {path: entry for path, entry in found.items() if path in expected or path not in empty}
    return {**left, REGISTRY: None} == {**expected, REGISTRY: None}


def has_decided(environment: Path) -> bool:
    """Whether an environment says that what was interrupted there is to be finished."""
    if environment.name.endswith((".kaa-aside", ".kaa-old")):
        return True
    if environment.name == "other" and (environment / "conda-meta/.kaa-relocation").exists():
        return True
    try:
        return b'["commit"' in (environment / JOURNAL).read_bytes()
    except OSError:
        return False


def counting(file: Path) -> Callable[[str], None]:
    """A checkpoint that writes a line at each step."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)

    def count(step: str) -> None:
        os.write(descriptor, step.replace("\n", " ").encode("utf-8", "surrogateescape") + b"\n")

    return count


def killing(number: int) -> Callable[[str], None]:
    """A checkpoint that ends its process at one of the steps."""
    passed = 0

    def kill(step: str) -> None:
        nonlocal passed
        passed += 1
        if passed == number:
            os.kill(os.getpid(), signal.SIGKILL)

    return kill


def kill_in(
    folder: Path, scenes: Sequence[str], counts: dict[str, int], seed: int, *, brief: bool = False
) -> list[Report]:
    """Do scenes below a folder, one after the other."""
    skipped = why_no_tracing() if any(counts.get(way) for way in TRACED) else ""
    if skipped:
        counts = {way: count for way, count in counts.items() if way not in TRACED}
    # In memory where that is possible: faster, and gone with this process whatever happens.
    enter_own_mounts() or mount_tmpfs(folder, "size=4g")
    # So is what is staged to make packages: some thousands of files, which a busy disk removes slowly.
    tempfile.tempdir = str(folder / "tmp")
    Path(tempfile.tempdir).mkdir()
    ground = Ground(folder)
    build_channel(ground)
    if any(scene.startswith(REAL) for scene in scenes):
        build_real_channel(ground)
    reports = []
    with served_elsewhere(ground.channel) as server:
        for scene in scenes:
            report = Killing(ground, scene, seed, server.url, server.requests, brief=brief).run(counts)
            report.skipped = skipped
            reports.append(report)
    return reports


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("scenes", nargs="+", choices=SCENES)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    parser.add_argument("--brief", action="store_true", help="fewer commands that may follow")
    for way in WAYS:
        parser.add_argument(f"--{way}", type=int, default=0)
    arguments = parser.parse_args()
    counts = {way: getattr(arguments, way) for way in WAYS if getattr(arguments, way)}
    given = (arguments.scenes, counts, arguments.seed)
    sys.exit(in_new_folder(lambda folder: tell(kill_in(folder, *given, brief=arguments.brief))))


def tell(reports: Sequence[Report]) -> None:
    """Print reports as JSON."""
    print(json.dumps([asdict(report) for report in reports], indent=1))


if __name__ == "__main__":
    main()
