"""Headers in OpenAI's names, of the tightest limit."""

import pytest

from common.contracts.directory import Limits
from gateway.domain.rate_group import RateGroup
from gateway.domain.rate_headers import duration, headers_of
from gateway.domain.rate_limit import Amount, RateScope


@pytest.mark.parametrize(("seconds", "text"), [(0.0, "0ms"), (0.12, "120ms"), (1.2, "1s"), (59.0, "59s"), (360.0, "6m0s")])
def test_durations_are_written_as_openai_writes_them(seconds: float, text: str) -> None:
    """Milliseconds below a second, minutes and seconds from a minute on."""
    assert duration(seconds) == text.encode()


def test_the_scope_with_the_least_left_is_shown() -> None:
    """Requests and tokens each by their own; a scope that is used up says when it has room again."""
    key, project = RateScope("key", "k", 1_000.0), RateScope("project", "p", 1_000.0)
    key.adopt(Limits(version=1, requests_per_minute=2))
    project.adopt(Limits(version=1, requests_per_minute=100, tokens_per_minute=500))
    for scope in (key, project):
        scope.use(Amount(2, 120, 1), 1_000.0)
    group = RateGroup(((project, "hard"), (key, "soft")))
    assert dict(headers_of(group.header_lines(1_010.0))) == {
        b"x-ratelimit-limit-requests": b"2",
        b"x-ratelimit-remaining-requests": b"0",
        b"x-ratelimit-reset-requests": b"51s",
        b"x-ratelimit-limit-tokens": b"500",
        b"x-ratelimit-remaining-tokens": b"380",
        b"x-ratelimit-reset-tokens": b"0ms",
    }
    assert RateGroup(()).header_lines(1_000.0) == b""
