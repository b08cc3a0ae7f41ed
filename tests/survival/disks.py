"""Commands on small file systems that fill up, at chosen points.

    python -m tests.survival.disks SCENE… --size 5 --filled 5 --inodes 5 --limit 3 --seed 7

prints a report as JSON. The ways:

size    the file system is too small by some amount
filled  another process fills it at some system call of the command
inodes  it has too few inodes
limit   files may only grow to some size (`ulimit -f`)

The command must say that there is no room, and leave everything as it was; once there is room the same command works.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import resource
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.survival.grounds import (
    Ground,
    enter_own_mounts,
    in_child,
    in_new_folder,
    mount_tmpfs,
    served_elsewhere,
    watchdog,
)
from tests.survival.kills import CRASHED, MOST_PROBLEMS, Killing, Report, tell
from tests.survival.scenes import SCENES, build_channel
from tests.survival.tracing import GO, Call, trace, why_no_tracing

WAYS = ("size", "filled", "inodes", "limit")
LARGE = 1 << 30
BLOCK = 4096
SAYS_SO = re.compile(r"^NoSpaceLeftError: .*\b\d[\d.]* (bytes|kB|MB|GB|files)\b.*free.*\n  try: ", re.MULTILINE)
"""What it is called, how much there is, and a way out."""
TOO_LARGE = re.compile(r"^\w+Error: .*(File too large|no space left).*\n  try: ", re.MULTILINE | re.IGNORECASE)


class SmallDisk(Killing):
    """A scene whose home lies on a file system of its own."""

    blocks: tuple[int, int] = (0, 0)
    """How many blocks of the file system are used before the command, and at most during it."""
    inodes: tuple[int, int] = (0, 0)

    def mount(self, options: str) -> None:
        """Have an empty file system where the home is."""
        self.unmount()
        self.ground.live.mkdir(exist_ok=True)
        why = mount_tmpfs(self.ground.live, options)
        assert not why, why

    def unmount(self) -> None:
        subprocess.run(["umount", "--lazy", str(self.ground.live)], capture_output=True, check=False)

    def fill(self, options: str) -> None:
        """Have the scene's state on a file system with room for all of it, which then gets what it is to have."""
        self.mount(f"size={LARGE}")
        copy = subprocess.run(
            ["cp", "-a", f"{self.ground.kept / self.scene.state}/.", str(self.ground.live)], check=False
        )
        assert copy.returncode == 0
        if options:
            self.remount(options)

    def remount(self, options: str) -> None:
        argv = ["mount", "-o", f"remount,{options}", str(self.ground.live)]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{' '.join(argv)}: {done.stderr}"

    def used(self) -> tuple[int, int]:
        """How many blocks and inodes of the file system are used."""
        state = os.statvfs(self.ground.live)
        return state.f_blocks - state.f_bfree, state.f_files - state.f_ffree

    def measure(self) -> None:
        """Find out how much room the command takes at most."""
        self.fill("")
        before = most = self.used()

        def look(call: Call) -> int:
            nonlocal most
            blocks, inodes = self.used()
            most = max(most[0], blocks), max(most[1], inodes)
            return GO

        work = self.ground.work(self.words(self.scene.words), self.variables)
        ended = trace(work, look, below=str(self.ground.live))
        assert ended.code == 0, self.ground.said()
        self.report.calls = len(ended.calls)
        self.blocks, self.inodes = (before[0], most[0]), (before[1], most[1])

    def run(self, counts: dict[str, int]) -> Report:
        self.prepare()
        self.measure()
        for way, count in counts.items():
            for number in range(count):
                # From much too small to nearly enough.
                part = (number + self.random.random()) / count
                problem = self.at(way, part)
                self.report.points[way] = self.report.points.get(way, 0) + 1
                if problem and len(self.report.problems) < MOST_PROBLEMS:
                    self.report.problems.append(f"{self.report.scene}, {way} {part:.3f}: {problem}")
        self.unmount()
        return self.report

    def at(self, way: str, part: float) -> str:
        """One point; gives what is wrong."""
        options, self.writes_fail = "", True
        if way == "size":
            options = f"size={(self.blocks[0] + max(1, int(part * (self.blocks[1] - self.blocks[0])))) * BLOCK}"
        elif way == "inodes":
            options = f"nr_inodes={self.inodes[0] + max(1, int(part * (self.inodes[1] - self.inodes[0])))}"
        self.fill(options)
        with watchdog(f"{self.report.scene} with {way} at {part:.3f}"):
            code = self.attempt(way, part)
        said = self.ground.said()
        if code:
            problem = self.judge(way, said) or self.compare(way, self.look(), self.old_exactly, self.old_exactly)
        else:
            problem = self.compare(way, self.look(), self.new, self.new)
        # With room again.
        self.remount(f"size={LARGE},nr_inodes=1000000")
        if code and not problem:
            again = self.ground.run(self.words(self.scene.words), self.variables)
            problem = "" if again.code == 0 else f"with room, it ended with {again.code}: {again.text}"
            problem = problem or self.compare("a second time", self.look(exact=False), self.new, self.new)
        return "; ".join(filter(None, [problem, *self.check_rest()]))

    def attempt(self, way: str, part: float) -> int:
        """Run the command where it cannot work; its exit code."""
        words = self.words(self.scene.words)
        if way == "filled":
            point = max(1, int(part * self.report.calls))
            filling = lambda call: self.fill_up() if call.number == point else GO  # noqa: E731
            return trace(self.ground.work(words, self.variables), filling, below=str(self.ground.live)).code
        work = self.ground.work(words, self.variables)
        with in_child(limited(work, int((1 + part) * 2 * BLOCK)) if way == "limit" else work) as child:
            return child.wait()

    def fill_up(self) -> int:
        """Use up all room of the file system."""
        self.remount(f"size={LARGE}")
        # None would be as much as there is.
        self.remount(f"size={max(1, self.used()[0]) * BLOCK}")
        return GO

    def judge(self, way: str, said: str) -> str:
        """What is wrong with an error."""
        if CRASHED in said:
            return f"it crashed: {said}"
        if not (TOO_LARGE if way == "limit" else SAYS_SO).search(said):
            return f"it does not say that there is no room: {said}"
        return ""


def limited(work: Callable[[], int], size: int) -> Callable[[], int]:
    """Work whose files may not become larger."""

    def run() -> int:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
        return work()

    return run


def fill_in(folder: Path, scenes: Sequence[str], counts: dict[str, int], seed: int) -> list[Report]:
    """Do scenes below a folder, one after the other."""
    skipped = enter_own_mounts() or mount_tmpfs(folder, "size=2g") or why_no_tracing()
    if skipped:
        return [Report(scene, seed, skipped=skipped) for scene in scenes]
    ground = Ground(folder)
    build_channel(ground)
    with served_elsewhere(ground.channel) as server:
        return [SmallDisk(ground, scene, seed, server.url, server.requests).run(counts) for scene in scenes]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("scenes", nargs="+", choices=SCENES)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    for way in WAYS:
        parser.add_argument(f"--{way}", type=int, default=0)
    arguments = parser.parse_args()
    counts = {way: getattr(arguments, way) for way in WAYS if getattr(arguments, way)}
    sys.exit(in_new_folder(lambda folder: tell(fill_in(folder, arguments.scenes, counts, arguments.seed))))


if __name__ == "__main__":
    main()
