"""Build wheels of sdists, where the user lets it be done: in an environment of its own, once for each Python.

The environment of a build is a temporary one (`kaa.prefix.temporary`) with what the source tree asks for (PEP 518),
solved from the same channels; builds with the same needs share it. What is built is kept in the package cache
(`kaa.package_cache.built_wheels`). To read what an sdist depends on may need its backend as well, so that is done only
where building is allowed, too.
"""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from msgspec.structs import replace

from kaa.api.environments import ChangeOptions
from kaa.api.session import Session
from kaa.api.temporary_environments import make_temporary, plan_temporary
from kaa.archive.temporary import random_name
from kaa.config.options import Config
from kaa.config.values import pypi_names
from kaa.errors import KaaError
from kaa.events import Note, StageFinished, StageStarted
from kaa.host.files import remove_tree
from kaa.host.hashing import hash_file
from kaa.host.locks import LockHolder, file_lock
from kaa.host.platform import current_subdir
from kaa.models.artifact import is_sdist
from kaa.models.channel import url_to_path
from kaa.models.match_spec import MatchSpec
from kaa.models.record import RepoDataRecord
from kaa.net.download import HashMismatch, SizeMismatch, download
from kaa.package_cache.built_wheels import (
    BUILT,
    NotBuilt,
    built_directory,
    find_built,
    log_file,
    sdist_directory,
)
from kaa.package_cache.cache import LOCKS, has_the_bytes, with_identity
from kaa.prefix.temporary import keep, key_of
from kaa.pypi.build_frontend import BuildFailed, SourceTree, call_hook
from kaa.pypi.metadata import KeptMetadata, Metadata, UnreadableMetadata, parse_metadata
from kaa.pypi.names import ProjectNames
from kaa.pypi.project_files import normalize_project
from kaa.pypi.sdist import BadSdist, read_build_system, read_static_metadata, unpack_sdist
from kaa.pypi.wheel_file import BadWheel, open_wheel
from kaa.pypi.wheel_metadata import same_version
from kaa.pypi.wheel_needs import WheelNeeds
from kaa.solver.candidates import UnusableCandidate
from kaa.solver.failures import PackagesNotFound, Unsolvable
from kaa.transaction.plan import python_of

LONGEST_WAIT = 24 * 3600.0
_BUILD_FOR = re.compile(r"cp3([0-9]{1,3})_sdist")


class CannotBuild(KaaError):
    """An sdist cannot be built here at all."""

    conda_name = "CondaError"

    def __init__(self, file_name: str, reason: str, hints: tuple[str, ...] = ()) -> None:
        self.file_name = file_name
        self.reason = reason
        super().__init__(f"{file_name} cannot be built: {reason}", hints=hints)


def may_build(config: Config, project: str) -> bool:
    """Whether sdists of a project may be built: the user names it, or `*` for all."""
    allowed = config.build_sdists
    return "*" in allowed or normalize_project(project) in map(normalize_project, allowed)


def with_built(session: Session, records: Sequence[RepoDataRecord]) -> list[RepoDataRecord]:
    """The records, after the wheels of those that are of sdists were built; the hashes of these are known then.

    Raises NotBuilt where that is not allowed, BuildFailed, BadSdist, and what solving and fetching raise.
    """
    builder = SdistBuilder(session, records)
    return [
        builder.build(record) if is_sdist(record.fn) and session.package_cache.find(record) is None else record
        for record in records
    ]


