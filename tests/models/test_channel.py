"""Channels: what people write → one base URL → a short name; and credentials that never show."""

from __future__ import annotations

import doctest
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaa.models import channel as channel_module
from kaa.models.channel import (
    Channel,
    ChannelConfig,
    InvalidChannel,
    PypiIndexes,
    UrlCredential,
    is_path,
    normalize_url,
    path_to_url,
    split_credentials,
    split_package_url,
    url_to_path,
)

CONFIG = ChannelConfig(
    custom_channels={"pkgs/main": "https://repo.example.com", "local-lab": "file:///srv", "team": "s3://bucket/deep"},
    custom_multichannels={"both": ("conda-forge", "bioconda"), "nested": ("both", "extra", "conda-forge")},
    default_channels=("https://repo.example.com/pkgs/main", "https://repo.example.com/pkgs/r"),
    migrated_aliases=("https://old.example.org/api",),
    home="/home/me",
)

ONE_CHANNEL = [
    # what is written, base URL, name
    ("conda-forge", "https://conda.anaconda.org/conda-forge", "conda-forge"),
    ("conda-forge/", "https://conda.anaconda.org/conda-forge", "conda-forge"),
    (" conda-forge ", "https://conda.anaconda.org/conda-forge", "conda-forge"),
    ("conda-forge/label/rc", "https://conda.anaconda.org/conda-forge/label/rc", "conda-forge/label/rc"),
    ("conda-forge/label/main", "https://conda.anaconda.org/conda-forge", "conda-forge"),
    ("conda-forge/linux-64", "https://conda.anaconda.org/conda-forge", "conda-forge"),
    ("conda-forge/label/main/noarch", "https://conda.anaconda.org/conda-forge", "conda-forge"),
    ("https://conda.anaconda.org/conda-forge", "https://conda.anaconda.org/conda-forge", "conda-forge"),
    ("HTTPS://Conda.Anaconda.ORG:443/conda-forge/", "https://conda.anaconda.org/conda-forge", "conda-forge"),
    ("https://conda.anaconda.org./conda-forge", "https://conda.anaconda.org/conda-forge", "conda-forge"),
    ("http://host:80/x", "http://host/x", "http://host/x"),
    ("http://host:8080/x", "http://host:8080/x", "http://host:8080/x"),
    ("https://host:80/x", "https://host:80/x", "https://host:80/x"),
    ("https://host//a//b/", "https://host/a/b", "https://host/a/b"),
    ("https://host/a/../b/./c", "https://host/b/c", "https://host/b/c"),
    ("https://host/../../b", "https://host/b", "https://host/b"),
    ("https://host/%7euser/%41b", "https://host/~user/Ab", "https://host/~user/Ab"),
    ("https://host/a b/%2f%c3%a9", "https://host/a%20b/%2F%C3%A9", "https://host/a%20b/%2F%C3%A9"),
    ("https://host/é", "https://host/%C3%A9", "https://host/%C3%A9"),
    ("https://bücher.example/x", "https://xn--bcher-kva.example/x", "https://xn--bcher-kva.example/x"),
    ("https://[2001:DB8::1]:443/x", "https://[2001:db8::1]/x", "https://[2001:db8::1]/x"),
    ("https://host/Case/Kept", "https://host/Case/Kept", "https://host/Case/Kept"),
    ("https://host/linux-64", "https://host", "https://host"),
    ("https://old.example.org/api/bioconda", "https://conda.anaconda.org/bioconda", "bioconda"),
    ("pkgs/main", "https://repo.example.com/pkgs/main", "pkgs/main"),
    ("pkgs/main/label/x", "https://repo.example.com/pkgs/main/label/x", "pkgs/main/label/x"),
    ("pkgs/mainly", "https://conda.anaconda.org/pkgs/mainly", "pkgs/mainly"),
    ("https://repo.example.com/pkgs/main", "https://repo.example.com/pkgs/main", "pkgs/main"),
    ("local-lab", "file:///srv/local-lab", "local-lab"),
    ("team", "s3://bucket/deep/team", "team"),
    ("/srv/channel", "file:///srv/channel", "file:///srv/channel"),
    ("/srv/channel/noarch", "file:///srv/channel", "file:///srv/channel"),
    ("./channel", "file:///base/here/channel", "file:///base/here/channel"),
    ("../channel", "file:///base/channel", "file:///base/channel"),
    (".", "file:///base/here", "file:///base/here"),
    ("~/channel", "file:///home/me/channel", "file:///home/me/channel"),
    ("/srv/with space/#1?/é", "file:///srv/with%20space/%231%3F/%C3%A9", "file:///srv/with%20space/%231%3F/%C3%A9"),
    ("file:///srv/a+b", "file:///srv/a%2Bb", "file:///srv/a%2Bb"),
    ("/srv/a+b", "file:///srv/a%2Bb", "file:///srv/a%2Bb"),
    ("file://localhost/srv/x", "file:///srv/x", "file:///srv/x"),
    (r"C:\chan nel\x", "file:///C:/chan%20nel/x", "file:///C:/chan%20nel/x"),
    ("c:/channel", "file:///c:/channel", "file:///c:/channel"),
    (r"\\server\share\x", "file://server/share/x", "file://server/share/x"),
    ("https://user:pa%40ss@host/x", "https://host/x", "https://host/x"),
    ("https://host/t/tk-12-ab/x", "https://host/x", "https://host/x"),
    ("https://host/prefix/t/tk-12-ab/x/linux-64", "https://host/prefix/x", "https://host/prefix/x"),
    ("t/tk-12-ab/private", "https://conda.anaconda.org/private", "private"),
    ("https://conda.anaconda.org/t/tk-1/private", "https://conda.anaconda.org/private", "private"),
]


