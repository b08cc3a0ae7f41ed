from __future__ import annotations

import csv
import io
import json
import stat
import zipfile
from pathlib import Path
from typing import Any

import pytest

from kaa.archive.extract import extract
from kaa.archive.read import read_info
from kaa.channels.index import index_channel
from kaa.cli.main import main
from kaa.models.match_spec import MatchSpec
from kaa.pypi.interpreters.build_configuration import PLACEHOLDER
from kaa.pypi.unpacked_wheel import read_wheel
from kaa.pypi.wheel import NoPackage, package_wheel
from kaa.pypi.wheel_file import BadWheel
from tests.pypi.wheels import build_wheel, digest_text

LINK = stat.S_IFLNK | 0o777


def member(name: str, mode: int = stat.S_IFREG | 0o644) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, (2024, 1, 1, 0, 0, 0))
    info.external_attr = mode << 16
    return info


def listed(*lines: str) -> dict[str, str | None]:
    return {str(position): line for position, line in enumerate(lines)}


def of(text: str) -> str:
    return f"{text},{digest_text(b'x')},1"


HOSTILE: list[tuple[str, dict[str, Any], str]] = [
    ("no zip", {"raw": b"hello"}, "no zip file"),
    ("no wheel name", {"file_name": "tool.whl"}, "its name"),
    ("other project", {"file_name": "other-1.0-py3-none-any.whl"}, "that of something else"),
    ("other version", {"file_name": "tool-2.0-py3-none-any.whl"}, "that of something else"),
    ("future format", {"wheel_version": "2.0"}, "version 2.0"),
    ("no format", {"wheel_version": ""}, "version unknown"),
    ("parent", {"members": {member("../evil.py"): b"x"}, "record": listed(of("../evil.py"))}, "leads elsewhere"),
    ("absolute", {"members": {member("/etc/evil"): b"x"}, "record": listed(of("/etc/evil"))}, "leads elsewhere"),
    ("inner parent", {"members": {member("a/../../x"): b"x"}, "record": listed(of("a/../../x"))}, "leads elsewhere"),
    ("dot", {"members": {member("./x"): b"x"}, "record": listed(of("./x"))}, "leads elsewhere"),
    ("drive", {"members": {member("C:/x"): b"x"}, "record": listed(of("C:/x"))}, "leads elsewhere"),
    ("link", {"members": {member("link", LINK): b"x"}, "record": listed(of("link"))}, "no file"),
    ("twice", {"members": {member("tool.py"): b"x = 2\n"}}, "two files of one name"),
    ("file and folder", {"members": {member("tool.py/x"): b"x"}, "record": listed(of("tool.py/x"))}, "directory"),
    ("not listed", {"members": {member("more.py"): b"x"}}, "does not name"),
    ("not there", {"record": listed(of("ghost.py"))}, "not there"),
    ("listed twice", {"record": listed("tool.py,,")}, "twice"),
    ("no hash", {"record": {"tool.py": "tool.py,,6"}}, "no strong hash"),
    (
        "weak hash",
        {"record": {"tool.py": f"tool.py,{digest_text(b'x = 1', 'md5')},6"}},
        "no strong hash for a file .md5",
    ),
    ("wrong hash", {"record": {"tool.py": f"tool.py,{digest_text(b'y')},6"}}, "not the one"),
    ("garbled hash", {"record": {"tool.py": "tool.py,sha256=!,6"}}, "not the one"),
    ("data elsewhere", {"files": {"{data}/secrets/x": "x"}}, "unknown place"),
    ("data over records", {"files": {"{data}/data/conda-meta/x.json": "x"}}, "only the package manager"),
    ("data over info", {"files": {"{data}/data/info/index.json": "x"}}, "only the package manager"),
    ("one place", {"files": {"x.py": "1", "{data}/purelib/x.py": "2"}}, "one place"),
    ("entry point", {"entry_points": "[console_scripts]\n../evil = tool:main\n"}, "not a simple file name"),
    ("entry point code", {"entry_points": "[console_scripts]\nx = tool:main;import os\n"}, "not module:function"),
    ("entry points", {"entry_points": "[console_scripts\n"}, "entry points cannot be read"),
]


