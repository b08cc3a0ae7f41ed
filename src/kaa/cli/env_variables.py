"""`kaa env config vars`: variables that an environment sets when it is activated."""

from __future__ import annotations

import argparse

from kaa.api.recording import change_variables
from kaa.api.session import Session
from kaa.api.settling import warn_of_interruption
from kaa.cli.arguments import add_frozen, add_output, add_target
from kaa.cli.changing import command_line
from kaa.cli.configuring import ArgumentsMissing, existing_target
from kaa.cli.output import print_json
from kaa.errors import KaaError
from kaa.prefix.prefix import Prefix, open_prefix
from kaa.prefix.state import UNSET, read_variables


class NoSuchVariable(KaaError):
    """A variable was to be unset that the environment does not set."""

    conda_name = "CondaKeyError"

    def __init__(self, name: str, prefix: str) -> None:
        super().__init__(
            f"{prefix} sets no variable {name}",
            hints=(f"see those it sets: kaa env config vars list --prefix {prefix}",),
        )
        self.name = name
        self.prefix = prefix


def add_arguments(parser: argparse.ArgumentParser) -> None:
    words = parser.add_subparsers(dest="config_word", metavar="vars", required=True)
    variables = words.add_parser("vars", help="variables of an environment", allow_abbrev=False)
    verbs = variables.add_subparsers(dest="vars_word", metavar="VERB", required=True)
    listing = verbs.add_parser("list", help="show the variables", allow_abbrev=False)
    setting = verbs.add_parser("set", help="set variables", allow_abbrev=False)
    setting.add_argument("pairs", nargs="+", metavar="NAME=VALUE")
    unsetting = verbs.add_parser("unset", help="take variables out", allow_abbrev=False)
    unsetting.add_argument("names", nargs="+", metavar="NAME")
    for verb, perform in ((listing, show), (setting, set_variables), (unsetting, unset_variables)):
        add_target(verb)
        if verb is not listing:
            add_frozen(verb)
        add_output(verb)
        verb.set_defaults(perform=perform)


def target(arguments: argparse.Namespace, session: Session) -> Prefix:
    """The environment whose variables are meant."""
    return open_prefix(existing_target(arguments, session.config, session.environ))


def show(arguments: argparse.Namespace, session: Session) -> int:
    environment = target(arguments, session)
    warn_of_interruption(session, environment.path)
    variables = {name: value for name, value in read_variables(environment).items() if value != UNSET}
    if session.config.json:
        print_json(variables)
    else:
        for name, value in variables.items():
            print(f"{name} = {value}")
    return 0


def set_variables(arguments: argparse.Namespace, session: Session) -> int:
    given: dict[str, str] = {}
    for pair in arguments.pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise ArgumentsMissing(f"{pair!r} is not of the form NAME=VALUE", hints=("put it in quotes",))
        given[name] = value
    prefix = target(arguments, session)
    # The values may be secrets; they are in the state of the environment, and are not repeated here.
    command = " ".join(["kaa env config vars set", *(f"{name}=***" for name in given)])
    change_variables(session, prefix.path, lambda variables: variables | given, command=command)
    tell_to_reactivate(session, prefix)
    return 0


def unset_variables(arguments: argparse.Namespace, session: Session) -> int:
    prefix = target(arguments, session)

    def without(variables: dict[str, str]) -> dict[str, str]:
        for name in arguments.names:
            if name not in variables:
                raise NoSuchVariable(name, str(prefix.path))
            del variables[name]
        return variables

    change_variables(session, prefix.path, without, command=command_line(arguments))
    tell_to_reactivate(session, prefix)
    return 0


def tell_to_reactivate(session: Session, prefix: Prefix) -> None:
    """Variables of the active environment count from its next activation on."""
    if session.config.json:
        print_json({"success": True})
    elif session.environ.get("CONDA_PREFIX") == str(prefix.path):
        print("To make the change count in this shell, activate the environment again.")
