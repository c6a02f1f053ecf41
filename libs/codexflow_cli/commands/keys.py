"""`codexflow keys`."""

from typing import Annotated, Literal

import typer

from codexflow_cli.commands.owners import owner_id
from codexflow_cli.invocation import Invocation, invocation, is_identifier
from codexflow_cli.limits import LimitOption, parse_limits
from codexflow_cli.options import (
    DEFAULT_PAGE,
    Cursor,
    Expiry,
    IfVersion,
    Json,
    NewName,
    Organization,
    PageSize,
    Project,
    Yes,
    changes,
    confirm,
    given,
    number,
    pairs,
)
from codexflow_cli.rendering import show_list, show_record, show_secret

app = typer.Typer(no_args_is_help=True, help="API keys of a project")

COLUMNS = ("id", "name", "hint", "status", "label", "last_used_at", "expires_at")
Which = Annotated[str, typer.Argument(metavar="ID|NAME")]
Label = Annotated[Literal["live", "test"] | None, typer.Option("--label", help="What it is for")]
Owner = Annotated[
    str | None,
    typer.Option("--owner", metavar="ID|EMAIL|NAME", help="A member, or a service account by name; the key lives only with it"),
]
Scopes = Annotated[
    list[str] | None,
    typer.Option("--scope", metavar="NAME|none", help="Family of endpoints, like chat; may be repeated; none: all"),
]
Models = Annotated[
    list[str] | None,
    typer.Option("--model", metavar="NAME|none", help="What it may use; may be repeated; none: all of the project"),
]
Networks = Annotated[
    list[str] | None, typer.Option("--network", metavar="CIDR|none", help="Where from, like 203.0.113.0/24; may be repeated")
]
Tags = Annotated[list[str] | None, typer.Option("--tag", metavar="NAME=VALUE", help="Travels into telemetry; may be repeated")]
RotateDays = Annotated[str | None, typer.Option("--rotate-days", metavar="DAYS|none", help="It has to be rotated this often")]
Overlap = Annotated[
    int | None, typer.Option("--overlap-seconds", help="How long the old secret lives on after a rotation; 0: not at all")
]


@app.command("list")
def index(
    context: typer.Context,
    project: Project = None,
    organization: Organization = None,
    status: Annotated[Literal["active", "suspended", "revoked"] | None, typer.Option("--status", help="Only those")] = None,
    label: Annotated[Literal["live", "test"] | None, typer.Option("--label", help="Only those")] = None,
    owner: Annotated[str | None, typer.Option("--owner", metavar="ID|EMAIL|NAME", help="Only those of this owner")] = None,
    name: Annotated[str | None, typer.Option("--name", help="Only those with this in their name")] = None,
    unused_since: Annotated[str | None, typer.Option("--unused-since", metavar="TIME", help="Not used since then")] = None,
    expires_before: Annotated[str | None, typer.Option("--expires-before", metavar="TIME", help="That end before then")] = None,
    page_size: PageSize = DEFAULT_PAGE,
    cursor: Cursor = None,
    as_json: Json = False,
) -> None:
    """Those of a project, revoked ones included."""
    here = invocation(context)
    project_id = here.project(project, organization)
    query = {
        "status": status,
        "label": label,
        "owner_id": owner_id(here, owner, project_id),
        "name": name,
        "unused_since": unused_since,
        "expires_before": expires_before,
        "limit": page_size,
        "cursor": cursor,
    }
    show_list(here.client.get(f"/projects/{project_id}/keys", query), COLUMNS, as_json=as_json)


@app.command()
def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME")],
    project: Project = None,
    label: Label = None,
    owner: Owner = None,
    scopes: Scopes = None,
    models: Models = None,
    networks: Networks = None,
    limits: LimitOption = None,
    tags: Tags = None,
    expires_at: Expiry = None,
    rotate_days: RotateDays = None,
    overlap_seconds: Overlap = None,
    organization: Organization = None,
    as_json: Json = False,
) -> None:
    """A new one. Its plaintext is printed once, on the last line."""
    here = invocation(context)
    project_id = here.project(project, organization)
    body = given(
        name=name,
        label=label,
        owner_id=owner_id(here, owner, project_id),
        scopes=scopes,
        models=models,
        networks=networks,
        limits=parse_limits(limits),
        tags=pairs(tags),
        expires_at=expires_at,
        rotate_days=number(rotate_days),
        overlap_seconds=overlap_seconds,
    )
    show_secret(here.client.create(f"/projects/{project_id}/keys", body), "key", as_json=as_json)


