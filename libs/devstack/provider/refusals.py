"""Refusals and how OpenAI words them."""

import msgspec

Header = tuple[bytes, bytes]


class Refusal(Exception):
    """The call is answered with an error and costs nothing, or its prompt where it is `billed`."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str | None = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
        billed: bool = False,
        headers: tuple[Header, ...] = (),
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.kind = kind
        self.code = code
        self.param = param
        self.billed = billed
        self.headers = headers

    def body(self) -> bytes:
        error = {"message": self.message, "type": self.kind, "param": self.param, "code": self.code}
        return msgspec.json.encode({"error": error})


def unknown_model(model: str) -> Refusal:
    return Refusal(
        404,
        f"The model `{model}` does not exist or you do not have access to it.",
        code="model_not_found",
        param="model",
    )


def wrong_key() -> Refusal:
    return Refusal(401, "Incorrect API key provided.", code="invalid_api_key")


def bad_request(message: str, param: str | None = None) -> Refusal:
    return Refusal(400, message, param=param)
