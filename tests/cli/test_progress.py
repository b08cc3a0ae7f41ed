"""Reporters: bars on a terminal, lines elsewhere, silence when asked for; always on standard error."""

from __future__ import annotations

import contextlib
import io
import os
import pty
import threading
from collections.abc import Iterator
from typing import TextIO

import pytest

from kaa.cli.progress import Bars, Lines, clean, reporting
from kaa.config.options import Config
from kaa.events import (
    BytesReceived,
    DownloadFinished,
    DownloadStarted,
    Event,
    Note,
    PackageMessage,
    StageAdvanced,
    StageFinished,
    StageStarted,
    Warned,
)

EVENTS: list[Event] = [
    StageStarted("Reading channels"),
    StageFinished("Reading channels", 0.26),
    StageStarted("Fetching packages", 2),
    DownloadStarted("https://host/channel/noarch/six-1.0-0.conda", 3000),
    BytesReceived("https://host/channel/noarch/six-1.0-0.conda", 1000),
    BytesReceived("https://host/channel/noarch/six-1.0-0.conda", 2000),
    DownloadFinished("https://host/channel/noarch/six-1.0-0.conda"),
    StageAdvanced("Fetching packages", "six"),
    Note("a reflink became a copy"),
    Warned("the channel \x1b[31mis\x07 old"),
    StageFinished("Fetching packages", 1.0),
    PackageMessage("six", "read this\x1b]0;title\x07\nplease\n\n"),
]
MESSAGES = "warning: the channel [31mis old\n", "six says:\nread this]0;title\nplease\n"


def told(config: Config) -> str:
    stream = io.StringIO()
    with reporting(config, stream) as reporter:
        for event in EVENTS:
            reporter(event)
    return stream.getvalue()


def test_lines() -> None:
    assert told(Config()) == (
        "Reading channels: 0.3 s\n" + MESSAGES[0] + "Fetching packages: 1.0 s, 3.0 KB\n" + MESSAGES[1]
    )


def test_more_lines() -> None:
    assert "note: a reflink became a copy\n" in told(Config({"verbosity": 1}))


@pytest.mark.parametrize("name", ["json", "quiet"])
def test_no_progress_but_what_one_must_know(name: str) -> None:
    assert told(Config({name: True})) == "".join(MESSAGES)


class Terminal:
    """A pseudo-terminal, and everything that was written to it."""

    def __init__(self) -> None:
        self._ours, theirs = pty.openpty()
        self.stream: TextIO = os.fdopen(theirs, "w")
        self.shown = ""
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        # Reading fails once the other end is closed.
        with contextlib.suppress(OSError):
            while data := os.read(self._ours, 4096):
                self.shown += data.decode()

    def close(self) -> None:
        self.stream.close()
        self._reader.join()
        os.close(self._ours)


@contextlib.contextmanager
def terminal() -> Iterator[Terminal]:
    found = Terminal()
    try:
        yield found
    finally:
        found.close()


def test_bars_on_a_terminal() -> None:
    with terminal() as screen, reporting(Config(), screen.stream) as reporter:
        assert isinstance(reporter, Bars)
        for event in EVENTS:
            reporter(event)
    shown = screen.shown
    assert "Reading channels" in shown
    assert "six-1.0-0.conda" in shown
    assert "warning: the channel [31mis old" in shown
    assert "six says:" in shown
    # The bars are gone in the end: the cursor is shown again, and nothing is left running.
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l")
    assert "\x1b]0;title" not in shown


def test_a_quiet_terminal_has_no_bars() -> None:
    with terminal() as screen, reporting(Config({"quiet": True}), screen.stream) as reporter:
        assert isinstance(reporter, Lines)


def test_bars_end_when_the_work_fails() -> None:
    with terminal() as screen, pytest.raises(ZeroDivisionError), reporting(Config(), screen.stream) as reporter:
        reporter(StageStarted("Solving", 3))
        reporter(StageAdvanced("Solving", "x"))
        raise ZeroDivisionError
    shown = screen.shown
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l")


def test_events_of_what_never_began_do_no_harm() -> None:
    with terminal() as screen, reporting(Config(), screen.stream) as reporter:
        reporter(StageAdvanced("x", "y"))
        reporter(BytesReceived("x", 3))
        reporter(DownloadFinished("x"))
        reporter(StageFinished("x", 1.0))


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("plain", "plain"),
        ("a\nb\tc", "a\nb\tc"),
        ("\x1b[2Jx\r\x08", "[2Jx"),
        ("\u202edlrow\x9b", "dlrow"),
        ("é…漢", "é…漢"),
    ],
)
def test_control_characters_go(text: str, cleaned: str) -> None:
    assert clean(text) == cleaned
