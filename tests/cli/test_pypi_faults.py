"""Indexes and wheels that are at fault, met by whole commands: each is told, nothing of it stays, mended it works.

One table: what is wrong, what is said of it, and what a second run gets when the index is as it should be.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.channels import ChannelBuilder, Package
from tests.cli.commands import Kaa, tree_of
from tests.hostile.wheels import member, wheel
from tests.pypi_index import IndexFault, IndexServer, PypiIndex, Sdist, ServedFile, Serving, Wheel, serve_index

TOOL = "tool-1.0-py3-none-any.whl"
PAGE = "/simple/tool/"
PASSWORD = "hush-hush"
LINUX = "manylinux_2_17_x86_64"


def good() -> PypiIndex:
    """The index without its faults."""
    return PypiIndex().add(Wheel("tool", requires=["lib"]), Wheel("lib"), Wheel("good"))


@dataclass
class Scene:
    """An index that is served, a user with an environment, and a conda channel that has python."""

    kaa: Kaa
    server: IndexServer
    index: PypiIndex
    channel: Path

    @property
    def words(self) -> list[str]:
        return ["-y", "--override-channels", "-c", str(self.channel), "-c", f"pypi+{self.server.url}"]

    def serve(self, *distributions: Wheel | Sdist) -> None:
        """Offer these of the project `tool`, and nothing else of it."""
        self.index.files["tool"] = PypiIndex().add(*distributions).files["tool"]

    def serve_bytes(self, content: bytes, file_name: str = TOOL, **facts: Any) -> None:
        """Offer these bytes as the only file of `tool`."""
        self.index.files["tool"] = [ServedFile(file_name, content, **facts)]

    def tell(self, **facts: Any) -> Scene:
        """Let the index tell something else of the wheel of `tool`."""
        self.index.replace(TOOL, **facts)
        return self

    def announce(self, **fields: Any) -> Scene:
        """Let the metadata file beside the wheel of `tool` be that of another wheel."""
        return self.tell(metadata=Wheel("tool", **fields).metadata())

    def fail(self, suffix: str, *arguments: Any, **facts: Any) -> Scene:
        self.server.faults.append(IndexFault(suffix, *arguments, **facts))
        return self

    def let(self, **serving: Any) -> Scene:
        """Let the server serve in another way."""
        for name, value in serving.items():
            setattr(self.server.serving, name, value)
        return self

    def mend(self) -> None:
        """The index as it should be."""
        self.server.faults.clear()
        self.index.files.clear()
        self.index.files.update(good().files)
        self.server.serving = Serving()

    def kept(self) -> list[str]:
        """What the package cache holds of the project, and what is half done there."""
        names = [path.name for path in self.kaa.packages.iterdir()]
        names += [path.name for path in self.kaa.packages.glob("*/*") if path.parent.name.startswith(".")]
        own = [name for name in names if name.startswith(("tool-", ".tool-")) and not name.endswith(".lock")]
        return sorted([*own, *(name for name in names if name.endswith("~"))])

    def installed(self, name: str) -> set[str]:
        """The packages of an environment, with their versions."""
        records = (self.kaa.environment(name) / "conda-meta").glob("*.json")
        found = [json.loads(path.read_text()) for path in records]
        return {f"{record['name']} {record['version']}" for record in found}


@pytest.fixture
def scene(kaa: Kaa, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    monkeypatch.setenv("KAA_REMOTE_MAX_RETRIES", "1")
    (kaa.home / ".condarc").write_text("override_virtual_packages: {glibc: 2.28}\n")
    python = Package("python", "3.11.9", "h_0_cpython", subdir="linux-64", timestamp=1_600_000_000_000)
    channel = ChannelBuilder(tmp_path / "channel").add(python).write().folder
    index = good()
    with serve_index(index) as server:
        made = Scene(kaa, server, index, channel)
        kaa.ok("create", "-n", "env", *made.words, "good")
        server.requests.clear()
        yield made


@dataclass(frozen=True)
class Fault:
    """One row: how it comes to be, and what is said of it (beside the index and the project)."""

    make: Callable[[Scene], object]
    says: tuple[str, ...]
    wanted: str = "tool"
    resumed: bool = False
    """Whether what came of the wheel is kept, to be taken up again."""


OTHERS = "other platforms or Pythons only"
FAULTS = {
    # The wheel
    "a wheel whose RECORD leaves a file out": Fault(
        lambda scene: scene.serve_bytes(wheel(record_lines={"tool.py": None})()),
        (r"tool-1\.0-py3-none-any\.whl is no sound wheel: its RECORD does not name a file", "ask for another version"),
    ),
    "a wheel that writes outside": Fault(
        lambda scene: scene.serve_bytes(member("../x")()), (r"a path in it leads elsewhere \('\.\./x'\)",)
    ),
    "a wheel of another project under this name": Fault(
        lambda scene: scene.serve_bytes(Wheel("other").to_bytes(), metadata=Wheel("tool").metadata()),
        ("that of something else",),
    ),
    "a wheel that is no zip": Fault(
        lambda scene: scene.serve_bytes(b"hello" * 100, metadata=Wheel("tool").metadata()), ("no zip file",)
    ),
    # Its metadata
    "metadata that leaves a dependency out": Fault(
        lambda scene: scene.announce(), (r"not that in the wheel \(Requires-Dist\)", "run the command again")
    ),
    "metadata that is for other Pythons": Fault(
        lambda scene: scene.announce(requires=["lib"], requires_python=">=3.5"), (r"\(Requires-Python\)",)
    ),
    "metadata with other extras": Fault(
        lambda scene: scene.announce(requires=["lib"], extras=["more"]), (r"\(Provides-Extra\)",)
    ),
    "metadata that leaves a dependency out, of a wheel without a hash": Fault(
        lambda scene: scene.announce().tell(hashes={}), (r"\(Requires-Dist\)", "tell who runs the index")
    ),
    "metadata of another version": Fault(
        lambda scene: scene.announce(version="1.1"),
        ("gives unusable metadata of it: it says that the wheel is tool 1.1",),
    ),
    "metadata of another project": Fault(
        lambda scene: scene.tell(metadata=Wheel("other").metadata()), ("the wheel is other 1.0", "another channel")
    ),
    "metadata with another hash": Fault(
        lambda scene: scene.tell(metadata_hashes={"sha256": "0" * 64}),
        ("metadata file is [0-9a-f]{64}, and the index",),
    ),
    "metadata that is a page of HTML": Fault(
        lambda scene: scene.fail(f"{TOOL}.metadata", "html-error"), ("the sha256 of the metadata file is",)
    ),
    "an error in place of the metadata": Fault(
        lambda scene: scene.fail(f"{TOOL}.metadata", "status"), (r"500 \(server error\)", "again later")
    ),
    "nothing but HTML in place of the wheel, and no metadata": Fault(
        lambda scene: scene.let(metadata="none").fail(TOOL, "html-error"), ("has 84 bytes, but",)
    ),
    # The download
    "a page with a wrong hash": Fault(
        lambda scene: scene.tell(hashes={"sha256": "0" * 64}), ("has the sha256 [0-9a-f]{64}, but 0{64} was expected",)
    ),
    "a wheel that was replaced after the page was read": Fault(
        lambda scene: scene.fail(TOOL, "instead", body=Wheel("tool", files={"tool.py": "other"}).to_bytes()),
        ("bytes were expected|were expected", "clean --index-cache"),
    ),
    "a wheel that a proxy changes": Fault(
        lambda scene: scene.fail(TOOL, "corrupt"), ("was expected", "whether a proxy or mirror")
    ),
    "a page of HTML with status 200 in place of a wheel": Fault(
        lambda scene: scene.fail(TOOL, "html-error"), ("has 84 bytes", "a page of its own")
    ),
    "half a wheel, as if that were all": Fault(lambda scene: scene.fail(TOOL, "truncated"), ("bytes, but",)),
    "a wheel that breaks off each time": Fault(
        lambda scene: scene.let(ranges=False).fail(TOOL, "short"), ("ended too early", "again"), resumed=True
    ),
    "a wheel that is not there": Fault(
        lambda scene: scene.fail(TOOL, "status", status=404), (r"404 \(not found\)", "withdrawn")
    ),
    "a login asked for a wheel": Fault(
        lambda scene: scene.fail(TOOL, "status", status=401), (r"401 \(credentials are needed\)", "netrc")
    ),
    "a wheel whose host breaks the connection": Fault(
        lambda scene: scene.fail(TOOL, "reset"), ("cannot be reached", "--offline")
    ),
    # The page
    "a page of HTML with status 200": Fault(
        lambda scene: scene.fail(PAGE, "html-error"), ("lists no files", "proxy or a login page", "/simple")
    ),
    "a page of HTML with status 200 of an index that knows no JSON": Fault(
        lambda scene: scene.let(formats=("html",)).fail(PAGE, "html-error"), ("lists no files",)
    ),
    "a page that is cut": Fault(lambda scene: scene.fail(PAGE, "truncated"), ("it is no JSON",)),
    "the page of another project": Fault(
        lambda scene: scene.fail(PAGE, "instead", body=b'{"name": "other", "files": []}'), ("page of another project",)
    ),
    "a page with files of another project": Fault(
        lambda scene: scene.serve_bytes(Wheel("lib").to_bytes(), "lib-1.0-py3-none-any.whl"),
        ("files of other projects only",),
    ),
    "a server with an error": Fault(lambda scene: scene.fail(PAGE, "status"), (r"500 \(server error\)", "again later")),
    "a server that breaks the connection": Fault(
        lambda scene: scene.fail(PAGE, "reset"), ("cannot be reached", "use --offline")
    ),
    "a login asked": Fault(
        lambda scene: scene.let(credentials=("me", PASSWORD)), ("it wants credentials", "user and password", "netrc")
    ),
    "a login that is not enough": Fault(
        lambda scene: scene.fail(PAGE, "status", status=403), ("it does not allow it", "user and password")
    ),
    "redirects without end": Fault(
        lambda scene: scene.fail(PAGE, "redirect", headers={"Location": "/simple/tool/"}), ("more than .* redirects",)
    ),
    "a redirect to a file of this machine": Fault(
        lambda scene: scene.fail(PAGE, "redirect", headers={"Location": "file:///etc/passwd"}), ("only http and https",)
    ),
    # What is there, and what is not
    "a project that is not there": Fault(lambda scene: scene.index.files.pop("tool"), ("add a channel",)),
    "a dependency that is not there": Fault(lambda scene: scene.index.files.pop("lib"), ("needs lib", "add a channel")),
    "withdrawn releases only": Fault(
        lambda scene: scene.serve(Wheel("tool", yanked="eats \x1b[2Jdisks"), Wheel("tool", "0.9", yanked=True)),
        (r"withdrawn \(yanked: eats .*disks\)", "tool==1.0"),
    ),
    "a range of withdrawn releases": Fault(
        lambda scene: scene.serve(Wheel("tool", "2.0", yanked=True), Wheel("tool", "0.9")), ("tool==2.0",), "tool>=1"
    ),
    "a range of pre-releases": Fault(
        lambda scene: scene.serve(Wheel("tool", "2.0rc1"), Wheel("tool", "0.9")),
        ("only pre-releases; ask for one by its number, as in tool>=2.0rc1",),
        "tool>=1",
    ),
    "a wheel for Pythons to come": Fault(
        lambda scene: scene.serve(Wheel("tool", requires_python=">=3.99")), ("needs python >=3.99", "3.11.9")
    ),
    "a wheel for an older Python": Fault(
        lambda scene: scene.serve(Wheel("tool", tag=f"cp39-cp39-{LINUX}")), (r"needs python >=3\.9,<3\.10",)
    ),
    "source archives only": Fault(
        lambda scene: scene.serve(Sdist("tool")), ("only source archives, and no wheels", "--build-package tool")
    ),
    "wheels of other platforms only": Fault(
        lambda scene: scene.serve(Wheel("tool", tag="cp311-cp311-win_amd64"), Wheel("tool", tag="py3-none-win32")),
        (rf"{OTHERS} \(cp311 cp311 win_amd64, py3 none win32\)", "another version"),
    ),
    "a wheel of another platform, and source archives": Fault(
        lambda scene: scene.serve(Wheel("tool", tag="cp311-cp311-win_amd64"), Sdist("tool")),
        ("no wheels for linux-64", "--build-package tool"),
    ),
    "a wheel for another C library": Fault(
        lambda scene: scene.serve(Wheel("tool", tag="cp311-cp311-musllinux_1_2_x86_64")), (OTHERS,)
    ),
    "a wheel for a newer C library": Fault(
        lambda scene: scene.serve(Wheel("tool", tag="cp311-cp311-manylinux_2_99_x86_64")),
        (r"__glibc >=2\.99, but this machine has __glibc 2\.28",),
    ),
}
WITHOUT_INDEX = {
    "a project that is not there",
    "a dependency that is not there",
    "a wheel for Pythons to come",
    "a wheel for an older Python",
    "a wheel for a newer C library",
}
"""Of these it is enough to say what is missing: nothing is wrong with the index."""


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_told_and_leaves_nothing(scene: Scene, name: str) -> None:
    fault = FAULTS[name]
    fault.make(scene)
    before = tree_of(scene.kaa.environment("env"))
    failed = scene.kaa("install", "-n", "env", *scene.words, fault.wanted)
    assert failed.code == 1, failed.out
    assert "Traceback" not in failed.err
    assert "\x1b" not in failed.err
    assert "tool" in failed.err
    assert "  try: " in failed.err
    assert PASSWORD not in failed.out + failed.err
    for pattern in (*fault.says, *(() if name in WITHOUT_INDEX else (re.escape(scene.server.url),))):
        assert re.search(pattern, failed.err), f"{pattern!r} does not match\n{failed.err}"
    assert tree_of(scene.kaa.environment("env")) == before
    assert [name for name in scene.kept() if not (fault.resumed and name.endswith(".partial"))] == []
    scene.mend()
    scene.kaa.ok("create", "-n", "new", *scene.words, "tool")
    assert scene.installed("new") == {"python 3.11.9", "tool 1.0", "lib 1.0"}
    scene.kaa.ok("install", "-n", "env", *scene.words, "tool")
    assert scene.installed("env") == {"python 3.11.9", "tool 1.0", "lib 1.0", "good 1.0"}


@pytest.mark.parametrize("name", [name for number, name in enumerate(FAULTS) if number % 6 == 0])
def test_no_environment_comes_to_be(scene: Scene, name: str) -> None:
    FAULTS[name].make(scene)
    before = tree_of(scene.kaa.root / "envs")
    assert scene.kaa("create", "-n", "new", *scene.words, FAULTS[name].wanted).code == 1
    assert tree_of(scene.kaa.root / "envs") == before


PASSING: dict[str, Callable[[Scene], object]] = {
    "an error, once": lambda scene: scene.fail(PAGE, "status", times=1),
    "a broken connection, once": lambda scene: scene.fail(PAGE, "reset", times=1),
    "an error in place of a wheel, once": lambda scene: scene.fail(TOOL, "status", times=1),
    "half a wheel, which is resumed": lambda scene: scene.fail(TOOL, "short", times=1),
    "half a wheel, which is fetched again": lambda scene: scene.let(ranges=False).fail(TOOL, "short", times=1),
    "another wheel out of some cache": lambda scene: scene.fail(TOOL, "corrupt", times=1),
    "metadata that is promised and not there": lambda scene: scene.fail(f"{TOOL}.metadata", "status", status=404),
}


@pytest.mark.parametrize("name", PASSING)
def test_what_passes_is_passed_over(scene: Scene, name: str) -> None:
    PASSING[name](scene)
    scene.kaa.ok("install", "-n", "env", *scene.words, "tool")
    assert scene.installed("env") == {"python 3.11.9", "tool 1.0", "lib 1.0", "good 1.0"}
    assert scene.server.faults[0].kind == "status" or scene.server.faults[0].times == 0


def test_after_metadata_that_was_not_the_wheels_own_the_wheels_counts(scene: Scene) -> None:
    scene.announce()
    assert scene.kaa("install", "-n", "env", *scene.words, "tool").code == 1
    scene.kaa.ok("install", "-n", "env", *scene.words, "tool")
    assert scene.installed("env") == {"python 3.11.9", "tool 1.0", "lib 1.0", "good 1.0"}


def test_a_wheel_that_another_index_gave_is_compared_too(scene: Scene) -> None:
    with serve_index(good()) as honest:
        words = [word.replace(scene.server.url, honest.url) for word in scene.words]
        scene.kaa.ok("create", "-n", "other", *words, "tool")
    scene.announce()
    before = tree_of(scene.kaa.environment("env"))
    failed = scene.kaa("install", "-n", "env", *scene.words, "tool")
    assert failed.code == 1
    assert f"the metadata that the index {scene.server.url} gives of {TOOL} is not that in the wheel" in failed.err
    assert tree_of(scene.kaa.environment("env")) == before
    scene.kaa.ok("install", "-n", "env", *scene.words, "tool")
    assert scene.installed("env") == {"python 3.11.9", "tool 1.0", "lib 1.0", "good 1.0"}


def test_metadata_may_be_spelled_otherwise(scene: Scene) -> None:
    scene.tell(metadata=b"Metadata-Version: 2.3\nName: Tool\nVersion: 1.0.0\nRequires-Dist: Lib ( >= 0 )\n\n")
    scene.index.files["tool"][0] = ServedFile(
        TOOL, Wheel("tool", requires=["lib>=0"]).to_bytes(), metadata=scene.index.files["tool"][0].metadata
    )
    scene.kaa.ok("install", "-n", "env", *scene.words, "tool")
    assert "lib 1.0" in scene.installed("env")


@pytest.mark.parametrize(
    ("versions", "wanted", "found"),
    [
        ([Wheel("tool", "2.0", yanked="bad")], "tool==2.0", "tool 2.0"),
        ([Wheel("tool", "2.0", yanked="bad"), Wheel("tool", "1.0")], "tool", "tool 1.0"),
        ([Wheel("tool", "2.0rc1"), Wheel("tool", "2.0b1")], "tool", "tool 2.0rc1"),
        ([Wheel("tool", "2.0rc1"), Wheel("tool", "1.0")], "tool>=2.0rc1", "tool 2.0rc1"),
    ],
)
def test_what_is_there_for_those_who_ask(scene: Scene, versions: list[Wheel], wanted: str, found: str) -> None:
    scene.serve(*versions)
    made = scene.kaa.ok("install", "-n", "env", *scene.words, wanted)
    assert found in scene.installed("env")
    told = re.findall(r"tool 2\.0 was withdrawn by its makers \(yanked: bad\)", made.err)
    assert len(told) == ("==" in wanted)


@pytest.mark.parametrize("suffix", [PAGE, TOOL, f"{TOOL}.metadata"])
def test_a_redirect_to_another_host_takes_no_login_along(scene: Scene, suffix: str) -> None:
    scene.let(credentials=("me", PASSWORD))
    words = [word.replace("://127", f"://me:{PASSWORD}@127") for word in scene.words]
    with serve_index(scene.index) as other:
        place = suffix if suffix == PAGE else f"/files/tool/{suffix}"
        scene.fail(suffix, "redirect", headers={"Location": f"{other.root.replace('127.0.0.1', 'localhost')}{place}"})
        made = scene.kaa.ok("install", "-n", "env", *words, "tool")
        assert other.count(suffix) > 0
        assert [request for request in other.requests if "Authorization" in request.headers] == []
    assert "tool 1.0" in scene.installed("env")
    assert PASSWORD not in made.out + made.err
    kept = [path for path in scene.kaa.home.rglob("*") if path.is_file() and PASSWORD.encode() in path.read_bytes()]
    assert kept == []


def test_an_index_that_is_not_there(scene: Scene) -> None:
    with serve_index(PypiIndex()) as gone:
        words = [word.replace(scene.server.url, gone.url) for word in scene.words]
    failed = scene.kaa("install", "-n", "env", *words, "tool")
    assert failed.code == 1
    assert re.search(f"the index {gone.url} cannot be asked about tool: .* cannot be reached", failed.err)
    assert "  try: check the network" in failed.err
    assert "Traceback" not in failed.err


def test_without_the_index_what_was_fetched_can_be_used(scene: Scene) -> None:
    scene.fail("/", "reset")
    failed = scene.kaa("create", "-n", "new", *scene.words, "good", "tool")
    assert "use --offline to work with what was fetched" in failed.err
    scene.kaa.ok("create", "-n", "new", "--offline", *scene.words, "good")
    assert scene.installed("new") == {"python 3.11.9", "good 1.0"}


def test_a_wheel_that_was_fetched_for_its_metadata_is_not_fetched_again(scene: Scene) -> None:
    scene.let(metadata="none", ranges=False)
    scene.kaa.ok("install", "-n", "env", *scene.words, "tool")
    whole = [request for request in scene.server.requests if request.path.endswith(TOOL)]
    assert [request.method for request in whole if "Range" not in request.headers] == ["GET"]
