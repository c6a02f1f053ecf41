"""The hot routes as FastAPI knows them: for OpenAPI and /docs only, they are answered before a request gets here."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query
from fastapi.security import HTTPBearer
from pydantic import BaseModel, Field

from gateway.domain.chat_request import LONGEST_USER
from gateway.domain.refusals import RouteNotFound
from gateway.inbound.documented_answers import EstimateAnswer, ExplanationAnswer, QuotaAnswer


class Message(BaseModel):
    """One message of a conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[dict[str, Any]] | None = None


class ChatCompletionRequest(BaseModel):
    """OpenAI's request; fields not named here go to the model provider as they are."""

    model: str = Field(description="`auto`, `fast`, `deep`, or a model that GET /v1/models lists.", examples=["auto"])
    messages: list[Message] = Field(min_length=1, examples=[[{"role": "user", "content": "Say hello."}]])
    stream: bool | None = Field(None, description="Server-sent events; usage in the last one if stream_options asks for it.")
    stream_options: dict[str, Any] | None = None
    max_tokens: int | None = Field(None, ge=1, description="Under a budget a missing cap is set to the gateway's default.")
    max_completion_tokens: int | None = Field(None, ge=1)
    n: int | None = Field(None, ge=1, le=128)
    temperature: float | None = Field(None, ge=0, le=2, description="0 makes the answer cacheable within the project.")
    user: str | None = Field(None, description="Your end user; kept in telemetry.")


class ErrorDetail(BaseModel):
    """What went wrong; one of a limit also has limit_source, limit, used, held, needed, resets_at."""

    message: str
    type: str
    param: str | None
    code: str


class Error(BaseModel):
    """OpenAI's error object."""

    error: ErrorDetail


_ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"model": Error, "description": "Malformed body; `param` names the field"},
    401: {"model": Error, "description": "`invalid_api_key`, whatever was wrong with the key"},
    403: {
        "model": Error,
        "description": "`ip_not_allowed`, `insufficient_permissions`: the key is right, but not from here or not for this",
    },
    404: {"model": Error, "description": "`model_not_found`"},
    405: {"model": Error, "description": "`method_not_allowed`"},
    408: {"model": Error, "description": "`request_timeout`: the body did not arrive in time"},
    413: {"model": Error, "description": "`request_too_large`"},
    429: {"model": Error, "description": "`insufficient_quota`, `rate_limit_exceeded`"},
    431: {"model": Error, "description": "`request_header_fields_too_large`"},
    502: {"model": Error, "description": "`upstream_error`"},
    503: {
        "model": Error,
        "description": "`upstream_unavailable`, `upstream_rate_limited`, `budget_unavailable`, `directory_unavailable`, "
        "`spool_full`, `overloaded`, `shutting_down`",
    },
    504: {"model": Error, "description": "`upstream_timeout`"},
}


_KEY_ERRORS: dict[int | str, dict[str, Any]] = {status: _ERRORS[status] for status in (401, 403)}


def documented_routes() -> APIRouter:
    """Routes that are never reached: HotPath stands in front of them."""
    router = APIRouter(
        prefix="/v1", tags=["OpenAI-compatible"], dependencies=[Depends(HTTPBearer(description="An API key, sk-cf-…"))]
    )

    @router.post("/chat/completions", responses=_ERRORS, summary="Chat completion, streamed or whole")
    async def chat_completions(body: ChatCompletionRequest) -> dict[str, Any]:
        raise RouteNotFound(body.model)

    @router.get("/models", responses=_KEY_ERRORS, summary="The models that the key may use")
    async def models() -> dict[str, Any]:
        raise RouteNotFound("models")

    @router.get(
        "/quota",
        responses=_KEY_ERRORS | {400: _ERRORS[400]},
        response_model=QuotaAnswer,
        summary="Where the key's budget stands",
    )
    async def quota(
        user: Annotated[str | None, Query(max_length=LONGEST_USER, description="With the limits of this end user")] = None,
    ) -> dict[str, Any]:
        raise RouteNotFound(user or "quota")

    @router.post(
        "/estimate",
        responses=_ERRORS,
        response_model=EstimateAnswer,
        summary="What a chat completion would need and cost, without making it",
    )
    async def estimate(body: ChatCompletionRequest) -> dict[str, Any]:
        raise RouteNotFound(body.model)

    @router.get(
        "/requests/{request_id}/explain",
        responses=_KEY_ERRORS
        | {
            404: {"model": Error, "description": "`request_not_found`"},
            429: {"model": Error, "description": "`rate_limit_exceeded`: too many explanations with this key"},
            503: {"model": Error, "description": "`explanation_unavailable`"},
        },
        response_model=ExplanationAnswer,
        summary="Why a request was answered as it was",
    )
    async def explain(request_id: str) -> dict[str, Any]:
        raise RouteNotFound(request_id)

    return router
