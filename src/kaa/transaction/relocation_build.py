"""Making the new environment of a relocation beside its final place, and comparing it with what it was made of."""

# Paths are strings here: there are tens of thousands of them.
# ruff: noqa: PTH101, PTH102, PTH108, PTH115, PTH123, PTH211
from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import stat
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from kaa.events import Note, Reporter, StageFinished, StageStarted, Warned
from kaa.host.files import current_umask, reflink
from kaa.host.hashing import hash_file
from kaa.prefix.damage import expected_hash
from kaa.transaction.actions import bytecode_source
from kaa.transaction.bytecode import Job, compile_packages
from kaa.transaction.link import FALL_BACK
from kaa.transaction.placeholder import PrefixTooLong
from kaa.transaction.plan import LinkOptions
from kaa.transaction.relocation import moved_binary, moved_content, moved_head, moved_link, moved_text
from kaa.transaction.relocation_lists import Change, Made, write_lists, write_records
from kaa.transaction.relocation_plan import CannotRelocate, How, Item, RelocationPlan
from kaa.transaction.signing import needs_signing, sign_binaries

STAGE = "Copying"
BLOCK = 1 << 20


class Builder:
    """The making of one new environment; `staging` is the directory that gets the target's name in the end."""

    def __init__(
        self,
        plan: RelocationPlan,
        staging: Path,
        options: LinkOptions,
        reporter: Reporter,
        checkpoint: Callable[[str], None],
    ) -> None:
        self.plan = plan
        self.staging = staging
        self.options = options
        self.reporter = reporter
        self.checkpoint = checkpoint
        self.old = f"{plan.source}{os.sep}"
        self.new = f"{staging}{os.sep}"
        self.made = Made(staging, can_link=not plan.other_disk)
        self.can_reflink = not plan.other_disk
        self.first_copy: dict[tuple[int, int], str] = {}
        self.told_copies = False
        self.keeps_owner = os.name != "nt" and os.geteuid() == 0 and plan.kind != "clone"

    def build(self) -> None:
        """Everything of the environment but its history's last entry."""
        plan = self.plan
        self._make_directories()
        start = time.monotonic()
        self.reporter(StageStarted(STAGE, None))
        for item in plan.items:
            self.checkpoint(item.path)
            self._make(item)
        self.reporter(StageFinished(STAGE, time.monotonic() - start))
        self._sign()
        self._compile()
        write_lists(plan, self.made, self.write)
        write_records(plan, self.made, self.write)
        self._set_modes()

    # Directories

    def _make_directories(self) -> None:
        for path, _ in self.plan.found.directories:
            self.checkpoint(path)
            with contextlib.suppress(FileExistsError):
                os.mkdir(self.new + path)

    def _set_modes(self) -> None:
        """Give directories the modes of the source's; last, because they may be closed."""
        usual = 0o777 & ~current_umask()
        for path, mode in reversed(self.plan.found.directories):
            if self.keeps_owner:
                self._like_owner(os.lstat(self.old + path), self.new + path)
            if mode != usual:
                os.chmod(self.made.place(f"{self.new}{path}"), mode)

    # Files

    def _make(self, item: Item) -> None:
        how = item.how
        if how is How.SHARE:
            self._share(item)
        elif how is How.OWN:
            self._copy(item)
        elif how is How.LINK:
            text = os.fsencode(os.readlink(self.old + item.path))
            os.symlink(moved_link(text, self.plan.change), os.fsencode(self.new + item.path))
        elif how is How.SPECIAL:
            self._make_special(item)
        else:
            self._rewrite(item)

    def _share(self, item: Item) -> None:
        if self.made.can_link:
            try:
                os.link(self.old + item.path, self.new + item.path)
                return
            except OSError as error:
                if error.errno not in FALL_BACK:
                    raise
                if not self.told_copies:
                    self.told_copies = True
                    self.reporter(Note(f"{item.path} is a copy, a link was not possible: {error.strerror}"))
                self.made.can_link = error.errno != errno.EXDEV
        self._copy(item)

    def _copy(self, item: Item) -> None:
        """A file of its own; files that were one stay one."""
        source, target = self.old + item.path, self.new + item.path
        if item.links > 1:
            first = self.first_copy.setdefault(item.inode, item.path)
            if first != item.path:
                os.link(self.new + first, target)
                return
        if not self._reflinked(source, target):
            self.made.copied[item.path] = copy_hashed(source, target)
        if self.keeps_owner:
            self._like_owner(os.lstat(source), target)

    def _reflinked(self, source: str, target: str) -> bool:
        if not self.can_reflink:
            return False
        try:
            reflink(Path(source), Path(target))
        except OSError as error:
            if error.errno in (errno.EACCES, errno.ENOENT, errno.ENOSPC, errno.EDQUOT, errno.EEXIST):
                raise
            self.can_reflink = False
            return False
        return True

    def _make_special(self, item: Item) -> None:
        if stat.S_ISFIFO(item.mode):
            os.mkfifo(self.new + item.path, stat.S_IMODE(item.mode))
        elif stat.S_ISSOCK(item.mode):
            # Without the process that listens it is nothing.
            self.reporter(Note(f"{item.path} is a socket, and is left out"))
        else:
            raise CannotRelocate(self.plan.source, f"holds {item.path}, a device", "move that file away first")

    def _rewrite(self, item: Item) -> None:
        with open(self.old + item.path, "rb") as stream:
            data = stream.read()
        content, restored = self._content(item, data)
        before = hashlib.sha256(data).hexdigest()
        is_known = restored or (item.entry is not None and expected_hash(item.entry) == before)
        self.write(item.path, content, item.mode)
        if content != data:
            self.made.changed[item.path] = Change(before, hashlib.sha256(content).digest(), len(content), is_known)
        else:
            self.made.copied[item.path] = before

    def _content(self, item: Item, data: bytes) -> tuple[bytes, bool]:
        change, entry = self.plan.change, item.entry
        if item.how is How.RENDER and entry is not None:
            placeholder = entry.prefix_placeholder or ""
            binary = entry.file_mode == "binary"
            try:
                return moved_content(data, change, placeholder=placeholder.encode(), binary=binary, sha256=entry.sha256)
            except ValueError:
                raise PrefixTooLong(item.path, placeholder, str(self.plan.target)) from None
        if item.how is How.BINARY:
            return moved_binary(data, change), False
        return (moved_head if item.how is How.HEAD else moved_text)(data, change), False

    def write(self, path: str, content: bytes, mode: int) -> None:
        """A new file in place of whatever is there in the new environment: never written through a link."""
        target = self.new + path
        with contextlib.suppress(FileNotFoundError):
            os.unlink(target)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
        descriptor = os.open(target, flags, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
        os.chmod(target, stat.S_IMODE(mode) & 0o777)
        if self.keeps_owner and os.path.lexists(self.old + path):
            self._like_owner(os.lstat(self.old + path), target)

    def _like_owner(self, state: os.stat_result, target: str) -> None:
        if state.st_uid != os.geteuid() or state.st_gid != os.getegid():
            os.chown(target, state.st_uid, state.st_gid, follow_symlinks=False)

    # What follows from changed files

    def _sign(self) -> None:
        if not needs_signing(self.plan.subdir):
            return
        binaries = [
            item.path
            for item in self.plan.items
            if item.path in self.made.changed
            and (item.how is How.BINARY or (item.entry and item.entry.file_mode == "binary"))
        ]
        problem = sign_binaries([self.staging / path for path in binaries])
        if problem:
            self.reporter(Warned(f"programs could not be signed: {problem}"))
        for path in binaries:
            digest = bytes.fromhex(hash_file(self.staging / path))
            self.made.changed[path] = msgspec.structs.replace(
                self.made.changed[path], now=digest, size=(self.staging / path).stat().st_size
            )

    def _compile(self) -> None:
        """Compile the modules that changed and had bytecode; what is not compiled is not there."""
        gone = self.made.gone
        gone.update(self.plan.found.dropped)
        python = self.plan.python
        interpreter = self.options.interpreter or (self.plan.source / python.executable if python else None)
        if python is None or python.bytecode_tag is None or interpreter is None or not interpreter.exists():
            return
        if not self.options.compile_bytecode or self.options.native_subdir not in ("", self.plan.subdir):
            return
        jobs = []
        for path in self.plan.found.dropped:
            module = bytecode_source(path)
            if module is not None and path.endswith(f".{python.bytecode_tag}.pyc"):
                (self.staging / path).parent.mkdir(parents=True, exist_ok=True)
                jobs.append(Job(self.new + module, self.new + path, module))
        if not jobs:
            return
        self.checkpoint("compile")
        written = compile_packages(
            [],
            jobs,
            interpreter=interpreter,
            tag=python.bytecode_tag,
            scratch=self.staging / "conda-meta",
            workers=self.options.workers,
            environ=self.options.environ,
            reporter=self.reporter,
        )
        gone -= {target[len(self.new) :] for target in written}


def copy_hashed(source: str, target: str) -> str:
    """Copy a file with its mode and times, and give the hash of what was read."""
    digest = hashlib.sha256()
    with open(source, "rb") as reader, open(target, "xb") as writer:
        while block := reader.read(BLOCK):
            digest.update(block)
            writer.write(block)
    shutil.copystat(source, target)
    return digest.hexdigest()