@pytest.mark.parametrize(("arguments", "reason"), [row[1:] for row in HOSTILE], ids=[row[0] for row in HOSTILE])
def test_an_unsound_wheel_is_refused_and_leaves_nothing(tmp_path: Path, arguments: dict[str, Any], reason: str) -> None:
    wheel = build_wheel(tmp_path / "wheels", **{key: value for key, value in arguments.items() if key != "raw"})
    if "raw" in arguments:
        wheel.write_bytes(arguments["raw"])
    with pytest.raises(BadWheel, match=reason) as caught:
        package_wheel(wheel, tmp_path / "channel", subdir="linux-64")
    assert wheel.name in str(caught.value)
    assert not (tmp_path / "channel").exists()
    assert not list(tmp_path.glob("**/*evil*"))


@pytest.mark.parametrize("keep", ["0.2", "0.5", "0.9"])
def test_a_cut_wheel_is_refused(tmp_path: Path, keep: str) -> None:
    wheel = build_wheel(tmp_path)
    content = wheel.read_bytes()
    wheel.write_bytes(content[: int(len(content) * float(keep))])
    with pytest.raises(BadWheel):
        package_wheel(wheel, tmp_path / "channel", subdir="linux-64")


def test_a_wheel_without_metadata_or_record(tmp_path: Path) -> None:
    for missing in ("METADATA", "RECORD"):
        wheel = build_wheel(tmp_path)
        smaller = tmp_path / "tool-1.0-py3-none-any.whl.new"
        with zipfile.ZipFile(wheel) as source, zipfile.ZipFile(smaller, "w") as target:
            for info in source.infolist():
                if not info.filename.endswith(missing):
                    content = source.read(info)
                    if info.filename.endswith("RECORD"):
                        lines = [line for line in content.decode().splitlines(keepends=True) if missing not in line]
                        content = "".join(lines).encode()
                    target.writestr(info, content)
        smaller.replace(wheel)
        with pytest.raises(BadWheel, match=missing):
            package_wheel(wheel, tmp_path / "channel", subdir="linux-64")


def test_what_a_wheel_says(tmp_path: Path) -> None:
    wheel = build_wheel(
        tmp_path,
        "Big_Tool",
        "1.0+local.1",
        build="7x",
        entry_points="[console_scripts]\nTool = t:main\n[gui_scripts]\ng = t.g:run\n[other]\nz = z\n",
        record={"{info}/RECORD.jws": "{info}/RECORD.jws,,"},
        members={member("Big_Tool-1.0+local.1.dist-info/RECORD.jws"): b"{}"},
    )
    found = read_wheel(wheel, tmp_path / "unpacked")
    assert (found.project, str(found.version), found.build_number) == ("big-tool", "1.0+local.1", 7)
    assert found.scripts == ("Tool = t:main", "g = t.g:run")
    assert "Big_Tool-1.0+local.1.dist-info/RECORD.jws" not in found.files
    assert found.newest == (2024, 1, 2, 3, 4, 6)


# -- what becomes of it -----------------------------------------------------------------------------------------------


class Made:
    """A package, unpacked."""

    def __init__(self, path: Path, folder: Path) -> None:
        extract(path, folder)
        self.path = path
        self.folder = folder
        self.index: dict[str, Any] = json.loads((folder / "info/index.json").read_text())
        self.paths: dict[str, dict[str, Any]] = {
            entry["_path"]: entry for entry in json.loads((folder / "info/paths.json").read_text())["paths"]
        }
        link = folder / "info/link.json"
        self.link: dict[str, Any] = json.loads(link.read_text()) if link.exists() else {}

    def record(self, information: str = "tool-1.0.dist-info") -> dict[str, tuple[str, str]]:
        [path] = [path for path in self.paths if path.endswith(f"{information}/RECORD")]
        return {row[0]: (row[1], row[2]) for row in csv.reader(io.StringIO((self.folder / path).read_text()))}


def make(
    tmp_path: Path, *, subdir: str = "linux-64", v3: bool = False, python: str | None = None, **wheel: Any
) -> list[Made]:
    built = build_wheel(tmp_path / "wheels", **wheel)
    packaged = package_wheel(built, tmp_path / "channel", subdir=subdir, v3=v3, python=python)
    return [Made(path, tmp_path / f"unpacked{position}") for position, path in enumerate(packaged.paths)]


