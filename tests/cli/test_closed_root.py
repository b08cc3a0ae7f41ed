"""A root prefix that its user may not look into: no configuration from there, and no crash."""

from __future__ import annotations

import os

from tests.cli.commands import Kaa
from tests.cli.test_bad_input import as_nobody


def test_a_root_prefix_that_cannot_be_looked_into(kaa: Kaa) -> None:
    kaa.ok("config", "--show", "channels")
    kaa.root.mkdir()
    (kaa.root / "condarc.d").mkdir()
    kaa.root.chmod(0)
    try:
        if os.getuid() == 0:
            code, text = as_nobody(kaa, ["config", "--show", "channels"])
        else:
            answer = kaa("config", "--show", "channels")
            code, text = answer.code, answer.err
    finally:
        kaa.root.chmod(0o755)
    assert text == ""
    assert code == 0
