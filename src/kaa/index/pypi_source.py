"""What indexes of Python packages offer, by conda name: candidates that are read when they are about to be chosen.

A page of an index tells the wheels of a project; each that fits the target becomes a record. What it depends on is in
its metadata, which is fetched for those alone that a solve looks at (`kaa.solver.candidates.LazyGroup`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import msgspec
from msgspec.structs import replace

from kaa.events import Note, Reporter, Warned, silent
from kaa.index.fetch import IndexSettings
from kaa.index.kept_offers import GroupColumns, KeptOffer, KeptOffers, OfferKey, pack_offer
from kaa.models.channel import PYPI, Channel
from kaa.models.match_spec import MatchSpec
from kaa.models.record import RepoDataRecord
from kaa.models.subdir import NOARCH
from kaa.models.version import Version
from kaa.models.version_spec import VersionSpec
from kaa.models.virtual_package import VirtualPackage
from kaa.net.client import HttpClient
from kaa.pypi.answers import IndexFailure, NotKept
from kaa.pypi.index_client import ProjectIndex, open_index
from kaa.pypi.metadata import Metadata
from kaa.pypi.names import ProjectNames
from kaa.pypi.pep440 import NotConvertible, agreeing_version_spec, conda_version_spec
from kaa.pypi.project_files import ProjectFile, ProjectPage
from kaa.pypi.wheel_metadata import MetadataInvalid
from kaa.pypi.wheel_needs import Wanted, WheelNeeds, admits_prereleases
from kaa.pypi.wheel_records import Admitted, LeftOut, WheelOffer, WheelRecords
from kaa.pypi.wheel_tags import WheelTags, target_of
from kaa.solver.candidates import (
    CandidateGroup,
    CandidateNeeds,
    Columns,
    UnusableCandidate,
    split_dependency,
)
from kaa.solver.ranges import Ranges

PYTHON = "python"
_BEHIND_ALL = 1 << 30
_MOST_TAGS = 4
"""So many tags of wheels for other platforms are named."""
_LONGEST_REASON = 200


class PypiSettings(msgspec.Struct, frozen=True):
    """How to read what indexes of Python packages offer."""

    virtual_packages: tuple[VirtualPackage, ...] = ()
    """Those of the target platform."""
    names: Mapping[str, str] = {}
    """Conda names by projects, beside those that are known (`pypi_names`)."""
    pythons: Callable[[str, int], Sequence[CandidateGroup]] = lambda channel, rank: ()
    """The interpreters of this machine as candidates of a channel at a rank; called where no channel has python."""
    sdists: SdistReader | None = None
    """What reads sdists, where the user lets any be built."""
    as_one: frozenset[str] = frozenset()
    """Base URLs of channels that share one rank: the best version of a project counts, whichever of them has it."""


class SdistReader(Protocol):
    """What can tell of an sdist what a wheel tells of itself, if need be by running code that is in it."""

    def may_build(self, project: str) -> bool:
        """Whether sdists of a project may be built."""
        ...

    def metadata(self, record: RepoDataRecord) -> Metadata:
        """What the wheel will say of itself; raises UnusableCandidate for what is wrong with this sdist alone."""
        ...


def open_pypi(
    channels: Sequence[tuple[Channel, int]],
    subdirs: Sequence[str],
    settings: PypiSettings,
    *,
    has_before: Callable[[str, int], bool],
    cache_directory: Path,
    client: HttpClient,
    settings_of_index: IndexSettings,
    reporter: Reporter = silent,
) -> PypiSource:
    """What these channels, each with its rank, offer for a platform; nobody is asked before names are."""
    subdir = next((subdir for subdir in subdirs if subdir != NOARCH), NOARCH)
    target = target_of(subdir, settings.virtual_packages)
    kept = cache_directory / "pypi" / "offers"
    shared = min((rank for channel, rank in channels if channel.base_url in settings.as_one), default=0)
    places = [
        Place(
            channel,
            shared if channel.base_url in settings.as_one else rank,
            open_index(
                channel.index_url,
                client,
                cache_directory,
                offline=settings_of_index.offline,
                ttl=settings_of_index.local_repodata_ttl,
                reporter=reporter,
            ),
            KeptOffers(kept, channel.base_url, target),
        )
        for channel, rank in channels
    ]
    return PypiSource(
        places,
        subdir,
        settings,
        only_first_channel=settings_of_index.only_first_channel,
        has_before=has_before,
        reporter=reporter,
    )


class _Project:
    """One project on one index."""

    def __init__(self, source: PypiSource, place: Place, project: str, name: str) -> None:
        self.source = source
        self.place = place
        self.project = project
        self.name = name
        self._offer: KeptOffer | None = None

    @property
    def page(self) -> ProjectPage | None:
        return self.place.index.page(self.project)

    @property
    def is_offered(self) -> bool:
        """Whether somebody looked already, and what there is was made into records."""
        return self._offer is not None

    @property
    def offer(self) -> KeptOffer:
        if self._offer is None:
            self._offer = self.source.make_offer(self)
        return self._offer


class Place(msgspec.Struct, frozen=True, eq=False):
    """An index, and its place among the channels."""

    channel: Channel
    rank: int
    index: ProjectIndex
    offers: KeptOffers


class PypiGroup:
    """The wheels of a project for one subdir, for the solver (`kaa.solver.candidates.LazyGroup`)."""

    __slots__ = ("_found", "_project", "_read", "_refused", "channel", "name", "rank", "subdir")

    def __init__(self, project: _Project, subdir: str) -> None:
        self.name = project.name
        self.channel = project.place.channel.base_url
        self.rank = project.place.rank
        self.subdir = subdir
        self._project = project
        self._found: GroupColumns | None = None
        self._read: dict[int, tuple[CandidateNeeds, RepoDataRecord]] = {}
        self._refused: dict[int, UnusableCandidate] = {}

    @property
    def columns(self) -> Columns:
        return self._columns.columns

    @property
    def _columns(self) -> GroupColumns:
        if self._found is None:
            self._found = self._project.offer.columns(self.subdir)
        return self._found

    def record(self, position: int) -> RepoDataRecord:
        found = self._read.get(position)
        return self._project.offer.record(self._columns.places[position]) if found is None else found[1]

    def read(self, position: int) -> CandidateNeeds:
        """What a wheel depends on; raises UnusableCandidate."""
        found = self._read.get(position)
        if found is not None:
            return found[0]
        refused = self._refused.get(position)
        if refused is not None:
            raise refused
        record = self.record(position)
        source, index = self._project.source, self._project.place.index
        try:
            file = self.file(position)
            metadata = source.metadata_of(index, file) if file.is_wheel else source.metadata_of_sdist(record)
            needs = source.needs_of(self._project.project, record, metadata)
            source.tell_withdrawn(record, file)
        except UnusableCandidate as error:
            self._refused[position] = error
            raise
        self._read[position] = needs, _complete(record, needs, metadata)
        return needs

    def file(self, position: int) -> ProjectFile:
        """The wheel of a candidate."""
        return self._project.offer.file(self._columns.places[position])

    @property
    def place(self) -> Place:
        """The index that offers it."""
        return self._project.place


def _complete(record: RepoDataRecord, needs: CandidateNeeds, metadata: Metadata) -> RepoDataRecord:
    # Where the metadata says more of python than the index, that alone counts.
    python = [text for text in needs.depends if split_dependency(text)[0] == PYTHON] or [record.depends[0]]
    return replace(
        record,
        depends=tuple(dict.fromkeys([*python, *record.depends[1:], *needs.depends])),
        constrains=needs.constrains,
        extra_depends=dict(needs.extra_depends),
        license=metadata.license or None,
    )


class PypiSource:
    """The indexes of Python packages among the channels of one `Index`.

    `has_before` tells whether a conda channel offers a name before the channel at a rank.
    """

    def __init__(
        self,
        places: Sequence[Place],
        subdir: str,
        settings: PypiSettings,
        *,
        only_first_channel: bool,
        has_before: Callable[[str, int], bool],
        reporter: Reporter = silent,
    ) -> None:
        self.places = tuple(places)
        self.names = ProjectNames(settings.names)
        self.subdirs = tuple(dict.fromkeys((subdir, NOARCH)))
        self._ranges = Ranges()
        self._only_first_channel = only_first_channel
        self._has_before = has_before
        self._report = reporter
        self._sdists = settings.sdists
        may_build = self._sdists.may_build if self._sdists is not None else lambda project: False
        self._records = WheelRecords(WheelTags(target_of(subdir, settings.virtual_packages)), may_build)
        self._needs = WheelNeeds(subdir, self.names, self._odd_versions)
        self._projects: dict[str, tuple[_Project, ...]] = {}
        self._groups: dict[str, tuple[CandidateGroup, ...]] = {}
        self._find_pythons = settings.pythons
        self._admitted: dict[str, Admitted] = {}
        self._extras: dict[str, frozenset[str]] = {}
        """By name the extras that somebody asks for."""
        self._odd: dict[str, tuple[str, ...]] = {}
        self._told: set[str] = set()

    # What is asked for

    def admit(self, specs: Iterable[MatchSpec]) -> None:
        """Admit the pre-releases and yanked versions that specs ask for by number."""
        for spec in specs:
            if spec.name is None:
                continue
            if spec.extras:
                self._extras[spec.name] = self._extras.get(spec.name, frozenset()) | set(spec.extras)
            if spec.version is None:
                continue
            text = str(spec.version)
            exact = text.removeprefix("==").removeprefix("=") if text.startswith(("==", "=")) else text
            self._admit(
                spec.name,
                prereleases=any(letter.isalpha() for letter in text.partition("+")[0]),
                exact=exact if "," not in exact and "|" not in exact else "",
            )

    def agree(self, spec: MatchSpec) -> MatchSpec:
        """A spec that admits of what is on offer what PEP 440 admits: `==2.1` admits 2.1+cpu as well."""
        if spec.name is None or spec.version is None or self._has_before(spec.name, _BEHIND_ALL):
            return spec
        odd = self._odd_versions(spec.name)
        if not odd:
            return spec
        try:
            text = ",".join(map(_python_clause, str(spec.version).split(",")))
            meant = agreeing_version_spec(text, odd)
        except NotConvertible:
            # A range that only conda knows.
            return spec
        return spec if meant == conda_version_spec(text) else replace(spec, version=VersionSpec(meant))

    def _admit(self, name: str, *, prereleases: bool = False, exact: str = "") -> None:
        found = self._admitted.get(name, Admitted())
        yanked = found.yanked
        if exact:
            version = self._records.normal_version(exact)
            yanked = yanked if version is None else yanked | {version}
        self._admitted[name] = Admitted(found.prereleases or prereleases, yanked)

    # Projects

    def load(self, names: Collection[str], *, everywhere: bool = False) -> None:
        """Fetch at once the pages of these names, of those alone that the search will look at."""
        for place in self.places:
            wanted = [
                project.project
                for name in names
                for project in self._projects_of(name)
                if project.place is place and (everywhere or self._is_looked_at(name, place))
            ]
            if wanted:
                place.index.pages(wanted)

    def _is_looked_at(self, name: str, place: Place) -> bool:
        if not self._only_first_channel:
            return True
        if self._has_before(name, place.rank):
            return False
        # The first index that has a project is the one that counts.
        earlier = [project for project in self._projects_of(name) if project.place.rank < place.rank]
        return not any(self._page_of(project) is not None for project in earlier)

    def _projects_of(self, name: str) -> tuple[_Project, ...]:
        found = self._projects.get(name)
        if found is None:
            project = self.names.project(name)
            found = () if project is None else tuple(_Project(self, place, project, name) for place in self.places)
            self._projects[name] = found
        return found

    def _page_of(self, project: _Project) -> ProjectPage | None:
        """The page of a project; offline, what is not kept is not there."""
        try:
            return project.page
        except NotKept as error:
            if error.project not in self._told:
                self._told.add(error.project)
                self._report(Note(error.message))
            return None

    def groups(self, name: str) -> tuple[CandidateGroup, ...]:
        """The groups of a name, first channel first; whether there is anything in them may not be known yet."""
        found = self._groups.get(name)
        if found is None:
            groups: list[CandidateGroup] = []
            if name == PYTHON and self.places and not self._has_before(PYTHON, _BEHIND_ALL):
                named = [place for place in self.places if place.channel.name == PYPI]
                groups += self._find_pythons((named or self.places)[-1].channel.base_url, self.places[-1].rank)
            for project in self._projects_of(name):
                if self._is_looked_at(name, project.place) and self._page_of(project) is None:
                    continue
                groups += (PypiGroup(project, subdir) for subdir in self.subdirs)
            found = self._groups[name] = tuple(groups)
        return found

    def make_offer(self, project: _Project) -> KeptOffer:
        """The wheels of a project as records, worked out once for each content of its page."""
        page = self._page_of(project)
        content = b"" if page is None else page.content
        channel, offers = project.place.channel.base_url, project.place.offers
        admitted = self._admitted.get(project.name, Admitted())
        may_build = self._records.may_build(project.project)
        key = OfferKey.of(content, project.name, channel, admitted, may_build=may_build)
        kept = offers.find(project.project, content)
        if kept is not None and kept.key == key:
            return kept
        if page is None:
            return pack_offer(key, WheelOffer(), (), self.subdirs, self._ranges)
        offer = self._records.offer(page, project.name, channel, admitted)
        made = pack_offer(key, offer, sorted(self._records.odd_versions(page)), self.subdirs, self._ranges)
        offers.keep(project.project, made)
        return made

    def left_out(self, specs: Iterable[MatchSpec]) -> list[str]:
        """What was not offered although it is there, as far as somebody looked: sentences for who found nothing."""
        asked = {spec.name: spec for spec in specs if spec.name is not None}
        found = [
            f"The Python project {name} is the package {other}: ask for that, or for pypi::{name}."
            for name in asked
            if (other := self.names.other_name(name)) is not None and not self._has_before(name, _BEHIND_ALL)
        ]
        for name, projects in self._projects.items():
            for project in projects:
                if project.is_offered:
                    found += _left_out_of(project, asked.get(name), self.subdirs[0])
        return found

    def records(self, name: str) -> list[RepoDataRecord]:
        """All records of a name, as far as they are known without metadata."""
        self.load((name,), everywhere=True)
        return [record for project in self._projects_of(name) for record in project.offer.records()]

    def names_at_hand(self) -> set[str]:
        """The conda names of the projects that can be told without asking anybody."""
        found = (self.names.find_conda_name(project) for place in self.places for project in place.index.projects())
        return {name for name in found if name is not None}

    def is_of(self, file: ProjectFile, version: str) -> bool:
        """Whether a wheel is of a version, as its file name tells."""
        return file.is_wheel and self._records.normal_version(file.file_name.split("-", 2)[1]) == version

    def tell_withdrawn(self, record: RepoDataRecord, file: ProjectFile) -> None:
        """Warn of a version that was withdrawn (PEP 592), and that somebody asks for by its number, once."""
        what = f"{record.name} {record.version}"
        if file.yanked is not None and what not in self._told:
            self._told.add(what)
            reason = f": {file.yanked[:_LONGEST_REASON]}" if file.yanked else ""
            self._report(Warned(f"{what} was withdrawn by its makers (yanked{reason})"))

    def forget_absences(self) -> None:
        """Ask again the next time about what was not there: who found nothing may see to it that it is."""
        for place in self.places:
            place.index.forget_absences()

    # Metadata

    def read_ahead(self, wanted: Sequence[tuple[CandidateGroup, int]]) -> None:
        """Fetch the metadata of wheels, and the pages of what they depend on."""
        names: dict[str, None] = {}
        own = [(group, position) for group, position in wanted if isinstance(group, PypiGroup)]
        for place in self.places:
            here = [one for one in own if one[0].place is place and one[0].file(one[1]).is_wheel]
            metadatas = place.index.metadatas([group.file(position) for group, position in here])
            for (group, position), metadata in zip(here, metadatas, strict=True):
                if isinstance(metadata, Metadata):
                    extras = self._extras.get(group.name, frozenset())
                    python = _python_of(group.record(position))
                    names.update((one.name, None) for one in self._needs.wanted(metadata, python, extras))
        if names:
            self.load(list(names))

    def metadata_of(self, index: ProjectIndex, file: ProjectFile) -> Metadata:
        """The metadata of a wheel; raises UnusableCandidate for what is wrong with this one alone."""
        try:
            return index.metadata(file)
        except MetadataInvalid as error:
            raise UnusableCandidate(f"the index {error.index} gives unusable metadata of it: {error.reason}") from error
        except NotKept as error:
            raise UnusableCandidate("kaa works offline, and its metadata is not on this machine") from error

    def metadata_of_sdist(self, record: RepoDataRecord) -> Metadata:
        """What a wheel will say of itself that is to be built; raises UnusableCandidate."""
        assert self._sdists is not None
        return self._sdists.metadata(record)

    def needs_of(self, project: str, record: RepoDataRecord, metadata: Metadata) -> CandidateNeeds:
        """What a wheel asks for beside what its record says; raises UnusableCandidate."""
        python = _python_of(record)
        extras = self._extras.get(record.name, frozenset())
        for wanted in self._needs.wanted(metadata, python, extras):
            self._admit_wanted(wanted)
            self._extras[wanted.name] = self._extras.get(wanted.name, frozenset()) | set(wanted.extras)
        pythons = self._records.pythons_of(record)
        return self._needs.needs(metadata, project, record.version, pythons, python, extras)

    def _admit_wanted(self, wanted: Wanted) -> None:
        """What a requirement names by number is admitted, as long as nobody has looked at the project."""
        if not wanted.specifier or any(project.is_offered for project in self._projects.get(wanted.name, ())):
            return
        prereleases = admits_prereleases(wanted)
        if prereleases or wanted.is_exact:
            exact = wanted.specifier.lstrip("= ") if wanted.is_exact and "," not in wanted.specifier else ""
            self._admit(wanted.name, prereleases=prereleases, exact=exact)

    def _odd_versions(self, name: str) -> Collection[str]:
        """The versions on offer under a name that the two worlds do not order alike."""
        found = self._odd.get(name)
        if found is None:
            projects = [one for one in self._projects_of(name) if self._is_looked_at(name, one.place)]
            odd = {version for project in projects for version in self._odd_versions_of(project)}
            found = self._odd[name] = tuple(sorted(odd))
        return found

    def _odd_versions_of(self, project: _Project) -> Collection[str]:
        page = self._known_page(project)
        if page is None:
            return ()
        kept = project.place.offers.find(project.project, page.content)
        return self._records.odd_versions(page) if kept is None else kept.odd

    def _known_page(self, project: _Project) -> ProjectPage | None:
        try:
            return self._page_of(project)
        except IndexFailure:
            # Who needs the project is told.
            return None


def _python_clause(clause: str) -> str:
    """A clause of a range of conda's as PEP 440 writes it: `=2.1` and `2.1.*` are `==2.1.*`."""
    bare = clause.removeprefix("=")
    if bare.startswith("=") or (bare == clause and clause[:1] in "<>!~"):
        return clause
    return f"=={bare}" if bare == clause and not clause.endswith("*") else f"=={bare.removesuffix('.*')}.*"


