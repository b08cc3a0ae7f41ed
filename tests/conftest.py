"""One hypothesis profile for all tests.

How long a busy machine takes to draw a value says nothing, so there are no deadlines. Where `CI` is set the examples
are the same every time: a check of a change is no place for luck; local runs go on searching.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

settings.register_profile(
    "kaa", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize="CI" in os.environ
)
settings.load_profile("kaa")
