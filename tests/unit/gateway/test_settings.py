"""Settings that others rely on: a value that would break their promise ends the start."""

import pytest
from pydantic import ValidationError

from common.contracts.grants import LONGEST_CONTACT_SECONDS
from gateway.settings import Settings

NEEDED = {"nats_password": "x", "key_peppers": "1:" + "00" * 32, "view_secret": "00" * 32}


def test_the_time_without_contact_may_be_shorter_and_not_longer_than_whoever_releases_a_gateway_takes_it_to_be() -> None:
    """Else a gateway that was taken for gone would go on to spend what others have been granted."""
    assert Settings(**NEEDED).grant_contact_seconds == LONGEST_CONTACT_SECONDS  # type: ignore[arg-type] # as the environment has it
    assert Settings(**NEEDED, grant_contact_seconds=60).grant_contact_seconds == 60  # type: ignore[arg-type]
    with pytest.raises(ValidationError, match="grant_contact_seconds"):
        Settings(**NEEDED, grant_contact_seconds=LONGEST_CONTACT_SECONDS + 1)  # type: ignore[arg-type]
