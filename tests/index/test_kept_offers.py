"""What pages offer is kept in columns: the same candidates as from the page, or none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from kaa.index.kept_offers import KeptOffer, KeptOffers, OfferKey, pack_offer
from kaa.pypi.project_files import ProjectFile, ProjectPage
from kaa.pypi.wheel_records import Admitted, WheelRecords
from kaa.pypi.wheel_tags import WheelTags, WheelTarget
from kaa.solver.candidates import columns_of, decode_numbers, decode_texts
from kaa.solver.ranges import Ranges

LINUX = WheelTarget("linux-64", glibc=(2, 35))
SUBDIRS = ("linux-64", "noarch")
CHANNEL = "pypi+https://host/simple"
NAMES = (
    "tool-1.0-py3-none-any.whl",
    "tool-1.0-cp311-cp311-manylinux_2_17_x86_64.whl",
    "tool-1.0-cp312-cp312-manylinux_2_17_x86_64.whl",
    "tool-1.1.post1-py3-none-any.whl",
    "tool-2.0-py3-none-win_amd64.whl",
    "tool-2.1rc1-py3-none-any.whl",
    "tool-3.0.tar.gz",
)
FILES = tuple(
    ProjectFile(
        name, f"https://host/files/{name}", sha256=f"{number:064x}", requires_python=">=3.8", upload_time=10**12
    )
    for number, name in enumerate(NAMES)
)
PAGE = ProjectPage("tool", "https://host/simple", FILES, b"a page")


def offer_of(page: ProjectPage = PAGE, admitted: Admitted | None = None) -> KeptOffer:
    records = WheelRecords(WheelTags(LINUX))
    admitted = admitted or Admitted()
    key = OfferKey.of(page.content, "tool", CHANNEL, admitted, may_build=False)
    found = records.offer(page, "tool", CHANNEL, admitted)
    return pack_offer(key, found, sorted(records.odd_versions(page)), SUBDIRS, Ranges())


def kept(directory: Path, target: WheelTarget = LINUX) -> KeptOffers:
    return KeptOffers(directory, CHANNEL, target)


@pytest.mark.parametrize("admitted", [Admitted(), Admitted(prereleases=True)])
def test_candidates_are_those_of_the_page(admitted: Admitted, tmp_path: Path) -> None:
    kept(tmp_path).keep("tool", offer_of(admitted=admitted))
    found = kept(tmp_path).find("tool", PAGE.content)
    expected = WheelRecords(WheelTags(LINUX)).offer(PAGE, "tool", CHANNEL, admitted)
    assert found is not None
    assert tuple(found.records()) == expected.records
    assert found.count == len(expected.records)
    assert found.left_out() == expected.left_out
    assert found.odd == ["1.1.post1"]
    for subdir in SUBDIRS:
        group = found.columns(subdir)
        records = [record for record in expected.records if record.subdir == subdir]
        columns = columns_of(records)
        assert msgspec.structs.replace(group.columns, unread=b"") == columns
        for position, place in enumerate(decode_numbers(columns.order)):
            record = found.record(group.places[position])
            assert record == records[place]
            assert found.file(group.places[position]).file_name == record.fn
    assert decode_texts(found.columns("noarch").columns.versions)[0] == (
        "2.1rc1" if admitted.prereleases else "1.1.post1"
    )


def test_all_candidates_are_to_be_read() -> None:
    group = offer_of().columns("noarch")
    assert int.from_bytes(group.columns.unread, "little") == sum(2 << n for n in range(group.columns.count))


def test_what_was_made_of_something_else_counts_as_none(tmp_path: Path) -> None:
    kept(tmp_path).keep("tool", offer_of())
    assert kept(tmp_path).find("tool", b"another page") is None
    assert kept(tmp_path).find("tool", b"") is None
    assert kept(tmp_path).find("other", PAGE.content) is None
    assert kept(tmp_path, WheelTarget("linux-64", glibc=(2, 17))).find("tool", PAGE.content) is None
    assert KeptOffers(tmp_path, f"{CHANNEL}2", LINUX).find("tool", PAGE.content) is None
    keys = [
        OfferKey.of(PAGE.content, "tool", CHANNEL, Admitted(prereleases, frozenset(yanked)), may_build=may_build)
        for prereleases in (False, True)
        for yanked in ((), ("1.0",))
        for may_build in (False, True)
    ]
    assert len({msgspec.msgpack.encode(key) for key in keys}) == 8


def test_a_page_that_is_not_kept_leaves_nothing(tmp_path: Path) -> None:
    kept(tmp_path).keep("tool", offer_of(ProjectPage("tool", "https://host/simple", FILES)))
    assert list(tmp_path.iterdir()) == []


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda content: b"",
    "cut short": lambda content: content[:-20],
    "a byte of the middle": lambda content: content[:300] + bytes([content[300] ^ 1]) + content[301:],
    "the checksum": lambda content: bytes([content[0] ^ 1]) + content[1:],
    "something else": lambda content: b"\x00" * 64,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_damaged_counts_as_none_and_is_replaced(damage: str, tmp_path: Path) -> None:
    offer = offer_of()
    kept(tmp_path).keep("tool", offer)
    [file] = (path for path in tmp_path.rglob("*") if path.is_file())
    file.write_bytes(DAMAGES[damage](file.read_bytes()))
    opened = kept(tmp_path)
    assert opened.find("tool", PAGE.content) is None
    opened.keep("tool", offer)
    assert opened.find("tool", PAGE.content) is offer
    assert kept(tmp_path).find("tool", PAGE.content) == offer


def test_a_place_that_is_closed_keeps_nothing(tmp_path: Path) -> None:
    place = tmp_path / "offers"
    place.write_text("in the way")
    offer = offer_of()
    opened = kept(place)
    opened.keep("tool", offer)
    assert opened.find("tool", PAGE.content) is offer
    assert kept(place).find("tool", PAGE.content) is None


def test_names_too_long_for_a_file(tmp_path: Path) -> None:
    for name in ("t" * 300, "t" * 301):
        kept(tmp_path).keep(name, offer_of())
        assert kept(tmp_path).find(name, PAGE.content) is not None
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 2
