"""Strategies that draw versions, version ranges and match specs, with what makes them hard drawn often."""

from __future__ import annotations

from hypothesis import strategies as st

NUMBERS = st.sampled_from(["0", "1", "2", "9", "10", "08", "2147483647"])
WORDS = st.sampled_from(["a", "b", "rc", "dev", "post", "ab", "alpha", "z"])


def segments() -> st.SearchStrategy[str]:
    """One segment: numbers and words in turn."""
    pairs = st.lists(st.tuples(WORDS, NUMBERS), max_size=2).map(lambda pairs: "".join(map("".join, pairs)))
    return st.one_of(
        NUMBERS,
        NUMBERS,
        st.builds("".join, st.tuples(NUMBERS, pairs)),
        st.builds("".join, st.tuples(st.sampled_from(["", "0", "1"]), pairs, WORDS)),
    )


def joined_segments(maximum: int) -> st.SearchStrategy[str]:
    return st.builds(
        lambda parts, separator: separator.join(parts),
        st.lists(segments(), min_size=1, max_size=maximum),
        st.sampled_from(["."] * 5 + ["_"]),
    )


@st.composite
def versions(draw: st.DrawFn) -> str:
    """A valid version text, close to many others so that equal and nearly equal ones meet."""
    epoch = draw(st.sampled_from(["", "", "", "", "0!", "1!"]))
    main = draw(joined_segments(4))
    tail = draw(st.sampled_from(["", "", "", "", "", "_", "__", "._"]))
    local = draw(st.one_of(st.just(""), st.just(""), joined_segments(2).map("+{}".format)))
    return epoch + main + tail + local
