"""Which proxy a request takes."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kaa.net.proxies import Proxies, excepts, proxies_for, proxies_of_environment

CHOICES = [
    # proxies, no_proxy, address, proxy
    ({}, "", "https://host/x", None),
    ({"https": "http://p:1"}, "", "https://host/x", "http://p:1"),
    ({"https": "http://p:1"}, "", "http://host/x", None),
    ({"https": "p:1"}, "", "https://host/x", "http://p:1"),
    ({"all": "http://p:1"}, "", "http://host/x", "http://p:1"),
    ({"all": "http://a:1", "http": "http://p:1"}, "", "http://host/x", "http://p:1"),
    ({"https://host": "http://own:1", "https": "http://p:1"}, "", "https://host:8443/x", "http://own:1"),
    ({"all://host": "http://own:1", "all": "http://p:1"}, "", "https://host/x", "http://own:1"),
    ({"https": "http://p:1"}, "host", "https://host/x", None),
    ({"https": "http://p:1"}, "host", "https://sub.host/x", None),
    ({"https": "http://p:1"}, ".host", "https://host/x", None),
    ({"https": "http://p:1"}, "*.host", "https://sub.host/x", None),
    ({"https": "http://p:1"}, "host", "https://otherhost/x", "http://p:1"),
    ({"https": "http://p:1"}, "HOST", "https://Host/x", None),
    ({"https": "http://p:1"}, "host:443", "https://host/x", None),
    ({"https": "http://p:1"}, "host:8443", "https://host/x", "http://p:1"),
    ({"https": "http://p:1"}, "*", "https://host/x", None),
    ({"https": "http://p:1"}, "a, b ,host", "https://host/x", None),
    ({"https": "http://p:1"}, "a b host", "https://host/x", None),
    ({"http": "http://p:1"}, "10.0.0.0/8", "http://10.20.30.40/x", None),
    ({"http": "http://p:1"}, "10.0.0.0/8", "http://11.20.30.40/x", "http://p:1"),
    ({"http": "http://p:1"}, "::1", "http://[::1]:80/x", None),
    ({"http": "http://p:1"}, "[::1]:80", "http://[::1]/x", None),
    ({"http": "http://p:1"}, "fd00::/8", "http://[fd12::1]/x", None),
    ({"http": "http://p:1"}, "host", "http://host./x", None),
    ({"http": ""}, "", "http://host/x", None),
]


@pytest.mark.parametrize(("proxies", "excepted", "url", "expected"), CHOICES)
def test_choice(proxies: dict[str, str], excepted: str, url: str, expected: str | None) -> None:
    environ = {f"{key}_proxy": value for key, value in proxies.items() if ":" not in key} | {"no_proxy": excepted}
    assert proxies_for(proxies, {"no_proxy": excepted}).find(url) == expected
    if not any(":" in key for key in proxies):
        assert proxies_of_environment(environ).find(url) == expected


def test_settings_win_over_the_environment() -> None:
    found = proxies_for({"http": "http://set:1"}, {"http_proxy": "http://env:1", "https_proxy": "http://env:2"})
    assert found.find("http://host/") == "http://set:1"
    assert found.find("https://host/") == "http://env:2"


def test_lower_case_wins_and_a_cgi_program_ignores_http_proxy() -> None:
    assert proxies_of_environment({"HTTP_PROXY": "http://a", "http_proxy": "http://b"}).by_scheme == {
        "http": "http://b"
    }
    assert proxies_of_environment({"HTTP_PROXY": "http://a", "REQUEST_METHOD": "GET"}).by_scheme == {}
    assert proxies_of_environment({"HTTPS_PROXY": "http://a", "REQUEST_METHOD": "GET"}).by_scheme == {
        "https": "http://a"
    }


@settings(deadline=None)
@given(st.text(max_size=30), st.text(min_size=1, max_size=30), st.integers(1, 65535))
def test_any_exception_is_true_or_false(entry: str, host: str, port: int) -> None:
    assert excepts(entry, host, port) in (True, False)


def test_passwords_are_not_printed() -> None:
    assert "secret" not in repr(Proxies({"http": "http://me:secret@host"}))
