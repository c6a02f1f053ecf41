"""Show one project."""

from accounts.domain.objects import Project
from accounts.use_cases.authorize_caller import project_for
from accounts.use_cases.context import Context
from common.contracts.access_tokens import Identity


async def show_project(context: Context, identity: Identity, project_id: str) -> Project:
    """Raises NotFound, Forbidden."""
    async with context.engine.begin() as connection:
        return await project_for(connection, identity, "projects.read", project_id)
