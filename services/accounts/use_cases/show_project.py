"""Show one project."""

from accounts.domain.objects import Project
from accounts.domain.principal import Principal
from accounts.use_cases.authorize_caller import project_for
from accounts.use_cases.context import Context


async def show_project(context: Context, caller: Principal, project_id: str) -> Project:
    """Raises NotFound, Forbidden."""
    async with context.engine.begin() as connection:
        return await project_for(connection, caller, "projects.read", project_id)
