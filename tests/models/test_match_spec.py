"""Match specs: every known oddity of their syntax, their canonical text, and what they match (CEP 29, 43, 44, 45)."""

from __future__ import annotations

import copy
import pickle
import random
import re
from collections import defaultdict

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kaa
from kaa.errors import KaaError
from kaa.models.channel import UrlCredential
from kaa.models.match_spec import ChannelText, InvalidMatchSpec, MatchSpec, channel_matches
from kaa.models.match_spec_syntax import name_of
from kaa.models.record import PackageRecord, RepoDataRecord
from tests.models.slice import slice_dependencies, slice_records
from tests.models.strategies import match_specs

MD5 = "0123456789abcdef0123456789abcdef"
SHA256 = MD5 * 2
URL = "https://conda.anaconda.org/conda-forge/linux-64/numpy-1.8-py27_0.conda"

REFUSED = None
SAME = "as when read strictly"

ROWS: list[tuple[int, str, str | None, str | None]] = [
    # row, text, canonical text when read strictly, and leniently; None: refused
    (1, "numpy", "numpy", "numpy"),
    (2, "NumPy", "numpy", "numpy"),
    (3, "numpy=", REFUSED, "numpy"),
    (4, "numpy=1.8", "numpy=1.8", "numpy=1.8"),
    (5, "numpy 1.8", "numpy==1.8", "numpy==1.8"),
    (6, "numpy 1.8*", "numpy=1.8", "numpy=1.8"),
    (7, "numpy==1.8.*", "numpy=1.8", "numpy=1.8"),
    (8, "numpy 1.8 py27_0", "numpy==1.8=py27_0", "numpy==1.8=py27_0"),
    (9, "numpy=1.8=py27_0", "numpy==1.8=py27_0", "numpy==1.8=py27_0"),
    (10, "numpy =1.8 py27_0", REFUSED, "numpy==1.8=py27_0"),
    (11, "numpy=1.8.*=py3*_2", "numpy=1.8[build=py3*_2]", "numpy=1.8[build=py3*_2]"),
    (12, "numpy=*=*py27*", "numpy[build=*py27*]", "numpy[build=*py27*]"),
    (13, "numpy 1.8 *", "numpy==1.8[build=*]", "numpy==1.8[build=*]"),
    (14, "numpy * *py27*", "numpy[build=*py27*]", "numpy[build=*py27*]"),
    (15, "numpy >=1.8 , < 2 py27_0", "numpy[version='>=1.8,<2',build=py27_0]", SAME),
    (16, "numpy>=1.8,<2=py27_0", "numpy[version='>=1.8,<2',build=py27_0]", SAME),
    (17, "numpy>1.8,<2|==1.7", "numpy[version='>1.8,<2|==1.7']", SAME),
    (18, "numpy!=1.8", "numpy!=1.8", "numpy!=1.8"),
    (19, "numpy!=1.8=py27_0", "numpy[version='!=1.8',build=py27_0]", SAME),
    (20, "numpy~=1.8.1", "numpy~=1.8.1", "numpy~=1.8.1"),
    (21, 'numpy[version="=1.8"]', "numpy=1.8", "numpy=1.8"),
    (22, "numpy[version=>=1.8,<2]", REFUSED, REFUSED),
    (23, "conda-forge::numpy", "conda-forge::numpy", SAME),
    (24, "conda-forge/linux-64::numpy", "conda-forge/linux-64::numpy", SAME),
    (25, "conda-forge/label/rc::numpy", "conda-forge/label/rc::numpy", SAME),
    (26, "conda-forge:ns:numpy", "conda-forge::numpy", SAME),
    (27, "ns:numpy", "numpy", "numpy"),
    (28, "::numpy", "numpy", "numpy"),
    (29, "*/linux-64::numpy", "numpy[subdir=linux-64]", SAME),
    (30, "conda-*::numpy", "numpy[channel=conda-*]", SAME),
    (31, "https://conda.anaconda.org/conda-forge::numpy", "https://conda.anaconda.org/conda-forge::numpy", SAME),
    (
        32,
        "https://repo.example.com:8080/ch/noarch::numpy>=1",
        "https://repo.example.com:8080/ch/noarch::numpy[version='>=1']",
        SAME,
    ),
    (33, "https://repo.example.com/t/tk-123/ch::numpy", "https://repo.example.com/ch::numpy", SAME),
    (34, "./ch::numpy", "./ch::numpy", SAME),
    (35, "defaults::numpy[channel=conda-forge]", "conda-forge::numpy", SAME),
    (36, "conda-forge/linux-64::numpy[subdir=osx-64]", "conda-forge/osx-64::numpy", SAME),
    (37, "numpy[channel=conda-forge/linux-64]", "conda-forge/linux-64::numpy", SAME),
    (38, "numpy=1.8=py27_0[build=py36_0]", "numpy==1.8=py36_0", SAME),
    (39, "numpy 1.7[version=1.8]", "numpy==1.8", SAME),
    (40, "numpy[name=scipy]", REFUSED, "numpy"),
    (41, f"*[md5={MD5}]", f"*[md5={MD5}]", SAME),
    (42, URL, URL, URL),
    (43, "https://x.org/files/numpy-1.8-py27_0.conda", "https://x.org/files/numpy-1.8-py27_0.conda", SAME),
    (44, "numpy[build_number='>3']", "numpy[build_number=>3]", SAME),
    (45, 'numpy[build_number=">=3,<5"]', REFUSED, REFUSED),
    (46, "numpy[license='*GPL*']", "numpy[license=*gpl*]", SAME),
    (47, "numpy[foo=bar]", REFUSED, REFUSED),
    (47, "numpy[size=3]", REFUSED, REFUSED),
    (48, "numpy # text", "numpy", "numpy"),
    (49, "foo if python>=3", REFUSED, REFUSED),
    (50, "foo; if python", REFUSED, REFUSED),
    (
        51,
        'foo[when="python>=3.10 and __unix"]',
        "foo[when=\"python[version='>=3.10'] and __unix\"]",
        SAME,
    ),
    (52, "foo[when=\"a[when='b']\"]", REFUSED, REFUSED),
    (53, 'foo[when="(a or b) and c"]', "foo[when='(a or b) and c']", SAME),
    (54, "foo[extras=[test,doc]]", "foo[extras=['doc','test']]", SAME),
    (55, "foo[extras=Test]", REFUSED, REFUSED),
    (55, "foo[flags=CUDA]", REFUSED, REFUSED),
    (
        56,
        'pytorch[version=">=3.1", flags=["cuda","blas:*"]]',
        "pytorch[version='>=3.1',flags=['blas:*','cuda']]",
        SAME,
    ),
    (57, "foo[test]", REFUSED, REFUSED),
    (58, "foo[a=1][b=2]", REFUSED, REFUSED),
    (58, "foo[version=1][build=2]", REFUSED, REFUSED),
    (58, "foo[version=1", REFUSED, REFUSED),
    (59, "pip[]", REFUSED, "pip"),
    (60, "__glibc>=2.17", "__glibc[version='>=2.17']", SAME),
    (61, "__archspec 1 x86_64_v3", "__archspec==1=x86_64_v3", SAME),
    (62, "blas *.* mkl", "blas[version=*.*,build=mkl]", SAME),
    (63, "python ==2.7.*.*|>=3.6", REFUSED, "python[version='=2.7|>=3.6']"),
    (64, "foo (>=1,<2)|>3", "foo[version='>=1,<2|>3']", SAME),
    (65, "foo >=1.0 (a|b)", REFUSED, REFUSED),
    (66, "foo 1.2.3 py310|*gpu*", REFUSED, REFUSED),
    (67, "x264 >=1!164.3095,<1!165", "x264[version='>=1!164.3095,<1!165']", SAME),
    (68, "libfoo 1.0+cpu", "libfoo==1.0+cpu", SAME),
    (69, "foo 1.0-1", "foo==1.0-1", SAME),
    (70, "openssl>=1.1.1_,!=1.1.1c", "openssl[version='>=1.1.1_,!=1.1.1c']", SAME),
    (71, "numpy 1.8 py27_0 extra", REFUSED, REFUSED),
    (72, "mkl@", REFUSED, "*[track_features=mkl]"),
    # The table of `=` signs.
    (101, "n =1.8", "n=1.8", "n=1.8"),
    (101, "n 1.8.*", "n=1.8", "n=1.8"),
    (101, "n=1.8.*", "n=1.8", "n=1.8"),
    (101, "n[version=1.8.*]", "n=1.8", "n=1.8"),
    (101, "n=1.8.*=*", "n=1.8[build=*]", SAME),
    (101, "n =1.8.* *", "n=1.8[build=*]", SAME),
    (101, "n ==1.8.* *", "n=1.8[build=*]", SAME),
    (102, "n==1.8", "n==1.8", "n==1.8"),
    (102, "n ==1.8", "n==1.8", "n==1.8"),
    (102, "n[version=1.8]", "n==1.8", "n==1.8"),
    (102, "n=1.8=*", "n==1.8[build=*]", SAME),
    (102, "n==1.8=*", "n==1.8[build=*]", SAME),
    (102, "n ==1.8 *", "n==1.8[build=*]", SAME),
    (103, "n==1.8=b", "n==1.8=b", "n==1.8=b"),
    (103, "n ==1.8 b", "n==1.8=b", "n==1.8=b"),
    (103, "n 1.8=b", "n==1.8=b", "n==1.8=b"),
    (103, "n = 1.8 = b", "n==1.8=b", "n==1.8=b"),
    # What real dependencies look like.
    (110, "  foo  ", "foo", "foo"),
    (110, "foo   3.11.0   2*_mkl", "foo==3.11.0[build=2*_mkl]", SAME),
    (110, "__cuda  >= 11.0", "__cuda[version='>=11.0']", SAME),
    (110, "foo  >  1.0", "foo[version='>1.0']", SAME),
    (110, "imath<3.2.0a0", "imath[version='<3.2.0a0']", SAME),
    (110, "apache-arrow-proc =*=cpu", "apache-arrow-proc[build=cpu]", SAME),
    (110, "openmp 17.0.4|17.0.4.*", "openmp[version='==17.0.4|=17.0.4']", SAME),
    (110, "python ==2.7.*|>=3.7", REFUSED, "python[version='==2.7|>=3.7']"),
    (110, "python >=3.10.*", REFUSED, "python[version='>=3.10']"),
    (110, "paraview ==9999999999", REFUSED, "paraview==9999999999"),
    (110, "astroid >=3.3.8,<3.4.0-dev0", "astroid[version='>=3.3.8,<3.4.0-dev0']", SAME),
    (110, "a..b >=1", REFUSED, "a..b[version='>=1']"),
    (110, "__a__b", REFUSED, "__a__b"),
    (110, "foo[version='>=1'](optional=True)", REFUSED, "foo[version='>=1']"),
    (110, "@mkl", REFUSED, "*[track_features=mkl]"),
    # Globs and regular expressions.
    (120, "*", "*", "*"),
    (120, "py*", "py*", "py*"),
    (120, "numpy[build='^py3[0-9]_(0|1)$']", "numpy[build='^py3[0-9]_(0|1)$']", SAME),
    (120, r"numpy[build='^py\d+$']", r"numpy[build='^py\\d+$']", SAME),
    (120, "numpy[version='^1\\.(8|9)$']", r"numpy[version='^1\\.(8|9)$']", SAME),
    (120, "numpy[build='^(?=a)$']", REFUSED, REFUSED),
    (120, "numpy[version='^(?=a)$']", REFUSED, REFUSED),
    (120, "numpy[build_number='^($']", REFUSED, REFUSED),
    # Addresses of packages.
    (130, f"{URL}#{MD5}", f"{URL}[md5={MD5}]", SAME),
    (130, f"{URL}#sha256:{SHA256}", f"{URL}[sha256={SHA256}]", SAME),
    (130, f"{URL}#{SHA256.upper()}", f"{URL}[sha256={SHA256}]", SAME),
    (130, f"{URL}[md5={MD5}]", f"{URL}[md5={MD5}]", SAME),
    (130, f"{URL} [md5={MD5}]", f"{URL}[md5={MD5}]", SAME),
    (130, f"{URL}[build=other]", f"{URL}[build=other]", SAME),
    (130, f"{URL}#123", REFUSED, REFUSED),
    (130, "/srv/my files/numpy-1.8-py27_0.conda", "/srv/my files/numpy-1.8-py27_0.conda", SAME),
    (130, "./numpy-1.8-py27_0.tar.bz2", "./numpy-1.8-py27_0.tar.bz2", SAME),
    (130, "numpy-1.8-py27_0.tar.bz2", "numpy-1.8-py27_0.tar.bz2", SAME),
    (130, r"C:\files\numpy-1.8-py27_0.conda", r"C:\files\numpy-1.8-py27_0.conda", SAME),
    (130, "https://x.org/six-1.17.0-py3-none-any.whl", "https://x.org/six-1.17.0-py3-none-any.whl", SAME),
    (
        130,
        "conda-forge::numpy-1.8-py27_0.conda",
        "conda-forge::numpy==1.8=py27_0[fn=numpy-1.8-py27_0.conda]",
        SAME,
    ),
    (130, "https://x.org/numpy.conda", REFUSED, REFUSED),
    (130, f"*[url='{URL}']", f"*[url={URL}]", SAME),
    (130, "*[url='not an address']", "*[url='not an address']", SAME),
    (130, "numpy 1.conda", "numpy==1.conda", SAME),
    (130, "https://repo.example.com/ch:ns:numpy", "https://repo.example.com/ch::numpy", SAME),
    # Refused by both.
    (140, "", REFUSED, REFUSED),
    (140, "   ", REFUSED, REFUSED),
    (140, "# text", REFUSED, REFUSED),
    (140, ">=1.0", REFUSED, REFUSED),
    (140, "conda-forge::", REFUSED, REFUSED),
    (140, "[version=1]", REFUSED, REFUSED),
    (140, "numpy]", REFUSED, REFUSED),
    (140, "numpy[version=1] extra", REFUSED, REFUSED),
    (140, "numpy[version=1,version=2]", REFUSED, REFUSED),
    (140, "numpy[version=]", REFUSED, REFUSED),
    (140, "numpy[version='']", REFUSED, REFUSED),
    (140, "numpy[=1]", REFUSED, REFUSED),
    (140, "numpy[ , build=1]", REFUSED, REFUSED),
    (140, "numpy[version=,build=1]", REFUSED, REFUSED),
    (140, "numpy.conda", REFUSED, REFUSED),
    (140, "numpy.conda >=1", REFUSED, REFUSED),
    (140, "con da::numpy", REFUSED, REFUSED),
    (140, "numpy[version=1,]", REFUSED, REFUSED),
    (140, "numpy[version='1]", REFUSED, REFUSED),
    (140, "numpy[version='1'build=2]", REFUSED, REFUSED),
    (140, "numpy[md5=1234]", REFUSED, REFUSED),
    (140, f"numpy[sha256={MD5}]", REFUSED, REFUSED),
    (140, "numpy[extras=[a,,b]]", REFUSED, REFUSED),
    (140, "numpy[extras='[a']", REFUSED, REFUSED),
    (140, "numpy[Version=1]", REFUSED, REFUSED),
    (140, "numpy[build-number=1]", REFUSED, REFUSED),
    (140, "numpy|scipy", REFUSED, REFUSED),
    (140, "numpy,scipy", REFUSED, REFUSED),
    (140, "numpy)", REFUSED, REFUSED),
    (140, "numpy=1.8=py 27", REFUSED, REFUSED),
    (140, "numpy 1.8 py27_é", REFUSED, REFUSED),
    (140, "num@py", REFUSED, REFUSED),
    (140, "@mkl@", REFUSED, REFUSED),
    (140, "mkl@ 1.0", REFUSED, REFUSED),
    (140, "né*", REFUSED, REFUSED),
    (140, "numpy===1.8", REFUSED, REFUSED),
    (140, "numpy=>1.8", REFUSED, REFUSED),
    (140, "numpy==", REFUSED, REFUSED),
    (140, "https://repo.example.com/ch:numpy", REFUSED, REFUSED),
    (140, "channel[linux-64]::numpy", REFUSED, REFUSED),
    # Unquoted values: conda takes a sign in them.
    (150, "numpy[version=>=1.8]", REFUSED, "numpy[version='>=1.8']"),
    (150, "numpy[when=__unix]", REFUSED, "numpy[when='__unix']"),
    (150, "numpy[ version = '1.8' , build=0 ]", "numpy==1.8=0", SAME),
    (150, "numpy[version='1.8' build=0]", "numpy==1.8=0", SAME),
    (150, "numpy[namespace=x]", "numpy", "numpy"),
    (150, "numpy[name=numpy]", "numpy", "numpy"),
    (150, 'numpy[license="it\'s"]', 'numpy[license="it\'s"]', SAME),
    (150, r"""numpy[license='a\'b"c']""", r"""numpy[license='a\'b"c']""", SAME),
    (150, "numpy[track_features='mkl debug, mkl']", "numpy[track_features='debug mkl']", SAME),
    (150, "./ch::numpy # comment", "./ch::numpy", SAME),
]


