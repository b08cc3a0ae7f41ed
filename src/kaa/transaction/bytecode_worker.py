"""Run by the python of an environment (3.7 or newer), never imported by kaa: compiles modules in parallel.

Standard input: a JSON object with `workers` and `jobs`, a list of [source, target, name in tracebacks].
Standard output: the JSON list of the positions of jobs whose module does not compile.
"""

from __future__ import annotations

import concurrent.futures
import json
import multiprocessing
import os
import py_compile
import sys

CHUNK = 40


def compile_module(source: str, target: str, shown: str) -> bool:
    """Write the bytecode of one module, valid as long as its source keeps its time and size."""
    try:
        py_compile.compile(
            source, target, shown, doraise=True, invalidation_mode=py_compile.PycInvalidationMode.TIMESTAMP
        )
    except Exception:
        # Whatever a file that is no valid module brings about: templates and tests for other versions are common.
        return False
    return True


def compile_chunk(jobs: list[list[str]]) -> list[bool]:
    """Whether each of a few modules compiled."""
    return [compile_module(*job) for job in jobs]


def compile_one_by_one(jobs: list[list[str]]) -> list[bool]:
    """The same for modules among which one brings the compiler down: each in a process of its own."""
    results = []
    for job in jobs:
        with concurrent.futures.ProcessPoolExecutor(1, mp_context=context()) as pool:
            try:
                results += pool.submit(compile_chunk, [job]).result()
            except concurrent.futures.BrokenExecutor:
                results.append(False)
    return results


def context() -> multiprocessing.context.BaseContext:
    """Forked children where that is safe: they need not import anything again."""
    return multiprocessing.get_context("fork" if sys.platform.startswith("linux") else None)


def compile_all(jobs: list[list[str]], workers: int) -> list[bool]:
    """Whether each module compiled, by up to `workers` processes."""
    chunks = [jobs[start : start + CHUNK] for start in range(0, len(jobs), CHUNK)]
    if workers < 2 or len(chunks) < 2:
        return [done for chunk in chunks for done in compile_chunk(chunk)]
    results: list[bool] = []
    with concurrent.futures.ProcessPoolExecutor(min(workers, len(chunks)), mp_context=context()) as pool:
        waiting = [pool.submit(compile_chunk, chunk) for chunk in chunks]
        for position, future in enumerate(waiting):
            try:
                results += future.result()
            except concurrent.futures.BrokenExecutor:
                results += compile_one_by_one(chunks[position])
    return results


def main() -> None:
    request = json.load(sys.stdin)
    done = compile_all(request["jobs"], request["workers"] or os.cpu_count() or 1)
    json.dump([position for position, success in enumerate(done) if not success], sys.stdout)


if __name__ == "__main__":
    main()
