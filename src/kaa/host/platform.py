"""The platform that kaa runs on, as a conda subdir."""

from __future__ import annotations

import platform

from kaa.models.subdir import native_subdir


def current_subdir() -> str:
    """The subdir of this machine, such as `linux-64`."""
    return native_subdir(platform.system(), platform.machine())