@pytest.mark.parametrize(("row", "text", "strict", "lenient"), ROWS)
def test_rows(row: int, text: str, strict: str | None, lenient: str | None) -> None:
    for canonical, read_leniently in ((strict, False), (strict if lenient is SAME else lenient, True)):
        if canonical is None:
            with pytest.raises(InvalidMatchSpec) as caught:
                MatchSpec.parse(text, lenient=read_leniently)
            assert 0 <= caught.value.position <= len(text)
            continue
        spec = MatchSpec.parse(text, lenient=read_leniently)
        assert str(spec) == canonical
        assert MatchSpec.parse(canonical, lenient=read_leniently) == spec


def test_every_row_of_the_table_is_here() -> None:
    assert {row for row, *_ in ROWS} >= set(range(1, 73))


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        (
            "conda-forge/linux-64::numpy 1.8 py27_0",
            {"channel": "conda-forge", "subdir": "linux-64", "name": "numpy", "version": "==1.8", "build": "py27_0"},
        ),
        (
            URL,
            {
                "channel": "https://conda.anaconda.org/conda-forge",
                "subdir": "linux-64",
                "name": "numpy",
                "version": "==1.8",
                "build": "py27_0",
                "fn": "numpy-1.8-py27_0.conda",
                "url": URL,
            },
        ),
        (
            "https://x.org/ch/noarch/x264-1%21164.3095-h166bdaf_2.tar.bz2",
            {
                "channel": "https://x.org/ch",
                "subdir": "noarch",
                "name": "x264",
                "version": "==1!164.3095",
                "build": "h166bdaf_2",
                "fn": "x264-1!164.3095-h166bdaf_2.tar.bz2",
                "url": "https://x.org/ch/noarch/x264-1%21164.3095-h166bdaf_2.tar.bz2",
            },
        ),
        (
            "file:///d/Ruamel.yaml_clib-0.2-cp311-cp311-linux_x86_64.whl",
            {
                "name": "ruamel-yaml-clib",
                "fn": "ruamel.yaml_clib-0.2-cp311-cp311-linux_x86_64.whl",
                "url": "file:///d/Ruamel.yaml_clib-0.2-cp311-cp311-linux_x86_64.whl",
            },
        ),
        ("py*", {"name_glob": "py*"}),
        ("*", {}),
        ("a[flags=[b,a], extras=x]", {"name": "a", "flags": ("a", "b"), "extras": ("x",)}),
    ],
)
def test_fields(text: str, fields: dict[str, object]) -> None:
    spec = MatchSpec.parse(text)
    given_fields = {
        name: value if isinstance(value, tuple) else str(value)
        for name in spec.__struct_fields__
        if name != "credentials" and (value := getattr(spec, name)) not in (None, ())
    }
    assert given_fields == fields


