"""Checks of what surrounds the environments: configuration, shells, PATH, disks, clock."""

from __future__ import annotations

import contextlib
import difflib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from kaa.api.health import Finding, Fix, Patient, Status, ok, session_of
from kaa.config.options import NAMES, OPTIONS, Setting
from kaa.errors import KaaError
from kaa.host.files import is_writable
from kaa.models.redaction import redact
from kaa.prefix.prefix import Prefix
from kaa.prefix.state import is_frozen
from kaa.shell.init import START, Edit, execute

CONDA_BLOCK = b"# >>> conda initialize >>>"
MAMBA_BLOCK = b"# >>> mamba initialize >>>"
NO_OPTIONS = frozenset({"KAA_ROOT_PREFIX", "KAA_EXE", "KAA_JSON"})
"""Variables of kaa that set no option."""
LOW_SPACE = 1_000_000_000
NO_SPACE = 50_000_000
CERTIFICATES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR", "CONDA_SSL_VERIFY")
FUTURE_SECONDS = 3600.0


def check_configuration(patient: Patient) -> Iterator[Finding]:
    """Files that cannot be read, keys that mean nothing, settings that do not count."""
    if patient.session is None:
        problem = patient.problem
        if problem is not None:
            yield Finding("error", problem.message, problem.hints[0] if problem.hints else "")
        return
    config = patient.session.config
    for key, setting in config.unknown:
        near = difflib.get_close_matches(key, NAMES, n=1)
        meant = f"; did you mean {near[0]}?" if near else ""
        yield Finding("warning", f"{setting.source}: {redact(key)} is no option{meant}", _take_out(setting, key))
    for key, setting in config.ignored:
        what = f"{setting.source}: {key} does not count there, as an environment is not trusted with it"
        yield Finding("warning", what, f"set it in your own file: kaa config --set {key} …")
    for name in sorted(patient.environ):
        if name.startswith("KAA_") and name not in NO_OPTIONS and name[4:].lower() not in NAMES:
            near = difflib.get_close_matches(name[4:].lower(), NAMES, n=1)
            meant = f"; did you mean KAA_{near[0].upper()}?" if near else ""
            yield Finding("warning", f"the variable {name} sets no option{meant}", f"unset {name}")
    inert = sorted(name for name in config.provenance if OPTIONS[name].inert and _is_given(config.provenance[name]))
    if inert:
        yield ok(f"without effect in kaa, kept for conda: {', '.join(inert)}")
    yield ok(f"{len(config.files)} files are read: {', '.join(config.files) or 'none'}")


def _is_given(settings: tuple[Setting, ...]) -> bool:
    return any(setting.source.kind != "default" for setting in settings)


def _take_out(setting: Setting, key: str) -> str:
    return f"take it out: kaa config --file {setting.source.where} --remove-key {redact(key)}"


def check_root_prefix(patient: Patient) -> Iterator[Finding]:
    """Where kaa lives."""
    root = patient.root_prefix
    if not root.exists():
        yield ok(f"{root} is made with the first environment")
        return
    if not root.is_dir():
        yield Finding("error", f"{root} is no directory", "move it away, or set KAA_ROOT_PREFIX to another path")
        return
    if not is_writable(root):
        what = f"{root} cannot be written by you: named environments and packages go to {patient.home / '.conda'}"
        yield ok(what)
    base = Prefix(root)
    if base.is_environment():
        frozen = ", and is protected (conda-meta/frozen)" if is_frozen(base) else ""
        yield ok(f"{root} holds the base environment{frozen}")
    elif base.record_files():
        advice = f"kaa repair --prefix {root}"
        yield Finding("error", f"{root} holds packages, and no conda-meta/history", advice)
    else:
        yield ok(f"{root} holds no packages of its own")


def check_shells(patient: Patient) -> Iterator[Finding]:
    """The lines of `kaa init` in the start-up files."""
    for position, (shell, edit) in enumerate(patient.startup()):
        if isinstance(edit, KaaError):
            yield Finding("warning", edit.message, edit.hints[0] if edit.hints else "")
            continue
        text = edit.before or b""
        advice = f"kaa init {shell}"
        if START not in text:
            if position == 0:
                what = f"{edit.path} does not teach {shell} to activate environments"
                yield Finding(
                    "warning", what, advice, Fix(f"write the lines of `kaa init` into {edit.path}", _do(edit))
                )
        elif edit.changes:
            what = f"the lines of `kaa init` in {edit.path} are not those that it would write now"
            yield Finding("warning", what, advice, Fix(f"renew the lines of `kaa init` in {edit.path}", _do(edit)))
        else:
            yield ok(f"{edit.path} teaches {shell} to activate environments")
        yield from _others(edit.path, text)


