"""Why a package would be there, and why not, on real records of conda-forge; no package is fetched."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import kaa
from kaa.api.why import NotThere
from kaa.solver.failures import Unsolvable
from tests.solver.conda_forge import SLICE, needs_records

pytestmark = needs_records


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[kaa.Session]:
    home = tmp_path_factory.mktemp("home")
    environ = {"HOME": str(home), "CONDA_OVERRIDE_GLIBC": "2.28", "CONDA_OVERRIDE_CUDA": ""}
    channels = [str(SLICE)]
    with kaa.open_session(root_prefix=home / "root", environ=environ, channels=channels, subdir="linux-64") as opened:
        yield opened


def test_every_package_of_a_plan_has_a_way_from_what_was_asked_for(session: kaa.Session) -> None:
    specs = ["python=3.12", "pandas", "jupyterlab"]
    plan = kaa.plan_create(session, session.config.root_prefix / "none", specs)
    assert len(plan.final) > 50
    for record in plan.final[::10]:
        why = kaa.explain_planned_presence(session, record.name, specs)
        assert why.presence is not None
        assert not why.is_unneeded
        for origin in why.presence.origins:
            assert origin in ("python", "pandas", "jupyterlab")
            assert why.presence.way_from(origin)[-1].target == record.name


def test_names_alike(session: kaa.Session) -> None:
    with pytest.raises(NotThere) as caught:
        kaa.explain_planned_presence(session, "zlib", ["python=3.12"])
    assert "libzlib" in caught.value.near_names


def test_what_keeps_an_old_numpy_out(session: kaa.Session) -> None:
    why_not = kaa.explain_absence(session, "numpy=1.24", specs=["python=3.13", "pandas"])
    assert why_not.answer == "conflict"
    assert isinstance(why_not.failure, Unsolvable)
    assert set(why_not.failure.requests) == {"python=3.13", "numpy=1.24"}
    assert why_not.alone is not None
    assert why_not.alone.version.startswith("1.24")
    for repair in why_not.failure.repairs:
        plan = kaa.plan_create(session, session.config.root_prefix / "none", repair.specs)
        versions = {f"{record.name} {record.version}" for record in plan.final}
        assert set(repair.gives) <= versions


def test_what_only_windows_has(session: kaa.Session) -> None:
    why_not = kaa.explain_absence(session, "ucrt", specs=["python"])
    assert why_not.answer == "missing"
    assert [(offer.subdir, offer.hidden_by) for offer in why_not.offers] == [("win-64", "platform")]


def test_what_could_be_had(session: kaa.Session) -> None:
    why_not = kaa.explain_absence(session, "numpy<2.4", specs=["python=3.12", "pandas"])
    assert why_not.answer == "possible"
    assert "numpy" in [change.name for change in why_not.changes]


def test_a_problem_through_the_api(session: kaa.Session, tmp_path: Path) -> None:
    file = tmp_path / "problem.json.zst"
    options = kaa.ChangeOptions(solver=kaa.ProblemWriter(file))
    plan = kaa.plan_create(session, session.config.root_prefix / "none", ["gdal", "geopandas"], options)
    assert file.stat().st_size < 1_000_000
    replay = kaa.solve_problem(file)
    assert replay.is_as_recorded
    assert not isinstance(replay.result, kaa.KaaError)
    assert [record.dist for record in replay.result.records] == [record.dist for record in plan.final]
