"""Locks for tests: values of every shape."""

from __future__ import annotations

import hashlib

from hypothesis import strategies as st

from kaa.envfiles.lock import Lock, LockedDistribution, LockedEnvironment, LockedPlatform
from kaa.models.record import RepoDataRecord

CHANNELS = ("https://conda.anaconda.org/conda-forge", "https://example.org/t-1/tools", "file:///srv/my%20channel")
NAMES = st.sampled_from(["python", "zlib", "libfoo-bar", "_x", "r-base"])
VERSIONS = st.sampled_from(["1.10", "2.28.0", "1!2", "2024a", "1.0.post1", "1e3"])
DEPENDENCIES = st.lists(
    st.sampled_from(["libz >=1.2,<2", "tzdata", "python_abi 3.12.* *_cp312", "y", "python >=3.7"]), unique=True
).map(tuple)


@st.composite
def records(draw: st.DrawFn, subdir: str) -> RepoDataRecord:
    number = draw(st.integers(0, 3))
    build = draw(st.sampled_from([f"h1234567_{number}", f"py_{number}", "weird"]))
    name, version, channel = draw(NAMES), draw(VERSIONS), draw(st.sampled_from(CHANNELS))
    depends = draw(DEPENDENCIES)
    noarch = ("python" if "python >=3.7" in depends else "generic") if subdir == "noarch" else None
    file_name = f"{name}-{version}-{build}{draw(st.sampled_from(['.conda', '.tar.bz2']))}"
    url = f"{channel}/{subdir}/{file_name.replace('!', '%21')}"
    return RepoDataRecord(
        name=name,
        version=version,
        build=build,
        build_number=number,
        subdir=subdir,
        noarch=noarch,
        channel=channel,
        fn=file_name,
        url=url,
        # Other files have other bytes.
        sha256=hashlib.sha256(url.encode()).hexdigest(),
        md5=hashlib.md5(url.encode(), usedforsecurity=False).hexdigest(),
        size=draw(st.none() | st.integers(1, 10**9)),
        depends=depends,
        constrains=draw(st.sampled_from([(), ("a <2",)])),
        license=draw(st.sampled_from([None, "MIT", "BSD-3-Clause: odd"])),
        timestamp=draw(st.none() | st.just(1_700_000_000_000)),
        python_site_packages_path=draw(st.sampled_from([None, "lib/python3.12/site-packages"])),
        track_features=draw(st.sampled_from(["", "a b"])),
        purls=draw(st.sampled_from([None, (), ("pkg:pypi/a@1",)])),
    )


@st.composite
def distributions(draw: st.DrawFn) -> LockedDistribution:
    name, version = (
        draw(st.sampled_from(["requests", "numpy"])),
        draw(st.sampled_from(["1.10", "2.28.0", "1!2", "1.0.post1"])),
    )
    return LockedDistribution(
        name=name,
        version=version,
        url=f"https://files.example/{name}-{version.replace('!', '%21')}-py3-none-any.whl",
        sha256=hashlib.sha256(f"{name} {version}".encode()).hexdigest(),
        requires_dist=draw(st.sampled_from([(), ("urllib3 >=1", "idna")])),
        requires_python=draw(st.sampled_from([None, ">=3.7"])),
    )


def unique(found: list[RepoDataRecord]) -> tuple[RepoDataRecord, ...]:
    """One package of each name, in the order in which formats list them."""
    return tuple(sorted({record.name: record for record in found}.values(), key=lambda record: record.url))


@st.composite
def locks(draw: st.DrawFn) -> Lock:
    """Two platforms, one or two environments, the same record wherever the same address is."""
    platforms = (LockedPlatform("linux-64", "linux-64"), LockedPlatform("osx-arm64", "osx-arm64"))
    known: dict[str, RepoDataRecord] = {}
    wheels: dict[str, LockedDistribution] = {}
    environments = []
    for name in ["default", *draw(st.sampled_from([[], ["dev"]]))]:
        conda, pypi = {}, {}
        for platform in platforms:
            found = draw(st.lists(records(platform.subdir) | records("noarch"), max_size=4))
            conda[platform.name] = unique([known.setdefault(record.url, record) for record in found])
            brought = [wheels.setdefault(one.url, one) for one in draw(st.lists(distributions(), max_size=2))]
            if brought:
                by_name = {one.name: one for one in brought}
                pypi[platform.name] = tuple(sorted(by_name.values(), key=lambda one: one.url))
        environments.append(LockedEnvironment(name=name, channels=CHANNELS[:2], conda=conda, pypi=pypi))
    return Lock(platforms, tuple(environments))
