"""pre-commit: a hook in the language conda gets an environment from environment.yml and runs in it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.clients.house import House, Shared

pytestmark = [pytest.mark.slow, pytest.mark.clients]

HOOKS = """\
- id: greet-files
  name: greet files
  entry: greet-files
  language: conda
  files: \\.txt$
"""

ENVIRONMENT = """\
channels:
  - CHANNEL
dependencies:
  - python
  - greetings
"""

PROGRAM = """\
#!/usr/bin/env python
import sys
import greetings
bad = [name for name in sys.argv[1:] if greetings.greet() not in open(name).read()]
print("no greeting in", bad, "by", sys.prefix) if bad else None
sys.exit(bool(bad))
"""


@pytest.fixture
def project(house: House, shared: Shared) -> Path:
    """A repository of hooks, and a project that uses its hook; gives the program pre-commit."""
    folder = shared.client("pre-commit")
    house.more |= {
        "PATH": f"{house.root}/condabin:{folder}:{house.environ['PATH']}",
        "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b",
    }  # fmt: skip
    hooks = house.work / "hooks"
    house.write("hooks/.pre-commit-hooks.yaml", HOOKS)
    house.write("hooks/environment.yml", ENVIRONMENT.replace("CHANNEL", house.channel_url))
    commit(house, hooks)
    project = house.work / "project"
    config = {
        "repos": [
            {
                "repo": str(hooks),
                "rev": house.ok("git", "-C", hooks, "rev-parse", "HEAD").stdout.strip(),
                "hooks": [
                    {"id": "greet-files", "entry": "python ../greet_files.py", "additional_dependencies": ["hello=1.0"]}
                ],
            }
        ]
    }
    house.write("greet_files.py", PROGRAM)
    house.write("project/.pre-commit-config.yaml", json.dumps(config))
    house.write("project/good.txt", "good day to you\n")
    commit(house, project)
    return folder / "pre-commit"


def commit(house: House, folder: Path) -> None:
    house.ok("git", "init", "--quiet", folder)
    house.ok("git", "-C", folder, "add", ".")
    house.ok("git", "-C", folder, "commit", "--quiet", "--message", "all")


def test_a_hook_in_the_language_conda(house: House, project: Path) -> None:
    run = ["sh", "-c", f"cd project && exec {project} run --all-files --color never --verbose"]
    # Standard input is closed and pre-commit gives no --yes: the answer to the question must be yes.
    assert "Passed" in house.ok(*run).stdout
    (made,) = (house.home / ".cache" / "pre-commit").glob("*/conda-default")
    names = {path.name.rsplit("-", 2)[0] for path in (made / "conda-meta").glob("*.json")}
    assert {"python", "greetings", "hello"} <= names
    assert (made / "bin" / "hello").read_text().startswith("#!/bin/sh\necho hello 1.0")

    house.write("project/bad.txt", "nothing to say\n")
    house.ok("git", "-C", "project", "add", "bad.txt")
    done = house.run(*run)
    assert done.returncode == 1
    assert f"no greeting in ['bad.txt'] by {made}" in done.stdout
