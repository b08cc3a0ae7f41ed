"""The addresses of packages that are made of interpreters: `interpreter://<path of it>/<subdir>/<file name>`.

They are like those of packages in a channel of which the interpreter is the only content.
"""

from __future__ import annotations

from urllib.parse import quote, unquote

from kaa.models.channel import split_package_url
from kaa.models.record import RepoDataRecord

SCHEME = "interpreter://"


def interpreter_url(interpreter: str, subdir: str, file_name: str) -> str:
    """The address of the package of an interpreter.

    >>> interpreter_url("/usr/bin/python3.11", "linux-64", "python-3.11.2-h0123456_0_cpython.conda")
    'interpreter:///usr/bin/python3.11/linux-64/python-3.11.2-h0123456_0_cpython.conda'
    """
    return f"{SCHEME}{quote(interpreter)}/{subdir}/{file_name}"


def is_interpreter(record: RepoDataRecord) -> bool:
    """Whether a record is of an interpreter of a machine."""
    return record.url.startswith(SCHEME)


def interpreter_of(record: RepoDataRecord) -> str:
    """The path of the interpreter that a record is of."""
    return unquote(split_package_url(record.url)[0].removeprefix(SCHEME))
