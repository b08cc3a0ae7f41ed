"""The plan of an activation: variables, levels, the search path, the prompt, the order of the steps."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from kaa.shell.activation import (
    ActivationSettings,
    EmptyVariable,
    Installation,
    PrefixState,
    SetPrompt,
    SetVariable,
    ShellAction,
    SourceScript,
    UnsetVariable,
    active_prefix,
    apply,
    level_of,
    overwritten_names,
    plan_activate,
    plan_deactivate,
    plan_installation,
    plan_prompt,
    plan_reactivate,
    previous_prefix,
    replace_in_path,
    wants_stacking,
)

KAA = Installation("/root", ("/usr/bin/kaa",), "/usr/bin/python3")
PLAIN = ActivationSettings()
FRESH = {"PATH": "/usr/bin:/bin", "HOME": "/home/me"}


def state(prefix: str, variables: Mapping[str, str | None] | None = None) -> PrefixState:
    """An environment with a script of each kind."""
    return PrefixState(
        prefix,
        (f"{prefix}/bin",),
        variables or {},
        (f"{prefix}/activate.d/1.sh", f"{prefix}/activate.d/2.sh"),
        (f"{prefix}/deactivate.d/2.sh", f"{prefix}/deactivate.d/1.sh"),
    )


A = state("/root/envs/a", {"FOO": "a's foo"})
B = state("/srv/b", {"FOO": "b's foo", "BAR": "b's bar"})
C = state("/root/envs/c", {"GONE": None, "BAR": "c's bar"})
BASE = state("/root")


def enter(environ: Mapping[str, str], new: PrefixState, *, stack: bool = False) -> dict[str, str]:
    known = {item.prefix: item for item in (A, B, C, BASE)}
    current = known.get(active_prefix(environ) or "")
    return apply(environ, plan_activate(environ, new, current, KAA, PLAIN, stack=stack))


def leave(environ: Mapping[str, str]) -> dict[str, str]:
    known = {item.prefix: item for item in (A, B, C, BASE)}
    current, previous = active_prefix(environ), previous_prefix(environ)
    assert current is not None
    back = known[previous] if previous else None
    return apply(environ, plan_deactivate(environ, known[current], back, KAA, PLAIN))


def scripts(actions: tuple[ShellAction, ...]) -> list[str]:
    return [action.path for action in actions if isinstance(action, SourceScript)]


# -- levels -----------------------------------------------------------------------------------------------------------


def test_the_first_activation_sets_condas_variables() -> None:
    entered = enter(FRESH, A)
    assert {name: value for name, value in entered.items() if name not in FRESH} == {
        "FOO": "a's foo",
        "CONDA_PREFIX": "/root/envs/a",
        "CONDA_SHLVL": "1",
        "CONDA_DEFAULT_ENV": "a",
        "CONDA_PROMPT_MODIFIER": "(a) ",
        "CONDA_EXE": "/usr/bin/kaa",
        "_CONDA_EXE": "/usr/bin/kaa",
        "CONDA_PYTHON_EXE": "/usr/bin/python3",
        "_CONDA_ROOT": "/root",
        "_CE_M": "",
        "_CE_CONDA": "",
        "KAA_EXE": "/usr/bin/kaa",
        "KAA_ROOT_PREFIX": "/root",
        "__KAA_SHLVL_1_NAMES": "FOO",
    }
    assert entered["PATH"] == "/root/envs/a/bin:/usr/bin:/bin"


def test_a_switch_replaces_in_place_and_keeps_the_way_back() -> None:
    first = enter(FRESH, A)
    first["PATH"] = "/mine:" + first["PATH"]
    second = enter(first, B)
    assert second["PATH"] == "/mine:/srv/b/bin:/usr/bin:/bin"
    assert (second["CONDA_SHLVL"], second["CONDA_PREFIX_1"]) == ("2", "/root/envs/a")
    assert second["__CONDA_SHLVL_1_FOO"] == "a's foo"
    assert "CONDA_STACKED_2" not in second
    assert leave(second) == first


def test_stacking_keeps_the_environment_beneath() -> None:
    first = enter(FRESH, A)
    second = enter(first, B, stack=True)
    assert second["PATH"] == "/srv/b/bin:/root/envs/a/bin:/usr/bin:/bin"
    assert second["CONDA_STACKED_2"] == "true"
    assert leave(second) == first


def test_a_switch_takes_the_left_environments_variables_off() -> None:
    first = enter({**FRESH, "FOO": "mine"}, A)
    second = enter(first, C)
    assert second["FOO"] == "mine"
    assert leave(second)["FOO"] == "a's foo"
    assert leave(leave(second))["FOO"] == "mine"


def test_a_row_of_switches_takes_every_left_environment_off() -> None:
    third = enter(enter(enter({**FRESH, "FOO": "mine", "GONE": "x"}, A), B), C)
    assert third["FOO"] == "mine"
    assert "GONE" not in third
    assert leave(third)["FOO"] == "b's foo"
    assert leave(leave(third))["FOO"] == "a's foo"
    assert leave(leave(leave(third)))["FOO"] == "mine"


def test_a_switch_above_a_stack_shows_what_is_beneath_the_stack() -> None:
    above = enter(enter(enter({**FRESH, "FOO": "mine"}, A), B, stack=True), C)
    assert (above["FOO"], above["BAR"]) == ("a's foo", "c's bar")


def test_a_stacked_environment_sees_the_variables_beneath() -> None:
    second = enter(enter(FRESH, A), C, stack=True)
    assert (second["FOO"], second["BAR"]) == ("a's foo", "c's bar")


def test_unset_variables_come_back() -> None:
    before = {**FRESH, "GONE": "here"}
    inside = enter(before, C)
    assert "GONE" not in inside
    assert leave(inside)["GONE"] == "here"


def test_what_the_user_changed_inside_is_kept_on_the_way_up_and_dropped_on_the_way_down() -> None:
    first = {**enter({**FRESH, "FOO": "mine"}, A), "FOO": "changed inside a"}
    second = enter(first, B)
    assert second["FOO"] == "b's foo"
    back = leave(second)
    assert back["FOO"] == "changed inside a"
    assert leave(back)["FOO"] == "mine"


def test_an_empty_value_comes_back_as_an_empty_value() -> None:
    assert leave(enter({**FRESH, "FOO": ""}, A))["FOO"] == ""


def test_leaving_restores_even_after_the_environments_files_changed() -> None:
    inside = enter({**FRESH, "BAR": "mine"}, B)
    bare = B.replace(variables={})
    left = apply(inside, plan_deactivate(inside, bare, None, KAA, PLAIN))
    assert left["BAR"] == "mine"
    assert "FOO" not in left


def test_what_conda_activated_is_left_cleanly() -> None:
    """conda keeps no list of names, and leaves the variables of an environment that was switched away from."""
    inside = {
        **FRESH,
        "PATH": "/srv/b/bin:/usr/bin:/bin",
        "CONDA_PREFIX": "/srv/b",
        "CONDA_PREFIX_1": "/root/envs/a",
        "CONDA_SHLVL": "2",
        "CONDA_DEFAULT_ENV": "/srv/b",
        "CONDA_PROMPT_MODIFIER": "(/srv/b) ",
        "__CONDA_SHLVL_1_FOO": "a's foo",
        "FOO": "b's foo",
        "BAR": "b's bar",
        "CONDA_EXE": "/opt/conda/bin/conda",
    }
    back = leave(inside)
    assert (back["FOO"], back["CONDA_PREFIX"], back["CONDA_SHLVL"]) == ("a's foo", "/root/envs/a", "1")
    assert "BAR" not in back
    assert "__CONDA_SHLVL_1_FOO" not in back
    assert back["PATH"] == "/root/envs/a/bin:/usr/bin:/bin"
    assert back["CONDA_EXE"] == "/opt/conda/bin/conda"


@pytest.mark.parametrize(
    ("environ", "level"),
    [
        ({}, 0),
        ({"CONDA_SHLVL": "0"}, 0),
        ({"CONDA_SHLVL": "0", "CONDA_PREFIX": "/x"}, 0),
        ({"CONDA_SHLVL": "1"}, 0),
        ({"CONDA_SHLVL": "1", "CONDA_PREFIX": ""}, 0),
        ({"CONDA_SHLVL": " 2 ", "CONDA_PREFIX": "/x"}, 2),
        ({"CONDA_SHLVL": "-1", "CONDA_PREFIX": "/x"}, 0),
        ({"CONDA_SHLVL": "two", "CONDA_PREFIX": "/x"}, 0),
        ({"CONDA_SHLVL": "٣", "CONDA_PREFIX": "/x"}, 0),
    ],
)
def test_level(environ: dict[str, str], level: int) -> None:
    assert level_of(environ) == level
    assert active_prefix(environ) == ("/x" if level else None)


def test_a_lost_way_back_ends_at_level_0() -> None:
    inside = {**FRESH, "CONDA_SHLVL": "3", "CONDA_PREFIX": "/srv/b", "PATH": "/srv/b/bin:/usr/bin"}
    left = leave(inside)
    assert (left["CONDA_SHLVL"], left["PATH"]) == ("0", "/usr/bin")
    assert "CONDA_PREFIX" not in left


def test_deactivating_and_reactivating_nothing_does_nothing() -> None:
    assert plan_deactivate(FRESH, A, None, KAA, PLAIN) == ()
    assert plan_reactivate(FRESH, A, KAA, PLAIN) == ()


@pytest.mark.parametrize(
    ("auto_stack", "asked", "level", "stacks"),
    [
        (0, None, 1, False),
        (1, None, 0, False),
        (1, None, 1, True),
        (1, None, 2, False),
        (2, None, 2, True),
        (2, False, 2, False),
        (0, True, 2, True),
    ],
)
def test_auto_stack(auto_stack: int, asked: bool | None, level: int, stacks: bool) -> None:
    environ = {"CONDA_SHLVL": str(level), "CONDA_PREFIX": "/x"} if level else {}
    assert wants_stacking(environ, ActivationSettings(auto_stack=auto_stack), asked) is stacks


# -- refreshing -------------------------------------------------------------------------------------------------------


def test_activating_the_active_environment_refreshes_it() -> None:
    inside = enter(FRESH, A)
    assert plan_activate(inside, A, A, KAA, PLAIN) == plan_reactivate(inside, A, KAA, PLAIN)
    assert enter(inside, A) == inside


def test_refreshing_takes_new_variables_and_drops_old_ones() -> None:
    before = {**FRESH, "NEW": "mine", "FOO": "also mine"}
    inside = enter(before, A)
    changed = A.replace(variables={"NEW": "a's", "LATER": "x"})
    refreshed = apply(inside, plan_reactivate(inside, changed, KAA, PLAIN))
    assert (refreshed["NEW"], refreshed["FOO"], refreshed["LATER"]) == ("a's", "also mine", "x")
    left = apply(refreshed, plan_deactivate(refreshed, changed, None, KAA, PLAIN))
    assert {name: left[name] for name in before} == before
    assert "LATER" not in left


def test_refreshing_puts_a_lost_directory_back() -> None:
    inside = {**enter(FRESH, A), "PATH": "/sbin:/bin"}
    assert apply(inside, plan_reactivate(inside, A, KAA, PLAIN))["PATH"] == "/root/envs/a/bin:/sbin:/bin"


# -- the order of the steps -------------------------------------------------------------------------------------------


def kinds(actions: tuple[ShellAction, ...]) -> list[str]:
    """The steps' kinds, a row of one kind once; PATH by its name."""
    names = [
        "PATH" if isinstance(action, SetVariable) and action.name == "PATH" else type(action).__name__
        for action in actions
        if not isinstance(action, EmptyVariable)
    ]
    return [name for index, name in enumerate(names) if index == 0 or names[index - 1] != name]


