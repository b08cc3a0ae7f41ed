from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from kaa.host.directories import default_root_prefix, user_config_directory


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


def test_configuration_follows_xdg() -> None:
    environ = {"HOME": "/home/u", "XDG_CONFIG_HOME": "/k"}
    assert user_config_directory(environ) == Path("/k/kaa")
