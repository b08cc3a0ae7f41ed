"""Environments with hostile paths and variables, entered by real shells: they get what was meant, and run nothing."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from kaa.shell.activation import ActivationSettings, Installation
from kaa.shell.dialects.table import get_dialect
from kaa.shell.script import Shell
from tests.shell.houses import QUICK, House, RealShell, make_environment, variables
from tests.shell.test_dialects import EVALUATE

INSTALLATION = Installation("/root", ("/usr/bin/kaa",), "/usr/bin/python3")

CODE = (
    "$(touch pwned)",
    "`touch pwned`",
    "';touch pwned;'",
    '";touch pwned;"',
    "\ntouch pwned\n",
    "$HOME",
    "${IFS}",
    "!!",
    "%PATH%",
    "\\",
    "'",
    '"',
    "#",
    "-n",
    "~",
    "*",
    "&&touch pwned",
    "|touch pwned",
    "(touch pwned)",
    "; touch pwned #",
    "\u202e",
    "é",
    "\x1b[2J",
)
letters = st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=3)
values = st.lists(st.one_of(st.sampled_from(CODE), letters), min_size=1, max_size=4).map("".join)
names = values.map(lambda text: text.replace("/", "").replace(":", "")[:40]).filter(
    lambda text: text not in ("", ".", "..")
)


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "house")


@pytest.mark.slow
@pytest.mark.parametrize("shell", QUICK, ids=lambda shell: shell.name)
@settings(
    max_examples=25, deadline=None, phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck)
)
@given(
    name=names, given_variables=st.dictionaries(st.one_of(st.sampled_from(["A", "B_1"]), values), values, max_size=4)
)
def test_environments_are_entered_at_any_path_with_any_variables(
    shell: RealShell, house: House, name: str, given_variables: dict[str, str]
) -> None:
    if not shell.installed:
        pytest.skip(f"{shell.name} is not installed")
    dialect = get_dialect(shell.name)
    wanted = {key: value for key, value in given_variables.items() if dialect.holds(value)}
    prefix = house.root / "envs" / name
    if not dialect.holds(str(prefix)):
        return
    if not prefix.exists():
        make_environment(prefix)
    (prefix / "conda-meta" / "state").write_text(json.dumps({"env_vars": wanted}))
    environ = {**house.environ, "PATH": "/usr/bin:/bin"}
    entering = Shell(dialect, environ, INSTALLATION, ActivationSettings(change_prompt=False), uppercase=False)
    steps = entering.activate(str(prefix))
    (house.directory / "text").write_bytes(os.fsencode(dialect.render(steps.actions)))
    done = shell.run(house, [EVALUATE[shell.name], "/usr/bin/env -0 > ./seen.env"])
    assert done.returncode == 0, done.stderr
    assert not (house.directory / "pwned").exists()
    seen = variables(house, "seen")
    assert seen["CONDA_PREFIX"] == str(prefix)
    assert seen["PATH"].split(":")[0] == f"{prefix}/bin"
    accepted = {key: value for key, value in wanted.items() if key in ("A", "B_1")}
    assert {key: seen.get(key) for key in accepted} == accepted
