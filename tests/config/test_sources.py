"""Where options come from, which source wins, how lists and maps are put together, and what is refused."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaa.config.condarc import Entry, InvalidConfigFile
from kaa.config.options import OPTIONS, Config, Setting, Source
from kaa.config.sources import (
    ContradictingKeys,
    InvalidOption,
    Layer,
    belongs_to_package,
    expand_text,
    iter_files,
    load_config,
    merge,
)


class House:
    """A home, a root prefix, an environment and a system directory in which tests put condarc files."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self.root = folder / "root"
        self.environment = folder / "environment"
        self.system = folder / "etc"
        for path in (self.home, self.root, self.environment / "conda-meta", self.system):
            path.mkdir(parents=True)
        (self.environment / "conda-meta" / "history").touch()
        self.environ = {"HOME": str(self.home)}

    def write(self, path: Path, text: str) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def load(
        self,
        command_line: Mapping[str, object] | None = None,
        variables: Mapping[str, str] | None = None,
        *,
        override_channels: bool = False,
    ) -> Config:
        return load_config(
            {**self.environ, **(variables or {})},
            command_line or {},
            root_prefix=self.root,
            prefix=self.environment,
            override_channels=override_channels,
            system_directories=(self.system,),
        )


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def all_places(house: House, folder: Path) -> list[Path]:
    """Every file that is read, from what counts least to what counts most."""
    return [
        *(house.system / name for name in (".condarc", "condarc", "condarc.d/a.yml", "condarc.d/b.yaml")),
        *(house.root / name for name in (".condarc", "condarc", "condarc.d/a.yml")),
        folder / "xdg" / "conda" / ".condarc",
        house.home / ".config" / "conda" / "condarc",
        house.home / ".conda" / ".condarc",
        house.home / ".condarc",
        folder / "xdg" / "kaa" / "config.yaml",
        house.environment / ".condarc",
        house.environment / "condarc.d" / "z.yml",
        folder / "named.yml",
    ]


def test_the_order_of_files_variables_and_the_command_line(house: House, tmp_path: Path) -> None:
    environ = {"XDG_CONFIG_HOME": str(tmp_path / "xdg"), "CONDARC": str(tmp_path / "named.yml")}
    places = all_places(house, tmp_path)
    for number, path in enumerate(places):
        house.write(path, f"default_activation_env: file{number}\nchannels: [c{number}]\n")
        config = house.load({}, environ)
        assert config.default_activation_env == f"file{number}"
        assert config.files == tuple(map(str, places[: number + 1]))
    assert house.load({}, environ).channels == tuple(f"c{number}" for number in reversed(range(len(places))))
    steps: list[tuple[dict[str, str], str]] = [
        ({"CONDA_DEFAULT_ACTIVATION_ENV": "conda"}, "conda"),
        ({"KAA_DEFAULT_ACTIVATION_ENV": "kaa"}, "kaa"),
    ]
    for variables, expected in steps:
        environ |= variables
        assert house.load({}, environ).default_activation_env == expected
    config = house.load({"default_activation_env": "flag"}, environ)
    assert config.default_activation_env == "flag"
    sources = [str(setting.source) for setting in config.provenance["default_activation_env"]]
    assert sources[:4] == [
        "the command line",
        "the environment variable KAA_DEFAULT_ACTIVATION_ENV",
        "the environment variable CONDA_DEFAULT_ACTIVATION_ENV",
        f"{tmp_path / 'named.yml'}, line 1",
    ]
    assert len(sources) == 3 + len(places)


def test_other_files_of_condarc_d_are_not_read(house: House) -> None:
    house.write(house.root / "condarc.d" / "a.txt", "quiet: true\n")
    house.write(house.root / "condarc.d" / "a.yml~", "quiet: true\n")
    (house.root / "condarc.d" / "folder.yml").mkdir()
    assert house.load().files == ()


