"""Caches that others fill, as users meet them: what `kaa info` says, and `--verify-cache`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.channels import Server
from tests.cli.commands import Kaa


def test_info_tells_how_each_directory_is_used(kaa: Kaa, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    everybody, own, later = tmp_path / "everybody", tmp_path / "own", tmp_path / "later"
    everybody.mkdir()
    everybody.chmod(0o777)
    own.mkdir(mode=0o755)
    (kaa.root / "envs").mkdir(parents=True)
    monkeypatch.setenv("CONDA_PKGS_DIRS", f"{everybody},{own},{later}")
    text = kaa.ok("info").out
    assert f"package cache : {everybody}  (not used: everybody may write to it)" in text
    assert f"{own}  (new packages go here)" in text
    assert f"{later}  (not there)" in text
    assert f"link to {kaa.root / 'envs'}" in text
    document = kaa.ok("info", "--json").json()
    assert document["pkgs_dirs"] == [str(everybody), str(own), str(later)]
    assert document["verify_cache"] is False
    said = [(one["exists"], one["writable"], one["filled"], one["mode"]) for one in document["package_caches"]]
    assert said == [
        (True, True, False, "drwxrwxrwx"),
        (True, True, True, "drwxr-xr-x"),
        (False, True, False, ""),
    ]
    [link] = document["package_caches"][1]["links"]
    assert link["directory"] == str(kaa.root / "envs")
    assert link["reason"] == ""
    # Telling makes nothing.
    assert list(own.iterdir()) == list((kaa.root / "envs").iterdir()) == []
    assert not later.exists()


@pytest.mark.parametrize("by", ["flag", "variable", "file"])
def test_a_poisoned_package_is_not_linked(kaa: Kaa, server: Server, monkeypatch: pytest.MonkeyPatch, by: str) -> None:
    first = ["create", "--yes", "-O", "-c", server.url, "alone", "-n"]
    kaa.ok(*first, "first")
    file = kaa.packages / "alone-1.0-0" / "share" / "alone"
    file.chmod(0o644)
    file.write_text("OTHER")
    options: list[str] = []
    if by == "flag":
        options = ["--verify-cache"]
    elif by == "variable":
        monkeypatch.setenv("KAA_VERIFY_CACHE", "true")
    else:
        (kaa.home / ".condarc").write_text("verify_cache: true\n")
    answer = kaa.ok(*first, "second", *options)
    assert "alone-1.0-0 is refused (share/alone is not what the archive holds)" in answer.err
    assert (kaa.environment("second") / "share" / "alone").read_text() == "alone"
    assert server.count("alone-1.0-0.conda") == 1
    # What was unpacked again is as it should be.
    assert "refused" not in kaa.ok(*first, "third", *options).err
