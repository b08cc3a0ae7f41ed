"""Names of packages and of package files (CEP 26).

`name-version-build` is the dist string; with an extension it is a file name. All parts are safe to use in paths: they
hold no separators and are never `.` or `..`.

>>> parse_file_name("zlib-1.3.1-hb9d3cd8_2.conda")
ArtifactName(name='zlib', version='1.3.1', build='hb9d3cd8_2', extension='.conda')
"""

from __future__ import annotations

import re

import msgspec

from kaa.models.invalid_text import InvalidText
from kaa.models.pattern import Pattern
from kaa.models.version import InvalidVersion, check_version

CONDA = ".conda"
TAR_BZ2 = ".tar.bz2"
WHEEL = ".whl"
EXTENSIONS = (CONDA, TAR_BZ2, WHEEL)
SDIST_EXTENSIONS = (".tar.gz", ".zip")

LONGEST_NAME = 64
LONGEST_VERSION = 64
LONGEST_BUILD = 64
LONGEST_FILE_NAME = 211

_NAME = Pattern(r"(?:__|_)?[a-z0-9]+(?:[._-][a-z0-9]+)*[._-]?", re.ASCII)
_NAME_CHARACTERS = Pattern(r"[^a-z0-9._-]", re.ASCII)
_NAME_START = Pattern(r"(?:__|_)?(?:[a-z0-9]+(?:[._-][a-z0-9]+)*[._-]?)?", re.ASCII)
_BUILD = Pattern(r"[a-zA-Z0-9_.+]+", re.ASCII)
_NOT_BUILD = Pattern(r"[^a-zA-Z0-9_.+]", re.ASCII)
_WHEEL_NAME = Pattern(r"[-_.]+", re.ASCII)


class InvalidArtifactName(InvalidText):
    """A text that is not the name of a package, or of a package file."""

    noun = "package file name"


class InvalidPackageName(InvalidArtifactName):
    """A text that is not the name of a package."""

    conda_name = "InvalidMatchSpec"
    noun = "package name"


class ArtifactName(msgspec.Struct, frozen=True, order=True):
    """The parts of a package's file name; `extension` begins with a dot."""

    name: str
    version: str
    build: str
    extension: str

    @property
    def dist(self) -> str:
        """The dist string, `name-version-build`."""
        return dist_string(self.name, self.version, self.build)

    def __str__(self) -> str:
        return self.dist + self.extension


def dist_string(name: str, version: str, build: str) -> str:
    """The dist string of a package; it names the package's directory in the cache."""
    return f"{name}-{version}-{build}"


def extension_of(file_name: str) -> str | None:
    """The extension by which a text is known to name a package file, if it is."""
    return next((extension for extension in EXTENSIONS if file_name.endswith(extension)), None)


def check_package_name(text: str) -> None:
    """Raise `InvalidPackageName` if no package can have this name; names are in lower case."""
    if len(text) <= LONGEST_NAME and _NAME.fullmatch(text) is not None:
        return
    if not text:
        raise InvalidPackageName(text, 0, "a name has at least one character")
    if len(text) > LONGEST_NAME:
        raise InvalidPackageName(text, LONGEST_NAME, f"a name has at most {LONGEST_NAME} characters")
    wrong = _NAME_CHARACTERS.search(text)
    if wrong is not None:
        hints = (f"write {text.lower()}",) if text.lower() != text and wrong[0].isupper() else ()
        raise InvalidPackageName(text, wrong.start(), f"{wrong[0]!r} cannot stand in a package name", hints=hints)
    good = _NAME_START.match(text)
    raise InvalidPackageName(text, good.end() if good else 0, "a letter or digit is expected here")


def check_build(text: str) -> None:
    """Raise `InvalidArtifactName` if no package can have this build string."""
    if _BUILD.fullmatch(text) is not None:
        return
    wrong = _NOT_BUILD.search(text)
    position = wrong.start() if wrong is not None else 0
    what = f"{wrong[0]!r} cannot stand in a build string" if wrong is not None else "a build string is expected here"
    raise InvalidArtifactName(text, position, what)


def parse_file_name(text: str) -> ArtifactName:
    """The parts of the name of a .conda or .tar.bz2 file; only the package's name may hold dashes."""
    extension = extension_of(text)
    if extension is None or extension == WHEEL:
        raise InvalidArtifactName(text, len(text), "a package file ends with .conda or .tar.bz2")
    if len(text) > LONGEST_FILE_NAME:
        raise InvalidArtifactName(text, LONGEST_FILE_NAME, f"a file name has at most {LONGEST_FILE_NAME} characters")
    parts = text.removesuffix(extension).rsplit("-", 2)
    if len(parts) < 3:
        raise InvalidArtifactName(text, 0, "a package file is named name-version-build" + extension)
    name, version, build = parts
    _check_parts(text, name, version, build)
    return ArtifactName(name, version, build, extension)


def _check_parts(text: str, name: str, version: str, build: str) -> None:
    """Check the parts one by one; faults point into the whole text."""
    offset = 0
    try:
        check_package_name(name)
        offset = len(name) + 1
        check_version(version)
        offset += len(version) + 1
        check_build(build)
    except (InvalidArtifactName, InvalidVersion) as error:
        raise InvalidArtifactName(text, offset + error.position, error.reason, hints=error.hints) from None


def is_sdist(file_name: str) -> bool:
    """Whether a file is a source distribution of a Python project, by its name."""
    return file_name.endswith(SDIST_EXTENSIONS)


def is_python_distribution(file_name: str) -> bool:
    """Whether a file is a wheel, or an sdist of which one is made, by its name.

    >>> [is_python_distribution(name) for name in ("a-1-py3-none-any.whl", "a-1.tar.gz", "a-1-0.conda")]
    [True, True, False]
    """
    return file_name.endswith((WHEEL, *SDIST_EXTENSIONS))


def wheel_name(file_name: str) -> str | None:
    """The name of the project that a wheel holds, in its normalised form (PEP 503, PEP 427).

    >>> wheel_name("Ruamel_YAML-0.18.6-py3-none-any.whl")
    'ruamel-yaml'
    """
    parts = file_name.removesuffix(WHEEL).split("-")
    if not file_name.endswith(WHEEL) or len(parts) not in (5, 6) or not all(parts):
        return None
    return _WHEEL_NAME.sub("-", parts[0]).lower()
