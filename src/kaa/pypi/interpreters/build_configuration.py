"""Make a Python's record of how it was built fit for any place, and its layout the usual one.

`_sysconfigdata*.py` and the Makefile name directories of the machine that Python was installed on. Those that belong
to the installation become directories below a placeholder; conda's clients put the environment's prefix there. A
distribution that sends packages elsewhere (Debian: `/usr/local`, `dist-packages`) gets the usual scheme back.
"""

from __future__ import annotations

import ast
import pprint
import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

import msgspec

PLACEHOLDER = "/opt/kaa_placeholder_of_the_prefix"
"""The prefix that packages made by kaa carry in text files; no directory of that name exists anywhere."""
SHARED_PREFIXES = frozenset({"/", "/usr", "/usr/local"})
"""Prefixes that Python shares with everything else: a path below one need not be Python's."""


class Layout(msgspec.Struct, frozen=True):
    """Where an interpreter has its parts now, and where its package has them."""

    prefixes: tuple[str, ...]
    """The prefix of the interpreter, and the one that it was built for."""
    directory_name: str
    """`python3.12`."""
    library_directory: str
    """The directory of the standard library's directory: `lib`, or `lib64` on some distributions."""

    @property
    def standard_library(self) -> str:
        return f"{self.library_directory}/{self.directory_name}"

    @property
    def carried_libraries(self) -> str:
        """Where libraries of the machine go: apart from `lib`, which is for other packages' libraries."""
        return f"{self.standard_library}/lib-carried"

    @property
    def site_packages(self) -> str:
        return f"lib/{self.directory_name}/site-packages"

    def variables(self, configuration_directory: str) -> dict[str, str]:
        """The variables of sysconfig that name directories of the installation, and what they are below any prefix."""
        library = f"{PLACEHOLDER}/{self.standard_library}"
        include = f"{PLACEHOLDER}/include"
        headers = f"{include}/{self.directory_name}"
        named = {
            "prefix": PLACEHOLDER,
            "exec_prefix": PLACEHOLDER,
            "BINDIR": f"{PLACEHOLDER}/bin",
            "LIBDIR": f"{PLACEHOLDER}/lib",
            "SCRIPTDIR": f"{PLACEHOLDER}/{self.library_directory}",
            "INCLUDEDIR": include,
            "CONFINCLUDEDIR": include,
            "DESTSHARED": f"{library}/lib-dynload",
            "LIBPL": f"{library}/{configuration_directory}",
            "srcdir": f"{library}/{configuration_directory}",
            "LIBPC": f"{PLACEHOLDER}/lib/pkgconfig",
            "MANDIR": f"{PLACEHOLDER}/share/man",
            "datarootdir": f"{PLACEHOLDER}/share",
            "EXENAME": f"{PLACEHOLDER}/bin/{self.directory_name}",
            "WHEEL_PKG_DIR": f"{library}/ensurepip/_bundled",
            "DESTDIRS": f"{PLACEHOLDER} {PLACEHOLDER}/{self.library_directory} {library} {library}/lib-dynload",
            "INCLDIRSTOMAKE": f"{include} {include} {headers} {headers}",
        }
        named |= dict.fromkeys(("LIBDEST", "BINLIBDEST", "DESTLIB", "MACHDESTLIB"), library)
        return named | dict.fromkeys(("INCLUDEPY", "CONFINCLUDEPY"), headers)


def relocate_text(text: str, prefixes: Sequence[str]) -> str:
    """A text with the placeholder wherever it names a prefix, unless other things are below that prefix as well."""
    # The longest first: one may lie within the other.
    for prefix in sorted(set(prefixes) - SHARED_PREFIXES, key=len, reverse=True):
        if prefix in text:
            text = re.sub(re.escape(prefix) + r"(?![\w.-])", PLACEHOLDER, text)
    return text


def relocate_variables(
    variables: Mapping[str, str | int], layout: Layout, configuration_directory: str
) -> dict[str, str | int]:
    """The build variables of a Python as they are below the placeholder."""
    named = layout.variables(configuration_directory)
    result: dict[str, str | int] = {}
    for key, value in variables.items():
        if key in named and value:
            result[key] = named[key]
        else:
            result[key] = relocate_text(value, layout.prefixes) if isinstance(value, str) else value
    return result


def relocate_build_variables(source: str, layout: Layout, configuration_directory: str) -> str:
    """A module `_sysconfigdata…`, rewritten; what is not understood in it stays."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and any(
            getattr(target, "id", "") == "build_time_vars" for target in node.targets
        ):
            variables = ast.literal_eval(node.value)
            relocated = relocate_variables(variables, layout, configuration_directory)
            text = pprint.pformat(relocated, width=100)
            return f"# How this Python was built; the sysconfig module reads it.\nbuild_time_vars = {text}\n"
    return relocate_text(source, layout.prefixes)


_MAKE_VARIABLE = re.compile(r"^([A-Za-z_]+)(\s*=\s*)(\S.*)$")


def relocate_makefile(source: str, layout: Layout, configuration_directory: str) -> str:
    """The Makefile of a build, for those who still read variables there."""
    named = layout.variables(configuration_directory)
    lines = []
    for line in source.splitlines():
        match = _MAKE_VARIABLE.match(line)
        if match and match[1] in named and match[3].startswith("/"):
            line = f"{match[1]}{match[2]}{named[match[1]]}"
        lines.append(relocate_text(line, layout.prefixes))
    return "\n".join(lines) + "\n"


USUAL_SCHEMES = """\
def _get_preferred_schemes():
    return {
        'prefix': 'posix_prefix',
        'home': 'posix_home',
        'user': 'posix_user',
    }
"""


def with_usual_schemes(source: str) -> str:
    """The module sysconfig of a distribution with the install schemes that Python has of its own."""
    lines = source.splitlines(keepends=True)
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef) and node.name == "_get_preferred_schemes":
            return "".join([*lines[: node.lineno - 1], USUAL_SCHEMES, *lines[node.end_lineno :]])
    return source


def is_configuration_module(path: PurePosixPath) -> bool:
    """Whether a module of the standard library holds the build variables."""
    return path.name.startswith("_sysconfigdata") and path.suffix == ".py"