@pytest.mark.parametrize(
    ("text", "drawing"),
    [
        (
            "numpy >=1.8 , < 1..9 py27_0",
            "invalid spec: a part of the version is empty here\n  numpy >=1.8 , < 1..9 py27_0\n                    ^",
        ),
        (
            "numpy >=1.8.*",
            "invalid spec: the '.*' after '>=' has no meaning\n  numpy >=1.8.*\n        ^\n  try: write >=1.8",
        ),
        (
            "numpy =1.8 py27_0",
            "invalid spec: it is not clear whether this version is exact\n"
            "  numpy =1.8 py27_0\n"
            "        ^\n"
            "  try: write ==1.8=py27_0 for exactly this version\n"
            "  try: write 1.8.* py27_0 for all versions that begin so",
        ),
        (
            "conda-forge::Num!py",
            "invalid spec: '!' is not an operator\n  conda-forge::Num!py\n                  ^",
        ),
        (
            "foo[when='a and b>=1..0']",
            "invalid spec: a part of the version is empty here\n  foo[when='a and b>=1..0']\n                       ^",
        ),
        (
            "foo if python>=3",
            "invalid spec: 'if' is no part of a spec\n"
            "  foo if python>=3\n"
            "      ^\n"
            "  try: write a condition as name[when='…']",
        ),
        (
            "https://x.org/ch/linux-64/numpy-1..8-0.conda",
            "invalid spec: no package file has this name: a part of the version is empty here\n"
            "  https://x.org/ch/linux-64/numpy-1..8-0.conda\n"
            "                                    ^",
        ),
        (
            "numpy[build-number=3]",
            "invalid spec: key=value is expected here\n"
            "  numpy[build-number=3]\n"
            "        ^\n"
            "  try: put a value in quotes if it holds a space, a comma, '=', '[' or ']'",
        ),
        (
            "numpy[buildNumber=3]",
            "invalid spec: 'buildNumber' is not a field of a spec\n"
            "  numpy[buildNumber=3]\n"
            "        ^\n"
            "  try: write build_number",
        ),
    ],
)
def test_errors_draw_the_place(text: str, drawing: str) -> None:
    with pytest.raises(InvalidMatchSpec) as caught:
        MatchSpec.parse(text)
    assert str(caught.value) == drawing
    assert isinstance(caught.value, KaaError)
    assert isinstance(caught.value, ValueError)
    assert caught.value.conda_name == "InvalidMatchSpec"


