"""Link scripts: `bin/.<name>-<action>.sh` and `Scripts/.<name>-<action>.bat` (CEP 32, 34).

pre-link, post-link and pre-unlink are run; post-unlink is deprecated and ignored with a note. A script that fails
before or after linking stops the transaction, which is rolled back; one that fails before unlinking is told of.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Literal, TypeAlias

from kaa.errors import KaaError
from kaa.events import Note, PackageMessage, Reporter, Warned
from kaa.host.process import CannotRun, run
from kaa.models.record import RepoDataRecord
from kaa.models.subdir import is_windows

Action: TypeAlias = Literal["pre-link", "post-link", "pre-unlink", "post-unlink"]

MESSAGES = ".messages.txt"
_CONTROL = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b.|[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class LinkScriptFailed(KaaError):
    """A script that a package runs when it is linked ended with an error."""

    conda_name = "LinkError"

    def __init__(self, package: str, script: str, code: int | None, output: str) -> None:
        self.package = package
        self.script = script
        self.code = code
        self.output = output
        ended = "could not be started" if code is None else f"ended with code {code}"
        shown = "".join(f"\n  {line}" for line in output.splitlines()[-20:])
        super().__init__(
            f"the script {script} of {package} {ended}{shown}",
            hints=(
                "read what the script says",
                "link packages without their scripts: `kaa config --set package_scripts deny`",
            ),
        )


def script_path(name: str, action: Action, subdir: str) -> str:
    """Where a package keeps a link script, below the environment or its own directory."""
    if is_windows(subdir):
        return f"Scripts/.{name.lower()}-{action}.bat"
    return f"bin/.{name.lower()}-{action}.sh"


def run_script(
    record: RepoDataRecord,
    action: Action,
    *,
    directory: Path,
    prefix: Path,
    root_prefix: Path | None,
    source: str,
    subdir: str,
    environ: Mapping[str, str],
    reporter: Reporter,
) -> None:
    """Run a package's script that lies below `directory`; raises LinkScriptFailed, except before unlinking."""
    relative = script_path(record.name, action, subdir)
    script = directory / relative
    reporter(Note(f"running {relative} of {record.dist}"))
    variables = {
        **environ,
        "ROOT_PREFIX": str(root_prefix or ""),
        "PREFIX": str(prefix),
        "SOURCE_DIR": source,
        "PKG_NAME": record.name,
        "PKG_VERSION": record.version,
        "PKG_BUILDNUM": str(record.build_number),
        "PATH": os.pathsep.join([str(script.parent), environ.get("PATH", os.defpath)]),
    }
    code: int | None = None
    try:
        done = run(_command(script, subdir), environ=variables, cwd=script.parent)
        code = done.code
        output = (done.stdout + done.stderr).decode(errors="replace")
    except CannotRun as error:
        output = error.message
    _pass_messages(record, prefix, reporter)
    if code == 0:
        return
    failure = LinkScriptFailed(record.dist, relative, code, printable(output))
    if action != "pre-unlink":
        raise failure
    reporter(Warned(failure.message))


def _command(script: Path, subdir: str) -> list[str]:
    if is_windows(subdir):
        return ["cmd", "/d", "/c", str(script)]
    return [shutil.which("bash") or "sh", str(script)]


def _pass_messages(record: RepoDataRecord, prefix: Path, reporter: Reporter) -> None:
    """Hand on what a script wrote for the user, and remove the file."""
    path = prefix / MESSAGES
    try:
        text = path.read_bytes().decode(errors="replace")
        path.unlink()
    except OSError:
        return
    if text.strip():
        reporter(PackageMessage(record.dist, printable(text)))


def printable(text: str) -> str:
    """Remote text without what would steer a terminal."""
    return _CONTROL.sub("", text.replace("\r\n", "\n"))


def ignored_post_unlink(record: RepoDataRecord, files: Collection[str], subdir: str, reporter: Reporter) -> None:
    """Tell of a post-unlink script, which is not run."""
    path = script_path(record.name, "post-unlink", subdir)
    if path in files:
        reporter(Note(f"{path} of {record.dist} is not run: post-unlink scripts are deprecated"))