def test_a_pure_wheel(tmp_path: Path) -> None:
    [made] = make(
        tmp_path,
        files={
            "tool/__init__.py": "x = 1\n",
            "tool/data.bin": b"\0\1",
            "{data}/scripts/run-tool": "#!python -E\nimport tool\n",
            "{data}/scripts/other": "#!/bin/sh\necho\n",
            "{data}/data/share/tool/readme": "hello\n",
            "{data}/headers/tool.h": "int x;\n",
            "{data}/purelib/more.py": "y = 2\n",
            "{info}/licenses/LICENSE.txt": "free\n",
            "{info}/direct_url.json": "{}",
        },
        metadata="Requires-Dist: dep>=1\nRequires-Python: >=3.8\nLicense-Expression: MIT\nProject-URL: Source, https://e.org/s\n",
        entry_points="[console_scripts]\ntool = tool:main\n",
    )
    assert made.path.parent.name == "noarch"
    assert made.index["depends"] == ["python >=3.8", "dep >=1"]
    wanted = {
        "name": "tool",
        "version": "1.0",
        "noarch": "python",
        "subdir": "noarch",
        "build_number": 0,
        "license": "MIT",
    }
    assert {key: made.index[key] for key in wanted} == wanted
    assert made.index["purls"] == ["pkg:pypi/tool@1.0"]
    assert made.index["timestamp"] == 1_704_164_646_000
    assert made.link == {
        "package_metadata_version": 1,
        "noarch": {"type": "python", "entry_points": ["tool = tool:main"]},
    }
    assert sorted(path for path in made.paths if "dist-info" not in path) == [
        "include/tool/tool.h",
        "python-scripts/other",
        "python-scripts/run-tool",
        "share/tool/readme",
        "site-packages/more.py",
        "site-packages/tool/__init__.py",
        "site-packages/tool/data.bin",
    ]
    assert (made.folder / "python-scripts/run-tool").read_text() == f"#!{PLACEHOLDER}/bin/python -E\nimport tool\n"
    assert made.paths["python-scripts/run-tool"]["prefix_placeholder"] == PLACEHOLDER
    assert "prefix_placeholder" not in made.paths["python-scripts/other"]
    assert all(path["path_type"] == "hardlink" for path in made.paths.values())
    for script in ("run-tool", "other"):
        assert (made.folder / "python-scripts" / script).stat().st_mode & 0o777 == 0o755
    assert (made.folder / "site-packages/tool-1.0.dist-info/INSTALLER").read_text() == "conda\n"
    assert not (made.folder / "site-packages/tool-1.0.dist-info/direct_url.json").exists()
    assert (made.folder / "info/licenses/LICENSE.txt").read_text() == "free\n"
    about = json.loads((made.folder / "info/about.json").read_text())
    assert about == {"summary": "A tool", "license": "MIT", "dev_url": "https://e.org/s"}


def test_record_tells_what_will_be_installed(tmp_path: Path) -> None:
    [made] = make(
        tmp_path,
        files={"tool.py": "x = 1\n", "{data}/scripts/s": "#!python\n", "{data}/data/etc/t": "t"},
        entry_points="[console_scripts]\ntool = tool:main\n",
    )
    record = made.record()
    assert record["tool.py"] == (digest_text(b"x = 1\n"), "6")
    assert record["../../../etc/t"] == (digest_text(b"t"), "1")
    assert record["../../../bin/s"] == record["../../../bin/tool"] == ("", "")
    assert record["tool-1.0.dist-info/INSTALLER"] == (digest_text(b"conda\n"), "6")
    assert record["tool-1.0.dist-info/RECORD"] == ("", "")