FULL = ["PATH", "SourceScript", "UnsetVariable", "SetPrompt", "SetVariable", "SourceScript"]


def test_order_of_a_switch() -> None:
    inside = enter({**FRESH, "GONE": "x"}, A)
    actions = plan_activate(inside, C, A, KAA, PLAIN)
    assert kinds(actions) == FULL
    assert scripts(actions) == [*A.deactivate_scripts, *C.activate_scripts]


def test_order_of_leaving() -> None:
    inside = enter(enter(FRESH, A), B)
    actions = plan_deactivate(inside, B, A, KAA, PLAIN)
    assert kinds(actions) == FULL
    assert scripts(actions) == [*B.deactivate_scripts, *A.activate_scripts]


def test_scripts_of_an_environment_that_stays_beneath_do_not_run() -> None:
    inside = enter(FRESH, A)
    up = plan_activate(inside, B, A, KAA, PLAIN, stack=True)
    assert scripts(up) == [*B.activate_scripts]
    down = plan_deactivate(apply(inside, up), B, A, KAA, PLAIN)
    assert scripts(down) == [*B.deactivate_scripts]


def test_order_of_refreshing() -> None:
    actions = plan_reactivate(enter(FRESH, A), A, KAA, PLAIN)
    assert scripts(actions) == [*A.deactivate_scripts, *A.activate_scripts]


