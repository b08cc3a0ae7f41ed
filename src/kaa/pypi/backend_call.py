"""Run by the python that builds (3.7 or newer), as a program of its own: calls one hook of a build backend (PEP 517).

Argument: the path of a JSON file with `backend`, `backend_path`, `hook`, `arguments` (names and values of the hook's)
and `answer`, the path that the JSON of what the hook answers is written to: {"value": …}, or {} where the backend has
no such hook. What it prints, and why it fails, goes where it goes. The current directory is the source tree.
"""

from __future__ import annotations

import importlib
import json
import os
import sys


def load_backend(name: str, backend_path: list[str]) -> object:
    """The object that `module:attribute` names; with a backend_path it has to come from there."""
    paths = [os.path.realpath(path) for path in backend_path]
    sys.path[:0] = paths
    module_name, _, attributes = name.partition(":")
    module = importlib.import_module(module_name)
    file = os.path.realpath(getattr(module, "__file__", None) or "")
    if paths and not any(file.startswith(path.rstrip(os.sep) + os.sep) for path in paths):
        raise SystemExit(f"the backend {module_name} is not in {os.pathsep.join(backend_path)}, but in {file}")
    backend: object = module
    for attribute in filter(None, attributes.split(".")):
        backend = getattr(backend, attribute)
    return backend


def main() -> None:
    """Do what the file says that is named on the command line."""
    with open(sys.argv[1], encoding="utf-8") as stream:  # noqa: PTH123
        asked = json.load(stream)
    # Backends look at it; what was asked for is nothing to them.
    sys.argv[1:] = []
    hook = getattr(load_backend(asked["backend"], asked["backend_path"]), asked["hook"], None)
    answer = {} if hook is None else {"value": hook(**asked["arguments"])}
    with open(asked["answer"], "w", encoding="utf-8") as stream:  # noqa: PTH123
        json.dump(answer, stream)


if __name__ == "__main__":
    main()