SECRETS = [
    "https://user:hunter2@x.org/ch/linux-64/numpy-1.8-0.conda",
    "https://x.org/t/hunter2/ch/linux-64/numpy-1.8-0.conda",
    "https://user:hunter2@x.org/t/hunter2/ch::numpy",
    "https://x.org/t/hunter2/t/hunter2/ch::numpy",
    "numpy[channel='https://user:hunter2@x.org/ch']",
    "numpy[url='https://x.org/t/hunter2/ch/linux-64/numpy-1.8-0.conda']",
    "https://hunter2@x.org/ch/noarch::numpy>=1",
]


@pytest.mark.parametrize("text", SECRETS)
def test_credentials_are_kept_but_never_shown(text: str) -> None:
    spec = MatchSpec.parse(text)
    for shown in (str(spec), repr(spec), str(msgspec.structs.asdict(spec)), spec.bracket_text()):
        assert "hunter2" not in shown
    assert MatchSpec.parse(str(spec)) == spec
    found = spec.credentials.channel or spec.credentials.url
    assert isinstance(found, UrlCredential)
    assert "hunter2" in {found.token, found.password, found.user}


@pytest.mark.parametrize(
    "text",
    [
        "https://user:hunter2@x.org/ch::numpy >=1..0",
        "https://x.org/t/hunter2/ch::numpy[foo=1]",
        "https://user:hunter2@x.org/ch:numpy",
        "https://user:/hunter2@x.org/ch:numpy",
        "https://x.org/t/hunter2/ch/linux-64/numpy.conda",
        "https://x.org/t/hunter2/ch/linux-64/numpy-1.0-0.conda#hash",
        "numpy[url=https://user:hunter2@x.org/a?b=c]",
        "numpy[when='https://user:hunter2@x.org::a']",
        "numpy[extras='https://user:hunter2@x.org']",
        "numpy[license='^https://user:hunter2@x.org($']",
    ],
)
def test_credentials_never_show_in_errors(text: str) -> None:
    for lenient in (False, True):
        try:
            MatchSpec.parse(text, lenient=lenient)
        except InvalidMatchSpec as error:
            assert "hunter2" not in str(error)
            assert "hunter2" not in str(error.fields())
            assert len(error.text) == len(text)
            assert error.__cause__ is None
        else:
            assert lenient


