"""`python -m kaa`."""

from __future__ import annotations

import sys

from kaa.cli.main import main

sys.exit(main())
