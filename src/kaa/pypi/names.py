"""Which conda package a Python project is: most have the project's normalised name (PEP 503), some another one.

A project and the conda package that is made of it are one thing, so that it is never installed twice. The table goes
both ways: where it gives a name to a project, no other project has that name.

>>> names = ProjectNames()
>>> names.conda_name("Torch"), names.conda_name("numpy"), names.project("pytorch"), names.project("torch")
('pytorch', 'numpy', 'torch', None)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from kaa.models.artifact import InvalidPackageName, check_package_name
from kaa.models.pattern import Pattern
from kaa.pypi.project_files import is_project_name, normalize_project

OTHER_NAMES = {
    "annoy": "python-annoy",
    "antlr4-python3-runtime": "antlr-python-runtime",
    "apache-airflow": "airflow",
    "avro-python3": "python-avro",
    "blosc": "python-blosc",
    "brotli": "brotli-python",
    "build": "python-build",
    "clang": "python-clang",
    "confluent-kafka": "python-confluent-kafka",
    "dask": "dask-core",
    "docker": "docker-py",
    "duckdb": "python-duckdb",
    "eccodes": "python-eccodes",
    "fastjsonschema": "python-fastjsonschema",
    "flatbuffers": "python-flatbuffers",
    "gmsh": "python-gmsh",
    "graphviz": "python-graphviz",
    "igraph": "python-igraph",
    "installer": "python-installer",
    "kaleido": "python-kaleido",
    "kubernetes": "python-kubernetes",
    "lmdb": "python-lmdb",
    "matplotlib": "matplotlib-base",
    "msgpack": "msgpack-python",
    "nbconvert": "nbconvert-core",
    "neo4j": "neo4j-python-driver",
    "opencv-python": "py-opencv",
    "ortools": "ortools-python",
    "pyqt5": "pyqt",
    "ray": "ray-core",
    "redis": "redis-py",
    "seaborn": "seaborn-base",
    "symengine": "python-symengine",
    "tables": "pytables",
    "torch": "pytorch",
    "torch-cluster": "pytorch_cluster",
    "torch-geometric": "pytorch_geometric",
    "torch-scatter": "pytorch_scatter",
    "torch-sparse": "pytorch_sparse",
    "tzdata": "python-tzdata",
    "xgboost": "py-xgboost",
    "xxhash": "python-xxhash",
}
"""Projects whose conda package has another name."""

DOTTED = (
    *("backports.functools-lru-cache", "backports.tarfile", "backports.tempfile", "backports.weakref"),
    *("backports.zoneinfo", "jaraco.classes", "jaraco.collections", "jaraco.context", "jaraco.functools"),
    *("jaraco.itertools", "jaraco.logging", "jaraco.path", "jaraco.stream", "jaraco.text", "keyrings.alt"),
    *("keyrings.cryptfile", "repoze.lru", "repoze.who", "ruamel.yaml", "ruamel.yaml.clib", "ruamel.yaml.jinja2"),
    *("zc.lockfile", "zope.component", "zope.configuration", "zope.deferredimport", "zope.deprecation"),
    *("zope.event", "zope.exceptions", "zope.hookable", "zope.i18nmessageid", "zope.interface", "zope.lifecycleevent"),
    *("zope.location", "zope.proxy", "zope.schema", "zope.security", "zope.sqlalchemy", "zope.testing"),
)
"""Conda packages that keep the dots of their projects."""

UNDERSCORED = (
    *("cx_oracle", "et_xmlfile", "importlib_resources", "ipython_genutils", "jupyter_client", "jupyter_console"),
    *("jupyter_contrib_core", "jupyter_contrib_nbextensions", "jupyter_core", "jupyter_events"),
    *("jupyter_highlight_selected_word", "jupyter_latex_envs", "jupyter_nbextensions_configurator"),
    *("jupyter_packaging", "jupyter_server", "jupyter_server_terminals", "jupyter_telemetry", "jupyterlab_pygments"),
    *("jupyterlab_server", "jupyterlab_widgets", "line_profiler", "memory_profiler", "plotly_express"),
    *("prometheus_client", "prometheus_flask_exporter", "pure_eval", "stack_data"),
    *("typing_extensions", "typing_inspect"),
)
"""Conda packages that keep the underscores of their projects."""

FOREIGN = frozenset(
    (
        *("bash", "binutils", "blas", "boost", "bzip2", "ca-certificates", "cairo", "clangdev"),
        *("compilers", "cuda", "cudatoolkit", "curl", "expat", "ffmpeg", "fftw", "fontconfig", "freetype", "gcc"),
        *("gettext", "gfortran", "git", "glib", "gmp", "gxx", "harfbuzz", "hdf5", "icu", "jpeg", "krb5", "libblas"),
        *("libcblas", "libcurl", "libcxx", "libffi", "libgcc", "libgfortran", "libiconv", "libidn", "liblapack"),
        *("libpng", "libpq", "libprotobuf", "libsodium", "libsqlite", "libssh2", "libstdcxx", "libtiff", "libuuid"),
        *("libwebp", "libxcb", "libxml2", "libzlib", "llvm", "lz4-c", "make", "mkl", "mpfr", "ncurses", "nodejs"),
        *("openblas", "openjdk", "openjpeg", "openmpi", "openssl", "pcre", "pcre2", "perl", "pixman", "pkg-config"),
        *("proj", "python", "qt", "r", "r-base", "readline", "ruby", "rust", "snappy", "sqlite", "tar", "tk"),
        *("unzip", "vc", "xz", "yaml", "zeromq", "zip", "zlib", "zstd"),
    )
)
"""Conda packages that are something else than the Python project of that name, should there be one."""

_OWN = "-pypi"
_NORMAL = Pattern(r"[a-z0-9]+(?:-[a-z0-9]+)*")


def _pairs() -> Iterator[tuple[str, str]]:
    yield from OTHER_NAMES.items()
    for name in (*DOTTED, *UNDERSCORED):
        yield normalize_project(name), name


class ProjectNames:
    """The names of the table, and those that somebody adds (`pypi_names`): project → conda name."""

    def __init__(self, added: Mapping[str, str] | None = None) -> None:
        self._names = dict(_pairs())
        for project, name in (added or {}).items():
            self._names[normalize_project(project)] = name.lower()
        self._projects = {name: project for project, name in self._names.items()}

    def conda_name(self, project: str) -> str:
        """The conda name of a project. Raises InvalidPackageName where conda cannot have such a name."""
        normal = normalize_project(project)
        name = self._names.get(normal)
        if name is None:
            # The name may be that of another thing.
            taken = normal in FOREIGN or normal in self._projects
            name = normal + _OWN if taken else normal
        check_package_name(name)
        return name

    def is_conda_name(self, name: str) -> bool:
        """Whether it is the conda name of a project that has another name itself."""
        return name.lower() in self._projects

    def other_name(self, project: str) -> str | None:
        """The conda name of a project that the table gives another name; None for all others."""
        return self._names.get(normalize_project(project)) if self.project(project) is None else None

    def project(self, name: str) -> str | None:
        """The normalised name of the project that a conda package is, None if it can be none."""
        found = self._projects.get(name)
        if found is not None:
            return found
        if name.endswith(_OWN) and self._is_taken(name.removesuffix(_OWN)):
            return name.removesuffix(_OWN)
        if _NORMAL.fullmatch(name) is None or name in self._names or name in FOREIGN:
            return None
        return name

    def _is_taken(self, normal: str) -> bool:
        return normal not in self._names and (normal in FOREIGN or normal in self._projects)

    def find_conda_name(self, project: str) -> str | None:
        """As `conda_name`; None for what is no name of a project, or has no conda name."""
        if not is_project_name(project):
            return None
        try:
            return self.conda_name(project)
        except InvalidPackageName:
            return None
