"""A Jupyter server starts kernels of another environment, made of wheels packaged by kaa, in each way users do it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.house import House, Shared

pytestmark = [pytest.mark.slow, pytest.mark.clients]

TOKEN = "of-this-test"
PROGRAM = "import os, sys, greetings; print(sys.prefix, os.environ.get('CONDA_PREFIX'), greetings.greet())"
SESSION = Path(__file__).with_name("jupyter_session.py")


@pytest.fixture
def science(house: House, shared: Shared) -> Path:
    """The environment of the kernels."""
    house.configure(house.channel_url, shared.channel_of_wheels("ipykernel"))
    house.ok("conda", "create", "--yes", "--name", "science", "python", "ipykernel", "greetings")
    return house.environment("science")


@contextlib.contextmanager
def server(house: House, programs: Path) -> Iterator[str]:
    """A Jupyter server of that user; gives its address."""
    words = [
        str(programs / "jupyter"),
        "server",
        "--no-browser",
        "--port=0",
        "--allow-root",
        f"--ServerApp.token={TOKEN}",
    ]
    log = house.work / "server.log"
    with log.open("w") as stream:
        process = subprocess.Popen(words, env=house.environ, cwd=house.work, stdout=stream, stderr=stream)
    try:
        yield address_of(house, process, log)
    finally:
        process.terminate()
        process.wait(timeout=60)


def address_of(house: House, process: subprocess.Popen[bytes], log: Path) -> str:
    """Where a server listens, as soon as it has written that down."""
    while process.poll() is None:
        for file in (house.home / ".local" / "share" / "jupyter" / "runtime").glob("jpserver-*.json"):
            with contextlib.suppress(json.JSONDecodeError):
                return str(json.loads(file.read_text())["url"])
        time.sleep(0.05)
    pytest.fail(f"the server ended\n{log.read_text()}")


def specify(house: House, name: str, *words: str) -> None:
    """Write a kernel specification for that user."""
    specification = {"argv": words, "display_name": name, "language": "python"}
    text = json.dumps(specification)
    house.write(f"../.local/share/jupyter/kernels/{name}/kernel.json", text)


def is_running(pid: int) -> bool:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


def test_kernels_of_another_environment(house: House, shared: Shared, science: Path) -> None:
    programs = shared.client("jupyter-server")
    launch = ("python", "-m", "ipykernel_launcher", "-f", "{connection_file}")
    house.ok("conda", "run", "-n", "science", "python", "-m", "ipykernel", "install", "--user", "--name", "installed")
    specify(house, "run", "conda", "run", "--name", "science", "--no-capture-output", *launch)
    specify(house, "activated", "bash", "-c", f". {house.root}/bin/activate {science} && exec {' '.join(launch)}")
    active = {"installed": None, "run": science, "activated": science}
    with server(house, programs) as address:
        for kernel, prefix in active.items():
            done = house.ok(programs / "python", SESSION, address, TOKEN, kernel, PROGRAM)
            told = json.loads(done.stdout)
            assert told["found"] == f"{science} {prefix} good day\n", kernel
            # Interrupts go to the kernel through whatever started it, and nothing is left of it in the end.
            assert told["interrupted"] == "asleep\nKeyboardInterrupt", kernel
            assert not is_running(told["pid"]), kernel


def test_a_kernel_in_the_folders_of_an_environment(house: House, shared: Shared, science: Path) -> None:
    """`ipykernel install --prefix`: a server that looks there finds it."""
    elsewhere = house.work / "elsewhere"
    house.ok(science / "bin" / "python", "-m", "ipykernel", "install", "--prefix", elsewhere, "--name", "there")
    house.more["JUPYTER_PATH"] = f"{elsewhere}/share/jupyter"
    done = house.ok(shared.client("jupyter-server") / "jupyter", "kernelspec", "list", "--json")
    found = json.loads(done.stdout)["kernelspecs"]["there"]
    assert found["spec"]["argv"][0] == f"{science}/bin/python"
    # The specification that the package itself brings, as programs look for those of all environments.
    (own,) = (science / "share" / "jupyter" / "kernels").glob("*/kernel.json")
    assert json.loads(own.read_text())["argv"][1:3] == ["-m", "ipykernel_launcher"]
