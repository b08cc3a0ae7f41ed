"""The files by which a root prefix answers to the name conda: their places, their texts.

Clients look for conda by files at known places below a root prefix (`bin/conda`, `condabin/conda`, `bin/activate`,
`etc/profile.d/conda.sh` …), and run or source them. All of them are written here, and all lead to the same program:
kaa, told by which name it was called. Pure: a place goes in, texts come out; `conda_root` puts them on the disk.
"""

from __future__ import annotations

from typing import NamedTuple

from kaa.shell.activation import Installation, ShellAction, plan_installation
from kaa.shell.dialects.csh import quote as _quote_csh
from kaa.shell.dialects.dialect import Hook
from kaa.shell.dialects.fish import quote as _quote_fish
from kaa.shell.dialects.posix import quote as _quote_sh
from kaa.shell.dialects.powershell import quote as _quote_powershell
from kaa.shell.dialects.table import get_dialect
from kaa.shell.script import hook_path, read_hook

LONGEST_SHEBANG = 127
"""Characters of a first line that every system reads; Linux read no more before 5.1."""

_NOTE = "Written by `kaa init --conda`; `kaa init --conda --reverse` takes it away."


class CondaPlace(NamedTuple):
    """Where a root prefix and the kaa that stands in for conda are."""

    root_prefix: str
    interpreter: str
    """The Python that runs kaa"""
    version: str
    """The version of conda whose place is taken"""
    site_packages: str | None = None
    """Where the Python of the root prefix looks for modules, below it; None where the root prefix has no Python"""
    isolated: bool = True
    """Whether the interpreter finds kaa without the variables that bear on Python"""


class CondaFile(NamedTuple):
    """A file to be written."""

    content: bytes
    mode: int = 0o644


def conda_files(place: CondaPlace) -> dict[str, CondaFile]:
    """Path below the root prefix → file."""
    program = CondaFile(_program(place).encode(), 0o755)
    texts = {
        "bin/activate": _activate(place, "activate"),
        "bin/deactivate": _activate(place, "deactivate"),
        "etc/profile.d/conda.sh": _function(place, "posix"),
        "etc/profile.d/conda.csh": _function(place, "csh"),
        "etc/fish/conf.d/conda.fish": _function(place, "fish"),
        "shell/condabin/Conda.psm1": _module(place),
        "shell/condabin/conda-hook.ps1": _powershell_hook(place),
    }
    if place.site_packages is not None:
        texts |= {f"{place.site_packages}/{path}": text for path, text in _python_package(place).items()}
        texts[f"{place.site_packages}/xontrib/conda.xsh"] = _function(place, "xonsh")
    return {
        "bin/conda": program,
        "condabin/conda": program,
        **{path: CondaFile(text.encode(), 0o755 if path.startswith("bin/") else 0o644) for path, text in texts.items()},
    }


# -- the program ------------------------------------------------------------------------------------------------------


def _program(place: CondaPlace) -> str:
    """The program `conda`: kaa's interpreter and module, told the name and the root prefix.

    An interpreter whose path the system cannot read from a first line is started by sh.
    """
    conda = f"{place.root_prefix}/bin/conda"
    # What is set for the programs of environments, and the folder of this file, are not to bear on kaa.
    flags = "-EP" if place.isolated else "-P"
    code = (
        "import os\n"
        "import sys\n"
        "\n"
        f"sys.argv[0] = {conda!r}\n"
        f'os.environ["KAA_ROOT_PREFIX"] = {place.root_prefix!r}\n'
        "\n"
        "from kaa.cli.main import main\n"
        "\n"
        "sys.exit(main())\n"
    )
    shebang = f"#!{place.interpreter} {flags}"
    if len(shebang) <= LONGEST_SHEBANG and not any(character.isspace() for character in place.interpreter):
        return f"{shebang}\n# {_NOTE}\n{code}"
    return f'#!/bin/sh\n# {_NOTE}\nexec {_quote_sh(place.interpreter)} {flags} -c {_quote_sh(code)} "$@"\n'


# -- shells -----------------------------------------------------------------------------------------------------------


def _activate(place: CondaPlace, verb: str) -> str:
    words = 'activate "$@"' if verb == "activate" else "deactivate"
    return (
        "#!/bin/sh\n"
        f"# {_NOTE}\n"
        f"# To be sourced: `. {verb} ENV`, where the function conda may not be known yet.\n"
        'case "${ZSH_VERSION-}:$0" in\n'
        f"    (:*/bin/{verb})\n"
        f"        printf '%s\\n' 'source this file instead of running it: . {verb}' >&2\n"
        "        \\exit 1\n"
        "        ;;\n"
        "esac\n"
        f"_CONDA_ROOT={_quote_sh(place.root_prefix)}\n"
        '\\. "$_CONDA_ROOT/etc/profile.d/conda.sh" || \\return\n'
        f"conda {words}\n"
    )


def _function(place: CondaPlace, shell: str) -> str:
    """A file that makes the function conda known to a shell, and enters no environment."""
    dialect = get_dialect(shell)
    path = hook_path(dialect)
    command = (f"{place.root_prefix}/bin/conda",)
    text = dialect.hook(Hook(command, path, read_hook(path, "conda"), _start(place), (), None, "conda"))
    return f"# {_NOTE}\n{text}{_first_time(place, shell)}"


def _start(place: CondaPlace) -> tuple[ShellAction, ...]:
    conda = f"{place.root_prefix}/bin/conda"
    return plan_installation({}, Installation(place.root_prefix, (conda,), place.interpreter, conda))