def _python_of(record: RepoDataRecord) -> str:
    """The range of Pythons that the index tells of a wheel; it is its first dependency."""
    return record.depends[0].partition(" ")[2]


_LEFT_OUT: dict[LeftOut, str] = {
    "source": "only source archives, and no wheels for {platform}; let them be built, which runs code of their makers, "
    "with --build-package {project}",
    "other": "wheels for other platforms or Pythons only ({tags}); ask for another version, or add a channel that has "
    "it",
    "yanked": "only what was withdrawn (yanked{reason}); ask for it by its number, as in {project}=={version}",
    "prerelease": "only pre-releases; ask for one by its number, as in {project}>={version}",
}


def _left_out_of(project: _Project, spec: MatchSpec | None, platform: str) -> list[str]:
    """Of a project of which nothing is offered, or nothing that a spec asks for, what there is."""
    offer, what = project.offer, project.project
    left_out = offer.left_out()
    if spec is not None and spec.version is not None:
        if any(spec.version.matches(record.version) for record in offer.records()):
            return []
        left_out = {version: why for version, why in left_out.items() if spec.version.matches(version)}
        what += f" {spec.version}"
    elif offer.count:
        return []
    if not left_out:
        return []
    version = max(left_out, key=Version)
    page = project.page
    files = [file for file in (page.files if page is not None else ()) if project.source.is_of(file, version)]
    tags = [" ".join(file.file_name.removesuffix(".whl").rsplit("-", 3)[1:]) for file in files if file.is_wheel]
    says = _LEFT_OUT[left_out[version]].format(
        project=project.project,
        version=version,
        platform=platform,
        tags=", ".join(tags[:_MOST_TAGS]) + (", …" if len(tags) > _MOST_TAGS else ""),
        reason=next((f": {file.yanked[:_LONGEST_REASON]}" for file in files if file.yanked), ""),
    )
    return [f"Of {what}, {project.place.channel.name} has {says}."]