def _do(edit: Edit) -> Callable[[], None]:
    return lambda: execute(edit)


def _others(path: str, text: bytes) -> Iterator[Finding]:
    for block, program in ((CONDA_BLOCK, "conda"), (MAMBA_BLOCK, "mamba")):
        if block in text:
            later = START in text and text.index(block) > text.index(START)
            status: Status = "warning" if later else "ok"
            what = (
                f"{path} sets up {program} as well{', after kaa: its `conda` is the one that counts' if later else ''}"
            )
            advice = f"keep one of them: `{program} init --reverse`, or `kaa init --reverse`" if later else ""
            yield Finding(status, what, advice)


def check_path(patient: Patient) -> Iterator[Finding]:
    """Which programs the names kaa and conda mean."""
    for name in ("kaa", "conda"):
        found = _programs(name, patient.environ.get("PATH", ""))
        if not found:
            if name == "kaa":
                what = f"no `kaa` is on PATH; this one is {patient.program}"
                yield Finding("warning", what, "add its directory to PATH, or use the function that `kaa init` makes")
            continue
        yield ok(f"`{name}` is {found[0]}")
        real = {os.path.realpath(path) for path in found}
        if name == "kaa" and len(real) > 1:
            what = f"there are {len(found)} programs `kaa` on PATH: {', '.join(map(str, found))}"
            yield Finding("warning", what, "remove those that you do not want, or change the order of PATH")


def _programs(name: str, search_path: str) -> list[Path]:
    names = (f"{name}.exe", f"{name}.bat") if os.name == "nt" else (name,)
    directories = dict.fromkeys(filter(None, search_path.split(os.pathsep)))
    candidates = (Path(directory) / one for directory in directories for one in names)
    return [path for path in candidates if path.is_file() and os.access(path, os.X_OK)]


def check_disk_space(patient: Patient) -> Iterator[Finding]:
    """Room where packages and environments go."""
    session = session_of(patient)
    places = {
        "packages": next(iter(session.package_directories)),
        "environments": next(iter(session.environments.directories), patient.root_prefix),
        "the files of your own": patient.home,
    }
    seen: set[int] = set()
    for what, path in places.items():
        there = next((place for place in (path, *path.parents) if place.exists()), None)
        if there is None or (device := there.stat().st_dev) in seen:
            continue
        seen.add(device)
        free = shutil.disk_usage(there).free
        status: Status = "error" if free < NO_SPACE else "warning" if free < LOW_SPACE else "ok"
        advice = "free some, for example with `kaa clean --all`" if status != "ok" else ""
        yield Finding(status, f"{free / 1e9:.1f} GB are free for {what} ({there})", advice)


def check_certificates(patient: Patient) -> Iterator[Finding]:
    """The files of certificates that variables name."""
    for name in CERTIFICATES:
        text = patient.environ.get(name, "")
        if not text or text.lower() in (
            "1",
            "0",
            "true",
            "false",
            "yes",
            "no",
            "on",
            "off",
            "truststore",
            "<truststore>",
        ):
            continue
        path = Path(text)
        if path.is_dir() or (path.is_file() and os.access(path, os.R_OK)):
            yield ok(f"{name} names {text}")
        else:
            what = f"{name} names {text}, which cannot be read: connections to servers fail"
            yield Finding("error", what, f"give {name} the path of a file of certificates, or unset it")


def check_clock(patient: Patient) -> Iterator[Finding]:
    """Whether the clock is behind what was written already: what is new is then told apart wrongly."""
    now = time.time()
    session = session_of(patient)
    places = [Prefix(patient.root_prefix).history_file]
    places += [directory / "urls.txt" for directory in session.package_directories]
    for path in places:
        with contextlib.suppress(OSError):
            ahead = path.stat().st_mtime - now
            if ahead > FUTURE_SECONDS:
                what = f"{path} was written {ahead / 3600:.0f} hours from now: the clock is or was wrong"
                yield Finding("warning", what, "set the clock right; what is fetched when depends on it")