# -- the search path --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "old", "new", "expected"),
    [
        ("", [], ["/e/bin"], "/e/bin"),
        ("", [], [], ""),
        ("/usr/bin", [], ["/e/bin"], "/e/bin:/usr/bin"),
        (":/usr/bin:", [], ["/e/bin"], "/e/bin::/usr/bin:"),
        ("/a b:/usr/bin", ["/a b"], ["/c d"], "/c d:/usr/bin"),
        ("/x:/e/bin:/usr/bin", ["/e/bin"], [], "/x:/usr/bin"),
        ("/e/bin", ["/e/bin"], [], ""),
        ("/x:/e/bin:/y:/e/bin", ["/e/bin"], ["/f/bin"], "/x:/f/bin:/y:/e/bin"),
        ("/x:/y", ["/e/bin"], ["/f/bin"], "/f/bin:/x:/y"),
        ("/x:/e/1:/y:/e/2:/z", ["/e/1", "/e/2"], ["/f"], "/x:/f:/y:/z"),
        ("/e/bin/:/x", ["/e/bin"], ["/f"], "/f:/e/bin/:/x"),
    ],
)
def test_replace_in_path(path: str, old: list[str], new: list[str], expected: str) -> None:
    assert replace_in_path(path, old, new) == expected


@pytest.mark.parametrize(
    ("path", "old", "expected"),
    [
        ("C:\\Env;C:\\Env\\Scripts;C:\\Windows", ["C:\\env", "C:\\env\\Scripts"], "D:\\new;C:\\Windows"),
        ("C:/Env/;C:\\Windows", ["C:\\Env"], "D:\\new;C:\\Windows"),
    ],
)
def test_replace_in_path_on_windows(path: str, old: list[str], expected: str) -> None:
    assert replace_in_path(path, old, ["D:\\new"], ";") == expected


