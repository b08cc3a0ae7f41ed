"""Files and directories: atomic writes, removal, and the three ways of putting a cached file into an environment."""

from __future__ import annotations

import contextlib
import enum
import errno
import importlib
import os
import stat
import sys
from pathlib import Path
from types import ModuleType

if sys.platform == "linux":
    import fcntl

    _FICLONE = 0x40049409
    """The Linux ioctl that makes one file share another's blocks (`ioctl_ficlone(2)`)."""


class LinkMethod(enum.Enum):
    """How a cached file comes into an environment, best first."""

    REFLINK = "reflink"
    HARDLINK = "hard link"
    COPY = "copy"


def write_atomic(path: Path, data: bytes, *, mode: int | None = None, sync: bool = False) -> None:
    """Write `data` to `path` so that a reader sees the old content or the new one, never a part.

    `mode` None keeps the mode of the file that is replaced, or follows the umask for a new one. With `sync` the data
    and the name are on the disk when this returns. Missing parent directories are an error.
    """
    if mode is None:
        mode = path.stat().st_mode & 0o7777 if path.exists() else 0o666 & ~current_umask()
    descriptor, temporary = create_temporary(path.parent, f".{path.name[:100]}.")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            if sync:
                os.fsync(stream.fileno())
        temporary.chmod(mode)
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    if sync:
        sync_directory(path.parent)


def remove_unfinished(path: Path) -> None:
    """Remove what `write_atomic` leaves of a file when it is killed; the caller knows that nobody writes it now."""
    start = f".{path.name[:100]}."
    with contextlib.suppress(OSError):
        for other in path.parent.iterdir():
            end = other.name.removeprefix(start)
            if end != other.name and len(end) == 12 and not end.strip("0123456789abcdef"):
                other.unlink(missing_ok=True)


def create_temporary(directory: Path, prefix: str) -> tuple[int, Path]:
    """A new file in a directory, open for writing and the owner's alone, as a descriptor, and its path."""
    # As tempfile does it; but that one brings random, hashlib and shutil along, which most runs never need.
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    while True:
        path = directory / f"{prefix}{os.urandom(6).hex()}"
        with contextlib.suppress(FileExistsError):
            return os.open(path, flags, 0o600), path


def read_bounded(path: Path, limit: int) -> bytes:
    """The content of a file that a user named, pipes included; OSError (EFBIG) where it has more than `limit` bytes."""
    with path.open("rb") as stream:
        content = stream.read(limit + 1)
    if len(content) > limit:
        raise OSError(errno.EFBIG, f"it is larger than {limit} bytes", str(path))
    return content


def read_regular_file(path: Path | str, limit: int = -1) -> bytes:
    """The content of a file (up to `limit` bytes), or OSError; so is a pipe or a device, which is not waited for."""
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags)
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        number, reason = (errno.EISDIR, "Is a directory") if stat.S_ISDIR(mode) else (errno.EINVAL, "no regular file")
        raise OSError(number, reason, str(path))
    with os.fdopen(descriptor, "rb") as stream:
        return stream.read(limit)


