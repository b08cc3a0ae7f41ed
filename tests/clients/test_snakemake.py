"""Snakemake: a workflow with two rules and two environments, kaa in conda's place."""

from __future__ import annotations

import pytest

from tests.clients.house import House, Shared, records_of

pytestmark = [pytest.mark.slow, pytest.mark.clients]

SNAKEFILE = """\
rule all:
    input: "both.txt"

rule first:
    output: "first.txt"
    conda: "envs/first.yml"
    shell: "greet > {output}; echo $CONDA_PREFIX >> {output}"

rule both:
    input: "first.txt"
    output: "both.txt"
    conda: "envs/both.yml"
    shell: "cat {input} > {output}; hello >> {output}; command -v greet >> {output} || echo no greet >> {output}"
"""
RUN = ("snakemake", "--cores", "1", "--sdm", "conda")


@pytest.fixture
def workflow(house: House, shared: Shared) -> House:
    house.more["PATH"] = f"{house.root}/condabin:{shared.client('snakemake')}:{house.environ['PATH']}"
    house.write("Snakefile", SNAKEFILE)
    channels = f"channels:\n  - {house.channel_url}\n  - nodefaults\n"
    house.write("envs/first.yml", f"{channels}dependencies:\n  - python\n  - greetings\n")
    house.write("envs/both.yml", f"{channels}dependencies:\n  - hello =1.0\n")
    return house


def environments(workflow: House) -> dict[str, dict[str, str]]:
    """By the path of an environment, the packages in it."""
    folder = workflow.work / ".snakemake" / "conda"
    return {str(meta.parent): records_of(meta.parent) for meta in folder.glob("*/conda-meta")}


def test_two_rules_in_two_environments(workflow: House) -> None:
    workflow.ok(*RUN)
    found = environments(workflow)
    (first,) = (path for path, packages in found.items() if {"python", "greetings"} <= packages.keys())
    (both,) = (path for path, packages in found.items() if packages == {"hello": "1.0"})
    lines = (workflow.work / "both.txt").read_text().splitlines()
    assert lines == ["good day", first, f"hello 1.0 from {both}", "no greet"]

    # The second time they are there.
    assert "Creating conda environment" not in workflow.ok(*RUN, "--forceall").stderr
    listed = workflow.ok(*RUN, "--list-conda-envs").stdout
    assert {"envs/first.yml", "envs/both.yml"} <= set(listed.split())


def test_pinned_packages_and_strict_channels(workflow: House) -> None:
    """A list of packages beside an environment file comes first; a priority that is set is seen."""
    assert "not configured to use strict" in workflow.ok(*RUN, "--list-conda-envs").stderr
    workflow.ok("conda", "config", "--set", "channel_priority", "strict")
    workflow.ok("conda", "create", "--yes", "--name", "pinned", "hello=2.0")
    pins = workflow.ok("conda", "list", "--explicit", "--md5", "--name", "pinned").stdout
    workflow.write("envs/both.linux-64.pin.txt", pins)
    done = workflow.ok(*RUN, "--conda-create-envs-only")
    assert "not configured to use strict" not in done.stderr
    assert {"hello": "2.0"} in environments(workflow).values()


def test_an_environment_that_cannot_be_made(workflow: House) -> None:
    workflow.write("envs/both.yml", "dependencies: [there-is-no-such-package]\n")
    done = workflow.run(*RUN)
    assert done.returncode == 1
    assert "there-is-no-such-package" in done.stderr
    assert not (workflow.work / "both.txt").exists()
