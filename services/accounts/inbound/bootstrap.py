"""The first user of an empty installation, over HTTP."""

from typing import Annotated

from fastapi import APIRouter, status
from pydantic import BaseModel, Field

from accounts.inbound.caller import Anybody, CurrentContext
from accounts.inbound.wire import AnyText, Body, Email, Name, NewPassword
from accounts.use_cases.bootstrap_installation import bootstrap_installation

BOOTSTRAP_PATH = "/api/v1/bootstrap"

router = APIRouter(tags=["bootstrap"])


class BootstrapBody(Body):
    """Who is to run the installation."""

    token: Annotated[AnyText, Field(min_length=1, max_length=1024, description="The setup token: ACCOUNTS_BOOTSTRAP_TOKEN")]
    email: Email
    password: NewPassword
    name: Name | None = None
    organization: Name = "Main"


class BootstrapAnswer(BaseModel):
    """What is there now. Sign in next."""

    user_id: str
    email: str
    organization_id: str
    organization_name: str


@router.post(
    BOOTSTRAP_PATH,
    status_code=status.HTTP_201_CREATED,
    summary="Make the first user",
    openapi_extra={"x-permission": "public"},
)
async def bootstrap(context: CurrentContext, caller: Anybody, body: BootstrapBody) -> BootstrapAnswer:
    """Works while there is no user at all, and only with the setup token; 404 where none is configured, 409 afterwards. The user
    runs the installation and owns the organization.
    """
    user, organization = await bootstrap_installation(
        context,
        caller.origin,
        setup_token=body.token,
        email=body.email,
        password=body.password,
        name=body.name or "",
        organization=body.organization,
    )
    return BootstrapAnswer(
        user_id=user.id, email=user.email, organization_id=organization.id, organization_name=organization.name
    )
