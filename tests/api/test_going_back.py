"""Any number of changes and ways back, compared to a model."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from kaa.api.environments import ChangeOptions, plan_create, plan_install, plan_remove
from kaa.api.execution import execute
from kaa.api.generations import read_environment_history
from kaa.api.going_back import NothingToUndo, plan_rollback, plan_undo, restore_generation
from kaa.api.recording import change_variables
from kaa.api.session import Session, open_session
from kaa.host.files import remove_tree
from kaa.prefix.generations import read_generations
from kaa.prefix.history import requested_specs
from kaa.prefix.prefix import Prefix
from kaa.prefix.state import read_pinned_lines, read_variables
from tests.channels import ChannelBuilder, Package
from tests.transaction.test_recording import by_pip
from tests.transaction.world import SITE, python_package

NAMES = ("alpha", "beta", "gamma")
VERSIONS = ("1.0", "2.0")


def write_channel(folder: Path) -> Path:
    """alpha, beta (needs alpha), gamma (has a file of alpha's other version), and python, each in two versions."""
    channel = ChannelBuilder(folder)
    for version in VERSIONS:
        channel.add(
            Package("alpha", version, files={"share/alpha": f"alpha {version}", f"share/only/{version}": version}),
            Package("beta", version, depends=["alpha"], files={"share/beta": f"beta {version}"}),
            Package("gamma", version, files={"share/gamma": "the same always", f"share/deep/er/{version}": "g"}),
        )
    channel.add(python_package())
    channel.write()
    return folder


Model = tuple[dict[str, str], dict[str, str], dict[str, str], tuple[str, ...], frozenset[str]]
"""Packages by name, requests, variables, pins, and what pip brought."""


class Histories(RuleBasedStateMachine):
    """Changes of one environment, by kaa and by others; going back leads to what was."""

    def __init__(self, session: Session, folder: Path) -> None:
        super().__init__()
        self.session = session
        self.folder = folder

    @initialize()
    def create(self) -> None:
        self.prefix = self.folder / f"env{len(list(self.folder.glob('env*')))}"
        execute(self.session, plan_create(self.session, self.prefix, ["python", "alpha=1"]))
        self.saved = {1: self.seen()}
        self.trees = {1: self.files()}

    def seen(self) -> Model:
        environment = Prefix(self.prefix)
        pip = frozenset(path.name for path in (self.prefix / SITE).glob("*.dist-info"))
        return (
            {record.name: record.version for record in environment.records()},
            requested_specs(environment),
            read_variables(environment),
            read_pinned_lines(environment),
            pip,
        )

    def files(self) -> dict[str, bytes]:
        """Every file but those of conda-meta."""
        return {
            path.relative_to(self.prefix).as_posix(): path.read_bytes()
            for path in self.prefix.rglob("*")
            if path.is_file() and path.relative_to(self.prefix).parts[0] != "conda-meta"
        }

    def note(self) -> None:
        """Remember what every new generation is; what was found is what was there before the last change."""
        for number in range(max(self.saved) + 1, len(read_generations(self.prefix)) + 1):
            generation = read_generations(self.prefix)[number - 1]
            is_last = number == len(read_generations(self.prefix))
            self.saved[number] = self.seen() if is_last and generation.cause != "found" else self.before
            self.trees[number] = self.files() if is_last and generation.cause != "found" else self.files_before

    def change(self, do: Callable[[], object]) -> None:
        self.before, self.files_before = self.seen(), self.files()
        do()
        self.note()

    @rule(name=st.sampled_from(NAMES), version=st.sampled_from(VERSIONS))
    def install(self, name: str, version: str) -> None:
        spec = f"{name}={version}"
        self.change(
            lambda: execute(self.session, plan_install(self.session, self.prefix, [spec], ChangeOptions(no_pin=True)))
        )

    @rule(name=st.sampled_from(NAMES))
    def remove(self, name: str) -> None:
        if Prefix(self.prefix).find(name) is not None:
            self.change(lambda: execute(self.session, plan_remove(self.session, self.prefix, [name])))

    @rule(value=st.sampled_from(["a", "b"]))
    def set_variable(self, value: str) -> None:
        self.change(lambda: change_variables(self.session, self.prefix, lambda old: {**old, "V": value}))

    @rule(pin=st.sampled_from(["alpha <3", "beta <3", ""]))
    def edit_pins(self, pin: str) -> None:
        (self.prefix / "conda-meta/pinned").write_text(f"# by hand\n{pin}\n")

    @rule(name=st.sampled_from(["demo", "other"]), version=st.sampled_from(VERSIONS))
    def pip_installs(self, name: str, version: str) -> None:
        self.pip_removes(name)
        by_pip(self.prefix, name, version)

    @rule(name=st.sampled_from(["demo", "other"]))
    def pip_removes(self, name: str) -> None:
        for path in (self.prefix / SITE).glob(f"{name}*"):
            remove_tree(path)

    @rule()
    def undo(self) -> None:
        def do() -> None:
            try:
                plan = plan_undo(self.session, self.prefix)
            except NothingToUndo:
                return
            restore_generation(self.session, plan)
            self.check(plan.target.number)

        self.change(do)

    @rule(data=st.data())
    def roll_back(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.saved)))

        def do() -> None:
            plan = plan_rollback(self.session, self.prefix, number)
            if plan.is_needed:
                restore_generation(self.session, plan)
            self.check(number)

        self.change(do)

    def check(self, number: int) -> None:
        """The environment is what it was in that generation, and kaa sees no difference."""
        assert self.seen() == self.saved[number]
        assert self.files() == self.trees[number]
        assert read_environment_history(self.session, self.prefix).since.is_empty

    @precondition(lambda self: hasattr(self, "prefix"))
    @invariant()
    def generations_are_numbered(self) -> None:
        assert [one.number for one in read_generations(self.prefix)] == sorted(self.saved)


@pytest.mark.parametrize("examples", [5, pytest.param(40, marks=pytest.mark.slow)])
def test_any_history(tmp_path: Path, examples: int) -> None:
    channel = write_channel(tmp_path / "channel")
    environ = {"HOME": str(tmp_path / "home"), "PATH": os.environ["PATH"], "CONDA_SUBDIR": "linux-64"}
    with open_session(root_prefix=tmp_path / "root", environ=environ, channels=[channel.as_uri()]) as session:
        machine: Any = lambda: Histories(session, tmp_path)  # noqa: E731 - called for each of the histories
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=examples,
                stateful_step_count=12,
                deadline=None,
                suppress_health_check=list(HealthCheck),
                database=None,
            ),
        )