class SdistBuilder:
    """Builds sdists for one session; `beside` are the packages that are to be installed with them, where known."""

    def __init__(self, session: Session, beside: Sequence[RepoDataRecord] = ()) -> None:
        self._session = session
        self._beside = tuple(beside)
        self._above = session.builds
        """The projects for which this one is needed."""

    def may_build(self, project: str) -> bool:
        """Whether sdists of a project may be built."""
        return may_build(self._session.config, project)

    # Metadata

    def metadata(self, record: RepoDataRecord) -> Metadata:
        """What the wheel will say of itself that is built of the sdist of a record.

        Raises UnusableCandidate where it cannot be built here at all; that a build fails is BuildFailed: going on with
        older versions, one build after the other, would only hide it.
        """
        try:
            return self._metadata(record)
        except (CannotBuild, BadSdist, HashMismatch, SizeMismatch) as error:
            raise UnusableCandidate(error.message) from error
        except (PackagesNotFound, Unsolvable) as error:
            raise UnusableCandidate(f"what is needed to build it is not to be had: {error.message}") from error

    def _metadata(self, record: RepoDataRecord) -> Metadata:
        self._check_allowed(record)
        kept = KeptMetadata(self._session.package_cache.index_directory() / "pypi" / "metadata" / "sdists")
        if record.sha256 and (found := kept.find(_key(record))) is not None:
            return found
        sdist, record = self._fetch(record)
        found = read_static_metadata(sdist)
        if found is None:
            found = self._from_backend(sdist, record)
        kept.write(_key(record), found)
        return found

    def _from_backend(self, sdist: Path, record: RepoDataRecord) -> Metadata:
        if (built := find_built(self._session.package_cache, record)) is None:
            with self._prepared(sdist, record) as (tree, prefix, python):
                output = tree.scratch / "metadata"
                output.mkdir()
                hook = "prepare_metadata_for_build_wheel"
                with self._stage(f"Asking what {record.name} {record.version} needs"):
                    name = call_hook(tree, prefix, python, hook, {"metadata_directory": str(output)})
                if name is not None:
                    return _read_prepared(tree, output, str(name), hook)
        if built is None:
            self.build(record)
            built = find_built(self._session.package_cache, record)
        assert built is not None
        return _metadata_of(built)

    # Wheels

    def build(self, record: RepoDataRecord) -> RepoDataRecord:
        """Have the wheel of an sdist in the package cache; the record is answered, with its hash."""
        cache = self._session.package_cache
        if find_built(cache, record) is not None:
            return record
        self._check_allowed(record)
        sdist, record = self._fetch(record)
        if find_built(cache, record) is not None:
            return record
        directory = cache.writable_directory()
        with self._prepared(sdist, record) as (tree, prefix, python):
            lock = directory / LOCKS / f"{record.sha256}.lock"
            with file_lock(lock, timeout=LONGEST_WAIT, waiting=lambda holder: self._tell_waiting(record, holder)):
                # Another process may have built it while this one waited.
                if find_built(cache, record) is None:
                    with self._stage(f"Building {record.name} {record.version}"):
                        self._build(tree, prefix, python, record, built_directory(directory, record))
        return record

    def _build(self, tree: SourceTree, prefix: Path, python: Path, record: RepoDataRecord, target: Path) -> None:
        output = target.with_name(f".{target.name}.{random_name()}")
        output.mkdir(mode=0o775)
        try:
            hook = "build_wheel"
            name = call_hook(tree, prefix, python, hook, {"wheel_directory": str(output)})
            if name is None:
                raise BuildFailed(tree.file_name, hook, f"{tree.system.backend} builds no wheels", tree.log)
            wheel = output / str(name)
            if wheel.parent != output or wheel.is_symlink() or not wheel.is_file() or wheel.suffix != ".whl":
                raise BuildFailed(tree.file_name, hook, f"it answers {str(name)[:100]!r}, and there is none", tree.log)
            self._check(tree, wheel, record)
            for other in output.iterdir():
                if other != wheel:
                    remove_tree(other)
            wheel.chmod(0o444)
            remove_tree(target)
            output.rename(target)
        finally:
            remove_tree(output)

    def _check(self, tree: SourceTree, wheel: Path, record: RepoDataRecord) -> None:
        """Raise BuildFailed unless a wheel is what was to be built, and needs what was solved for."""
        project, version = _project_of(record)
        try:
            with open_wheel(wheel) as opened:
                for member in opened.files:
                    for _ in opened.iter_content(member):
                        pass
                found = (opened.project, str(opened.version))
                tags = {tag.interpreter for tag in opened.tags}
                said = parse_metadata(opened.metadata_text)
        except (BadWheel, UnreadableMetadata) as error:
            raise BuildFailed(
                tree.file_name, "build_wheel", f"what was built is unusable: {error}", tree.log
            ) from error
        if found[0] != project or not same_version(found[1], version):
            reason = f"what was built is {' '.join(found)}, not {project} {version}"
            raise BuildFailed(tree.file_name, "build_wheel", reason, tree.log)
        minor = _minor_of(record)
        if not any(tag in (f"cp3{minor}", f"py3{minor}", "py3") or _is_older(tag, minor) for tag in tags):
            reason = f"what was built is for another Python ({wheel.name})"
            raise BuildFailed(tree.file_name, "build_wheel", reason, tree.log)
        differences = self._metadata(record).differences(said) if self._is_known(record) else ()
        if differences:
            reason = f"the wheel has another {' and '.join(differences)} than was announced"
            raise BuildFailed(tree.file_name, "build_wheel", reason, tree.log)

    def _is_known(self, record: RepoDataRecord) -> bool:
        """Whether metadata of this sdist was read before the wheel was built: a solution may rest on it."""
        directory = self._session.package_cache.index_directory() / "pypi" / "metadata" / "sdists"
        return KeptMetadata(directory).find(_key(record)) is not None

    # What a build needs

    def _check_allowed(self, record: RepoDataRecord) -> None:
        if not self.may_build(_project_of(record)[0]):
            raise NotBuilt(record)

    def _fetch(self, record: RepoDataRecord) -> tuple[Path, RepoDataRecord]:
        """The sdist of a record, and the record with its hash."""
        if record.url.startswith("file:"):
            path = Path(url_to_path(record.url))
            if path.is_file() and (not record.sha256 or has_the_bytes(path, record)):
                return path, with_identity(record, path)
        cache = self._session.package_cache
        if record.sha256:
            for directory in cache.sources:
                path = sdist_directory(directory, record) / record.fn
                if has_the_bytes(path, record):
                    return path, record
        directory = cache.writable_directory()
        if record.sha256:
            path = sdist_directory(directory, record) / record.fn
            path.parent.mkdir(mode=0o775, parents=True, exist_ok=True)
            self._download(record, path)
            return path, record
        (directory / BUILT).mkdir(mode=0o775, exist_ok=True)
        unnamed = directory / BUILT / f".{random_name()}"
        try:
            self._download(record, unnamed)
            record = replace(record, sha256=hash_file(unnamed), size=unnamed.stat().st_size)
            path = sdist_directory(directory, record) / record.fn
            path.parent.mkdir(mode=0o775, exist_ok=True)
            unnamed.replace(path)
        finally:
            unnamed.unlink(missing_ok=True)
        return path, record

    def _download(self, record: RepoDataRecord, path: Path) -> None:
        session = self._session
        partial = path.with_name(f".{path.name}.{random_name()}.partial")
        try:
            download(
                record.url,
                path,
                client=session.client,
                sha256=record.sha256,
                md5=record.md5,
                size=record.size,
                reporter=session.reporter,
                partial=partial,
            )
        finally:
            partial.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _prepared(self, sdist: Path, record: RepoDataRecord) -> Iterator[tuple[SourceTree, Path, Path]]:
        """The source tree of an sdist, and the prefix and Python of an environment with all that its backend needs."""
        if record.subdir != current_subdir():
            hints = ("solve on that platform itself", "ask for a version that has a wheel for it")
            raise CannotBuild(record.fn, f"it would be for {record.subdir}, and this is {current_subdir()}", hints)
        project = _project_of(record)[0]
        if project in self._above:
            cycle = " → ".join([*self._above, project])
            raise CannotBuild(record.fn, f"it is needed to build itself ({cycle})", ("name another version of one",))
        log = log_file(self._session.package_cache.writable_directory(), record)
        log.parent.mkdir(mode=0o775, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="kaa-build-", ignore_cleanup_errors=True) as folder:
            scratch = Path(folder)
            root = unpack_sdist(sdist, scratch / "source")
            # One log for each process: two may prepare at once.
            own_log = scratch / "log"
            tree = SourceTree(record.fn, root, read_build_system(root, record.fn), scratch, own_log)
            own_log.touch()
            try:
                yield tree, *self._environment(tree, record)
            except BuildFailed as error:
                _keep_log(own_log, log)
                raise BuildFailed(error.file_name, error.hook, error.reason, log) from error
            _keep_log(own_log, log)

    def _environment(self, tree: SourceTree, record: RepoDataRecord) -> tuple[Path, Path]:
        """The prefix of an environment with what a source tree asks for, and its Python."""
        requires = list(tree.system.requires)
        prefix, python = self._make_environment(requires, record)
        more = call_hook(tree, prefix, python, "get_requires_for_build_wheel", {})
        if not isinstance(more, list):
            return prefix, python
        wanted = [text for text in map(str, more) if text not in requires]
        return self._make_environment([*requires, *wanted], record) if wanted else (prefix, python)

    def _make_environment(self, requires: Sequence[str], record: RepoDataRecord) -> tuple[Path, Path]:
        session = self._session
        minor = _minor_of(record)
        specs = [f"python 3.{minor}.*", *self._specs(requires, minor, record)]
        channels = self._channels(record)
        options = ChangeOptions(no_pin=True, command=f"kaa (what building {record.fn} needs)")
        question = key_of(
            {
                "build": sorted(specs),
                "channels": channels,
                "platform": record.subdir,
                "options": [session.config.channel_priority, str(session.config.exclude_newer)],
            }
        )
        config = _config_of_builds(session.config, channels, record.subdir)
        with Session(config, session.reporter, environ=session.environ, cwd=session.cwd) as inner:
            inner.credentials = session.credentials
            inner.consent = session.consent
            inner.builds = (*self._above, _project_of(record)[0])
            wanted = [MatchSpec.parse(text) for text in specs]
            while True:
                prefix = make_temporary(inner, question, lambda: plan_temporary(inner, wanted, options=options))
                if keep(prefix):
                    break
        return prefix, _python_in(prefix, minor, record.subdir)

    def _channels(self, record: RepoDataRecord) -> tuple[str, ...]:
        """Where what a build needs is taken from: the channels that the sdist was found in, or a lock names."""
        configured = self._session.config.channels
        if configured and record.channel in {channel.base_url for channel in self._session.channels()}:
            return configured
        if not any(one.name == "python" for one in self._beside):
            return (*configured, record.channel)
        found = dict.fromkeys([*(one.channel for one in self._beside if one.channel), record.channel])
        return tuple(sorted(found, key=lambda channel: channel.startswith("pypi+")))

    def _specs(self, requires: Sequence[str], minor: int, record: RepoDataRecord) -> list[str]:
        """What a source tree asks for, in the terms of channels, for one Python."""
        metadata = Metadata(name="build", version="0", requires_dist=tuple(requires))
        needs = WheelNeeds(record.subdir, ProjectNames(pypi_names(self._session.config)))
        try:
            found = needs.needs(metadata, "build", "0", ((3, minor), (3, minor + 1)), "")
        except UnusableCandidate as error:
            raise CannotBuild(record.fn, f"of what it needs to be built, {error.reason}") from error
        return [text for text in found.depends if not text.startswith("python ")]

    @contextlib.contextmanager
    def _stage(self, name: str) -> Iterator[None]:
        started = time.monotonic()
        self._session.reporter(StageStarted(name))
        yield
        self._session.reporter(StageFinished(name, time.monotonic() - started))

    def _tell_waiting(self, record: RepoDataRecord, holder: LockHolder | None) -> None:
        self._session.reporter(Note(f"waiting for {holder or 'another process'}, which is building {record.fn}"))


