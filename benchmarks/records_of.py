"""Write the records of what a request solves to into a new prefix, without the packages: `… URL PREFIX SPEC…`."""

from __future__ import annotations

import sys
from pathlib import Path

from kaa.api.environments import plan_create
from kaa.api.session import open_session
from kaa.models.prefix_record import PrefixRecord
from kaa.prefix.prefix import Prefix


def main() -> None:
    url, prefix, *specs = sys.argv[1:]
    with open_session(channels=[url], subdir="linux-64") as session:
        transaction = plan_create(session, Path(prefix), specs)
    meta = Path(prefix, "conda-meta")
    meta.mkdir(parents=True)
    environment = Prefix(Path(prefix))
    for record in transaction.to_link:
        fields = {name: getattr(record, name) for name in record.__struct_fields__}
        environment.write_record(PrefixRecord(**fields))
    lines = [
        "==> 2026-01-01 00:00:00 <==",
        f"# update specs: {specs}",
        *(f"+{record.dist}" for record in transaction.to_link),
    ]
    (meta / "history").write_text("\n".join([*lines, ""]))


if __name__ == "__main__":
    main()