@given(match_specs())
def test_the_canonical_text_parses_to_an_equal_spec(text: str) -> None:
    spec = MatchSpec.parse(text, lenient=True)
    assert MatchSpec.parse(str(spec), lenient=True) == spec
    assert str(MatchSpec.parse(str(spec), lenient=True)) == str(spec)
    assert hash(MatchSpec.parse(str(spec), lenient=True)) == hash(spec)
    assert "word" not in str(spec)


@given(match_specs())
def test_what_is_read_strictly_is_read_leniently_alike(text: str) -> None:
    try:
        spec = MatchSpec.parse(text)
    except InvalidMatchSpec:
        return
    assert MatchSpec.parse(text, lenient=True) == spec
    assert MatchSpec.parse(str(spec)) == spec
    assert name_of(text) == (spec.name or "*")


@settings(max_examples=500)
@given(st.text(alphabet="ab1.*-_ =<>!~,|()[]'\":/#;@^$\\v", max_size=40), st.booleans())
def test_any_text_is_a_spec_or_refused_within_it(text: str, lenient: bool) -> None:
    try:
        spec = MatchSpec.parse(text, lenient=lenient)
    except InvalidMatchSpec as error:
        assert 0 <= error.position <= len(text)
    else:
        assert MatchSpec.parse(str(spec), lenient=lenient) == spec


