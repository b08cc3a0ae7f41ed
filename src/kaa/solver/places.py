"""What the channels of a problem are called in its file: without credentials and directories of this machine."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from kaa.models.channel import PYPI_SCHEME, split_credentials
from kaa.models.match_spec import ChannelText, MatchSpec, channel_matches
from kaa.models.redaction import redact

HIDDEN_DIRECTORY = "file:///redacted/"
"""What stands in a problem for the directory of a channel on this machine."""


class Places:
    """What the channels of a problem are called in it: directories of this machine are not told."""

    def __init__(self, channels: Iterable[str]) -> None:
        self._shown: dict[str, str] = {}
        for channel in channels:
            shown = split_credentials(channel)[0]
            scheme = PYPI_SCHEME if shown.startswith(PYPI_SCHEME) else ""
            address = shown.removeprefix(scheme)
            if address[:5].lower() == "file:" and not address.startswith(HIDDEN_DIRECTORY):
                last = shown.rstrip("/").rpartition("/")[2]
                shown = scheme + HIDDEN_DIRECTORY + last
                count = 1
                while shown in self._shown.values():
                    count += 1
                    shown = f"{scheme}{HIDDEN_DIRECTORY}{count}/{last}"
            self._shown.setdefault(channel, shown)

    def shown(self, channel: str) -> str:
        """The address of a channel as the problem has it."""
        return self._shown[channel]

    def names(self, specs: Iterable[MatchSpec]) -> dict[str, tuple[str, ...]]:
        """The addresses for which the names of channels in specs stand."""
        return {
            str(spec.channel): tuple(sorted(str(self.value(url)) for url in spec.channel.base_urls))
            for spec in map(self.spec, specs)
            if isinstance(spec.channel, ChannelText)
        }

    def spec(self, spec: MatchSpec) -> MatchSpec:
        """A spec that asks the same of the problem's channels."""
        if spec.channel is not None and is_of_this_machine(spec.channel) and HIDDEN_DIRECTORY not in spec.channel:
            matching = [shown for channel, shown in self._shown.items() if channel_matches(spec.channel, channel)]
            last = spec.channel.rstrip("/").rpartition("/")[2]
            spec = replace(spec, channel=matching[0] if matching else f"{HIDDEN_DIRECTORY}unknown/{last}")
        if spec.url is not None and is_of_this_machine(spec.url) and HIDDEN_DIRECTORY not in spec.url:
            spec = replace(spec, url=HIDDEN_DIRECTORY + spec.url.rpartition("/")[2])
        return spec

    def value(self, value: object) -> object:
        """A value of an option, which may name channels."""
        if isinstance(value, str):
            if value in self._shown:
                return self._shown[value]
            is_local = value.removeprefix(PYPI_SCHEME)[:5].lower() == "file:"
            return HIDDEN_DIRECTORY + value.rpartition("/")[2] if is_local else redact(value)
        if isinstance(value, dict):
            return {str(self.value(key)): self.value(item) for key, item in value.items()}
        return [self.value(item) for item in value] if isinstance(value, list | tuple) else value

    def text(self, text: str, specs: Iterable[MatchSpec]) -> str:
        """A message about the problem, without what is not told."""
        for spec in specs:
            hidden = self.spec(spec)
            for before, after in ((spec.channel, hidden.channel), (spec.url, hidden.url)):
                if before is not None and after is not None and before != after:
                    text = text.replace(before, after)
        for channel in sorted(self._shown, key=len, reverse=True):
            if channel:
                text = text.replace(channel, self._shown[channel])
        return redact(text)


def is_of_this_machine(address: str) -> bool:
    """Whether an address is a path, or the URL of one."""
    address = address.removeprefix(PYPI_SCHEME)
    if address[:5].lower() == "file:":
        return True
    return "://" not in address and ("\\" in address or address[:1] in "/.~" or address[1:2] == ":")