def _config_of_builds(config: Config, channels: tuple[str, ...], subdir: str) -> Config:
    """The configuration for environments of builds: the newest of what is allowed."""
    own = {
        "channels": channels,
        "pinned_packages": (),
        "register_envs": False,
        "solve_strategy": "highest",
        "subdir": subdir,
    }
    return Config(
        {**config.values, **own},
        root_prefix=config.root_prefix,
        home=config.home,
        prefix=config.prefix,
        provenance=config.provenance,
    )


def _python_in(prefix: Path, minor: int, subdir: str) -> Path:
    stand_in = RepoDataRecord(name="python", version=f"3.{minor}.0", build="0")
    python = python_of([stand_in], subdir)
    assert python is not None
    return prefix / python.executable


def _keep_log(own: Path, log: Path) -> None:
    with contextlib.suppress(OSError):
        content = own.read_bytes()
        temporary = log.with_name(f".{log.name}.{random_name()}")
        temporary.write_bytes(content)
        os.replace(temporary, log)  # noqa: PTH105


def _key(record: RepoDataRecord) -> str:
    """The name of what is known of an sdist for one Python and platform."""
    return f"{record.sha256}-{record.build}-{record.subdir}"


def _project_of(record: RepoDataRecord) -> tuple[str, str]:
    """The project and version that an sdist was offered as."""
    for purl in record.purls or ():
        name, _, version = purl.partition("?")[0].removeprefix("pkg:pypi/").partition("@")
        if name:
            return normalize_project(name), version or record.version
    return record.name, record.version


def _minor_of(record: RepoDataRecord) -> int:
    """The minor version of Python that a record is for."""
    match = _BUILD_FOR.match(record.build)
    if match is None:
        raise CannotBuild(record.fn, f"its build string {record.build!r} names no Python")
    return int(match[1])


def _is_older(tag: str, minor: int) -> bool:
    """Whether a tag is of the stable ABI of an older Python."""
    digits = tag.removeprefix("cp3").removeprefix("py3")
    return digits.isdecimal() and len(digits) < 4 and int(digits) <= minor


def _read_prepared(tree: SourceTree, output: Path, name: str, hook: str) -> Metadata:
    path = output / name / "METADATA"
    try:
        if path.parent.parent != output:
            raise UnreadableMetadata(f"it answers {name[:100]!r}")
        return parse_metadata(path.read_bytes())
    except (OSError, UnreadableMetadata) as error:
        raise BuildFailed(tree.file_name, hook, f"its metadata cannot be used: {error}", tree.log) from error


def _metadata_of(wheel: Path) -> Metadata:
    with open_wheel(wheel) as opened:
        return parse_metadata(opened.metadata_text)
