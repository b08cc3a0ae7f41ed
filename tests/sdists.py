"""Sdists with a backend of their own in them, which needs nothing but Python, and notes what it is asked for.

The variable BUILD_NOTES names the file that it writes to: a line for each call of a hook.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tests.pypi_index import Content, Sdist

NOTES = "BUILD_NOTES"
PYPROJECT = '[build-system]\nrequires = {requires}\nbuild-backend = "tiny"\nbackend-path = ["in"]\n'

BACKEND = """
import base64, hashlib, os, sys, zipfile

NAME, VERSION, REQUIRES, DYNAMIC, TAG = {name!r}, {version!r}, {requires!r}, {dynamic!r}, {tag!r}
STEM = "%s-%s" % (NAME.replace("-", "_"), VERSION)
INFO = STEM + ".dist-info"


def note(hook):
    with open(os.environ["{notes}"], "a") as stream:
        stream.write("%s %s 3.%d\\n" % (hook, STEM, sys.version_info[1]))


def metadata():
    lines = ["Metadata-Version: 2.1", "Name: " + NAME, "Version: " + VERSION]
    return "\\n".join(lines + ["Requires-Dist: " + text for text in REQUIRES]) + "\\n"


def get_requires_for_build_wheel(config_settings=None):
    note("requires")
    return DYNAMIC


def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
    note("metadata")
    os.mkdir(os.path.join(metadata_directory, INFO))
    with open(os.path.join(metadata_directory, INFO, "METADATA"), "w") as stream:
        stream.write(metadata())
    return INFO


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    note("wheel")
    {before}
    tag = TAG % sys.version_info[:2] if "%" in TAG else TAG
    files = {{
        NAME.replace("-", "_") + ".py": "built_with = %r\\nname = %r\\n" % (sys.version, NAME),
        INFO + "/METADATA": metadata(),
        INFO + "/WHEEL": "Wheel-Version: 1.0\\nGenerator: tiny\\nRoot-Is-Purelib: true\\nTag: " + tag + "\\n",
    }}
    record = ""
    name = "%s-%s.whl" % (STEM, tag)
    with zipfile.ZipFile(os.path.join(wheel_directory, name), "w") as archive:
        for path, content in files.items():
            archive.writestr(path, content)
            digest = base64.urlsafe_b64encode(hashlib.sha256(content.encode()).digest()).rstrip(b"=").decode()
            record += "%s,sha256=%s,%d\\n" % (path, digest, len(content.encode()))
        archive.writestr(INFO + "/RECORD", record + INFO + "/RECORD,,\\n")
    return name
"""


def tiny(
    name: str,
    version: str = "1.0",
    *,
    requires: list[str] | None = None,
    build_requires: list[str] | None = None,
    dynamic: list[str] | None = None,
    tag: str = "py3-none-any",
    before: str = "pass",
    says: tuple[str, str] | None = None,
    built_requires: list[str] | None = None,
    files: Mapping[str, Content] | None = None,
    metadata_version: str = "2.1",
) -> Sdist:
    """An sdist whose backend is in it.

    `before` is run by build_wheel first; `says` is another name and version than the file's that the backend tells,
    `built_requires` other requirements than the sdist's own; `dynamic` are asked for by the backend only.
    """
    said_name, said_version = says or (name, version)
    backend = BACKEND.format(
        name=said_name,
        version=said_version,
        requires=(requires or []) if built_requires is None else built_requires,
        dynamic=dynamic or [],
        tag=tag,
        before=before,
        notes=NOTES,
    )
    return Sdist(
        name,
        version,
        requires=requires or [],
        metadata_version=metadata_version,
        pyproject=PYPROJECT.format(requires=build_requires or []),
        files={"in/tiny.py": backend, **(files or {})},
    )


def noted(notes: Path) -> list[str]:
    """What the backends were asked for: `wheel tool-1.0 3.11`, without the version of Python."""
    return [line.rpartition(" ")[0] for line in notes.read_text().splitlines()] if notes.exists() else []