@given(
    st.lists(
        st.sampled_from(
            [
                "a",
                "numpy",
                "::",
                ":",
                "conda-forge",
                "/linux-64",
                " ",
                "=",
                "==",
                ">=",
                "1.0",
                ".*",
                "*",
                ",",
                "|",
                "b_0",
            ]
            + ["[", "]", "version=", "'", '"', "https://x.org/ch", "/t/t1", "a-1-0.conda", "#", "if", "(", ")", "@"]
        ),
        max_size=9,
    ).map("".join),
    st.booleans(),
)
@settings(max_examples=500)
def test_any_mixture_of_parts(text: str, lenient: bool) -> None:
    try:
        spec = MatchSpec.parse(text, lenient=lenient)
    except InvalidMatchSpec as error:
        assert 0 <= error.position <= len(text)
    else:
        assert MatchSpec.parse(str(spec), lenient=lenient) == spec
        assert name_of(text) in (spec.name, "*") or spec.name_glob is not None or "@" in text


@pytest.mark.parametrize(
    "text",
    [
        "[" * 20000,
        "a[" * 5000,
        "a" + "[when='" * 3000,
        "a" * 100000,
        "a " * 30000 + ",",
        "a" + " " * 60000 + ",",
        "a[version='" + "(" * 20000,
        "'" * 20001,
        "a[build='^" + "(a+)+" * 10 + "$']",
        "a::" * 20000,
        "https://" + "@" * 20000 + "::a",
        "/t/" * 5000 + "://::a",
        "a 1" + ",>=1" * 10000,
    ],
)
def test_long_texts_end(text: str) -> None:
    for lenient in (False, True):
        try:
            assert MatchSpec.parse(text, lenient=lenient)
        except InvalidMatchSpec as error:
            assert error.reason


RECORD = RepoDataRecord(
    name="numpy",
    version="1.26.4",
    build="Py312_blas_0",
    build_number=3,
    subdir="linux-64",
    license="BSD-3-Clause",
    license_family="BSD",
    track_features="mkl debug",
    features="blas",
    md5=MD5.upper(),
    sha256=SHA256,
    flags=("cuda", "blas:openblas"),
    channel="https://conda.anaconda.org/conda-forge",
    fn="numpy-1.26.4-Py312_blas_0.conda",
    url="https://conda.anaconda.org/conda-forge/linux-64/numpy-1.26.4-Py312_blas_0.conda",
)

MATCHING = [
    "numpy",
    "NumPy",
    "*",
    "num*",
    "numpy 1.26.*",
    "numpy >=1.26,<2 py312*",
    "numpy 1.26.4 PY312_blas_0",
    "numpy[build='^py3[0-9]+_.*$']",
    "numpy[build_number='>=3']",
    "numpy[build_number=3]",
    "conda-forge::numpy",
    "conda-forge/linux-64::numpy",
    "https://conda.anaconda.org/conda-forge/::numpy",
    "conda-*::numpy",
    "numpy[channel='*anaconda.org*']",
    "numpy[subdir=linux-*]",
    "numpy[license=bsd*]",
    "numpy[license_family=bsd]",
    "numpy[track_features='debug, mkl']",
    "numpy[features=blas]",
    f"numpy[md5={MD5}]",
    f"*[sha256={SHA256.upper()}]",
    "numpy[fn=numpy-1.26.4-py312_blas_0.conda]",
    RECORD.url,
    f"*[url='{RECORD.url}']",
    "numpy[flags=[cuda]]",
    "numpy[flags=['blas:*', 'cu*']]",
    "numpy[extras=[nothing]]",
    "numpy[when='__win']",
]