def test_one_file_reached_in_two_ways_is_read_once(house: House) -> None:
    house.environ["XDG_CONFIG_HOME"] = str(house.home / ".config")
    path = house.write(house.home / ".config" / "conda" / ".condarc", "channels: [a]\n")
    house.environ["CONDARC"] = str(path)
    assert house.load().files == (str(path),)


def test_defaults(house: House) -> None:
    config = house.load()
    assert config.channels == ("conda-forge",)
    assert config.channel_priority == "strict"
    assert config.envs_dirs == (str(house.root / "envs"), str(house.home / ".conda" / "envs"))
    assert config.pkgs_dirs == (str(house.root / "pkgs"), str(house.home / ".conda" / "pkgs"))
    assert not config.add_pip_as_python_dependency
    assert config.provenance == {}
    assert config.home == house.home


# -- channels and directories -----------------------------------------------------------------------------------------

CHANNELS: list[tuple[str, list[str] | None, dict[str, str], bool, tuple[str, ...]]] = [
    # file, command line, variables, override, result
    ("", None, {}, False, ("conda-forge",)),
    ("channels: []\n", None, {}, False, ("conda-forge",)),
    ("channels: [defaults]\n", None, {}, False, ("defaults",)),
    ("", ["x"], {}, False, ("x", "conda-forge")),
    ("channels: [a]\n", ["x"], {}, False, ("x", "a")),
    ("channels: [a, x]\n", ["x"], {}, False, ("x", "a")),
    ("channels: [a]\n", ["x"], {}, True, ("x",)),
    ("", ["x"], {}, True, ("x",)),
    ("", ["pypi"], {}, False, ("pypi",)),
    ("", ["pypi", "pypi+./wheels"], {}, False, ("pypi", "pypi+./wheels")),
    ("", ["pypi", "x"], {}, False, ("pypi", "x", "conda-forge")),
    ("channels: [a]\n", ["pypi"], {}, False, ("pypi", "a")),
    ("channels: [a]\n", None, {"CONDA_CHANNELS": "b,c"}, False, ("b", "c", "a")),
    ("channels: [a]\n", ["x"], {"CONDA_CHANNELS": "b", "KAA_CHANNELS": "d"}, False, ("x", "d", "b", "a")),
    ("channel: [a]\n", None, {}, False, ("a",)),
    ("channels: [$SERVER/a, '${SERVER}/b', $ABSENT/c, ~/d]\n", None, {"SERVER": "https://h"}, False,
     ("https://h/a", "https://h/b", "$ABSENT/c", "HOME/d")),
]  # fmt: skip


@pytest.mark.parametrize(("file", "given_channels", "variables", "override", "expected"), CHANNELS)
def test_channels(
    house: House,
    file: str,
    given_channels: list[str] | None,
    variables: dict[str, str],
    override: bool,
    expected: tuple[str, ...],
) -> None:
    house.write(house.home / ".condarc", file)
    command_line = {"channels": given_channels} if given_channels is not None else {}
    config = house.load(command_line, variables, override_channels=override)
    assert config.channels == tuple(text.replace("HOME", str(house.home)) for text in expected)


def test_directories(house: House, tmp_path: Path) -> None:
    house.write(house.home / ".condarc", "envs_dirs: [~/mine]\npkgs_dirs: [$CACHE/pkgs]\n")
    paths = os.pathsep.join([str(tmp_path / "one"), str(tmp_path / "two")])
    config = house.load({}, {"CACHE": "/cache", "CONDA_ENVS_PATH": paths})
    always = (str(house.root / "envs"), str(house.home / ".conda" / "envs"))
    assert config.envs_dirs == (str(tmp_path / "one"), str(tmp_path / "two"), str(house.home / "mine"), *always)
    assert config.pkgs_dirs == ("/cache/pkgs",)


# -- merging ----------------------------------------------------------------------------------------------------------


def layers(name: str, *entries: Entry) -> list[Layer]:
    return [Layer("file", str(number), {name: entry}) for number, entry in enumerate(entries)]