@pytest.mark.parametrize(("text", "base_url", "name"), ONE_CHANNEL, ids=[row[0] for row in ONE_CHANNEL])
def test_what_people_write(text: str, base_url: str, name: str) -> None:
    [channel] = CONFIG.resolve(text, "/base/here")
    assert (channel.base_url, channel.name) == (base_url, name)
    assert str(channel) == name


@pytest.mark.parametrize("base_url", sorted({row[1] for row in ONE_CHANNEL}))
def test_a_base_url_means_itself(base_url: str) -> None:
    [channel] = CONFIG.resolve(base_url, "/elsewhere")
    assert channel.base_url == base_url
    assert normalize_url(base_url) == base_url


@pytest.mark.parametrize(("text", "base_url", "name"), ONE_CHANNEL, ids=[row[0] for row in ONE_CHANNEL])
def test_the_name_means_the_channel(text: str, base_url: str, name: str) -> None:
    [channel] = CONFIG.resolve(name, "/elsewhere")
    assert channel.base_url == base_url


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "it is empty"),
        ("  ", "it is empty"),
        ("https://", "neither host nor path"),
        ("https://host:port/x", "host or port"),
        ("https://[::1/x", "host or port"),
        ("https://host/x?query=1", "no query"),
        ("https://host/x#fragment", "no fragment"),
        ("https://user:1234/5@host/x", "an @ in its path"),
        ("~", "no home"),
        ("~other/channel", "own home"),
        ("empty", "no channels"),
        ("loop", "contains itself"),
    ],
)
def test_what_is_no_channel(text: str, reason: str) -> None:
    config = ChannelConfig(custom_multichannels={"empty": (), "loop": ("pool",), "pool": ("x", "loop")})
    with pytest.raises(InvalidChannel) as caught:
        config.resolve(text, "/")
    assert reason in str(caught.value)


def test_defaults_are_there_only_when_someone_names_them() -> None:
    assert [channel.name for channel in CONFIG.resolve("defaults", "/")] == [
        "pkgs/main",
        "https://repo.example.com/pkgs/r",
    ]
    with pytest.raises(InvalidChannel, match="default_channels"):
        ChannelConfig().resolve("defaults", "/")


def test_multichannels_hold_each_channel_once() -> None:
    assert [channel.name for channel in CONFIG.resolve("nested", "/")] == ["conda-forge", "bioconda", "extra"]


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://repo.example.com/pkgs/main/linux-64", "defaults"),
        ("https://repo.example.com/pkgs/main/linux-64/zlib-1.3.1-0.conda", "defaults"),
        ("https://conda.anaconda.org/conda-forge/noarch/six-1.17.0-py_0.tar.bz2", "both"),
        ("https://conda.anaconda.org/conda-forge/label/rc/noarch", "conda-forge/label/rc"),
        ("https://conda.anaconda.org/t/tk-1/private/linux-64", "private"),
        ("https://repo.example.com/pkgs/other", "https://repo.example.com/pkgs/other"),
        ("s3://bucket/deep/team/osx-arm64", "team"),
        ("https://old.example.org/api/extra/noarch", "nested"),
        ("https://old.example.org/api/other/noarch", "other"),
        ("", "<unknown>"),
    ],
)
def test_canonical_names(url: str, name: str) -> None:
    assert CONFIG.canonical_name(url) == name