OTHERS = [
    "scipy",
    "nump",
    "scipy*",
    "numpy 1.26",
    "numpy <1.26",
    "numpy 1.26.4 py311*",
    "numpy[build_number='<3']",
    "defaults::numpy",
    "forge::numpy",
    "https://other.org/conda-forge::numpy",
    "conda-forge/osx-64::numpy",
    "conda-?::numpy",
    "x-*::numpy",
    "numpy[license=mit]",
    "numpy[license_family=gpl]",
    "numpy[features=other]",
    "numpy[track_features=mkl]",
    f"numpy[md5={'0' * 32}]",
    f"numpy[sha256={'0' * 64}]",
    "numpy[fn=numpy-1.26.4-0.conda]",
    URL,
    "*[url='https://conda.anaconda.org/conda-forge']",
    "numpy[flags=[cuda, rocm]]",
    "numpy[flags='blas:mkl']",
]


@pytest.mark.parametrize("text", MATCHING)
def test_matching(text: str) -> None:
    assert MatchSpec.parse(text).matches(RECORD)


@pytest.mark.parametrize("text", OTHERS)
def test_not_matching(text: str) -> None:
    assert not MatchSpec.parse(text).matches(RECORD)


def test_a_record_that_says_less() -> None:
    bare = PackageRecord(name="numpy", version="1.0", build="0")
    assert MatchSpec.parse("conda-forge::numpy").matches(bare)
    assert MatchSpec.parse(URL).matches(PackageRecord(name="numpy", version="1.8", build="py27_0", subdir="linux-64"))
    for text in (f"numpy[md5={MD5}]", "numpy[license=MIT]", "numpy[features=x]", "numpy[track_features=mkl]"):
        assert not MatchSpec.parse(text).matches(bare)
    assert not MatchSpec.parse("conda-forge::numpy").matches(RepoDataRecord(name="numpy", version="1.0", build="0"))


def test_a_record_whose_version_is_none() -> None:
    broken = PackageRecord(name="numpy", version="1..0", build="0")
    assert MatchSpec.parse("numpy").matches(broken)
    assert not MatchSpec.parse("numpy>=0").matches(broken)


def test_names_are_compared_without_case() -> None:
    assert MatchSpec.parse("numpy").matches(PackageRecord(name="NumPy", version="1", build="0"))


@pytest.mark.parametrize(
    ("wanted", "base_url", "expected"),
    [
        ("conda-forge", "https://conda.anaconda.org/conda-forge", True),
        ("Conda-Forge", "https://conda.anaconda.org/conda-forge", True),
        ("conda-forge", "https://conda.anaconda.org/conda-forge/label/rc", False),
        ("conda-forge/label/rc", "https://conda.anaconda.org/conda-forge/label/rc", True),
        ("distr", "file:///x/distr", True),
        ("./distr", "file:///x/distr", True),
        ("str", "file:///x/distr", False),
        ("https://conda.anaconda.org/conda-forge", "https://conda.anaconda.org/conda-forge/", True),
        ("https://x.org/conda-forge", "https://conda.anaconda.org/conda-forge", False),
        ("*", "https://x.org/y", True),
        ("^.*org/y$", "https://x.org/y", True),
    ],
)
def test_channels(wanted: str, base_url: str, expected: bool) -> None:
    assert channel_matches(wanted, base_url) == expected


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("python", "python"),
        ("python >=3.10,<3.11.0a0 *_cpython", "python"),
        ("imath<3.2.0a0", "imath"),
        ("Python>=3", "python"),
        ("foo[version='>=1']", "foo"),
        ("a-b_c.d=1", "a-b_c.d"),
        ("  foo 1", "foo"),
        ("conda-forge::NumPy[version='>=1']", "numpy"),
        ("https://x.org:80/ch/linux-64::numpy>=1", "numpy"),
        (URL, "numpy"),
        (f"{URL}#{MD5}", "numpy"),
        ("https://x.org/Six_X-1.17.0-py3-none-any.whl", "six-x"),
        ("conda-forge::numpy-base-1.8-py27_0.conda", "numpy-base"),
        ("*", "*"),
        ("*[md5=x]", "*"),
        ("", "*"),
    ],
)
def test_names(text: str, name: str) -> None:
    assert name_of(text) == name