def merged(name: str, *entries: Entry) -> object:
    return merge(OPTIONS[name], layers(name, *entries), add_default=False)[0]


LISTS: list[tuple[list[Entry], tuple[str, ...]]] = [
    ([Entry(("a", "b"), 1)], ("a", "b")),
    ([Entry(("a", "b"), 1), Entry(("c",), 1)], ("c", "a", "b")),
    ([Entry(("a", "b"), 1), Entry(("b", "c"), 1)], ("b", "c", "a")),
    ([Entry(("a",), 1, "final"), Entry(("b",), 1)], ("a",)),
    ([Entry(("a",), 1), Entry(("b",), 1, "final"), Entry(("c",), 1)], ("b", "a")),
    ([Entry(("a", "b"), 1, "", {1: "top"}), Entry(("c",), 1)], ("b", "c", "a")),
    ([Entry(("a",), 1, "", {0: "top"}), Entry(("b",), 1, "", {0: "top"})], ("a", "b")),
    ([Entry(("a",), 1), Entry(("b", "c"), 1, "", {0: "bottom"})], ("c", "a", "b")),
    ([Entry(("a",), 1, "", {0: "bottom"}), Entry(("b", "c"), 1, "", {0: "bottom"})], ("c", "b", "a")),
    ([Entry((), 1), Entry(("a",), 1)], ("a",)),
]


@pytest.mark.parametrize(("entries", "expected"), LISTS)
def test_lists(entries: list[Entry], expected: tuple[str, ...]) -> None:
    assert merged("pinned_packages", *entries) == expected


MAPS: list[tuple[list[Entry], dict[str, str]]] = [
    ([Entry({"a": "1"}, 1), Entry({"b": "2"}, 1)], {"a": "1", "b": "2"}),
    ([Entry({"a": "1"}, 1), Entry({"a": "2"}, 1)], {"a": "2"}),
    ([Entry({"a": "1", "b": "1"}, 1, "", {"a": "final"}), Entry({"a": "2", "b": "2"}, 1)], {"a": "1", "b": "2"}),
    ([Entry({"a": "1"}, 1, "final"), Entry({"a": "2", "b": "2"}, 1)], {"a": "1"}),
]


@pytest.mark.parametrize(("entries", "expected"), MAPS)
def test_maps(entries: list[Entry], expected: dict[str, str]) -> None:
    assert merged("proxy_servers", *entries) == expected


def test_flags_in_real_files(house: House) -> None:
    house.write(house.system / ".condarc", "channel_alias: https://own  #!final\nchannels:\n- always #!top\n- a\n")
    house.write(house.home / ".condarc", "channel_alias: https://other\nchannels:\n  - mine\n  - last  #!bottom\n")
    config = house.load({"channels": ["x"]}, {"KAA_CHANNEL_ALIAS": "https://third"})
    assert config.channel_alias == "https://own"
    assert config.channels == ("always", "x", "mine", "a", "last")


def test_an_important_variable_wins_over_the_command_line(house: House) -> None:
    config = house.load({"channels": ["x"], "offline": False}, {"CONDA_CHANNELS": "a,b!important", "KAA_OFFLINE": "1"})
    assert (config.channels, config.offline) == (("a", "b"), False)
    assert house.load({"offline": False}, {"KAA_OFFLINE": "yes !important "}).offline


ENTRIES = st.lists(
    st.builds(
        lambda items, flag, marks: Entry(tuple(dict.fromkeys(items)), 1, flag, marks),
        st.lists(st.sampled_from("abcdef"), max_size=4),
        st.sampled_from(["", "", "", "final"]),
        st.dictionaries(st.integers(0, 3), st.sampled_from(["top", "bottom"]), max_size=2),
    ),
    min_size=1,
    max_size=4,
)


def items_of(entry: Entry) -> tuple[object, ...]:
    assert isinstance(entry.value, tuple)
    return entry.value