def test_another_alias_moves_the_names() -> None:
    config = ChannelConfig(alias="mirror.example.org:8443/conda/")
    [channel] = config.resolve("conda-forge", "/")
    assert (channel.base_url, channel.name) == ("https://mirror.example.org:8443/conda/conda-forge", "conda-forge")
    [original] = config.resolve("https://conda.anaconda.org/conda-forge", "/")
    assert original.name == "https://conda.anaconda.org/conda-forge"
    assert original != channel


def test_an_alias_may_carry_a_token() -> None:
    config = ChannelConfig(alias="https://mirror.example.org/t/tk-secret-1")
    [channel] = config.resolve("team", "/")
    assert channel.base_url == "https://mirror.example.org/team"
    assert channel.name == "team"
    assert channel.credential == UrlCredential(token="tk-secret-1")


def test_channels_are_equal_by_base_url() -> None:
    one = Channel("https://host/x", "x", UrlCredential(token="secret"))
    assert one == Channel("https://host/x", "https://host/x")
    assert hash(one) == hash(Channel("https://host/x", "other"))
    assert one != Channel("https://host/y", "x")
    assert one.subdir_url("noarch") == "https://host/x/noarch"


@pytest.mark.parametrize(
    ("url", "clean", "credential"),
    [
        ("https://host/x", "https://host/x", None),
        ("https://host/t/tk-1/x", "https://host/x", UrlCredential(token="tk-1")),
        ("https://host/t/tk-1", "https://host", UrlCredential(token="tk-1")),
        ("https://host/t//x", "https://host/x", None),
        ("https://host/deep/t/tk-1/x/t/y", "https://host/deep/x/t/y", UrlCredential(token="tk-1", token_root="/deep")),
        ("https://me@host/x", "https://host/x", UrlCredential(user="me")),
        ("https://me:p%3Aw@host:1/x", "https://host:1/x", UrlCredential(user="me", password="p:w")),
        ("https://me:p@w@host/x", "https://host/x", UrlCredential(user="me", password="p@w")),
        ("https://:@host/x", "https://host/x", UrlCredential(user="", password="")),
        ("https://me:pw@host/t/tk/x", "https://host/x", UrlCredential("tk", "me", "pw")),
        ("https://host/x@1/t", "https://host/x@1/t", None),
        ("file:///t/folder/x", "file:///t/folder/x", None),
        ("FILE:///t/folder/x", "FILE:///t/folder/x", None),
        ("/t/folder/x", "/t/folder/x", None),
    ],
)
def test_splitting_off_credentials(url: str, clean: str, credential: UrlCredential | None) -> None:
    assert split_credentials(url) == (clean, credential)


SECRETS = st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.~", min_size=12, max_size=30)


@given(token=SECRETS, password=SECRETS, user=SECRETS)
def test_secrets_never_show(token: str, password: str, user: str) -> None:
    texts = [
        f"https://{user}:{password}@host.example/t/{token}/x/linux-64",
        f"https://host.example:bad/t/{token}/x?y",
        f"https://{user}:{password}/slash@host.example/x",
        f"https://{user}:{password}@host.example:bad/x",
        f"https://host.example/x?signature={token}",
        f"t/{token}/x#",
    ]
    for text in texts:
        try:
            [channel] = CONFIG.resolve(text, "/")
            shown = [
                repr(channel),
                str(channel),
                channel.base_url,
                repr(channel.credential),
                channel.subdir_url("noarch"),
            ]
        except InvalidChannel as error:
            shown = [str(error), repr(error), repr(error.fields())]
        for secret in (token, password, user):
            if secret in text:
                assert not any(secret in line for line in shown), (text, shown)


@given(st.lists(st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1), min_size=1))
def test_paths_and_file_urls(parts: list[str]) -> None:
    path = "/" + "/".join(part for part in parts if part not in (".", "..", "~") and "\\" not in part)
    if path != "/":
        url = path_to_url(path, "/")
        assert url == Path(path).as_uri()
        assert url_to_path(url) == path
        assert normalize_url(url).startswith("file:///") or normalize_url(url) == "file://"


def test_file_urls_of_windows() -> None:
    assert url_to_path("file:///C:/a%20b") == "C:/a b"
    assert url_to_path("file://server/share/x") == "//server/share/x"
    assert url_to_path("file:///a#b?c") == "/a#b?c"


