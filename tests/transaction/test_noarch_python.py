from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kaa.models.entry_point import EntryPoint, InvalidEntryPoint, parse_entry_point
from kaa.models.record import PackageRecord
from kaa.transaction.noarch_python import entry_point_scripts, target_path
from kaa.transaction.plan import PythonInfo, python_of
from tests.transaction.world import VERSION


def python(version: str, subdir: str = "linux-64", **fields: Any) -> PythonInfo:
    info = python_of([PackageRecord(name="python", version=version, build=fields.pop("build", "0"), **fields)], subdir)
    assert info is not None
    return info


@pytest.mark.parametrize(
    ("info", "path", "target"),
    [
        (python("3.12.4"), "site-packages/a/b.py", "lib/python3.12/site-packages/a/b.py"),
        (python("3.12.4"), "python-scripts/tool", "bin/tool"),
        (python("3.12.4"), "share/a", "share/a"),
        (python("3.12.4"), "site-packages", "site-packages"),
        (python("3.12.4", "win-64"), "site-packages/a.py", "Lib/site-packages/a.py"),
        (python("3.12.4", "win-64"), "python-scripts/tool.bat", "Scripts/tool.bat"),
        (python("3.13.0", build="h_0_cp313t"), "site-packages/a.py", "lib/python3.13t/site-packages/a.py"),
        (python("3.13.0", build="h_0_cp313"), "site-packages/a.py", "lib/python3.13/site-packages/a.py"),
        (python("3.13.0", python_site_packages_path="lib/here"), "site-packages/a.py", "lib/here/a.py"),
    ],
)
def test_where_files_go(info: PythonInfo, path: str, target: str) -> None:
    assert target_path(path, info) == target


@pytest.mark.parametrize(
    ("version", "build", "tag"),
    [
        ("3.12.4", "h1_0_cpython", "cpython-312"),
        ("3.13.1", "h1_0_cp313t", "cpython-313"),
        ("3.7.0", "0", "cpython-37"),
        ("3.6.15", "0", None),
        ("2.7.18", "0", None),
        ("3.9.18", "0_73_pypy", None),
        ("3.14.0rc1", "0", None),
    ],
)
def test_the_tag_of_bytecode(version: str, build: str, tag: str | None) -> None:
    assert python(version, build=build).bytecode_tag == tag


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("tool = tool.cli:main", EntryPoint("tool", "tool.cli", "main")),
        ("tool=tool:Main.run", EntryPoint("tool", "tool", "Main.run")),
        ("f2py3.12 = numpy.f2py : main", EntryPoint("f2py3.12", "numpy.f2py", "main")),
        ("tool = tool:main [extra]", EntryPoint("tool", "tool", "main")),
        ("_a-b.c+d = _m:_f", EntryPoint("_a-b.c+d", "_m", "_f")),
        ("tool = mödule:fünc", EntryPoint("tool", "mödule", "fünc")),
    ],
)
def test_entry_points(text: str, expected: EntryPoint) -> None:
    assert parse_entry_point(text, "p-1-0") == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "tool",
        "tool = module",
        "tool = module:",
        "tool = :main",
        "= module:main",
        "../tool = module:main",
        "/bin/tool = module:main",
        "a/b = module:main",
        "a\\b = module:main",
        ".hidden = module:main",
        "-rf = module:main",
        "to\0ol = module:main",
        "to\nol = module:main",
        "tool = module:main\nimport os",
        "tool = module:main()",
        "tool = module; import os:main",
        "tool = os:system('x')",
        "tool = a b:main",
        "tool = .module:main",
        "tool = mod..ule:main",
        "tool = module:main:more",
        "too%PATH%l = module:main",
        "tool& = module:main",
    ],
)
def test_hostile_entry_points_are_refused(text: str) -> None:
    with pytest.raises(InvalidEntryPoint) as caught:
        parse_entry_point(text, "p-1-0")
    assert caught.value.package == "p-1-0"
    assert "p-1-0" in str(caught.value)


@pytest.mark.skipif(os.name == "nt", reason="unix scripts")
@pytest.mark.parametrize("folder", ["short", "a folder with spaces", "d" * 140])
@pytest.mark.parametrize("named", ["tool", "tool-script.py", "tool.exe"])
def test_an_entry_point_runs_its_function(tmp_path: Path, folder: str, named: str) -> None:
    prefix = tmp_path / folder
    (prefix / "bin").mkdir(parents=True)
    (prefix / "bin" / f"python{VERSION}").symlink_to(sys.executable)
    (tmp_path / "module.py").write_text(
        "import sys\nclass Tool:\n    @staticmethod\n    def run():\n        print(sys.argv); return 7\n"
    )
    [script] = entry_point_scripts(EntryPoint("tool", "module", "Tool.run"), str(prefix), python(VERSION), "linux-64")
    assert (script.path, script.path_type, script.mode) == ("bin/tool", "unix_python_entry_point", 0o755)
    path = prefix / "bin" / named
    path.write_bytes(script.content)
    path.chmod(script.mode)
    done = subprocess.run([path, "x"], capture_output=True, text=True, env={"PYTHONPATH": str(tmp_path)})
    assert (done.returncode, done.stdout) == (7, f"{[str(prefix / 'bin' / 'tool'), 'x']}\n"), done.stderr


def test_entry_points_for_windows() -> None:
    point = EntryPoint("tool", "module", "main")
    script, launcher = entry_point_scripts(point, "C:\\env", python("3.12.0", "win-64"), "win-64")
    assert (script.path, launcher.path) == ("Scripts/tool-script.py", "Scripts/tool.bat")
    assert script.path_type == "windows_python_entry_point_script"
    compile(script.content, "tool-script.py", "exec")
    assert launcher.content.splitlines()[0] == b'@"%~dp0..\\python.exe" "%~dp0tool-script.py" %*'
