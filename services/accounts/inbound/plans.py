"""Plans over HTTP."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Response, status
from pydantic import Field

from accounts.inbound.caller import Caller, CurrentContext
from accounts.inbound.limits import AlertPercents, LimitsAnswer, LimitsBody
from accounts.inbound.versions import ExpectedVersion, tag
from accounts.inbound.wire import UNSET, Answer, Body, Identifier, Listing, Name, PageWanted, listing
from accounts.use_cases.create_plan import create_plan
from accounts.use_cases.delete_plan import delete_plan
from accounts.use_cases.list_plans import list_plans
from accounts.use_cases.show_plan import show_plan
from accounts.use_cases.update_plan import update_plan

router = APIRouter(prefix="/api/v1/organizations/{organization_id}/plans", tags=["plans"])
READ, MANAGE = {"x-permission": "plans.read"}, {"x-permission": "plans.manage"}

PlanName = Annotated[Name, Field(examples=["Standard"])]


class NewPlanBody(Body):
    """A new plan: limits that projects inherit and may override."""

    name: PlanName
    limits: LimitsBody = LimitsBody()
    alert_percents: AlertPercents = Field(default_factory=list)


class PlanChanges(Body):
    """Fields to change; the others stay, also within `limits`."""

    name: PlanName = UNSET
    limits: LimitsBody = UNSET
    alert_percents: AlertPercents = UNSET


class PlanAnswer(Answer):
    """A plan."""

    id: str
    organization_id: str
    name: str
    limits: LimitsAnswer
    alert_percents: list[int]
    version: int
    created_at: datetime
    updated_at: datetime


@router.get("", summary="The plans of an organization", openapi_extra=READ)
async def index(context: CurrentContext, caller: Caller, organization_id: Identifier, page: PageWanted) -> Listing[PlanAnswer]:
    """Oldest first."""
    return listing(await list_plans(context, caller, str(organization_id), page), PlanAnswer)


@router.post("", status_code=status.HTTP_201_CREATED, summary="Create a plan", openapi_extra=MANAGE)
async def create(context: CurrentContext, caller: Caller, organization_id: Identifier, body: NewPlanBody) -> PlanAnswer:
    """Its name is unique in the organization."""
    limits = body.limits.model_dump(exclude_unset=True)
    plan = await create_plan(
        context, caller, str(organization_id), name=body.name, limits=limits, alert_percents=body.alert_percents
    )
    return PlanAnswer.model_validate(plan)


@router.get("/{plan_id}", summary="Show a plan", openapi_extra=READ)
async def show(
    context: CurrentContext, caller: Caller, response: Response, organization_id: Identifier, plan_id: Identifier
) -> PlanAnswer:
    """Its projects are those of the list of projects with this `plan_id`."""
    plan = await show_plan(context, caller, str(organization_id), str(plan_id))
    tag(response, plan.version)
    return PlanAnswer.model_validate(plan)


@router.patch("/{plan_id}", summary="Change a plan", openapi_extra=MANAGE)
async def change(
    context: CurrentContext,
    caller: Caller,
    response: Response,
    organization_id: Identifier,
    plan_id: Identifier,
    body: PlanChanges,
    expected: ExpectedVersion,
) -> PlanAnswer:
    """All its projects follow at once, but for what they override."""
    changes = body.model_dump(exclude_unset=True)
    plan = await update_plan(context, caller, str(organization_id), str(plan_id), changes, expected)
    tag(response, plan.version)
    return PlanAnswer.model_validate(plan)


@router.delete("/{plan_id}", status_code=status.HTTP_204_NO_CONTENT, summary="Delete a plan", openapi_extra=MANAGE)
async def remove(
    context: CurrentContext, caller: Caller, organization_id: Identifier, plan_id: Identifier, expected: ExpectedVersion
) -> None:
    """A conflict as long as any project has it."""
    await delete_plan(context, caller, str(organization_id), str(plan_id), expected)