def sync_directory(directory: Path) -> None:
    """Make the names in a directory durable (a no-op where directories cannot be opened)."""
    with contextlib.suppress(OSError):
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def current_umask() -> int:
    """The rights that new files do not have: the process's umask, and that everybody may write, whatever it says."""
    # Read without changing it where the system can tell.
    with contextlib.suppress(OSError, IndexError, ValueError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("Umask:"):
                return int(line.split()[1], 8) | stat.S_IWOTH
    umask = os.umask(0o022)
    os.umask(umask)
    return umask | stat.S_IWOTH


def private_mode(mode: int, umask: int) -> int:
    """The mode of a copy that its owner may change, of a file with `mode` that nobody may: 0644 for 0444.

    >>> oct(private_mode(0o555, 0o022)), oct(private_mode(0o440, 0o007))
    ('0o755', '0o660')
    """
    return mode & 0o777 & ~0o222 | (mode >> 1 & 0o222 & ~umask) | stat.S_IWUSR


def remove_tree(path: Path) -> None:
    """Remove a file, link or directory with all it holds; a path that is not there is fine.

    Directories without write permission are opened up first. Links are removed, never followed.
    """
    if path.is_symlink() or not path.is_dir():
        remove_file(path)
        return
    shutil = _shutil()
    try:
        shutil.rmtree(path)
    except FileNotFoundError:
        return
    except PermissionError:
        for folder, _, names in os.walk(path):
            with contextlib.suppress(OSError):
                Path(folder).chmod(0o700)
            for name in names if sys.platform == "win32" else ():
                with contextlib.suppress(OSError):
                    Path(folder, name).chmod(stat.S_IWRITE)
        shutil.rmtree(path)


def remove_file(path: str | Path) -> None:
    """Remove a file or a link; one that is not there is fine, and so is one that is read-only."""
    try:
        os.unlink(path)  # noqa: PTH108 - there are tens of thousands of them
    except FileNotFoundError:
        pass
    except PermissionError:
        if sys.platform != "win32":
            raise
        # There it is the file that is protected, and not the directory that decides.
        os.chmod(path, stat.S_IWRITE)  # noqa: PTH101
        os.unlink(path)  # noqa: PTH108


def is_writable(directory: Path) -> bool:
    """Whether files can be made in `directory`, or in the nearest existing directory above it."""
    while not directory.exists() and directory != directory.parent:
        directory = directory.parent
    return directory.is_dir() and os.access(directory, os.W_OK | os.X_OK)


def reflink(source: Path, target: Path, mode: int | None = None) -> None:
    """Make `target` a new file that shares the blocks of `source`, with its times, and its mode unless one is given.

    Raises OSError (EOPNOTSUPP, EXDEV, EINVAL) where the file system cannot; nothing is left then.
    """
    if sys.platform != "linux":
        raise OSError(errno.EOPNOTSUPP, "no reflinks on this system", str(target))
    with source.open("rb") as reader, target.open("xb") as writer:
        try:
            fcntl.ioctl(writer.fileno(), _FICLONE, reader.fileno())
        except OSError:
            target.unlink()
            raise
    _shutil().copystat(source, target)
    if mode is not None:
        target.chmod(mode)


def copy_file(source: Path, target: Path, mode: int | None = None) -> None:
    """Copy content, times, and the mode unless one is given; `target` must not exist, nor does it when this fails."""
    shutil = _shutil()
    try:
        with source.open("rb") as reader, target.open("xb") as writer:
            shutil.copyfileobj(reader, writer, 1 << 20)
        shutil.copystat(source, target)
        if mode is not None:
            target.chmod(mode)
    except FileExistsError:
        raise
    except BaseException:
        with contextlib.suppress(OSError):
            target.unlink()
        raise


def probe_link_method(origin: Path, target_directory: Path) -> tuple[LinkMethod, str]:
    """The best way to bring files from one place into a directory, tried with a real file, and the reason.

    Both must exist; the target must be writable. `origin` is the file to try with, or a directory: then it is a
    temporary file where one can be made, else the first file found there. Whose file it is may decide (Linux's
    fs.protected_hardlinks). The reason is empty when the answer is a reflink or a hard link.
    """
    probe = (origin, False) if origin.is_file() else _probe_source(origin)
    if probe is None:
        return LinkMethod.COPY, f"no file in {origin} to try a link with"
    source, temporary = probe
    target = target_directory / f".kaa-probe-{os.urandom(6).hex()}" / "probe"
    target.parent.mkdir(mode=0o700)
    try:
        with contextlib.suppress(OSError):
            reflink(source, target)
            return LinkMethod.REFLINK, ""
        try:
            os.link(source, target)
        except OSError as error:
            return LinkMethod.COPY, why_no_link(error, source, target_directory)
        return LinkMethod.HARDLINK, ""
    finally:
        # No more than this can be there, and `remove_tree` loads what few other commands need.
        remove_file(target)
        target.parent.rmdir()
        if temporary:
            source.unlink(missing_ok=True)


def _probe_source(directory: Path) -> tuple[Path, bool] | None:
    """A file to try links with, and whether it was made for that."""
    try:
        descriptor, path = create_temporary(directory, ".kaa-probe-")
    except OSError:
        for folder, _, names in os.walk(directory):
            for name in names:
                found = Path(folder, name)
                if found.is_file() and not found.is_symlink():
                    return found, False
        return None
    os.close(descriptor)
    return path, True


def _shutil() -> ModuleType:
    """Loaded when it is needed: it brings four compression libraries along."""
    return importlib.import_module("shutil")


def why_no_link(error: OSError, source: Path, target: Path) -> str:
    """In words, why the file `source` could not be linked into the directory `target`."""
    if error.errno == errno.EXDEV:
        return f"{source.parent} and {target} are on different file systems"
    if error.errno in (errno.EPERM, errno.EACCES):
        owner = "another user" if _belongs_to_another(source) else "this user"
        rule = " (fs.protected_hardlinks)" if owner == "another user" and sys.platform == "linux" else ""
        return f"{source} belongs to {owner}, and the system does not permit a hard link to it{rule}"
    if error.errno == errno.EMLINK:
        return f"{source} has as many links as the file system allows"
    return f"the file system of {target} makes no hard links ({error.strerror})"


def _belongs_to_another(path: Path) -> bool:
    return sys.platform != "win32" and path.lstat().st_uid != os.geteuid()