def test_a_compiled_wheel(tmp_path: Path) -> None:
    [made] = make(
        tmp_path,
        tag="cp312-cp312-manylinux_2_17_x86_64.manylinux2014_x86_64",
        build="3",
        files={
            "tool/_fast.cpython-312-x86_64-linux-gnu.so": b"\x7fELF",
            "tool.libs/libz.so.1": b"\x7fELF",
            "{data}/headers/t.h": "",
            "{data}/scripts/s": "#!/usr/bin/pythonw\nx\n",
        },
        executable=("tool.libs/libz.so.1",),
        metadata="Requires-Dist: tomli; python_version<'3.11'\nRequires-Dist: u; sys_platform=='linux'\n",
        entry_points="[console_scripts]\ntool = tool.cli:main\n",
    )
    assert made.path.parent.name == "linux-64"
    assert made.index["depends"] == ["python 3.12.*", "__glibc >=2.17", "u"]
    assert "noarch" not in made.index
    assert made.index["build"].startswith("py312h")
    assert made.index["build"].endswith("_3")
    assert made.index["build_number"] == 3
    assert made.link == {}
    site = "lib/python3.12/site-packages"
    assert {f"{site}/tool/_fast.cpython-312-x86_64-linux-gnu.so", "include/python3.12/tool/t.h"} <= made.paths.keys()
    script = (made.folder / "bin/tool").read_text()
    assert script.startswith(f"#!{PLACEHOLDER}/bin/python3.12\n")
    assert "from tool.cli import main" in script
    assert made.paths["bin/tool"]["prefix_placeholder"] == PLACEHOLDER
    assert (made.folder / "bin/tool").stat().st_mode & 0o777 == 0o755
    assert (made.folder / "bin/s").read_text().startswith(f"#!{PLACEHOLDER}/bin/python\n")
    assert (made.folder / site / "tool.libs/libz.so.1").stat().st_mode & 0o111
    assert "../../../bin/tool" in made.record()


@pytest.mark.parametrize(
    ("tag", "subdirs", "depends", "noarch"),
    [
        ("cp39-abi3-manylinux_2_28_aarch64", ["linux-aarch64"], ["python >=3.9", "__glibc >=2.28"], "python"),
        ("py3-none-win_amd64", ["win-64"], ["python >=3"], "python"),
        ("cp311-cp311-win_amd64", ["win-64"], ["python 3.11.*"], "python"),
        ("cp311-cp311-macosx_10_9_universal2", ["osx-64", "osx-arm64"], ["python 3.11.*", "__osx >=10.9"], None),
        ("cp313-cp313t-manylinux_2_17_x86_64", ["linux-64"], ["python 3.13.* *_cp313t", "__glibc >=2.17"], None),
        ("cp311-none-any", ["noarch"], ["python 3.11.*"], "python"),
    ],
)
def test_platforms(tmp_path: Path, tag: str, subdirs: list[str], depends: list[str], noarch: str | None) -> None:
    made = make(tmp_path, tag=tag)
    assert [package.index["subdir"] for package in made] == subdirs
    for package in made:
        assert package.path.parent.name == package.index["subdir"]
        assert package.index["depends"] == depends
        assert package.index.get("noarch") == noarch


def test_one_wheel_for_several_ranges_of_python(tmp_path: Path) -> None:
    made = make(
        tmp_path, metadata="Requires-Python: >=3.8\nRequires-Dist: tomli>=1; python_version<'3.11'\nRequires-Dist: x\n"
    )
    assert [package.index["depends"] for package in made] == [
        ["python >=3.8,<3.11a0", "tomli >=1", "x"],
        ["python >=3.11", "x"],
    ]
    assert len({package.path.name for package in made}) == 2


def test_one_python_alone(tmp_path: Path) -> None:
    metadata = "Requires-Python: >=3.8\nRequires-Dist: tomli>=1; python_version<'3.11'\n"
    [made] = make(tmp_path, python="3.12", metadata=metadata)
    assert made.index["depends"] == ["python 3.12.*"]
    with pytest.raises(NoPackage, match=r"not for Python 3\.9"):
        make(tmp_path, python="3.9", tag="cp311-cp311-linux_x86_64")


def test_dependencies_that_differ_between_platforms(tmp_path: Path) -> None:
    metadata = "Requires-Dist: colorama; sys_platform=='win32'\nRequires-Dist: u; os_name=='posix'\n"
    wheel = build_wheel(tmp_path, metadata=metadata)
    for subdir, depends in (("linux-64", ["u"]), ("win-64", ["colorama"])):
        packaged = package_wheel(wheel, tmp_path / "channel", subdir=subdir)
        [path] = packaged.paths
        index = json.loads(read_info(path, ["info/index.json"])["info/index.json"])
        assert (path.parent.name, index["subdir"], index["noarch"]) == (subdir, subdir, "python")
        assert index["depends"] == ["python >=3", *depends]
        assert "differ between platforms" in packaged.notes[0]


