"""System calls of a child process that change files, seen one by one and decided on (Linux on x86-64).

The child asks the kernel (seccomp) to stop at such calls only, and this process looks at each (ptrace): it can let it
happen, end the child right before it, or have it fail with an error of the operating system.

    ended = trace(work, lambda call: KILL if call.number == 17 else GO)
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import platform
import signal
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

GO = 0
"""Let the call happen."""
KILL = -1
"""End the child, and what it started, with SIGKILL before the call."""
SHORT = -2
"""Write half of what is to be written, and tell so. Other answers are the errno to fail with."""

PATH, AT, OLD_NEW, AT_AT, DESCRIPTOR = "path", "at", "old new", "at at", "descriptor"
CALLS: dict[str, tuple[int, str, int]] = {
    # name: number on x86-64, how its first arguments tell which path is meant, argument with open flags (or -1)
    "open": (2, PATH, 1),
    "openat": (257, AT, 2),
    "creat": (85, PATH, -1),
    "write": (1, DESCRIPTOR, -1),
    "pwrite64": (18, DESCRIPTOR, -1),
    "writev": (20, DESCRIPTOR, -1),
    "pwritev": (296, DESCRIPTOR, -1),
    "truncate": (76, PATH, -1),
    "ftruncate": (77, DESCRIPTOR, -1),
    "fallocate": (285, DESCRIPTOR, -1),
    "copy_file_range": (326, DESCRIPTOR, -1),
    "sendfile": (40, DESCRIPTOR, -1),
    "rename": (82, OLD_NEW, -1),
    "renameat": (264, AT_AT, -1),
    "renameat2": (316, AT_AT, -1),
    "link": (86, OLD_NEW, -1),
    "linkat": (265, AT_AT, -1),
    "symlink": (88, OLD_NEW, -1),
    "symlinkat": (266, "symlinkat", -1),
    "unlink": (87, PATH, -1),
    "unlinkat": (263, AT, -1),
    "mkdir": (83, PATH, -1),
    "mkdirat": (258, AT, -1),
    "rmdir": (84, PATH, -1),
    "chmod": (90, PATH, -1),
    "fchmod": (91, DESCRIPTOR, -1),
    "fchmodat": (268, AT, -1),
    "utimensat": (280, AT, -1),
    "fsync": (74, DESCRIPTOR, -1),
    "fdatasync": (75, DESCRIPTOR, -1),
    "syncfs": (306, DESCRIPTOR, -1),
    "setxattr": (188, PATH, -1),
    "fsetxattr": (190, DESCRIPTOR, -1),
}
NAMES = {number: name for name, (number, _, _) in CALLS.items()}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC

_PTRACE_TRACEME, _PTRACE_CONT, _PTRACE_GETREGS, _PTRACE_SETREGS = 0, 7, 12, 13
_PTRACE_SETOPTIONS, _PTRACE_GETEVENTMSG = 0x4200, 0x4201
_OPTIONS = 0x2 | 0x4 | 0x8 | 0x10 | 0x80 | 0x100000
"""Follow fork, vfork, clone and exec; stop where seccomp says; kill all when the tracer ends."""
_NEW_PROCESS = (1, 2, 3)
_SECCOMP = 7
_WALL = 0x40000000
_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _FILTER = 38, 22, 2
_ALLOW, _TRACE = 0x7FFF0000, 0x7FF00000
_AUDIT_X86_64 = 0xC000003E
_AT_FDCWD = -100

libc: Any = ctypes.CDLL(None, use_errno=True)


REGISTERS = (
    *(
        "r15",
        "r14",
        "r13",
        "r12",
        "rbp",
        "rbx",
        "r11",
        "r10",
        "r9",
        "r8",
        "rax",
        "rcx",
        "rdx",
        "rsi",
        "rdi",
        "orig_rax",
    ),
    *("rip", "cs", "eflags", "rsp", "ss", "fs_base", "gs_base", "ds", "es", "fs", "gs"),
)


class Registers(ctypes.Structure):
    """`struct user_regs_struct` of x86-64."""

    _fields_ = [(name, ctypes.c_ulonglong) for name in REGISTERS]


@dataclass(frozen=True)
class Call:
    """A system call that is about to happen; `number` counts those of interest from 1."""

    number: int
    name: str
    paths: tuple[str, ...]
    process: int
    descriptor: int = -1
    """The open file that it is about, where it is about one."""

    def __str__(self) -> str:
        return f"{self.name} {' -> '.join(self.paths)}"


@dataclass
class Ended:
    """How a traced child ended: its wait status, and the calls of interest in their order."""

    status: int = 0
    calls: list[Call] = field(default_factory=list)

    @property
    def killed(self) -> bool:
        return os.WIFSIGNALED(self.status)

    @property
    def code(self) -> int:
        return os.waitstatus_to_exitcode(self.status)


def why_no_tracing() -> str:
    """Why nothing can be traced here; empty when it can."""
    if sys.platform != "linux" or platform.machine() not in ("x86_64", "AMD64"):
        return f"system calls are traced on Linux on x86-64 only, not on {sys.platform} on {platform.machine()}"
    try:
        ended = trace(lambda: os.close(os.open(os.devnull, os.O_WRONLY)), lambda call: GO, below="/")
    except OSError as error:
        return f"no child can be traced here: {error}"
    if not any(call.name == "openat" for call in ended.calls):
        return f"no system calls are seen here (status {ended.status})"
    return ""


def trace(work: Callable[[], object], decide: Callable[[Call], int], *, below: str) -> Ended:
    """Do `work` in a child in a session of its own; `decide` is asked before each call that changes a path `below`."""
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if not child:
        _be_traced(work)
    return _Tracer(child, decide, below).run()


def _be_traced(work: Callable[[], object]) -> NoReturn:
    code = 70
    try:
        os.setsid()
        if libc.ptrace(_PTRACE_TRACEME, 0, None, None):
            os._exit(71)
        os.kill(os.getpid(), signal.SIGSTOP)
        _install_filter()
        answer = work()
        code = answer if isinstance(answer, int) else 0
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.write(2, f"{type(error).__name__}: {error}\n".encode())
    finally:
        os._exit(code)


class _Tracer:
    def __init__(self, child: int, decide: Callable[[Call], int], below: str) -> None:
        self.child = child
        self.decide = decide
        self.below = below.rstrip("/") + "/"
        self.ended = Ended()
        self.alive = {child}
        self.known = {child}
        self.gone: set[int] = set()
        self.is_over = False

    def run(self) -> Ended:
        _, status = os.waitpid(self.child, _WALL)
        if not os.WIFSTOPPED(status):
            raise OSError(errno.EPERM, f"ptrace is not permitted (status {status})")
        _ptrace(_PTRACE_SETOPTIONS, self.child, None, ctypes.c_void_p(_OPTIONS))
        _resume(self.child)
        while self.alive:
            process, status = os.waitpid(-1, _WALL)
            if os.WIFSTOPPED(status):
                with contextlib.suppress(ProcessLookupError):
                    self.stopped(process, status)
            else:
                self.alive.discard(process)
                self.gone.add(process)
                if process == self.child:
                    self.ended.status = status
        return self.ended

    def stopped(self, process: int, status: int) -> None:
        event = status >> 16
        number = 0
        if process not in self.known:
            # A new thread or process begins with a stop, which may be seen before its parent's.
            self.known.add(process)
            self.alive.add(process)
            if self.is_over:
                self.end_all()
                return
        elif event in _NEW_PROCESS:
            message = ctypes.c_ulong()
            _ptrace(_PTRACE_GETEVENTMSG, process, None, ctypes.byref(message))
            # It may have ended before this was told.
            self.alive |= {message.value} - self.gone
        elif event == _SECCOMP:
            if self.at_call(process):
                return
        elif not event:
            number = os.WSTOPSIG(status)
        _resume(process, number)

    def at_call(self, process: int) -> bool:
        """Decide on the call that a process is about to make; True when it was ended."""
        registers = Registers()
        _ptrace(_PTRACE_GETREGS, process, None, ctypes.byref(registers))
        name = NAMES[registers.orig_rax]
        paths = _paths(process, name, registers)
        if not any((path + "/").startswith(self.below) for path in paths):
            return False
        descriptor = _descriptor(name, registers) if CALLS[name][1] == DESCRIPTOR else -1
        call = Call(len(self.ended.calls) + 1, name, paths, process, descriptor)
        self.ended.calls.append(call)
        answer = self.decide(call)
        if answer == KILL:
            self.end_all()
            return True
        if answer == SHORT:
            # The third argument of write and pwrite64 is how many bytes.
            registers.rdx //= 2
            _ptrace(_PTRACE_SETREGS, process, None, ctypes.byref(registers))
        elif answer != GO:
            registers.orig_rax = (1 << 64) - 1
            registers.rax = (1 << 64) - answer
            _ptrace(_PTRACE_SETREGS, process, None, ctypes.byref(registers))
        return False

    def end_all(self) -> None:
        """End all that is known; what was just begun is ended when it is seen."""
        self.is_over = True
        for one in self.alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(one, signal.SIGKILL)


def _ptrace(request: int, process: int, address: object, data: object) -> None:
    if libc.ptrace(ctypes.c_long(request), ctypes.c_long(process), address, data) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _resume(process: int, number: int = 0) -> None:
    _ptrace(_PTRACE_CONT, process, None, ctypes.c_void_p(number))


def _paths(process: int, name: str, registers: Registers) -> tuple[str, ...]:
    """The paths that a call is about, absolute."""
    kind = CALLS[name][1]
    first, second, third, fourth = registers.rdi, registers.rsi, registers.rdx, registers.r10
    if kind == DESCRIPTOR:
        return (_link(process, f"fd/{_descriptor(name, registers)}"),)
    if kind == PATH:
        return (_at(process, _AT_FDCWD, first),)
    if kind == AT:
        return (_at(process, first, second),)
    if kind == "symlinkat":
        return (_at(process, second, third),)
    if kind == AT_AT:
        return (_at(process, first, second), _at(process, third, fourth))
    if name == "symlink":
        return (_at(process, _AT_FDCWD, second),)
    return (_at(process, _AT_FDCWD, first), _at(process, _AT_FDCWD, second))


def _descriptor(name: str, registers: Registers) -> int:
    """The open file that a call changes: sendfile names it first, copy_file_range third."""
    return int(registers.rdx if name == "copy_file_range" else registers.rdi)


def _at(process: int, directory: int, address: int) -> str:
    """A path in the memory of a process, relative to one of its open directories."""
    descriptor = ctypes.c_int(directory & 0xFFFFFFFF).value
    if not address:
        # utimensat of an open file.
        return _link(process, f"fd/{descriptor}")
    text = b""
    with open(f"/proc/{process}/mem", "rb", 0) as memory:  # noqa: PTH123
        while b"\0" not in text:
            start = address + len(text)
            memory.seek(start)
            # Not over the end of a page: the next one may not be there.
            text += memory.read(min(256, 4096 - start % 4096))
    path = os.fsdecode(text.partition(b"\0")[0])
    if not path.startswith("/"):
        path = _link(process, "cwd" if descriptor == _AT_FDCWD else f"fd/{descriptor}") + "/" + path
    return os.path.normpath(path)


def _link(process: int, name: str) -> str:
    try:
        return str(Path(f"/proc/{process}/{name}").readlink())
    except OSError:
        return ""


def _install_filter() -> None:
    """Have the kernel stop this process, and all that it starts, at the calls of the table."""
    program = [_load(4), _jump(_AUDIT_X86_64, 1, 0), _return(_ALLOW), _load(0)]
    for name, (number, _, flags) in CALLS.items():
        checks: list[bytes]
        if flags >= 0:
            checks = [_load(16 + 8 * flags), _jump_set(_WRITING, 1, 0), _return(_ALLOW)]
        elif name in ("write", "writev"):
            # Standard output and error are nobody's files.
            checks = [_load(16), _jump_greater(2, 1, 0), _return(_ALLOW)]
        else:
            checks = []
        checks.append(_return(_TRACE))
        program += [_jump(number, 0, len(checks)), *checks]
    program.append(_return(_ALLOW))
    code = ctypes.create_string_buffer(b"".join(program))
    header = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(program), ctypes.addressof(code)))
    for arguments in ((_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), (_PR_SET_SECCOMP, _FILTER, ctypes.addressof(header), 0, 0)):
        if libc.prctl(*(ctypes.c_ulong(one) for one in arguments)):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))


# Instructions of the filter (`struct sock_filter`): code, where to jump when true and when false, value.


def _load(offset: int) -> bytes:
    return struct.pack("HBBI", 0x20, 0, 0, offset)


def _jump(value: int, true: int, false: int) -> bytes:
    return struct.pack("HBBI", 0x15, true, false, value)


def _jump_greater(value: int, true: int, false: int) -> bytes:
    return struct.pack("HBBI", 0x25, true, false, value)


def _jump_set(value: int, true: int, false: int) -> bytes:
    return struct.pack("HBBI", 0x45, true, false, value)


def _return(value: int) -> bytes:
    return struct.pack("HBBI", 0x06, 0, 0, value)