@given(st.text("abC%2fé/.:@~+ é", max_size=30))
def test_normalisation_is_done_once(path: str) -> None:
    try:
        once = normalize_url(f"https://Host:443/{path}")
    except InvalidChannel:
        return
    assert normalize_url(once) == once


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("https://h/c/linux-64/a-1-0.conda", ("https://h/c", "linux-64", "a-1-0.conda")),
        ("https://h/a-1-0.conda", ("https://h", "", "a-1-0.conda")),
        ("file:///pkgs/a-1-0.tar.bz2", ("file:///pkgs", "", "a-1-0.tar.bz2")),
    ],
)
def test_splitting_package_urls(url: str, parts: tuple[str, str, str]) -> None:
    assert split_package_url(url) == parts


def test_examples() -> None:
    assert doctest.testmod(channel_module).failed == 0


PYPI = ChannelConfig(
    home="/home/me",
    find_pypi=lambda: PypiIndexes(
        ("https://me:secret@Extra.example/simple/", "https://main.example/simple", "file:///wheels"),
        "https://main.example/simple/",
    ),
)

INDEXES = [
    ("pypi+https://Main.example:443/simple/", "pypi+https://main.example/simple", "pypi"),
    ("pypi+https://u:p@other.example/simple", "pypi+https://other.example/simple", None),
    ("pypi+http://127.0.0.1:8080/root/dev/+simple/", "pypi+http://127.0.0.1:8080/root/dev/+simple", None),
    ("pypi+./wheels", "pypi+file:///place/wheels", None),
    ("pypi+file:./wheels", "pypi+file:///place/wheels", None),
    ("pypi+../a b", "pypi+file:///a%20b", None),
    ("pypi+~/wheels", "pypi+file:///home/me/wheels", None),
    ("pypi+file:///srv/wheels/", "pypi+file:///srv/wheels", None),
]


@pytest.mark.parametrize(("text", "base_url", "name"), INDEXES)
def test_indexes_of_python_packages(text: str, base_url: str, name: str | None) -> None:
    [channel] = PYPI.resolve(text, "/place")
    assert (channel.base_url, channel.name) == (base_url, name or base_url)
    assert channel.is_pypi
    assert channel.index_url == base_url.removeprefix("pypi+")
    assert PYPI.resolve(channel.base_url, "/") == (channel,)
    assert is_path(text) == (text.startswith(("pypi+.", "pypi+~", "pypi+file:.")))


def test_pypi_is_what_the_user_configured() -> None:
    channels = PYPI.resolve("pypi", "/place")
    assert [channel.base_url for channel in channels] == [
        "pypi+https://extra.example/simple",
        "pypi+https://main.example/simple",
        "pypi+file:///wheels",
    ]
    assert [channel.name for channel in channels] == [channels[0].base_url, "pypi", channels[2].base_url]
    assert channels[0].credential == UrlCredential(user="me", password="secret")
    assert "secret" not in f"{channels} {PYPI}"
    assert {PYPI.canonical_name(channel.base_url) for channel in channels} == {"pypi"}
    assert PYPI.canonical_name("pypi+https://o.example/simple") == "pypi+https://o.example/simple"


def test_a_channel_of_ones_own_may_be_called_pypi() -> None:
    mine = ChannelConfig(custom_channels={"pypi": "https://host"}, find_pypi=PYPI.find_pypi)
    assert [channel.base_url for channel in mine.resolve("pypi", "/")] == ["https://host/pypi"]
    mine = ChannelConfig(custom_multichannels={"pypi": ("https://host/a",)}, find_pypi=PYPI.find_pypi)
    assert [channel.base_url for channel in mine.resolve("pypi", "/")] == ["https://host/a"]


@pytest.mark.parametrize("text", ["pypi", "pypi+", "pypi+name", "pypi+https://", "pypi+file:x", "pypi+https://h/s?q=1"])
def test_what_is_no_index(text: str) -> None:
    with pytest.raises(InvalidChannel) as caught:
        ChannelConfig().resolve(text, "/")
    assert caught.value.hints or "://" in text


def test_a_password_in_the_address_of_an_index_is_never_shown() -> None:
    with pytest.raises(InvalidChannel) as caught:
        ChannelConfig().resolve("pypi+https://me:secret@host/simple?q=1", "/")
    assert "secret" not in str(caught.value)