@given(ENTRIES)
def test_laws_of_merged_lists(entries: list[Entry]) -> None:
    value, settings = merge(OPTIONS["pinned_packages"], layers("pinned_packages", *entries), add_default=False)
    assert isinstance(value, tuple)
    final = next((i for i, entry in enumerate(entries) if entry.flag == "final"), len(entries) - 1)
    relevant = entries[: final + 1]
    # Each item once, none invented, none lost.
    assert len(set(value)) == len(value)
    assert set(value) == {item for entry in relevant for item in items_of(entry)}
    # What counts most stands first in the provenance, and nothing that counts for nothing is in it.
    assert [setting.source.where for setting in settings] == [str(i) for i in reversed(range(final + 1))]
    if not any(entry.item_flags for entry in relevant):
        # Without flags the list of the highest source is the beginning, in its order.
        assert value[: len(items_of(relevant[-1]))] == items_of(relevant[-1])


@given(st.lists(st.tuples(st.text(max_size=3), st.sampled_from(["", "", "final"])), min_size=1, max_size=5))
def test_laws_of_single_values(given_values: list[tuple[str, str]]) -> None:
    entries = [Entry(value, 1, flag) for value, flag in given_values]
    value, settings = merge(OPTIONS["env_prompt"], layers("env_prompt", *entries))
    final = next((i for i, entry in enumerate(entries) if entry.flag == "final"), len(entries) - 1)
    assert value == entries[final].value == settings[0].value
    assert settings[0] == Setting(Source("file", str(final), 1), value)


# -- trust ------------------------------------------------------------------------------------------------------------


def test_a_file_in_an_environment_may_not_say_whom_to_trust(house: House) -> None:
    path = house.write(
        house.environment / ".condarc",
        "channels: [a]\nssl_verify: false\nproxy_servers: {http: http://evil}\nchannel_alias: https://evil\n"
        "pkgs_dirs: [/evil]\nalways_yes: true\nchannel_priority: flexible\n",
    )
    config = house.load()
    assert config.ssl_verify is True
    assert config.proxy_servers == {}
    assert config.channel_alias == "https://conda.anaconda.org"
    assert config.pkgs_dirs[0] == str(house.root / "pkgs")
    assert not config.always_yes
    assert (config.channels, config.channel_priority) == (("a",), "flexible")
    assert [name for name, _ in config.ignored] == [
        "ssl_verify", "proxy_servers", "channel_alias", "pkgs_dirs", "always_yes",
    ]  # fmt: skip
    assert str(config.ignored[0][1].source) == f"{path}, line 2"


SECRETIVE = ("ssl_verify", "proxy_servers", "channel_alias", "custom_channels", "custom_multichannels",
             "client_ssl_cert", "client_ssl_cert_key", "default_channels", "allowlist_channels", "denylist_channels",
             "envs_dirs", "pkgs_dirs", "always_yes", "safety_checks", "extra_safety_checks", "package_scripts",
             "protect_frozen_envs", "add_anaconda_token", "channel_settings", "migrated_channel_aliases")  # fmt: skip


@pytest.mark.parametrize("name", SECRETIVE)
def test_options_of_trust_are_marked(name: str) -> None:
    assert OPTIONS[name].trusted


def test_the_files_of_the_root_prefix_are_trusted(house: House) -> None:
    house.write(house.root / ".condarc", "ssl_verify: false\n")
    config = load_config(house.environ, {}, root_prefix=house.root, prefix=house.root, system_directories=())
    assert config.ssl_verify is False
    assert config.ignored == ()


def test_a_file_that_came_with_a_package_is_not_read(house: House) -> None:
    own = house.write(house.environment / ".condarc", "channels: [mine]\n")
    shipped = house.write(house.environment / "condarc.d" / "x.yml", "channels: [theirs]\n")
    record = '{"name": "x", "files": ["condarc.d/x.yml", "bin/x"]}'
    house.write(house.environment / "conda-meta" / "x-1-0.json", record)
    assert belongs_to_package(house.environment, shipped)
    assert not belongs_to_package(house.environment, own)
    assert house.load().files == (str(own),)


