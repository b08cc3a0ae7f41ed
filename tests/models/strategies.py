"""Strategies that draw versions, version ranges and match specs, with what makes them hard drawn often."""

from __future__ import annotations

from hypothesis import strategies as st

from kaa.models.version import Version

NUMBERS = ["0", "1", "2", "9", "10", "08", "2147483647"]
WORDS = ["a", "b", "rc", "dev", "post", "ab", "alpha", "z"]
SEGMENTS = [
    *NUMBERS,
    *WORDS,
    *("0", "0", "1", "1"),
    *(number + word for number in ("0", "1", "10") for word in WORDS),
    *(number + word + "1" for number in ("", "0", "1") for word in WORDS),
    *("1a0", "a0", "0a0b", "1rc0.0", "1post0", "1dev00", "0post2a", "1a1b1"),
]
LOCALS = ["", "", "", "", "+1", "+0", "+0.0", "+a", "+dev", "+post", "+1.a", "+0.a", "+a.0.1", "+0.1"]


def versions() -> st.SearchStrategy[str]:
    """A valid version text, close to many others so that equal and nearly equal ones meet."""
    return st.builds(
        lambda epoch, segments, separator, tail, local: epoch + separator.join(segments) + tail + local,
        st.sampled_from(["", "", "", "", "0!", "1!"]),
        st.lists(st.sampled_from(SEGMENTS), min_size=1, max_size=4),
        st.sampled_from([".", ".", ".", "_"]),
        st.sampled_from(["", "", "", "", "", "_", "__", "._"]),
        st.sampled_from(LOCALS),
    )


def version_specs() -> st.SearchStrategy[str]:
    """A valid version range; some with globs or regular expressions, for which the text of versions counts."""
    return st.one_of(clauses(), st.recursive(clauses(), grouped_clauses, max_leaves=5))


def clauses() -> st.SearchStrategy[str]:
    return st.one_of(
        st.builds(
            "{}{}".format, st.sampled_from(["", "=", "==", "!=", "<", "<=", ">", ">=", ">=", "<", "~="]), versions()
        ),
        st.builds("{}{}{}".format, st.sampled_from(["", "=", "!="]), versions(), st.sampled_from([".*", "*"])),
        st.sampled_from(["*", "1.*.1", "*.0", r"^1\.[0-9]$", "^1|0$", "!=1.*.0"]),
    )


def grouped_clauses(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    def join(parts: list[str], separator: str, *, grouped: bool) -> str:
        return f"({separator.join(parts)})" if grouped else separator.join(parts)

    return st.builds(
        join,
        st.lists(inner, min_size=2, max_size=3),
        st.sampled_from([",", "|", " , ", " | "]),
        grouped=st.booleans(),
    )


def sorted_versions() -> st.SearchStrategy[list[Version]]:
    """Distinct versions in ascending order."""
    return st.lists(versions(), max_size=12).map(lambda texts: sorted({Version(text) for text in texts}))


NAMES = st.sampled_from(["numpy", "python", "_libgcc_mutex", "__glibc", "ruamel.yaml", "a", "x264", "numpy-base", "*"])
BUILDS = st.sampled_from(["0", "py27_0", "py3*_2", "*_cpython", "h1+cpu_0", "*", "^py3[0-9]+_(0|1)$"])
CHANNELS = st.sampled_from(
    [
        "conda-forge",
        "conda-forge/label/rc",
        "conda-forge/linux-64",
        "defaults/noarch",
        "https://repo.example.com:8080/ch",
        "https://user:word@repo.example.com/t/tk-12/ch/linux-64",
        "file:///srv/channel",
        "./local/channel",
        "conda-*",
        "*/linux-64",
        "*",
    ]
)


@st.composite
def match_specs(draw: st.DrawFn) -> str:
    """A spec that people could write, valid when read strictly but for clauses of ranges that raise doubts."""
    text = draw(NAMES)
    if draw(st.booleans()):
        text = f"{draw(CHANNELS)}::{text}"
    text += draw(st.one_of(st.just(""), positional_parts()))
    pairs = draw(st.lists(keyword_pairs(), max_size=4, unique_by=lambda pair: pair.partition("=")[0]))
    separator = draw(st.sampled_from([",", ", ", " "]))
    return text + (f"[{separator.join(pairs)}]" if pairs else "")


@st.composite
def positional_parts(draw: st.DrawFn) -> str:
    # Brackets in the expressions would be taken for those of the spec.
    version = draw(version_specs().filter(lambda text: "^" not in text))
    build = draw(st.sampled_from(["", "", "0", "py27_0", "py3*_2", "*_cpython", "*"]))
    if build:
        return f" {version} {build}"
    return draw(st.sampled_from([" ", " ", "=", "=="])) + version if version[:1].isdigit() else f" {version}"


def keyword_pairs() -> st.SearchStrategy[str]:
    return st.one_of(
        version_specs().map("version='{}'".format),
        BUILDS.map("build='{}'".format),
        st.sampled_from(["0", ">3", ">=3", "!=0", "1*"]).map("build_number='{}'".format),
        CHANNELS.map("channel='{}'".format),
        st.sampled_from(["linux-64", "noarch", "linux-*"]).map("subdir={}".format),
        st.just("md5=" + "0aF1" * 8),
        st.just("sha256='" + "0aF1" * 16 + "'"),
        st.sampled_from(["MIT", "*GPL*", "BSD-3-Clause AND MIT", "it's"]).map('license="{}"'.format),
        st.sampled_from(["mkl", "mkl debug", "debug,mkl"]).map("track_features='{}'".format),
        st.sampled_from(["doc", "[test, doc]", "['test']"]).map("extras={}".format),
        st.sampled_from(["cuda", "[cuda, 'blas:*']"]).map("flags={}".format),
        st.sampled_from(
            ["__unix", "python>=3.10 and __unix", "(a or b=1.*) and c", "a[version='>=1,<2', build=py*] or b"]
        ).map('when="{}"'.format),
        st.just("fn=numpy-1.0-0.conda"),
        st.just("url='https://user:word@example.com/t/tk-1/ch/linux-64/numpy-1.0-0.conda'"),
        st.just("namespace=ns"),
        st.just("license_family='^(MIT|BSD)\\\\w*$'"),
    )
