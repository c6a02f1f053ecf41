"""From where a key may be used: the peer's address, or what a trusted proxy says of it."""

from typing import Any

import pytest

from common.client_address import parse_networks
from gateway.domain.caller import Caller, join
from gateway.domain.refusals import AddressNotAllowed
from gateway.inbound.confinement import Confinement
from tests.unit.gateway.directory_makers import fresh_plaintext, key_record, organization_record, project_record

OFFICE = ("192.0.2.0/24", "2001:db8::/32")
INSIDE, INSIDE_6, OUTSIDE = "192.0.2.7", "2001:db8::7", "203.0.113.9"
PROXIES = "10.0.0.0/8,fd00::/8"


def caller_with(*networks: str) -> Caller:
    return join(key_record(fresh_plaintext(), networks=networks), project_record(), organization_record(), None)


def passes(caller: Caller, peer: str | None, *forwarded: str, proxies: str = "") -> bool:
    headers = [(b"x-forwarded-for", value.encode("latin-1")) for value in forwarded]
    scope: dict[str, Any] = {"client": None if peer is None else (peer, 4711), "headers": headers}
    try:
        Confinement(parse_networks(proxies)).require(caller, "chat", scope)
    except AddressNotAllowed:
        return False
    return True


@pytest.mark.parametrize(
    ("peer", "expected"),
    [
        (INSIDE, True),
        (INSIDE_6, True),
        (f"::ffff:{INSIDE}", True),
        (OUTSIDE, False),
        (f"::ffff:{OUTSIDE}", False),
        ("2001:db9::1", False),
        ("", False),
        ("not an address", False),
        (None, False),
    ],
)
def test_the_peer_must_be_in_one_of_the_networks(peer: str | None, expected: bool) -> None:
    """IPv4, IPv6 and one in the clothes of the other; who has no address is nowhere."""
    assert passes(caller_with(*OFFICE), peer) is expected


def test_a_header_counts_for_nothing_without_trusted_proxies() -> None:
    """The default: nobody can say that it came from elsewhere, not even from inside."""
    assert not passes(caller_with(*OFFICE), OUTSIDE, INSIDE)
    assert not passes(caller_with(*OFFICE), OUTSIDE, INSIDE, proxies=PROXIES)
    assert passes(caller_with(*OFFICE), INSIDE, OUTSIDE)


@pytest.mark.parametrize(
    ("forwarded", "expected"),
    [
        ([INSIDE], True),
        ([f"{OUTSIDE}, {INSIDE}"], True),
        ([f"{INSIDE}, {OUTSIDE}"], False),
        ([INSIDE, OUTSIDE], False),
        ([OUTSIDE, INSIDE], True),
        ([f"{INSIDE}, 10.1.2.3"], True),
        ([f"{INSIDE}:8080"], True),
        ([f"[{INSIDE_6}]:8080"], True),
        ([f"::ffff:{INSIDE}"], True),
        (["unknown"], False),
        ([""], False),
        ([], False),
    ],
)
def test_behind_a_proxy_the_rightmost_stranger_counts(forwarded: list[str], expected: bool) -> None:
    """What stands left of it the client may have written itself."""
    for proxy in ("10.0.0.1", "fd00::1", "::ffff:10.0.0.1"):
        assert passes(caller_with(*OFFICE), proxy, *forwarded, proxies=PROXIES) is expected


def test_networks_that_cannot_be_read_let_nobody_in() -> None:
    """Nor does an empty list; a key without one is not confined."""
    assert not passes(caller_with("everywhere"), INSIDE)
    assert not passes(caller_with(), INSIDE)
    assert passes(caller_with("everywhere", *OFFICE), INSIDE)
    assert not join(key_record(fresh_plaintext()), project_record(), organization_record(), None).confined
