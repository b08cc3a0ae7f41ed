"""The `pip:` section of an environment file: pip installs it into the finished environment."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from kaa.api.externally_managed import is_ours, marker_path
from kaa.api.recording import note_found, note_pip
from kaa.api.session import Session
from kaa.errors import KaaError
from kaa.events import Note
from kaa.host.files import is_writable
from kaa.host.process import run
from kaa.models.redaction import redact
from kaa.prefix.prefix import Prefix
from kaa.transaction.plan import python_of


class PipFailed(KaaError):
    """pip could not install what the file asks of it; the rest of the environment is complete."""

    conda_name = "CondaEnvException"

    def __init__(self, prefix: Path, requirements: Sequence[str], output: str) -> None:
        super().__init__(
            f"pip could not install into {prefix}; the other packages are there.\n{redact(output).rstrip()}",
            hints=(
                f"correct the section and run `kaa env update --prefix {prefix} --file …` again",
                "take packages from a channel instead, where one has them: kaa search NAME",
            ),
        )
        self.prefix = str(prefix)
        self.requirements = [redact(line) for line in requirements]


def install_pip_section(
    session: Session,
    prefix: Path,
    requirements: Sequence[str],
    folder: Path,
    *,
    command: str = "",
    since: int | None = None,
) -> None:
    """Let the environment's own pip install requirements; paths in them are relative to `folder`.

    What comes of it is a generation; `command` and `since` are as in `kaa.api.recording`.
    """
    # Whatever others left here is not what pip does now.
    note_found(session, prefix)
    try:
        _run_pip(session, prefix, requirements, folder)
    finally:
        note_pip(session, prefix, command=command, since=since)


def _run_pip(session: Session, prefix: Path, requirements: Sequence[str], folder: Path) -> None:
    session.reporter(Note(f"pip installs {', '.join(redact(line) for line in requirements)}"))
    with requirements_file(requirements, folder) as file:
        run_pip(session, prefix, ["install", "--upgrade", "--no-input", "-r", file], requirements, folder)


@contextlib.contextmanager
def requirements_file(lines: Sequence[str], folder: Path) -> Iterator[str]:
    """A file of requirements, while it is needed."""
    # Lines may name other files (`-r more.txt`), which pip looks for beside the file that it reads.
    beside = folder if is_writable(folder) else None
    with tempfile.NamedTemporaryFile(
        "w", prefix=".pip-", suffix=".txt", dir=beside, delete=False, encoding="utf-8"
    ) as stream:
        stream.write("".join(f"{line}\n" for line in lines))
    try:
        yield stream.name
    finally:
        Path(stream.name).unlink()


def run_pip(session: Session, prefix: Path, words: Sequence[str], requirements: Sequence[str], folder: Path) -> None:
    """Run the environment's own pip; raises PipFailed, which names the requirements."""
    python = python_of(Prefix(prefix).records(), session.subdir)
    if python is None:
        raise PipFailed(prefix, requirements, "the environment has no python")
    scripts = str(prefix / python.scripts)
    environ = {
        **session.environ,
        "PATH": os.pathsep.join([scripts, session.environ.get("PATH", os.defpath)]),
        "CONDA_PREFIX": str(prefix),
        "PYTHONNOUSERSITE": "1",
    }
    if is_ours(prefix / marker_path(python)):
        # The mark keeps others away; somebody else's mark keeps kaa away, too.
        environ["PIP_BREAK_SYSTEM_PACKAGES"] = "1"
    done = run([prefix / python.executable, "-m", "pip", *words], environ=environ, cwd=folder)
    if done.code != 0:
        raise PipFailed(prefix, requirements, (done.stdout + done.stderr).decode(errors="replace"))
