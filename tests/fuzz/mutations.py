"""Changing sound inputs: bytes flipped, taken out, doubled, and words put in that readers stumble over."""

from __future__ import annotations

from hypothesis import strategies as st

WORDS = (
    b"",
    b"\0",
    b"\xff",
    b"\n",
    b"\r\n",
    b"..",
    b"../",
    b"/",
    b"\\",
    b"//",
    b"-1",
    b"9" * 30,
    b"1e400",
    b"0x10",
    b"NaN",
    b"null",
    b"true",
    b"[]",
    b"{}",
    b"[" * 2000,
    b"(" * 2000,
    b'{"a":' * 2000,
    b'"',
    b"'",
    b"`",
    b"\x1b[2J",
    b"\xe2\x80\xae",
    b"\xed\xa0\x80",
    b"\\ud800",
    b"*",
    b"&a ",
    b"*a ",
    b"!!python/object:x ",
    b"<<: ",
    b"%",
    b"a" * 5000,
    b"|" * 300,
    b"," * 300,
    b"1." * 300,
    b"2024-99-99",
    b"\x7f\xff\xff\xff",
    b"\xff\xff\xff\xff\xff\xff\xff\xff",
    b"PK\x03\x04",
    b"PK\x05\x06",
    b"BZh9",
    b"\x28\xb5\x2f\xfd",
    b"ustar",
)

Edit = tuple[str, float, float, bytes]

edits: st.SearchStrategy[list[Edit]] = st.lists(
    st.tuples(
        st.sampled_from(["flip", "insert", "replace", "remove", "double", "move"]),
        st.floats(0, 1, exclude_max=True),
        st.floats(0, 1, exclude_max=True),
        st.one_of(st.sampled_from(WORDS), st.binary(min_size=1, max_size=8)),
    ),
    min_size=1,
    max_size=4,
)


def edited(data: bytes, changes: list[Edit]) -> bytes:
    """The data after some edits, each at a place that is a part of the whole."""
    for kind, first, second, word in changes:
        start = int(first * len(data))
        end = min(start + 1 + int(second * second * 64), len(data))
        piece = data[start:end]
        match kind:
            case "flip" if piece:
                data = data[:start] + bytes([piece[0] ^ 1 << int(second * 8)]) + data[start + 1 :]
            case "insert":
                data = data[:start] + word + data[start:]
            case "replace":
                data = data[:start] + word + data[end:]
            case "remove":
                data = data[:start] + data[end:]
            case "double":
                data = data[:end] + piece * 3 + data[end:]
            case "move":
                rest = data[:start] + data[end:]
                at = int(second * len(rest))
                data = rest[:at] + piece + rest[at:]
    return data