def _first_time(place: CondaPlace, shell: str) -> str:
    """What a shell does that no environment was ever active in: programs of the folder condabin come first."""
    folder = f"{place.root_prefix}/condabin"
    if shell == "posix":
        return (
            'if [ -z "${CONDA_SHLVL+x}" ]; then\n'
            "    \\export CONDA_SHLVL=0\n"
            f'    \\export PATH={_quote_sh(folder)}"${{PATH:+:$PATH}}"\n'
            "fi\n"
        )
    if shell == "fish":
        return (
            f"if not set -q CONDA_SHLVL\n    set -gx CONDA_SHLVL 0\n    set -gx PATH {_quote_fish(folder)} $PATH\nend\n"
        )
    if shell == "csh":
        return (
            "if ( ! $?CONDA_SHLVL ) then\n"
            "    setenv CONDA_SHLVL 0\n"
            f'    setenv PATH {_quote_csh(folder)}:"$PATH:q"\n'
            "endif\n"
        )
    return f"if 'CONDA_SHLVL' not in ${{...}}:\n    $CONDA_SHLVL = '0'\n    $PATH.insert(0, {folder!r})\n"


def _module(place: CondaPlace) -> str:
    """The PowerShell module: its functions are global, so that it is as good loaded from anywhere."""
    dialect = get_dialect("powershell")
    path = hook_path(dialect)
    command = (f"{place.root_prefix}/bin/conda",)
    hook = Hook(command, path, read_hook(path, "conda"), (), (), None, "conda")
    return f"# {_NOTE}\n{dialect.hook(hook)}Export-ModuleMember\n"


def _powershell_hook(place: CondaPlace) -> str:
    dialect = get_dialect("powershell")
    module = _quote_powershell(f"{place.root_prefix}/shell/condabin/Conda.psm1")
    folder = _quote_powershell(f"{place.root_prefix}/condabin")
    return (
        f"# {_NOTE}\n"
        f"{dialect.render(_start(place))}"
        f"Import-Module {module}\n"
        "if ($null -eq $Env:CONDA_SHLVL) {\n"
        "    $Env:CONDA_SHLVL = '0'\n"
        f"    $Env:PATH = {folder} + [System.IO.Path]::PathSeparator + $Env:PATH\n"
        "}\n"
    )


# -- Python -----------------------------------------------------------------------------------------------------------


def _python_package(place: CondaPlace) -> dict[str, str]:
    """The package conda of the root prefix's Python: as much as those need who run or import it to drive conda."""
    conda = f"{place.root_prefix}/bin/conda"
    return {
        "conda/__init__.py": f'"""kaa in the place of conda. {_NOTE}"""\n\n__version__ = {place.version!r}\n',
        "conda/__main__.py": _MAIN.format(conda=conda),
        "conda/cli/__init__.py": '"""The command line, as a function."""\n',
        "conda/cli/python_api.py": _PYTHON_API.format(conda=conda),
        "conda/base/__init__.py": '"""What is configured."""\n',
        "conda/base/context.py": _CONTEXT,
    }


_MAIN = '''\
"""`python -m conda`."""

import os
import subprocess
import sys

words = [{conda!r}, *sys.argv[1:]]
if os.name == "nt":
    sys.exit(subprocess.call(words))
os.execv(words[0], words)
'''

_PYTHON_API = '''\
"""Run a command of conda and get what it printed."""

import shlex
import subprocess
import sys

STRING = -1
STDOUT = -2


class Commands:
    """Names of commands."""

    CLEAN = "clean"
    COMPARE = "compare"
    CONFIG = "config"
    CREATE = "create"
    INFO = "info"
    INSTALL = "install"
    LIST = "list"
    NOTICES = "notices"
    REMOVE = "remove"
    RUN = "run"
    SEARCH = "search"
    UPDATE = "update"


def run_command(command, *arguments, use_exception_handler=False, stdout=STRING, stderr=STRING, **more):
    """Run one command; the answer is (text on stdout, text on stderr, exit code).

    A stream given gets the text instead, None lets it through. Without `use_exception_handler` a failure is raised.
    """
    if len(arguments) == 1:
        arguments = shlex.split(arguments[0]) if isinstance(arguments[0], str) else list(arguments[0])
    made = subprocess.run(
        [{conda!r}, command, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=None if stdout is None else subprocess.PIPE,
        stderr=None if stderr is None else subprocess.STDOUT if stderr == STDOUT else subprocess.PIPE,
        text=True,
    )
    texts = []
    for text, wanted in ((made.stdout, stdout), (made.stderr, stderr)):
        if hasattr(wanted, "write"):
            wanted.write(text or "")
            text = None
        texts.append(text if wanted == STRING else None)
    if made.returncode and not use_exception_handler:
        raise RuntimeError(made.stderr or made.stdout or "conda failed with exit code %d" % made.returncode)
    return texts[0], texts[1], made.returncode
'''

_CONTEXT = '''\
"""The configuration, asked of the command line when it is first looked at."""

import json

from conda.cli.python_api import Commands, run_command


class Context:
    """What `conda info` and `conda config --show` tell, as attributes."""

    def __init__(self):
        self._known = None

    def _read(self):
        config = json.loads(run_command(Commands.CONFIG, "--show", "--json")[0])
        info = json.loads(run_command(Commands.INFO, "--json")[0])
        # The channels of the configuration are names, as conda has them here; those of info are addresses.
        return {**info, **config, "subdir": info["platform"], "subdirs": [info["platform"], "noarch"]}

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        if self._known is None:
            self._known = self._read()
        if name not in self._known:
            raise AttributeError(name)
        value = self._known[name]
        return tuple(value) if isinstance(value, list) else value


context = Context()


def reset_context(*search_path, **more):
    """Ask again the next time."""
    context._known = None
'''
