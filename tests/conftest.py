"""One hypothesis profile for all tests, and the signals that they and their children begin with.

How long a busy machine takes to draw a value says nothing, so there are no deadlines. Where `CI` is set the examples
are the same every time: a check of a change is no place for luck; local runs go on searching.
"""

from __future__ import annotations

import os
import signal

from hypothesis import HealthCheck, settings

settings.register_profile(
    "kaa", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize="CI" in os.environ
)
settings.load_profile("kaa")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Shells start what runs in the background so, and children inherit it: the tests interrupt some of theirs.
    signal.signal(signal.SIGINT, signal.default_int_handler)
