"""Many versions in few words: ranges of neighbours instead of lists.

>>> versions = [Version(text) for text in ("3.9", "3.8", "3.7", "2.7")]
>>> fold(versions[1:], versions), fold(versions, versions), fold([versions[0], versions[2]], versions)
('2.7 to 3.8', '2.7 to 3.9', '3.7, 3.9')
"""

from __future__ import annotations

from collections.abc import Sequence

from kaa.models.version import Version

MOST_RANGES = 3


def fold(chosen: Sequence[Version], everything: Sequence[Version]) -> str:
    """The chosen ones among all versions (both highest first), neighbours joined; lowest first."""
    wanted = set(chosen)
    ranges: list[list[Version]] = []
    joined = False
    for version in reversed(everything):
        if version not in wanted:
            joined = False
        elif joined:
            ranges[-1].append(version)
        else:
            ranges.append([version])
            joined = True
    if len(ranges) > MOST_RANGES:
        return f"{ranges[0][0]} to {ranges[-1][-1]} ({len(chosen)} of {len(everything)} versions)"
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]} to {run[-1]}" for run in ranges)


def listed(texts: Sequence[str], *, last: str = "and", most: int = 6) -> str:
    """Texts as a list in a sentence."""
    if len(texts) > most:
        return f"{', '.join(texts[: most - 1])} {last} {len(texts) - most + 1} more"
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} {last} {texts[-1]}"
