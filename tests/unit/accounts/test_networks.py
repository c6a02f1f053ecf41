"""Networks are written in one way."""

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.domain.networks import normalized


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("10.1.2.3/8", "10.0.0.0/8"),
        ("192.0.2.7", "192.0.2.7/32"),
        ("10.0.0.0/255.0.0.0", "10.0.0.0/8"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("2001:DB8:0:0::/32", "2001:db8::/32"),
        ("2001:db8::1", "2001:db8::1/128"),
        ("::/0", "::/0"),
        ("::ffff:192.0.2.0/120", "192.0.2.0/24"),
        ("::ffff:192.0.2.7", "192.0.2.7/32"),
    ],
)
def test_a_network_has_one_spelling(text: str, written: str) -> None:
    """Host bits, case, zeros, netmasks and IPv4 in IPv6 make no difference."""
    assert normalized(text) == written


@pytest.mark.parametrize(
    "text", ["", "localhost", "10.0.0.0/33", "10.0.0/8", "fe80::1%eth0", "::/129", "10.0.0.0/8/8", "١٠.0.0.0/8"]
)
def test_what_is_no_network_is_refused(text: str) -> None:
    """Names, zones, impossible prefixes."""
    with pytest.raises(ValueError, match=r"."):
        normalized(text)


@given(st.ip_addresses(), st.integers(0, 128))
def test_a_normalized_network_holds_its_address_and_stays(address: object, prefix: int) -> None:
    """Normalizing again changes nothing, and the address that was given is inside."""
    length = prefix if ip_address(str(address)).version == 6 else prefix % 33
    once = normalized(f"{address}/{length}")
    assert normalized(once) == once
    mapped = getattr(address, "ipv4_mapped", None)
    inside = mapped if mapped is not None and ip_network(once).version == 4 else ip_address(str(address))
    assert inside in ip_network(once)