@pytest.mark.parametrize(
    ("text", "bracketed"),
    [
        ("numpy", "numpy"),
        ("numpy 1.8 py27_0", "numpy[version='==1.8',build=py27_0]"),
        ("numpy=1.8", "numpy[version='=1.8']"),
        ("conda-forge/noarch::numpy>=1", "numpy[channel=conda-forge,subdir=noarch,version='>=1']"),
    ],
)
def test_text_with_all_in_brackets(text: str, bracketed: str) -> None:
    spec = MatchSpec.parse(text)
    assert spec.bracket_text() == bracketed
    assert MatchSpec.parse(bracketed) == spec


def test_values() -> None:
    spec = MatchSpec.parse("numpy >=1.8 py*")
    assert repr(spec) == "MatchSpec(\"numpy[version='>=1.8',build=py*]\")"
    assert len({spec, MatchSpec.parse("numpy>=1.8=py*"), MatchSpec.parse("numpy")}) == 2
    assert copy.deepcopy(spec) == spec == pickle.loads(pickle.dumps(spec))
    assert msgspec.structs.replace(spec, build=None) == MatchSpec.parse("numpy>=1.8")
    assert spec.is_simple
    assert not MatchSpec.parse("numpy[md5=" + MD5 + "]").is_simple
    with pytest.raises(AttributeError):
        spec.name = "other"  # type: ignore[misc]
    assert kaa.MatchSpec is MatchSpec
    assert kaa.InvalidMatchSpec is InvalidMatchSpec


def test_every_real_dependency_parses_and_comes_back() -> None:
    for text in slice_dependencies():
        spec = MatchSpec.parse(text, lenient=True)
        assert spec.name == name_of(text)
        assert MatchSpec.parse(str(spec), lenient=True) == spec
        try:
            strict = MatchSpec.parse(text)
        except InvalidMatchSpec as error:
            assert re.search(r"has no meaning|at most", error.reason)
        else:
            assert strict == spec


class Both:
    """One package as a record of kaa's and of py-rattler's."""

    def __init__(self, name: str, version: str, build: str, number: int) -> None:
        rattler = pytest.importorskip("rattler")
        self.ours = PackageRecord(name=name, version=version, build=build, build_number=number)
        self.theirs = rattler.PackageRecord(
            rattler.PackageName(name),
            rattler.VersionWithSource(version),
            rattler.BuildString(build),
            number,
            "linux-64",
            None,
            None,
        )


@pytest.mark.peers
def test_real_dependencies_match_what_the_peer_matches() -> None:
    """Every dependency string of three platforms with every record of the name that it asks for."""
    rattler = pytest.importorskip("rattler")
    records: defaultdict[str, dict[tuple[str, str], Both]] = defaultdict(dict)
    for record in slice_records():
        name, version, build = record["name"], record["version"], record["build"]
        if (version, build) not in records[name]:
            records[name][version, build] = Both(name, version, build, record["build_number"])
    compared = 0
    for text in sorted(slice_dependencies()):
        spec = MatchSpec.parse(text, lenient=True)
        theirs = rattler.MatchSpec(text)
        members = records[spec.name or ""]
        compared += len(members)
        different = [key for key, both in members.items() if spec.matches(both.ours) != theirs.matches(both.theirs)]
        assert not different, text
    assert compared > 1_000_000


@pytest.mark.peers
def test_real_ranges_match_foreign_versions_as_those_of_the_peer() -> None:
    """Every range and build of a dependency string with versions and builds of other names."""
    rattler = pytest.importorskip("rattler")
    choose = random.Random(29)
    found = sorted({(record["version"], record["build"], record["build_number"]) for record in slice_records()})
    odd = ("1.0.0a1", "2.0.dev3", "1!1.0", "1.0+local.1", "1.0.post2", "1.0-1", "1_0", "0.0.0rc1", "1.1.1w", "9e")
    foreign = [*choose.sample(found, 30), *((version, "py312h0_7", 7) for version in odd)]
    packages = [Both("x", *triple) for triple in foreign]
    ranges = {text.partition(" ")[2].strip() for text in slice_dependencies()}
    for text in sorted(f"x {rest}" for rest in ranges):
        spec, theirs = MatchSpec.parse(text, lenient=True), rattler.MatchSpec(text)
        different = [both.ours for both in packages if spec.matches(both.ours) != theirs.matches(both.theirs)]
        assert not different, text


def test_a_channel_that_knows_what_it_stands_for_is_no_other() -> None:
    known = ChannelText("defaults", ["https://host/main", "https://host/r"])
    assert [channel_matches(known, url) for url in ("https://host/main", "https://host/r/")] == [True, True]
    assert [channel_matches(known, url) for url in ("https://host/defaults", "https://other/main", "")] == [False] * 3
    spec = MatchSpec.parse("defaults::tool>1")
    resolved = msgspec.structs.replace(spec, channel=known)
    assert (resolved, str(resolved), hash(resolved)) == (spec, str(spec), hash(spec))
    for copied in (pickle.loads(pickle.dumps(known)), copy.deepcopy(known)):
        assert (copied, copied.base_urls) == (known, known.base_urls)