# -- what is wrong ----------------------------------------------------------------------------------------------------


def test_a_wrong_value_names_file_key_line_and_a_way_out(house: House) -> None:
    path = house.write(house.home / ".condarc", "# x\nquiet: true\nchannels: conda-forge\n")
    with pytest.raises(InvalidOption) as caught:
        house.load()
    assert caught.value.message == f"{path}, line 3: channels is 'conda-forge'; it takes a list of texts."
    assert caught.value.hints == (f"correct it there, or take it out: kaa config --file {path} --remove-key channels",)
    assert caught.value.conda_name == "InvalidTypeError"


def test_a_wrong_variable_is_named(house: House) -> None:
    with pytest.raises(InvalidOption) as caught:
        house.load({}, {"CONDA_OFFLINE": "perhaps"})
    assert "the environment variable CONDA_OFFLINE: offline is 'perhaps'" in caught.value.message
    assert caught.value.hints == ("unset CONDA_OFFLINE, or give it another value",)


def test_a_wrong_flag_is_told(house: House) -> None:
    with pytest.raises(InvalidOption, match="the command line: channel_priority is 'fast'"):
        house.load({"channel_priority": "fast"})


def test_errors_show_no_password(house: House) -> None:
    house.write(house.home / ".condarc", "channels: https://me:secret@host/t/tk-secret/a\n")
    with pytest.raises(InvalidOption) as caught:
        house.load()
    assert "secret" not in str(caught.value)
    assert "secret" not in str(dict(caught.value.fields()))


def test_broken_yaml_is_told_with_its_file(house: House) -> None:
    path = house.write(house.home / ".condarc", "channels:\n  - a\n b: c\n")
    with pytest.raises(InvalidConfigFile) as caught:
        house.load()
    assert caught.value.path == str(path)


def test_two_names_of_one_option(house: House) -> None:
    path = house.write(house.home / ".condarc", "auto_activate: true\nauto_activate_base: true\n")
    assert house.load().auto_activate
    path.write_text("auto_activate: true\nauto_activate_base: false\n")
    with pytest.raises(ContradictingKeys) as caught:
        house.load()
    assert "auto_activate (line 1) and auto_activate_base (line 2)" in caught.value.message


def test_unknown_keys_are_kept_and_harm_nobody(house: House) -> None:
    path = house.write(house.home / ".condarc", "no_such_thing: [1, {a: b}]\nplugins: {x: y}\nsolver: classic\n")
    config = house.load()
    assert config.unknown == (("no_such_thing", Setting(Source("file", str(path), 1), [1, {"a": "b"}])),)
    assert config.get("plugins") == {"x": "y"}


def test_empty_variables_say_nothing(house: House) -> None:
    config = house.load({}, {"CONDA_CHANNELS": "", "KAA_OFFLINE": " ", "CONDARC": ""})
    assert config.channels == ("conda-forge",)
    assert config.provenance == {}


def test_a_missing_file_that_condarc_names(house: House) -> None:
    assert house.load({}, {"CONDARC": "~/nothing"}).files == ()


def test_listing_the_files_needs_no_directories(tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere"
    assert list(iter_files({"HOME": str(nowhere)}, nowhere / "root", nowhere / "env", ())) == []


EXPANDED = [
    ("$A/x", "1/x"),
    ("${A}x", "1x"),
    ("$Ax", "$Ax"),
    ("~", "/h"),
    ("~/x", "/h/x"),
    ("~x", "~x"),
    ("a~", "a~"),
    ("$", "$"),
    ("${", "${"),
    ("$$A", "$1"),
]


@pytest.mark.parametrize(("text", "expected"), EXPANDED)
def test_expansion(text: str, expected: str) -> None:
    assert expand_text(text, {"HOME": "/h", "A": "1"}) == expected
