"""Run by the python of an environment (3.7 or newer), never imported by kaa: compiles modules in parallel.

Standard input: a JSON object with `parent`, the process that waits for the answer, `workers` and `jobs`, a list of
[source, target, name in tracebacks].
Standard output: the JSON list of the positions of jobs whose module does not compile.
"""

from __future__ import annotations

import concurrent.futures
import json
import multiprocessing
import os
import py_compile
import signal
import sys

CHUNK = 40


def end_with(parent: int) -> None:
    """End this process when its parent ends, however that ends: what nobody waits for must not be written any more."""
    if not sys.platform.startswith("linux"):
        return
    try:
        import ctypes  # noqa: PLC0415 - not every python has it

        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    except (ImportError, OSError, AttributeError):
        pass
    try:
        os.kill(parent, 0)
    except ProcessLookupError:
        os._exit(1)
    except OSError:
        pass


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
        with pool_of(1) as pool:
            try:
                results += pool.submit(compile_chunk, [job]).result()
            except concurrent.futures.BrokenExecutor:
                results.append(False)
    return results


def pool_of(workers: int) -> concurrent.futures.ProcessPoolExecutor:
    """Children that compile: forked where that is safe, so that they need not import anything again."""
    context = multiprocessing.get_context("fork" if sys.platform.startswith("linux") else None)
    return concurrent.futures.ProcessPoolExecutor(
        workers, mp_context=context, initializer=end_with, initargs=(os.getpid(),)
    )


def compile_all(jobs: list[list[str]], workers: int) -> list[bool]:
    """Whether each module compiled, by up to `workers` processes."""
    chunks = [jobs[start : start + CHUNK] for start in range(0, len(jobs), CHUNK)]
    if workers < 2 or len(chunks) < 2:
        return [done for chunk in chunks for done in compile_chunk(chunk)]
    results: list[bool] = []
    with pool_of(min(workers, len(chunks))) as pool:
        waiting = [pool.submit(compile_chunk, chunk) for chunk in chunks]
        for position, future in enumerate(waiting):
            try:
                results += future.result()
            except concurrent.futures.BrokenExecutor:
                results += compile_one_by_one(chunks[position])
    return results


def main() -> None:
    request = json.load(sys.stdin)
    end_with(request["parent"])
    done = compile_all(request["jobs"], request["workers"] or os.cpu_count() or 1)
    json.dump([position for position, success in enumerate(done) if not success], sys.stdout)


if __name__ == "__main__":
    main()
