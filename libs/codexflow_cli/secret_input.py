"""Passwords and tokens are typed without an echo, or come on standard input: never as arguments, which everybody may see."""

import sys
from getpass import getpass
from typing import Annotated

import typer

from codexflow_cli.errors import WrongUse

FromStdin = Annotated[
    bool, typer.Option("--stdin", help="Read what is secret from standard input, one line each, in the order of the questions")
]


def ask_secret(question: str, *, from_stdin: bool, again: bool = False) -> str:
    """One secret. Raises WrongUse when there is none, or when it was not typed the same twice."""
    if from_stdin:
        return _not_empty(sys.stdin.readline().rstrip("\r\n"), question)
    if not sys.stdin.isatty():
        raise WrongUse(f"{question}: there is nobody to ask here: give it on standard input and say --stdin.")
    secret = _not_empty(getpass(f"{question}: "), question)
    if again and getpass(f"{question}, again: ") != secret:
        raise WrongUse("Not the same twice; nothing was changed.")
    return secret


def _not_empty(secret: str, question: str) -> str:
    if not secret:
        raise WrongUse(f"{question}: nothing was given.")
    return secret
