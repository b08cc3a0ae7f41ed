"""Source archives that setuptools builds, which comes from the user's own index of Python packages.

Needs such an index that can be reached, and a compiler; is skipped where one is missing.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from kaa.config.pip_configuration import read_pip_configuration
from kaa.errors import KaaError
from kaa.net.client import HttpClient
from kaa.net.settings import HttpSettings
from kaa.pypi.index_client import open_index
from tests.channels import ChannelBuilder
from tests.cli.commands import Kaa
from tests.cli.generation_worlds import python_of_its_own
from tests.pypi_index import PypiIndex, Sdist, ServedFile, serve_index

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

C_SOURCE = """
#include <Python.h>
static PyObject *answer(PyObject *self, PyObject *args) { return PyLong_FromLong(42); }
static PyMethodDef methods[] = {{"answer", answer, METH_NOARGS, ""}, {NULL, NULL, 0, NULL}};
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "old_native", "", -1, methods};
PyMODINIT_FUNC PyInit_old_native(void) { return PyModule_Create(&definition); }
"""
SETUP = """
import os
from setuptools import Extension, setup
# Beside setup.py, as only the legacy way of building finds it.
import version_of_old
setup(name="old", version=version_of_old.VERSION, py_modules=["old"], install_requires=["sixth"],
      entry_points={"console_scripts": ["old = old:main"]}, ext_modules=[Extension("old_native", ["native.c"])])
"""


@pytest.fixture(scope="module")
def indexes(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The user's indexes, as channels; read before a test has a home of its own."""
    folder = tmp_path_factory.mktemp("indexes")
    told = read_pip_configuration(os.environ, str(folder))
    client = HttpClient(told.http_settings(HttpSettings(max_retries=0)))
    try:
        found = [url for url in told.indexes if open_index(url, client, folder).page("setuptools") is not None]
    except KaaError as error:
        pytest.skip(f"no index of Python packages can be reached: {error.message}")
    finally:
        client.close()
    if not found:
        pytest.skip("no index of Python packages here has setuptools")
    return [f"pypi+{url}" for url in found]


def without_pyproject(files: dict[str, str]) -> bytes:
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb") as plain, tarfile.open(fileobj=plain, mode="w") as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(f"old-1.5/{name}")
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text.encode()))
    return packed.getvalue()


def configure(kaa: Kaa, folder: Path, channels: list[str]) -> None:
    ChannelBuilder(folder).add(python_of_its_own()).write()
    (kaa.home / ".condarc").write_text(json.dumps({"channels": [folder.as_uri(), *channels]}))


def test_an_old_project_with_a_compiled_part(kaa: Kaa, tmp_path: Path, indexes: list[str]) -> None:
    if shutil.which("cc") is None and shutil.which("gcc") is None:
        pytest.skip("there is no C compiler here")
    files = {
        "setup.py": SETUP,
        "version_of_old.py": "VERSION = '1.5'",
        "old.py": "import old_native, sixth\ndef main():\n    print(old_native.answer() + sixth.value)\n",
        "native.c": C_SOURCE,
    }
    index = PypiIndex().add_file("old", ServedFile("old-1.5.tar.gz", without_pyproject(files)))
    index.add(Sdist("sixth", files={"sixth.py": "value = 6\n"}))
    with serve_index(index) as server:
        configure(kaa, tmp_path / "channel", [f"pypi+{server.url}", *indexes])
        kaa.ok("create", "-n", "demo", "-y", "python", "old", "--build-package", "old", "--build-package", "sixth")
    done = subprocess.run([kaa.environment("demo") / "bin" / "old"], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("48\n", "")
    [listed] = kaa.ok("list", "-n", "demo", "--json", "old").json()
    assert listed["version"] == "1.5"
    # setuptools is in the environment of the build alone.
    assert {one["name"] for one in kaa.ok("list", "-n", "demo", "--json").json()} == {"python", "old", "sixth"}
    assert kaa("verify", "-n", "demo").code == 0


def test_with_nothing_but_an_index(kaa: Kaa, tmp_path: Path, indexes: list[str]) -> None:
    """Python is one of this machine's; the environment of the build has a package of it, too."""
    index = PypiIndex().add(Sdist("sixth", files={"sixth.py": "value = 6\n"}))
    with serve_index(index) as server:
        (kaa.home / ".condarc").write_text(json.dumps({"channels": [f"pypi+{server.url}", *indexes]}))
        kaa.ok("create", "-n", "demo", "-y", f"python=3.{sys.version_info.minor}", "sixth", "--build-package", "sixth")
    python = kaa.environment("demo") / "bin" / "python"
    done = subprocess.run([python, "-c", "import sixth; print(sixth.value)"], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("6\n", "")
