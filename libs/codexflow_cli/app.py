"""The command tree."""

from typing import Annotated

import typer

from codexflow_cli.commands import (
    audit,
    bootstrap,
    domains,
    groups,
    invitations,
    keys,
    limits,
    lost_password,
    members,
    notices,
    orgs,
    plans,
    projects,
    service_accounts,
    sessions,
    sign_in,
    tokens,
    users,
)
from codexflow_cli.invocation import Invocation

app = typer.Typer(
    name="codexflow",
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # its tracebacks can show the values of variables
    rich_markup_mode=None,
)


@app.callback()
def begin(
    context: typer.Context,
    url: Annotated[
        str | None, typer.Option("--url", help="Where accounts is; default: CODEXFLOW_URL, or `url` in config.toml")
    ] = None,
    idempotency_key: Annotated[
        str | None,
        typer.Option(
            "--idempotency-key", metavar="TEXT", help="For a create that a script may repeat: it is made once in 24 hours"
        ),
    ] = None,
) -> None:
    """People, organizations, projects, keys and limits of a CodexFlow installation.

    The environment says what is meant by default: CODEXFLOW_URL, CODEXFLOW_ORGANIZATION, CODEXFLOW_PROJECT; CODEXFLOW_TOKEN
    stands for a sign-in. The same names, in lower case and without CODEXFLOW_, may stand in ~/.config/codexflow/config.toml.

    Exit codes: 0 done, 1 refused by the service, 2 wrong use, 3 service not reached, 4 not signed in, 130 stopped by you.
    """
    context.obj = Invocation(url, idempotency_key)


for single in (bootstrap.app, sign_in.app, lost_password.app):
    app.add_typer(single)
for name, family in (
    ("users", users.app),
    ("orgs", orgs.app),
    ("members", members.app),
    ("invitations", invitations.app),
    ("service-accounts", service_accounts.app),
    ("plans", plans.app),
    ("projects", projects.app),
    ("keys", keys.app),
    ("limits", limits.app),
    ("notices", notices.app),
    ("audit", audit.app),
    ("domains", domains.app),
    ("groups", groups.app),
    ("tokens", tokens.app),
    ("sessions", sessions.app),
):
    app.add_typer(family, name=name)
