"""Limits over HTTP, the same for whatever has them: organizations, members, plans, projects, keys, end users."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from accounts.inbound.wire import Amount, Answer, Body


def _sorted_once(percents: list[int]) -> list[int]:
    return sorted(set(percents))


Percent = Annotated[int, Field(ge=1, le=200)]
AlertPercents = Annotated[
    list[Percent],
    Field(max_length=20, examples=[[50, 80, 100]], description="Soft limits: shares of a limit, in percent, that raise an alert"),
    AfterValidator(_sorted_once),
]


Enforcement = Annotated[
    Literal["hard", "soft", "shadow"],
    Field(
        description="What a reached limit does: `hard` refuses, `soft` only raises alerts (of budgets), `shadow` lets pass and says in "
        "a header and a metric what it would have refused. A project's is that of its keys and end users too, an organization's that of "
        "its members"
    ),
]


class LimitsBody(Body):
    """Hard limits; null = no limit. In a PATCH, what is left out stays."""

    monthly_tokens: Annotated[Amount | None, Field(examples=[20_000_000])] = None
    monthly_cost_nanousd: Annotated[Amount | None, Field(description="1 USD = 1 000 000 000")] = None
    daily_tokens: Amount | None = None
    daily_cost_nanousd: Annotated[Amount | None, Field(description="1 USD = 1 000 000 000")] = None
    requests_per_minute: Amount | None = None
    tokens_per_minute: Amount | None = None
    concurrency: Annotated[Amount | None, Field(description="Requests at the same time")] = None


class LimitsAnswer(Answer):
    """Hard limits; null = no limit. `version` rises with every change of any of them."""

    version: int
    monthly_tokens: int | None
    monthly_cost_nanousd: int | None
    daily_tokens: int | None
    daily_cost_nanousd: int | None
    requests_per_minute: int | None
    tokens_per_minute: int | None
    concurrency: int | None
