"""List the projects of an organization."""

from collections.abc import Mapping

from accounts.domain.objects import Project
from accounts.domain.page import Page, PageAsk
from accounts.domain.principal import Principal
from accounts.outbound.projects import projects_of
from accounts.use_cases.authorize_caller import authorize
from accounts.use_cases.context import Context


async def list_projects(
    context: Context, caller: Principal, organization_id: str, ask: PageAsk, only: Mapping[str, str]
) -> Page[Project]:
    """One page, oldest first; `only` those with these values of status, environment, plan_id, slug, or part of the name.

    Raises NotFound, Forbidden.
    """
    async with context.engine.begin() as connection:
        await authorize(connection, caller, "projects.read", organization_id)
        return await projects_of(connection, organization_id, ask, only)
