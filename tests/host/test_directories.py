from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from kaa.host.directories import default_root_prefix, user_cache_directory, user_config_directory


@pytest.mark.parametrize(
    ("environ", "root"),
    [
        ({"HOME": "/home/u"}, "/home/u/kaa"),
        ({"HOME": "/home/u", "KAA_ROOT_PREFIX": "/opt/kaa"}, "/opt/kaa"),
        ({"HOME": "/home/u", "KAA_ROOT_PREFIX": "~/tools"}, "/home/u/tools"),
        ({"USERPROFILE": "/users/u"}, "/users/u/kaa"),
    ],
)
def test_root_prefix(environ: Mapping[str, str], root: str) -> None:
    assert default_root_prefix(environ) == Path(root)


def test_caches_and_configuration_follow_xdg() -> None:
    environ = {"HOME": "/home/u", "XDG_CACHE_HOME": "/c", "XDG_CONFIG_HOME": "/k"}
    assert user_cache_directory(environ) == Path("/c/kaa")
    assert user_config_directory(environ) == Path("/k/kaa")
    assert user_cache_directory({"HOME": "/home/u"}) == Path("/home/u/.cache/kaa")
