"""The blocks of scripts: PEP 723 for Python, `conda-script` for any language."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaa.envfiles.script_blocks import InvalidScriptBlock, ScriptBlock, parse_script, shell_line
from kaa.pypi.pep440 import NotConvertible
from kaa.pypi.script_requirements import NotInChannels, conda_specs, possible_names


def parse(text: str, subdir: str = "linux-64") -> ScriptBlock | None:
    return parse_script(text, "x.py", subdir)


def found(text: str, subdir: str = "linux-64") -> ScriptBlock:
    block = parse(text, subdir)
    assert block is not None
    return block


# -- PEP 723 ----------------------------------------------------------------------------------------------------------


def test_a_block_of_pep_723() -> None:
    text = """#!/usr/bin/env python
# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "requests<3",
#   "rich",
# ]
#
# [tool.kaa]
# channels = ["conda-forge"]
# dependencies = ["gdal >=3.8"]
# ///
import requests
"""
    expected = ScriptBlock(
        "script",
        2,
        requirements=("requests<3", "rich"),
        requires_python=">=3.11",
        specs=("gdal >=3.8",),
        channels=("conda-forge",),
    )
    assert parse(text) == expected
    assert parse(text.replace("\n", "\r\n")) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "print(1)\n",
        "# /// other\n# x = 1\n# ///\n",
        "# /// script\n# dependencies = []\n",
        "# /// script\n\n# dependencies = []\n# ///\n",
        "  # /// script\n  # dependencies = []\n  # ///\n",
        "#/// script\n# dependencies = []\n# ///\n",
        "# /// script\n#dependencies = []\n# ///\n",
    ],
)
def test_what_is_no_block(text: str) -> None:
    assert parse(text) is None


INVALID = [
    ("# /// script\n# dependencies = [\n# ///\n", 1, "it is not TOML"),
    ("# /// script\n# dependencies = 1\n# ///\n", 1, "dependencies is no list of texts"),
    ("# /// script\n# dependencies = [1]\n# ///\n", 1, "dependencies is no list of texts"),
    ("# /// script\n# requires-python = 3\n# ///\n", 1, "requires-python is no text"),
    ("# /// script\n# tool = 3\n# ///\n", 1, "tool is no table"),
    ("# /// script\n# [tool.kaa]\n# dependencies = ['a>>1']\n# ///\n", 1, ""),
    ("# /// script\n# x = 1\n# ///\n\n# /// script\n# x = 2\n# ///\n", 5, "another block at line 1"),
    ("# /// script\n# x = 1\n# ///\n\n# /// conda-script\n# channels = []\n# ///\n", 5, "another block at line 1"),
    ("\n# /// conda-script\n# channels = []\n", 2, "it does not end"),
    ("# /// conda-script\n# channels = []\nx = 1\n# ///\n", 1, "it does not end"),
    ("# /// conda-script\n# chanels = []\n# ///\n", 1, "chanels means nothing here"),
    ("# /// conda-script\n# entrypoint = { osx = 'x' }\n# ///\n", 1, "nothing about linux-64"),
    ("# /// conda-script\n# [dependencies]\n# a = 1\n# ///\n", 1, "a is neither a version nor a table"),
    ("# /// conda-script\n# [dependencies]\n# a = { git = 'x' }\n# ///\n", 1, "'git', which means nothing here"),
    ("# /// conda-script\n# [dependencies]\n# a = '1\"'\n# ///\n", 1, "version of a holds a quotation mark"),
    ("# /// conda-script\n# [dependencies]\n# a = '>>1'\n# ///\n", 1, ""),
]


@pytest.mark.parametrize(("text", "line", "reason"), INVALID)
def test_what_is_wrong_is_told_with_its_line(text: str, line: int, reason: str) -> None:
    with pytest.raises(InvalidScriptBlock) as caught:
        parse(text)
    assert caught.value.line == line
    assert reason in caught.value.message
    assert caught.value.message.startswith(f"x.py, the block at line {line}: ")


NAMES = st.from_regex(r"[a-z][a-z0-9]{0,8}", fullmatch=True)


@given(
    dependencies=st.lists(NAMES, max_size=5),
    python=st.sampled_from(["", ">=3.9", "==3.12.*"]),
    before=st.integers(0, 5),
)
def test_what_is_written_is_read(dependencies: list[str], python: str, before: int) -> None:
    content = f"requires-python = {json.dumps(python)}\ndependencies = {json.dumps(dependencies)}"
    commented = "".join(f"# {line}\n" for line in content.splitlines())
    block = found("\n" * before + f"# /// script\n{commented}# ///\n")
    assert block == ScriptBlock("script", before + 1, requirements=tuple(dependencies), requires_python=python)


@given(st.text())
def test_any_text_has_a_block_or_none_or_a_reason(text: str) -> None:
    for start in ("", "# /// script\n# ", "// /// conda-script\n// "):
        try:
            parse(start + text)
        except InvalidScriptBlock:
            continue


# -- conda-script -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mark", ["#", "//", "--", ";", "%"])
@pytest.mark.parametrize("end", ["/// end-conda-script", "///"])
def test_a_block_for_any_language(mark: str, end: str) -> None:
    lines = [
        "/// conda-script",
        'channels = ["a", "b"]',
        'platforms = ["linux-64", "osx-64"]',
        "",
        "[entrypoint]",
        'unix = "run ${SCRIPT}"',
        'win = "run.exe"',
        "[dependencies]",
        'any = "*"',
        'one = ">=1,<2"',
        'two = { version = "3.*", build = "h*", channel = "c", when = "__linux" }',
        end,
    ]
    block = found("".join(f"{mark} {line}".rstrip() + "\n" for line in lines) + "code\n")
    assert block.kind == "conda-script"
    assert (block.channels, block.platforms) == (("a", "b"), ("linux-64", "osx-64"))
    assert block.entrypoint == "run ${SCRIPT}"
    assert block.specs == (
        "any",
        'one[version=">=1,<2"]',
        'two[version="3.*",build="h*",channel="c",when="__linux"]',
    )


@pytest.mark.parametrize(
    ("subdir", "entrypoint"),
    [("linux-64", "both"), ("linux-aarch64", "arm"), ("osx-arm64", "mac"), ("win-64", "rest")],
)
def test_the_entry_point_of_a_platform(subdir: str, entrypoint: str) -> None:
    table = 'unix = "both", linux-aarch64 = "arm", osx = "mac", default = "rest"'
    assert found(f"# /// conda-script\n# entrypoint = {{ {table} }}\n# ///\n", subdir).entrypoint == entrypoint


@pytest.mark.parametrize(
    ("entrypoint", "printed"),
    [
        ("printf '<%s>' ${SCRIPT}", "<a  *b><1  2><3>"),
        ("printf '<%s>' \"${SCRIPT}\"", "<a  *b><1  2><3>"),
        ("printf '<%s>' '${SCRIPT}'", "<${SCRIPT}><1  2><3>"),
        ("printf '<%s>' ${CACHE}/${SCRIPT}", "<c c/a  *b><1  2><3>"),
        ("printf '<%s>' \\'${SCRIPT}", "<'a  *b><1  2><3>"),
        ("true && printf '<%s>' ${SCRIPT}", "<a  *b><1  2><3>"),
        ("printf '<%s>' $(echo x y)", "<x><y><1  2><3>"),
    ],
)
def test_paths_in_an_entry_point_stay_one_word(entrypoint: str, printed: str) -> None:
    sh = shutil.which("sh")
    assert sh is not None
    done = subprocess.run(
        [sh, "-c", shell_line(entrypoint), "name", "1  2", "3"],
        env={"SCRIPT": "a  *b", "CACHE": "c c", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        check=True,
        cwd=Path("/"),
    )
    assert done.stdout.decode() == printed


# -- requirements as specs --------------------------------------------------------------------------------------------

OFFERED = {"requests", "typing_extensions", "ruamel.yaml", "tomli", "colorama"}

MAPPED = [
    ([], "", ["python"]),
    ([], ">=3.9,<3.13", ["python >=3.9,<3.13a0"]),
    (["requests"], "", ["python", "requests"]),
    (["Requests~=2.31"], "", ["python", "requests >=2.31,2.*"]),
    (["typing-extensions>=4", "ruamel.yaml"], "", ["python", "typing_extensions >=4", "ruamel.yaml"]),
    (["colorama; sys_platform == 'win32'"], "", ["python"]),
    (["colorama; sys_platform == 'linux'"], "", ["python", "colorama"]),
    (["nobody; platform_machine == 'arm64'"], "", ["python"]),
]


@pytest.mark.parametrize(("requirements", "python", "specs"), MAPPED)
def test_requirements_of_python_as_specs(requirements: list[str], python: str, specs: list[str]) -> None:
    asked = conda_specs(requirements, python, "linux-64", OFFERED.__contains__)
    assert (list(asked.specs), asked.notes, asked.is_open) == (specs, (), False)


def test_a_requirement_that_depends_on_python_waits_for_it() -> None:
    wanted = ["tomli; python_version < '3.11'"]
    asked = conda_specs(wanted, ">=3.9", "linux-64", OFFERED.__contains__)
    assert (asked.specs, asked.is_open) == (("python >=3.9",), True)
    settled = conda_specs(wanted, ">=3.9", "linux-64", OFFERED.__contains__, python="3.10.14")
    assert (settled.specs, settled.is_open) == (("python 3.10.*", "tomli"), False)
    settled = conda_specs(wanted, ">=3.9", "linux-64", OFFERED.__contains__, python="3.12.1")
    assert settled.specs == ("python 3.12.*",)


def test_extras_are_told() -> None:
    asked = conda_specs(["requests[socks,use-chardet]"], "", "linux-64", OFFERED.__contains__)
    assert asked.specs == ("python", "requests")
    assert asked.notes == (
        "requests: the extras socks, use-chardet are not asked for; add the packages that they stand for",
    )


@pytest.mark.parametrize(
    ("requirement", "message"),
    [
        ("nobody>=1", r"nobody>=1: no channel has a package of that name \(searched forge\)"),
        ("requests @ https://example.org/requests.whl", "it is wanted from a URL"),
    ],
)
def test_what_only_pypi_has_is_told(requirement: str, message: str) -> None:
    with pytest.raises(NotInChannels, match=message):
        conda_specs([requirement, "requests"], "", "linux-64", OFFERED.__contains__, ["forge"])


@pytest.mark.parametrize(("requirements", "python"), [(["a b c"], ""), (["a>=x"], ""), ([], "three")])
def test_what_is_no_requirement(requirements: list[str], python: str) -> None:
    with pytest.raises(NotConvertible):
        conda_specs(requirements, python, "linux-64", lambda name: True)


@pytest.mark.parametrize(
    ("project", "names"),
    [
        ("requests", ("requests",)),
        ("PyYAML", ("pyyaml",)),
        ("typing-extensions", ("typing-extensions", "typing_extensions")),
        ("Typing_Extensions", ("typing-extensions", "typing_extensions")),
        ("ruamel.yaml", ("ruamel.yaml", "ruamel-yaml", "ruamel_yaml")),
    ],
)
def test_the_names_that_a_channel_may_use(project: str, names: tuple[str, ...]) -> None:
    assert possible_names(project) == names
