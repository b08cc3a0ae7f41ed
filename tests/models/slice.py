"""Real repodata: a slice of a public channel that lies beside the repository on some machines."""

from __future__ import annotations

import functools
import json
import os
from pathlib import Path
from typing import Any

import pytest
import zstandard

DATA = Path(os.environ.get("KAA_SHARED_DATA") or Path(__file__).parents[3] / "shared" / "data")


@functools.cache
def read_slice() -> dict[str, dict[str, Any]]:
    """The records by subdir and file name; skips the test where there are none."""
    files = sorted((DATA / "conda-forge-slice").glob("*/repodata.json.zst"))
    if not files:
        pytest.skip(f"no conda-forge-slice in {DATA}; KAA_SHARED_DATA names the directory that holds it")
    slices = {}
    for file in files:
        document = json.loads(zstandard.ZstdDecompressor().decompress(file.read_bytes(), max_output_size=1 << 30))
        slices[file.parent.name] = document["packages"] | document["packages.conda"]
    return slices


def slice_records() -> list[dict[str, Any]]:
    return [record for records in read_slice().values() for record in records.values()]


def slice_versions() -> set[str]:
    return {record["version"] for record in slice_records()}


def slice_dependencies() -> set[str]:
    """Every distinct `depends` and `constrains` string."""
    return {text for record in slice_records() for text in (*record["depends"], *record.get("constrains", ()))}