entries = st.text(st.sampled_from("ab /."), max_size=4)


@given(st.lists(entries, min_size=1, max_size=6), st.lists(st.sampled_from(["/e1", "/e2"]), max_size=2, unique=True))
def test_other_entries_stay_as_they_are(path: list[str], new: list[str]) -> None:
    text = ":".join(path)
    entered = replace_in_path(text, (), new)
    assert replace_in_path(entered, new, ()) == text
    if text:
        assert entered.split(":") == [*new, *path]


# -- the prompt and names ---------------------------------------------------------------------------------------------


def prompt_of(actions: tuple[ShellAction, ...]) -> SetPrompt | None:
    return next((action for action in actions if isinstance(action, SetPrompt)), None)


@pytest.mark.parametrize(
    ("prefix", "name"),
    [
        ("/root", "base"),
        ("/root/", "base"),
        ("/root/envs/a", "a"),
        ("/elsewhere/envs/a b", "a b"),
        ("/srv/project", "/srv/project"),
        ("/envs", "/envs"),
    ],
)
def test_names(prefix: str, name: str) -> None:
    entered = enter(FRESH, PrefixState(prefix, ()))
    assert entered["CONDA_DEFAULT_ENV"] == name
    assert entered["CONDA_PROMPT_MODIFIER"] == f"({name}) "


