"""`codexflow limits`: whatever has limits, in one place."""

from typing import Annotated, Literal

import typer

from codexflow_cli.client import Answer
from codexflow_cli.commands.keys import key_path
from codexflow_cli.commands.members import member_path
from codexflow_cli.commands.owners import service_account_path
from codexflow_cli.commands.plans import plan_path
from codexflow_cli.errors import WrongUse
from codexflow_cli.invocation import Invocation, invocation
from codexflow_cli.limits import HELP, complete_limit, parse_limits
from codexflow_cli.options import IfVersion, Json, Organization, Project
from codexflow_cli.rendering import print_document, show_record

app = typer.Typer(no_args_is_help=True, help="Limits of organizations, projects, plans, members, service accounts and keys")

Kind = Literal["organization", "project", "plan", "member", "service-account", "key"]
Of = Annotated[Kind, typer.Argument(metavar="KIND", help="organization, project, plan, member, service-account or key")]
Named = Annotated[str, typer.Argument(metavar="WHICH", help="Its id; or the slug, name or email")]
EndUser = Annotated[
    bool, typer.Option("--end-user", help="Those for each end user instead; organizations and projects have them")
]


@app.command()
def show(
    context: typer.Context,
    kind: Of,
    which: Named,
    end_user: EndUser = False,
    project: Project = None,
    organization: Organization = None,
    as_json: Json = False,
) -> None:
    """What holds. With --json the whole object."""
    here = invocation(context)
    _show(here.client.get(_path(here, kind, which, project, organization)), _field(kind, end_user=end_user), as_json=as_json)


@app.command("set")
def set_limits(
    context: typer.Context,
    kind: Of,
    which: Named,
    limits: Annotated[list[str], typer.Argument(metavar="NAME=VALUE…", help=HELP, autocompletion=complete_limit)],
    end_user: EndUser = False,
    project: Project = None,
    organization: Organization = None,
    if_version: IfVersion = None,
    as_json: Json = False,
) -> None:
    """Change those that are given; the others stay. What was spent in the period stays spent."""
    here = invocation(context)
    field = _field(kind, end_user=end_user)
    body = {field: parse_limits(limits)}
    _show(
        here.client.change(_path(here, kind, which, project, organization), body, if_version=if_version), field, as_json=as_json
    )


def _field(kind: Kind, *, end_user: bool) -> str:
    if end_user and kind not in ("organization", "project"):
        raise WrongUse("Only organizations and projects have limits for each end user.")
    return "end_user_limits" if end_user else "limits"


def _path(here: Invocation, kind: Kind, which: str, project: str | None, organization: str | None) -> str:
    match kind:
        case "organization":
            return f"/organizations/{here.organization(which)}"
        case "project":
            return f"/projects/{here.project(which, organization)}"
        case "plan":
            return plan_path(here, which, organization)
        case "key":
            return key_path(here, which, project, organization)
        case "member":
            return member_path(here, which, organization)
        case "service-account":
            return service_account_path(here, which, organization)


def _show(answer: Answer, field: str, *, as_json: bool) -> None:
    if as_json:
        print_document(answer)
        return
    effective = answer.document.get("effective")
    limits = {**answer.document[field], **({"effective": effective} if effective else {})}
    show_record(Answer("", limits), as_json=False)
