"""What is killed: packages of many kinds, states of a home, and commands that change them."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path

from tests.channels import ChannelBuilder, File, Package, Symlink
from tests.survival.grounds import Ground

VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
SITE = f"lib/python{VERSION}/site-packages"
PLACEHOLDER = "/opt/placehold_placehold_placehold_placehold_placehold_placehold_placehold_placehold_placehold"
SHARED = os.environ.get("KAA_SHARED_DATA")
REAL = (Path(SHARED) if SHARED else Path(__file__).parents[3] / "shared" / "data") / "real-packages" / "linux-64"


def text(content: str, mode: int = 0o644) -> File:
    """A text file with the prefix in it."""
    return File(content.replace("PREFIX", PLACEHOLDER).encode(), mode=mode, placeholder=PLACEHOLDER)


def binary(content: bytes, mode: int = 0o755) -> File:
    """A binary file with the prefix in it."""
    filled = b"\x7fELF\0" + PLACEHOLDER.encode() + b"/share\0" + content + b"\0"
    return File(filled, mode=mode, placeholder=PLACEHOLDER, binary=True)


def plain(version: str) -> Package:
    """Many files, links, and directories that come and go."""
    files: dict[str, File | Symlink | bytes | str] = {
        f"share/plain/{number % 5}/{number}.txt": f"{number} {version}" if number % 3 else f"{number}"
        for number in range(24)
    }
    files |= {f"share/plain/only-{version}/deep/er/file": version, "bin/plain": File(b"#!/bin/sh\n", mode=0o755)}
    files["share/plain/latest"] = Symlink(f"only-{version}")
    # What is a file in one version is a directory in the other.
    files |= {"etc/plain": "a file"} if version == "1.0" else {"etc/plain/conf": "in a directory"}
    return Package("plain", version, files=files)


def prefixed(version: str) -> Package:
    """Files with the prefix in them."""
    return Package(
        "prefixed",
        version,
        files={
            "bin/prefixed": text(f"#!PREFIX/bin/sh\necho {version}\n", 0o755),
            "lib/libprefixed.so.1": binary(version.encode() * 15_000),
            "lib/libprefixed.so": Symlink("libprefixed.so.1"),
            "etc/prefixed.conf": text("home = PREFIX/share\n"),
        },
    )


def scripted(version: str) -> Package:
    """Scripts that run when it comes and goes, and when the environment is entered."""
    return Package(
        "scripted",
        version,
        files={
            "bin/.scripted-post-link.sh": '#!/bin/sh\nmkdir -p "$PREFIX/var/made" && echo > "$PREFIX/var/made/it"\n',
            "bin/.scripted-pre-unlink.sh": "#!/bin/sh\ntest -e $PREFIX/var/made/it\n",
            "etc/conda/activate.d/scripted.sh": "export SCRIPTED=1\n",
            "share/scripted": version,
        },
    )


def python(interpreter: str) -> Package:
    """A package `python` whose program is another python of the same version."""
    program = f'#!/bin/sh\nexec "{interpreter}" "$@"\n'.encode()
    files: dict[str, File | Symlink | bytes | str] = {"bin/python": Symlink(f"python{VERSION}")}
    files[f"bin/python{VERSION}"] = File(program, mode=0o755)
    return Package("python", f"{VERSION}.{sys.version_info.micro}", files=files)


def pure(version: str) -> Package:
    """A Python package with a program."""
    metadata = f"Metadata-Version: 2.1\nName: pure\nVersion: {version}\n"
    return Package(
        "pure",
        version,
        noarch="python",
        depends=["python"],
        entry_points=["pure = pure.app:main"],
        files={
            "site-packages/pure/__init__.py": f"version = {version!r}\n",
            "site-packages/pure/app.py": "def main():\n    print('pure')\n",
            **({"site-packages/pure/more.py": "x = 1\n"} if version == "2.0" else {}),
            f"site-packages/pure-{version}.dist-info/METADATA": metadata,
            f"site-packages/pure-{version}.dist-info/INSTALLER": "conda\n",
            f"site-packages/pure-{version}.dist-info/RECORD": "",
        },
    )


def build_channel(ground: Ground, interpreter: str = sys.executable) -> None:
    """Write the channel of the scenes; `interpreter` is what its python runs."""
    channel = ChannelBuilder(ground.channel)
    for version in ("1.0", "2.0"):
        channel.add(plain(version), prefixed(version), scripted(version), pure(version))
    channel.add(
        python(interpreter),
        # Both bring one of the files: the second keeps the first one's aside.
        Package("left", files={"share/shared": "of the left", "share/left": "l"}, extension=".tar.bz2"),
        Package("right", files={"share/shared": "of the right", "share/right": "r"}),
        Package("tiny", files={"share/tiny": "t"}),
    )
    for path in sorted(REAL.glob("ripgrep*.conda")) if REAL.is_dir() else ():
        content = path.read_bytes()
        name, version, build = path.name.removesuffix(".conda").rsplit("-", 2)
        (ground.channel / "linux-64" / path.name).write_bytes(content)
        record = Package(name, version, build).record(content)
        channel.add_record(path.name, record)
    channel.write()


def build_real_channel(ground: Ground) -> None:
    """Write a channel of the python that runs the tests, its pip, and a package of Python: some thousands of files."""
    from kaa.channels.index import index_channel
    from kaa.pypi.interpreters.bundled_pip import package_pip, wheel_of_installed
    from kaa.pypi.interpreters.packaging import package_python
    from kaa.pypi.wheel import package_wheel

    folder = ground.channel / "real"
    packaged = package_python(Path(sys.executable), folder, level=1)
    package_pip(packaged.interpreter, folder, subdir="linux-64", level=1)
    information = Path(str(distribution("packaging").locate_file("")))
    wheel = wheel_of_installed(next(information.glob("packaging-*.dist-info")), ("packaging",), ground.folder)
    package_wheel(wheel, folder, subdir="linux-64", level=1)
    index_channel(folder, workers=1)


FIRST = ("plain=1", "prefixed=1", "left", "pure=1", "python")
SECOND = ("plain=2", "prefixed=2", "right", "scripted=2", "pure=2")

Step = Sequence[str] | Callable[[Ground], None]


def pip_by_hand(ground: Ground) -> None:
    """Do what `pip install` of something new does."""
    site = ground.environments / "demo" / SITE
    (site / "byhand").mkdir()
    (site / "byhand" / "__init__.py").write_text("x = 1\n")
    info = site / "byhand-3.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: byhand\nVersion: 3\n")
    (info / "INSTALLER").write_text("pip\n")
    names = ["byhand/__init__.py", "byhand-3.dist-info/METADATA", "byhand-3.dist-info/INSTALLER"]
    (info / "RECORD").write_text("".join(f"{name},,\n" for name in (*names, "byhand-3.dist-info/RECORD")))


def damage(ground: Ground) -> None:
    """Break an environment in several ways; what belongs to the cache stays as it is."""
    prefix = ground.environments / "demo"
    (prefix / "share/plain/1/1.txt").unlink()
    (prefix / "share/plain/2/2.txt").unlink()
    (prefix / "share/plain/2/2.txt").write_text("something else")
    (prefix / "bin/prefixed").unlink()
    (prefix / "bin/prefixed").write_text("#!/bin/sh\n")
    (prefix / "share/mine").write_text("of the user")


STATES: dict[str, tuple[str | None, tuple[Step, ...]]] = {
    # name: what it begins with, and what is done then
    "nothing": (None, ()),
    "cached": (
        "nothing",
        (
            ("create", "-y", "-n", "demo", "--download-only", *FIRST, "scripted=1", "tiny"),
            ("create", "-y", "-n", "demo", "--download-only", *SECOND, "python"),
        ),
    ),
    "first": ("cached", (("create", "-y", "-n", "demo", *FIRST, "scripted=1"),)),
    "second": ("first", (("install", "-y", "-n", "demo", *SECOND),)),
    "by hand": ("second", (pip_by_hand,)),
    "damaged": ("first", (damage,)),
    "real cached": ("nothing", (("create", "-y", "-n", "demo", "--download-only", "python", "pip", "packaging"),)),
    "real": ("real cached", (("create", "-y", "-n", "demo", "python", "packaging"),)),
}


@dataclass(frozen=True)
class Scene:
    """A command that changes what is there, and commands that may follow when it was killed."""

    state: str
    words: tuple[str, ...]
    recover: tuple[tuple[str, ...], ...] = (("recover", "-n", "demo"),)
    """Commands that only finish or take back, tried until one succeeds; when none does there was nothing to do."""
    network: bool = False
    settle: tuple[tuple[str, ...], ...] = ()
    """Commands that finish what the one that followed had nothing to do with."""
    works: str = ""
    """A program that must then work in every environment, for the python there."""
    following: tuple[str, ...] = ("recover", "recover", "again", "install", "create")
    """What may come next: `recover`, the same command `again`, or one of FOLLOWING."""


def change(verb: str, *words: str) -> tuple[str, ...]:
    return (verb, "-y", "-n", "demo", *words)


EITHER = (("recover", "-n", "demo"), ("recover", "-n", "other"))
IMPORTS = "import packaging.version, ssl, sqlite3, json; print(packaging.version.Version('1.0'))"

SCENES: dict[str, Scene] = {
    "create": Scene("cached", change("create", *FIRST, "scripted=1")),
    "create-from-channel": Scene(
        "nothing", change("create", "plain=2", "prefixed=2", "pure=2"), network=True, following=("recover", "again")
    ),
    "install": Scene("first", change("install", "right", "tiny")),
    "update": Scene("first", change("install", *SECOND)),
    "remove": Scene("first", change("remove", "plain", "scripted")),
    "replace": Scene("first", change("create", "plain=2", "tiny")),
    "env-remove": Scene("first", ("env", "remove", "-y", "-n", "demo")),
    "undo": Scene("second", ("undo", "-y", "-n", "demo")),
    "undo-by-hand": Scene("by hand", ("undo", "-y", "-n", "demo")),
    "rollback": Scene("second", ("rollback", "-y", "-n", "demo", "1")),
    "rename": Scene(
        "by hand",
        ("rename", "-y", "-n", "demo", "other"),
        recover=EITHER,
        settle=EITHER,
    ),
    "clone": Scene(
        "by hand",
        ("create", "-y", "-n", "other", "--clone", "demo"),
        recover=(("recover", "-p", "ENVS/other"),),
        # What comes next is about the copy; nothing is done to the one that it is made of.
        following=("recover", "again"),
    ),
    "repair": Scene("damaged", ("repair", "-y", "-n", "demo")),
    "real-create": Scene(
        "real cached", change("create", "python", "packaging"), following=("recover", "again"), works=IMPORTS
    ),
    "real-install": Scene("real", change("install", "pip"), following=("recover", "again"), works=IMPORTS),
    "real-rename": Scene(
        "real",
        ("rename", "-y", "-n", "demo", "other"),
        recover=EITHER,
        settle=EITHER,
        following=("recover", "again"),
        works=IMPORTS,
    ),
    "clean": Scene("second", ("clean", "-y", "--all"), following=("again",)),
}

FOLLOWING: dict[str, tuple[str, ...]] = {
    "install": change("install", "tiny"),
    "create": change("create", "tiny"),
}
"""Other changes that may be the next command; each recovers first."""
