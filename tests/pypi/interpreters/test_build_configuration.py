from __future__ import annotations

import ast
import sys
import sysconfig
from pathlib import Path, PurePosixPath

import pytest

from kaa.pypi.interpreters.build_configuration import (
    PLACEHOLDER,
    Layout,
    is_configuration_module,
    relocate_build_variables,
    relocate_makefile,
    relocate_text,
    relocate_variables,
    with_usual_schemes,
)

OWN = Layout(("/opt/python", "/opt/python/built"), "python3.12", "lib")
SHARED = Layout(("/usr",), "python3.12", "lib")
CONFIGURATION = "config-3.12-x86_64-linux-gnu"

TEXTS = [
    ("/opt/python", "/opt/python/lib", f"{PLACEHOLDER}/lib"),
    (
        "/opt/python",
        "-L/opt/python/lib -Wl,-rpath,/opt/python/lib",
        f"-L{PLACEHOLDER}/lib -Wl,-rpath,{PLACEHOLDER}/lib",
    ),
    ("/opt/python", "'--prefix=/opt/python' x", f"'--prefix={PLACEHOLDER}' x"),
    ("/opt/python", "/opt/python3/lib /opt/python-x /opt/python.d", "/opt/python3/lib /opt/python-x /opt/python.d"),
    ("/opt/py+thon", "/opt/py+thon/x /opt/pyython", f"{PLACEHOLDER}/x /opt/pyython"),
    ("/usr", "/usr/bin/install", "/usr/bin/install"),
    ("/usr/local", "/usr/local/lib", "/usr/local/lib"),
    ("/opt/python", "nothing", "nothing"),
]


@pytest.mark.parametrize(("prefix", "text", "expected"), TEXTS)
def test_the_prefix_in_texts(prefix: str, text: str, expected: str) -> None:
    assert relocate_text(text, [prefix, "/usr"]) == expected


@pytest.mark.parametrize(
    ("layout", "variables", "expected"),
    [
        (
            SHARED,
            {
                "LIBDIR": "/usr/lib/x86_64-linux-gnu",
                "INSTALL": "/usr/bin/install -c",
                "INCLUDEPY": "/usr/include/python3.12",
            },
            {
                "LIBDIR": f"{PLACEHOLDER}/lib",
                "INSTALL": "/usr/bin/install -c",
                "INCLUDEPY": f"{PLACEHOLDER}/include/python3.12",
            },
        ),
        (
            SHARED,
            {"BINLIBDEST": "/usr/lib/x86_64-linux-gnu/python3.12", "TZPATH": "/usr/share/zoneinfo", "SIZEOF_LONG": 8},
            {"BINLIBDEST": f"{PLACEHOLDER}/lib/python3.12", "TZPATH": "/usr/share/zoneinfo", "SIZEOF_LONG": 8},
        ),
        (
            OWN,
            {"LDSHARED": "gcc -L/opt/python/lib", "WHEEL_PKG_DIR": "", "LIBPL": "/opt/python/lib/python3.12/config-x"},
            {
                "LDSHARED": f"gcc -L{PLACEHOLDER}/lib",
                "WHEEL_PKG_DIR": "",
                "LIBPL": f"{PLACEHOLDER}/lib/python3.12/{CONFIGURATION}",
            },
        ),
        (
            SHARED,
            {"WHEEL_PKG_DIR": "/usr/share/python-wheels/"},
            {"WHEEL_PKG_DIR": f"{PLACEHOLDER}/lib/python3.12/ensurepip/_bundled"},
        ),
    ],
)
def test_build_variables(layout: Layout, variables: dict[str, str | int], expected: dict[str, str | int]) -> None:
    assert relocate_variables(variables, layout, CONFIGURATION) == expected
    assert relocate_variables(expected, layout, CONFIGURATION) == expected


def test_the_module_of_this_python() -> None:
    name = sysconfig._get_sysconfigdata_name()  # type: ignore[attr-defined]
    path = next(Path(sysconfig.get_path("stdlib")).glob(f"{name}.py"))
    layout = Layout((sys.base_prefix,), f"python{sys.version_info[0]}.{sys.version_info[1]}", "lib")
    text = relocate_build_variables(path.read_text(), layout, CONFIGURATION)
    variables = ast.literal_eval(text.partition("build_time_vars = ")[2])
    assert variables.keys() == sysconfig.get_config_vars().keys() & variables.keys()
    assert variables["prefix"] == PLACEHOLDER
    assert variables["EXT_SUFFIX"] == sysconfig.get_config_var("EXT_SUFFIX")
    if sys.base_prefix not in ("/usr", "/usr/local"):
        assert sys.base_prefix not in text
    assert relocate_build_variables(text, layout, CONFIGURATION) == text


def test_the_longer_of_two_prefixes_comes_first() -> None:
    assert (
        relocate_text("/opt/python/built/lib /opt/python/lib", OWN.prefixes) == f"{PLACEHOLDER}/lib {PLACEHOLDER}/lib"
    )


def test_a_makefile() -> None:
    source = (
        "prefix=\t/usr\nLIBDIR=\t$(prefix)/lib\nBINDIR = /usr/bin\nCC=\tgcc\n"
        "INSTALL=\t/usr/bin/install\n\nall:\n\t/usr/bin/true\n"
    )
    assert relocate_makefile(source, SHARED, CONFIGURATION) == (
        f"prefix=\t{PLACEHOLDER}\nLIBDIR=\t$(prefix)/lib\nBINDIR = {PLACEHOLDER}/bin\nCC=\tgcc\n"
        "INSTALL=\t/usr/bin/install\n\nall:\n\t/usr/bin/true\n"
    )
    assert relocate_makefile("CC=gcc -L/opt/python/lib\n", OWN, CONFIGURATION) == f"CC=gcc -L{PLACEHOLDER}/lib\n"


DISTRIBUTION = """\
import sys

_SCHEMES = {"posix_prefix", "posix_local"}


def _get_preferred_schemes():
    if sys.prefix == "/usr":
        scheme = "posix_local"
    else:
        scheme = "posix_prefix"

    return {"prefix": scheme, "home": "posix_home", "user": "posix_user"}


def get_preferred_scheme(key):
    return _get_preferred_schemes()[key]
"""


def test_a_distributions_scheme_gives_way_to_the_usual_one() -> None:
    changed = with_usual_schemes(DISTRIBUTION.replace('sys.prefix == "/usr"', "True"))
    names: dict[str, object] = {}
    exec(compile(changed, "sysconfig.py", "exec"), names)
    get = names["get_preferred_scheme"]
    assert callable(get)
    assert [get(key) for key in ("prefix", "home", "user")] == ["posix_prefix", "posix_home", "posix_user"]
    assert changed.startswith(DISTRIBUTION[: DISTRIBUTION.index("def ")])
    assert changed.endswith(DISTRIBUTION[DISTRIBUTION.index("\n\ndef get_preferred") :])
    assert with_usual_schemes("x = 1\n") == "x = 1\n"


def test_where_the_parts_go() -> None:
    assert OWN.carried_libraries == "lib/python3.12/lib-carried"
    assert Layout(("/usr",), "python3.13t", "lib64").standard_library == "lib64/python3.13t"
    assert Layout(("/usr",), "python3.13t", "lib64").site_packages == "lib/python3.13t/site-packages"
    assert is_configuration_module(PurePosixPath("_sysconfigdata__linux_x86_64-linux-gnu.py"))
    assert not is_configuration_module(PurePosixPath("sysconfig.py"))