def test_names_on_windows() -> None:
    windows = KAA.replace(root_prefix="C:\\kaa", windows=True)
    actions = plan_activate({}, PrefixState("C:\\kaa\\envs\\a", ()), None, windows, PLAIN)
    assert apply({}, actions)["CONDA_DEFAULT_ENV"] == "a"


def test_the_prompt_is_changed_and_changed_back() -> None:
    inside = enter(FRESH, A)
    assert prompt_of(plan_activate(FRESH, A, None, KAA, PLAIN)) == SetPrompt("", "(a) ")
    assert prompt_of(plan_activate(inside, BASE, A, KAA, PLAIN)) == SetPrompt("(a) ", "(base) ")
    assert prompt_of(plan_deactivate(inside, A, None, KAA, PLAIN)) == SetPrompt("(a) ", "")
    assert plan_prompt(inside, KAA, PLAIN) == SetPrompt("(a) ", "(a) ")


def test_a_prompt_that_the_user_does_not_want_changed() -> None:
    quiet = ActivationSettings(change_prompt=False)
    actions = plan_activate(FRESH, A, None, KAA, quiet)
    assert prompt_of(actions) is None
    assert apply(FRESH, actions)["CONDA_PROMPT_MODIFIER"] == ""


@pytest.mark.parametrize(
    ("template", "shown"),
    [
        ("[{name}] ", "[b] "),
        ("{prefix}> ", "/srv/b> "),
        ("{default_env}|{stacked_env} ", "/srv/b|/srv/b,a "),
        ("{unknown} {", "{unknown} {"),
        ("\\[\\e[1m\\]{name} ", "\\[\\e[1m\\]b "),
    ],
)
def test_prompt_templates(template: str, shown: str) -> None:
    inside = enter(FRESH, A)
    actions = plan_activate(inside, B, A, KAA, ActivationSettings(prompt=template), stack=True)
    prompt = prompt_of(actions)
    assert prompt is not None
    assert prompt.new == shown


def test_a_path_in_the_prompt_is_seen_and_not_run() -> None:
    evil = PrefixState("/srv/$(touch it)`x`%n\\w\x1b[31m", ())
    actions = plan_activate(FRESH, evil, None, KAA, PLAIN)
    assert prompt_of(actions) == SetPrompt("", "(/srv/?(touch it)?x??n?w?[31m) ")
    inside = apply(FRESH, actions)
    assert inside["CONDA_PROMPT_MODIFIER"] == f"({evil.prefix}) "
    left = plan_deactivate(inside, evil, None, KAA, PLAIN)
    assert prompt_of(left) == SetPrompt("(/srv/?(touch it)?x??n?w?[31m) ", "")


# -- where kaa is -----------------------------------------------------------------------------------------------------


def test_a_conda_that_the_shell_knows_is_left_alone() -> None:
    environ = {"CONDA_EXE": "/opt/conda/bin/conda"}
    assert plan_installation(environ, KAA) == (
        SetVariable("KAA_ROOT_PREFIX", "/root"),
        SetVariable("KAA_EXE", "/usr/bin/kaa"),
    )


def test_kaa_as_a_module_is_told_in_condas_way() -> None:
    steps = plan_installation({}, KAA.replace(command=("/usr/bin/python3", "-m", "kaa")))
    told = apply({}, steps)
    assert (told["CONDA_EXE"], told["_CE_M"], told["_CE_CONDA"]) == ("/usr/bin/python3", "-m", "kaa")
    assert "KAA_EXE" not in told


def test_an_executable_called_conda_is_preferred() -> None:
    told = apply({}, plan_installation({}, KAA.replace(conda="/root/bin/conda")))
    assert (told["CONDA_EXE"], told["KAA_EXE"]) == ("/root/bin/conda", "/usr/bin/kaa")


def test_overwritten_names() -> None:
    mine = {**FRESH, "FOO": "mine", "BAR": "b's bar"}
    assert overwritten_names(mine, B, None) == ("FOO",)
    assert overwritten_names(enter(FRESH, A), B, A) == ()
    assert overwritten_names({**mine, "GONE": "x"}, C, None) == ("GONE", "BAR")


