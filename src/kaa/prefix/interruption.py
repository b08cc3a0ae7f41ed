"""What a running or an interrupted change leaves in an environment, and a word about it for those who only read.

Reading commands look here each time, so nothing heavy is imported.
"""

# One `stat` is all there is to do, nearly always.
from __future__ import annotations

JOURNAL = "conda-meta/.kaa-journal"
"""What a change is about to do; `kaa.transaction.journal` says what stands in it."""
STAGING = "conda-meta/.kaa-staging"
"""What a change has set aside, and what it prepares."""
LOCK = "conda-meta/.kaa-lock"
