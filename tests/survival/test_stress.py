"""Many processes of three users on one cache and one channel; `stress` says what they do."""

from __future__ import annotations

import pytest

from tests.survival.reports import SEED, report_of


@pytest.mark.slow
def test_two_dozen_processes_of_three_users() -> None:
    report = report_of("stress", "--processes=24", "--seconds=60")
    problems = report.pop("problems")
    print(report)
    if report["skipped"]:
        pytest.skip(report["skipped"])
    assert not problems, f"seed {SEED}, {len(problems)} problems:\n\n" + "\n\n".join(problems)
    assert report["killed"]
    assert report["environments"]