@app.command()
def show(
    context: typer.Context, key: Which, project: Project = None, organization: Organization = None, as_json: Json = False
) -> None:
    """One of them, without its secret."""
    here = invocation(context)
    show_record(here.client.get(key_path(here, key, project, organization)), as_json=as_json)


@app.command()
def update(
    context: typer.Context,
    key: Which,
    name: NewName = None,
    project: Project = None,
    label: Label = None,
    owner: Owner = None,
    scopes: Scopes = None,
    models: Models = None,
    networks: Networks = None,
    tags: Tags = None,
    expires_at: Expiry = None,
    rotate_days: RotateDays = None,
    overlap_seconds: Overlap = None,
    organization: Organization = None,
    if_version: IfVersion = None,
    as_json: Json = False,
) -> None:
    """Change what is given; the rest stays. Tags are replaced as a whole. Limits: `codexflow limits set key …`."""
    here = invocation(context)
    project_id = here.project(project, organization)
    body = changes(
        name=name,
        label=label,
        owner_id=owner_id(here, owner, project_id),
        scopes=scopes,
        models=models,
        networks=networks,
        tags=pairs(tags),
        expires_at=expires_at,
        rotate_days=number(rotate_days),
        overlap_seconds=overlap_seconds,
    )
    show_record(here.client.change(key_path(here, key, project_id, None), body, if_version=if_version), as_json=as_json)


@app.command()
def rotate(
    context: typer.Context,
    key: Which,
    project: Project = None,
    overlap_seconds: Overlap = None,
    organization: Organization = None,
    if_version: IfVersion = None,
    as_json: Json = False,
) -> None:
    """A new secret, printed once on the last line; the old one lives on for the overlap."""
    here = invocation(context)
    path = f"{key_path(here, key, project, organization)}/rotate"
    show_secret(here.client.create(path, given(overlap_seconds=overlap_seconds), if_version=if_version), "key", as_json=as_json)


@app.command("end-rotation")
def end_rotation(
    context: typer.Context,
    key: Which,
    project: Project = None,
    organization: Organization = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Let the old secret of a rotation die now."""
    here = invocation(context)
    path = f"{key_path(here, key, project, organization)}/rotation/end"
    confirm(f"Let the old secret of {key} die now?", yes=yes)
    show_record(here.client.post(path), as_json=as_json)


@app.command()
def revoke(
    context: typer.Context,
    key: Which,
    project: Project = None,
    organization: Organization = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """For ever; says on how many gateways it is refused by now."""
    here = invocation(context)
    path = key_path(here, key, project, organization)
    confirm(f"Revoke {key} for ever?", yes=yes)
    show_record(here.client.delete(path), as_json=as_json)


@app.command()
def suspend(
    context: typer.Context,
    key: Which,
    project: Project = None,
    organization: Organization = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Refuse it at the gateways until it is resumed."""
    here = invocation(context)
    path = key_path(here, key, project, organization)
    confirm(f"Suspend {key}?", yes=yes)
    show_record(here.client.change(path, {"status": "suspended"}), as_json=as_json)


@app.command()
def resume(
    context: typer.Context, key: Which, project: Project = None, organization: Organization = None, as_json: Json = False
) -> None:
    """Let a suspended one pass again."""
    here = invocation(context)
    show_record(here.client.change(key_path(here, key, project, organization), {"status": "active"}), as_json=as_json)


def key_path(here: Invocation, key: str, project: str | None, organization: str | None) -> str:
    """Where a key is that is named by its identifier or its name."""
    keys = f"/projects/{here.project(project, organization)}/keys"
    return f"{keys}/{here.identify(key, keys, 'name', 'key', {'name': key})}"


def key_id(here: Invocation, key: str, project: str | None, organization: str | None) -> str:
    """The identifier of a key; a project is needed only where it is named by its name."""
    if is_identifier(key):
        return key.lower()
    return key_path(here, key, project, organization).rpartition("/")[2]
