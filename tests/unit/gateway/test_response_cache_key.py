"""Which requests share an answer from the response cache."""

import json

from gateway.domain import chat_request
from gateway.domain.response_cache_key import cache_key


def key_of(**changes: object) -> str:
    body = {"model": "fast", "messages": [{"role": "user", "content": "hi"}], "temperature": 0, **changes}
    return cache_key("project:p", "chat", "fast", *chat_request.read(json.dumps(body).encode()))


def test_who_asks_does_not_change_the_key() -> None:
    """Fields that do not change the answer are left out."""
    assert key_of() == key_of(user="ann", metadata={"a": "b"})


def test_what_changes_the_answer_changes_the_key() -> None:
    """Parameters of the text, and the service that it is asked of."""
    assert len({key_of(), key_of(seed=1), key_of(service_tier="flex"), key_of(service_tier="default")}) == 4
