"""Seed a first user with an organization, a project and a key; what is there already is left as it is."""

from dataclasses import dataclass

from accounts.domain.key_filter import KeyFilter
from accounts.domain.page import PageAsk
from accounts.domain.principal import SYSTEM, Principal
from accounts.outbound.keys import keys_of
from accounts.outbound.organizations import organizations_of
from accounts.outbound.projects import projects_of
from accounts.outbound.users import credentials_of
from accounts.use_cases.context import Context
from accounts.use_cases.create_organization import NewOrganization, create_organization
from accounts.use_cases.create_project import NewProject, create_project
from accounts.use_cases.create_user import create_user
from accounts.use_cases.issue_key import NewKey, issue_key

EVERYTHING = PageAsk(limit=10_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Demo:
    """What the seed is to make, by name."""

    email: str
    password: str
    organization: str
    project: str
    limits: dict[str, int | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seeded:
    """What is there now; `api_key` only when it has just been made."""

    created: bool
    api_key: str | None
    organization_id: str
    project_id: str
    user_id: str
    user_email: str


async def seed_demo(context: Context, demo: Demo) -> Seeded:
    """Find or make each of them, through the same use cases as everybody. Existing passwords and limits stay."""
    user_id = await _user(context, demo)
    caller = Principal(kind="user", id=user_id, name=demo.email)
    organization_id = await _organization(context, caller, demo)
    project_id = await _project(context, caller, organization_id, demo)
    async with context.engine.begin() as connection:
        has_key = bool((await keys_of(connection, project_id, PageAsk(limit=1), KeyFilter(status="active"))).data)
    api_key = None if has_key else (await issue_key(context, caller, project_id, NewKey(name="Demo")))[1]
    return Seeded(
        created=api_key is not None,
        api_key=api_key,
        organization_id=organization_id,
        project_id=project_id,
        user_id=user_id,
        user_email=demo.email,
    )


async def _user(context: Context, demo: Demo) -> str:
    async with context.engine.begin() as connection:
        known = await credentials_of(connection, demo.email)
    if known:
        return known.user_id
    return (await create_user(context, SYSTEM, email=demo.email, password=demo.password)).id


async def _organization(context: Context, caller: Principal, demo: Demo) -> str:
    async with context.engine.begin() as connection:
        mine = await organizations_of(connection, caller.subject, EVERYTHING)
    for organization in mine.data:
        if organization.name == demo.organization:
            return organization.id
    return (await create_organization(context, caller, NewOrganization(name=demo.organization))).id


async def _project(context: Context, caller: Principal, organization_id: str, demo: Demo) -> str:
    async with context.engine.begin() as connection:
        existing = await projects_of(connection, organization_id, EVERYTHING)
    for project in existing.data:
        if project.name == demo.project:
            return project.id
    new = NewProject(name=demo.project, limits={name: value for name, value in demo.limits.items() if value is not None})
    return (await create_project(context, caller, organization_id, new)).id