def test_conditions_and_extras(tmp_path: Path) -> None:
    [made] = make(
        tmp_path,
        v3=True,
        metadata="Requires-Dist: colorama; sys_platform=='win32'\nRequires-Dist: tomli>=1; python_version<'3.11'\n"
        "Requires-Dist: pytest>7; extra=='Test'\nProvides-Extra: Test\nRequires-Python: >=3.8\n",
    )
    assert made.index["schema_version"] == 3
    assert made.index["subdir"] == "noarch"
    assert [MatchSpec.parse(text) for text in made.index["depends"]] == [
        MatchSpec.parse(text)
        for text in ("python >=3.8", "colorama[when='__win']", "tomli[version='>=1',when='python<3.11a0']")
    ]
    assert all(text.endswith("]") for text in made.index["depends"])
    assert made.index["extra_depends"] == {"test": ["pytest[version='>7']"]}
    index_channel(tmp_path / "channel")
    document = json.loads((tmp_path / "channel/noarch/repodata.json").read_text())
    assert list(document["v3"]["conda"]) == [made.path.name.removesuffix(".conda")]


def test_a_wheel_without_conditions_needs_no_new_repodata(tmp_path: Path) -> None:
    [made] = make(tmp_path, v3=True, metadata="Requires-Dist: x>=1\n")
    assert "schema_version" not in made.index
    assert made.index["depends"] == ["python >=3", "x >=1"]


def test_the_same_wheel_is_the_same_package(tmp_path: Path) -> None:
    wheel = build_wheel(tmp_path, entry_points="[console_scripts]\nt = t:m\n")
    first = package_wheel(wheel, tmp_path / "one", subdir="linux-64").paths[0]
    second = package_wheel(wheel, tmp_path / "two", subdir="osx-64").paths[0]
    assert first.name == second.name
    assert first.read_bytes() == second.read_bytes()


def test_what_differs_has_another_build_string(tmp_path: Path) -> None:
    names = set()
    for position, metadata in enumerate(["", "Requires-Dist: x\n", "Requires-Dist: x>1\n"]):
        wheel = build_wheel(tmp_path / str(position), metadata=metadata)
        names.add(package_wheel(wheel, tmp_path / "channel", subdir="linux-64").paths[0].name)
    assert len(names) == 3


@pytest.mark.parametrize("tag", ["py2-none-any", "cp311-cp311-musllinux_1_1_x86_64", "pp39-pypy39_pp73-linux_x86_64"])
def test_a_wheel_for_something_else(tmp_path: Path, tag: str) -> None:
    with pytest.raises(NoPackage, match="no package can be made"):
        make(tmp_path, tag=tag)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAA_ROOT_PREFIX", str(tmp_path / "root"))
    good = build_wheel(tmp_path, metadata="Requires-Dist: x; extra=='e'\nProvides-Extra: e\n")
    bad = build_wheel(tmp_path, "bad", record={"bad.py": None})
    channel = str(tmp_path / "channel")
    assert main(["package", "wheel", str(good), "--channel", channel, "-q"]) == 0
    answer = capsys.readouterr()
    assert answer.out.startswith(f"{channel}/noarch/tool-1.0-pyh")
    assert "the extras e" in answer.err
    assert (tmp_path / "channel/noarch/repodata.json").exists()
    assert main(["package", "wheel", str(bad), str(good), "-c", channel, "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert len(document["packages"]) == 1
    assert "RECORD does not name" in document["errors"][0]["message"]
    assert main(["package", "wheel", str(tmp_path / "none.whl"), "-c", channel]) == 1
    assert "there is no file" in capsys.readouterr().err
    assert main(["package", "wheel", str(good), "-c", channel, "--python", "three"]) == 2
    assert main(["package", "wheel", str(good), "-c", channel, "--level", "99"]) == 2


def test_the_index_can_be_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAA_ROOT_PREFIX", str(tmp_path / "root"))
    wheel = build_wheel(tmp_path)
    assert main(["package", "wheel", str(wheel), "-c", str(tmp_path / "channel"), "--no-index", "-q"]) == 0
    assert not (tmp_path / "channel/noarch/repodata.json").exists()
