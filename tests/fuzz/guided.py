"""One target fuzzed by what its code reaches, with atheris: `python -m tests.fuzz.guided "version spec" /tmp/work 60`.

The inputs that reached something new stay in the directory, and are where the next run begins.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path


def main() -> None:
    """Fuzz one target for some seconds; the process ends with an error when the target raises what it should not."""
    atheris = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["kaa"], enable_loader_override=False):
        from tests.fuzz.targets import TARGETS, run

    name, folder, seconds = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
    target = TARGETS[name]
    corpus, work = folder / "corpus", folder / "work"
    for directory in (corpus, work):
        directory.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.seeds):
        (corpus / f"seed-{number}").write_bytes(seed)

    def try_one(data: bytes) -> None:
        run(target, data, work)

    options = [f"-max_total_time={seconds}", "-timeout=20", "-rss_limit_mb=2000", "-max_len=20000"]
    atheris.Setup([sys.argv[0], *options, f"-artifact_prefix={folder}/", str(corpus)], try_one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
