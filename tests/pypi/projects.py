"""Popular projects of PyPI in groups that go together, and what an installation of them looks like."""

from __future__ import annotations

import email
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec

OWN_FILES = re.compile(r"\.dist-info/(?:INSTALLER|REQUESTED|RECORD|direct_url\.json|uv_cache\.json)\Z|\.pyc\Z")
"""What each installer writes in its own way, or not at all."""
OF_A_VENV = re.compile(
    r"(?:pyvenv\.cfg|CACHEDIR\.TAG|\.gitignore|\.lock|lib64|bin/(?:python[0-9.]*|(?:de)?activate.*|pydoc.*))\Z"
    r"|lib/python[0-9.]+/site-packages/_virtualenv\.(?:py|pth)\Z"
)
"""What a virtual environment of uv has before anything is installed."""


class Group(msgspec.Struct, frozen=True):
    """Projects that are installed together."""

    projects: tuple[str, ...]
    modules: tuple[str, ...]
    """What is imported: their own modules, and those that only come with the extras."""
    commands: tuple[tuple[str, ...], ...] = ()
    """Programs of theirs that end well."""


GROUPS = {
    # Something of everything: this group is tested always, the others when all are asked for.
    "mixed": Group(
        (
            "requests[socks]",
            "flask[async]",
            "pydantic[email]",
            "aiohttp",
            "sqlalchemy[asyncio]",
            "zope.interface",
            "ruamel.yaml",
            "ipywidgets",
            "lxml[html_clean]",
            "black[jupyter]",
        ),
        (
            *("requests", "socks", "flask", "asgiref", "pydantic", "email_validator", "aiohttp", "sqlalchemy"),
            *("greenlet", "zope.interface", "ruamel.yaml", "ipywidgets", "lxml.html.clean", "black", "tokenize_rt"),
        ),
        (("flask", "--version"), ("black", "--version")),
    ),
    "web": Group(
        (
            "django",
            "uvicorn[standard]",
            "fastapi",
            "httpx[http2]",
            "celery[redis]",
            "gunicorn[gevent]",
            "scrapy",
            "alembic",
            "jinja2",
            "beautifulsoup4[lxml]",
        ),
        (
            *("django", "uvicorn", "uvloop", "httptools", "fastapi", "httpx", "h2", "celery", "redis", "gunicorn"),
            *("gevent", "scrapy", "alembic", "jinja2", "bs4", "lxml"),
        ),
        (("django-admin", "--version"), ("uvicorn", "--version"), ("celery", "--version"), ("scrapy", "version")),
    ),
    "science": Group(
        (
            "numpy",
            "pandas[performance]",
            "scipy",
            "matplotlib",
            "scikit-learn",
            "sympy",
            "statsmodels",
            "xarray[io]",
            "seaborn",
            "numba",
        ),
        (
            *("numpy", "pandas", "numexpr", "scipy.linalg", "matplotlib.pyplot", "sklearn.ensemble", "sympy"),
            *("statsmodels.api", "xarray", "netCDF4", "seaborn", "numba", "llvmlite.binding"),
        ),
        (("f2py", "-v"), ("fonttools", "--help")),
    ),
    "notebooks": Group(
        (
            "jupyterlab",
            "notebook",
            "nbconvert",
            "sphinx",
            "mkdocs-material",
            "plotly[express]",
            "bokeh",
            "altair",
            "dask[complete]",
            "streamlit",
        ),
        (
            *("jupyterlab", "notebook", "nbconvert", "sphinx", "material", "plotly.express", "bokeh.plotting"),
            *("altair", "dask.dataframe", "distributed", "streamlit"),
        ),
        (("jupyter", "lab", "--version"), ("sphinx-build", "--version"), ("mkdocs", "--version"), ("bokeh", "info")),
    ),
    "tools": Group(
        (
            "mypy[reports]",
            "pytest-cov",
            "pytest-xdist[psutil]",
            "pre-commit",
            "tox",
            "poetry",
            "twine",
            "cython",
            "pylint[spelling]",
            "ruff",
        ),
        (
            *("mypy", "lxml", "pytest_cov", "coverage", "xdist", "psutil", "pre_commit", "tox", "poetry.core"),
            *("twine", "Cython", "pylint"),
        ),
        (("mypy", "--version"), ("tox", "--version"), ("poetry", "--version"), ("ruff", "--version")),
    ),
    "clouds": Group(
        (
            "google-cloud-storage",
            "azure-identity",
            "azure-storage-blob[aio]",
            "boto3",
            "grpcio-tools",
            "opentelemetry-sdk",
            "kubernetes",
            "s3fs",
            "ansible-core",
            "apache-libcloud",
        ),
        (
            *("google.cloud.storage", "google.protobuf", "azure.identity", "azure.storage.blob.aio", "boto3"),
            *("grpc_tools.protoc", "opentelemetry.sdk", "kubernetes", "s3fs", "ansible", "libcloud"),
        ),
        (("ansible", "--version"),),
    ),
    "compiled": Group(
        (
            "pillow",
            "cryptography",
            "psycopg[binary]",
            "pyzmq",
            "orjson",
            "polars",
            "pyarrow",
            "duckdb",
            "opencv-python-headless",
            "tokenizers",
        ),
        (
            *("PIL.Image", "cryptography.fernet", "psycopg", "psycopg_binary", "zmq", "orjson", "polars"),
            *("pyarrow.parquet", "duckdb", "cv2", "tokenizers"),
        ),
    ),
}


def find_versions(site_packages: Path) -> dict[str, str]:
    """The versions of the distributions in a directory, by normalised name."""
    found = {}
    for folder in site_packages.glob("*.dist-info"):
        metadata = email.message_from_bytes((folder / "METADATA").read_bytes())
        found[re.sub(r"[-_.]+", "-", metadata["Name"]).lower()] = metadata["Version"]
    return found


def files_of_venv(prefix: Path) -> set[str]:
    """What was installed into a virtual environment of uv."""
    return {
        re.sub(r"\Ainclude/site/", "include/", path)
        for path in _iter_files(prefix)
        if not OWN_FILES.search(path) and not OF_A_VENV.match(path)
    }


def files_of_wheels(prefix: Path) -> set[str]:
    """What the records of an environment of kaa list for its wheels."""
    found: set[str] = set()
    for file in (prefix / "conda-meta").glob("*.json"):
        record = json.loads(file.read_bytes())
        if record["fn"].endswith(".whl"):
            found.update(path for path in record["files"] if not OWN_FILES.search(path))
    return found


def _iter_files(prefix: Path) -> Iterator[str]:
    for directory, folders, files in os.walk(prefix):
        links = [name for name in folders if Path(directory, name).is_symlink()]
        for name in (*files, *links):
            yield Path(directory, name).relative_to(prefix).as_posix()
