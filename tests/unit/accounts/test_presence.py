"""Which gateways are alive and how far they are."""

import pytest

from accounts.domain.presence import ALIVE_SECONDS, PresenceView, canonical_moment
from common.contracts.events import Presence

CREATED = "2026-11-23T10:00:00.123456Z"


def _presence(gateway: str, applied: int, created: str = CREATED, boot: str = "b") -> Presence:
    return Presence(gateway=gateway, boot=boot, directory_created=created, applied_sequence=applied, at=0)


@pytest.mark.parametrize(
    "text",
    [CREATED, "2026-11-23T10:00:00.123456789Z", "2026-11-23T10:00:00.123456+00:00", "2026-11-23T11:00:00.123456+01:00"],
)
def test_the_same_moment_is_the_same_however_it_is_written(text: str):
    """Clients of the bus print the bucket's creation with different digits."""
    assert canonical_moment(text) == canonical_moment(CREATED)


def test_only_live_gateways_with_that_bucket_and_sequence_acknowledge():
    """Silent ones are not waited for; those of another bucket or behind are alive, but have not applied it."""
    view = PresenceView()
    view.hear(_presence("gone", 9), 0.0)
    now = ALIVE_SECONDS + 1
    view.hear(_presence("there", 5), now)
    view.hear(_presence("behind", 4), now)
    view.hear(_presence("elsewhere", 9, created="2026-01-01T00:00:00Z"), now)
    assert view.standing(CREATED, 5, now) == (3, 1)
    view.hear(_presence("behind", 5, boot="c"), now)
    assert view.standing(CREATED, 5, now) == (3, 2)
    assert view.alive(now + ALIVE_SECONDS + 0.1) == 0