def test_apply_ignores_what_is_no_variable() -> None:
    steps = (SetVariable("A", "1"), UnsetVariable("B"), EmptyVariable("C"), SourceScript("/x"), SetPrompt("", "x"))
    assert apply({"B": "2", "D": "4"}, steps) == {"A": "1", "C": "", "D": "4"}


# -- any way through a house ------------------------------------------------------------------------------------------

NAMES = ("X", "Y", "Z")
settings_of_variables = st.dictionaries(
    st.sampled_from(NAMES), st.one_of(st.none(), st.text(st.sampled_from("uvw"), max_size=2))
)


class Walk(RuleBasedStateMachine):
    """Environments are entered, stacked, changed and refreshed; every way back shows what was there before."""

    @initialize(
        own=st.dictionaries(st.sampled_from(NAMES), st.text(st.sampled_from("mn"), max_size=2)),
        path=st.sampled_from(["", "/usr/bin", "/usr/bin::/e1/bin", "/e0/bin:/bin"]),
        variables=st.lists(settings_of_variables, min_size=3, max_size=3),
    )
    def start(self, own: dict[str, str], path: str, variables: list[dict[str, str | None]]) -> None:
        fresh = {"PATH": path, "CONDA_SHLVL": "0", **own}
        self.environ = apply(fresh, plan_installation(fresh, KAA))
        self.before: list[dict[str, str]] = []
        self.prompts: list[str] = []
        self.prompt = "$ "
        self.own = own
        self.live: list[tuple[str, ...]] = [()]
        """The environments that lie over each other at each level, the lowest first."""
        self.states = {f"/e{index}": state(f"/e{index}", item) for index, item in enumerate(variables)}

    def take(self, actions: tuple[ShellAction, ...]) -> None:
        self.environ = apply(self.environ, actions)
        prompt = prompt_of(actions)
        if prompt is not None:
            self.prompt = prompt.new + self.prompt.replace(prompt.old, "", 1)

    def current(self) -> PrefixState | None:
        prefix = active_prefix(self.environ)
        return self.states[prefix] if prefix else None

    @rule(index=st.integers(0, 2), stack=st.booleans())
    def activate(self, index: int, stack: bool) -> None:
        new = self.states[f"/e{index}"]
        if new.prefix != active_prefix(self.environ):
            self.before.append(self.environ)
            self.prompts.append(self.prompt)
            beneath = self.live[-1] if stack else self.live[-1][:-1]
            self.live.append((*beneath, new.prefix))
        self.take(plan_activate(self.environ, new, self.current(), KAA, PLAIN, stack=stack))
        assert {name: self.environ.get(name) for name in new.variables} == new.variables

    @precondition(lambda self: self.before)
    @rule()
    def deactivate(self) -> None:
        current, back = self.current(), previous_prefix(self.environ)
        assert current is not None
        self.take(plan_deactivate(self.environ, current, self.states[back] if back else None, KAA, PLAIN))
        assert self.environ == self.before.pop()
        self.live.pop()
        assert self.prompt == self.prompts.pop()

    @precondition(lambda self: self.before)
    @rule(variables=settings_of_variables)
    def change(self, variables: dict[str, str | None]) -> None:
        """Only environments that are not active further down change: what those had, they have when one is back."""
        prefix = self.environ["CONDA_PREFIX"]
        if any(environ.get("CONDA_PREFIX") == prefix for environ in self.before):
            return
        self.states[prefix] = self.states[prefix].replace(variables=variables)
        self.take(plan_reactivate(self.environ, self.states[prefix], KAA, PLAIN))
        assert {name: self.environ.get(name) for name in variables} == variables

    @invariant()
    def levels_are_counted(self) -> None:
        if hasattr(self, "environ"):
            assert level_of(self.environ) == len(self.before)

    @invariant()
    def only_the_environments_at_hand_count(self) -> None:
        if hasattr(self, "environ"):
            expected: dict[str, str | None] = {**dict.fromkeys(NAMES), **self.own}
            for prefix in self.live[-1]:
                expected |= self.states[prefix].variables
            assert {name: self.environ.get(name) for name in NAMES} == expected


TestWalk = Walk.TestCase
