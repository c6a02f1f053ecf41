"""Whose address counts behind proxies."""

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.client_address import client_address, is_within, parse_address, parse_network, parse_networks

PROXIES = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))
FAR = "203.0.113.7"


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        (FAR, ["198.51.100.1"], FAR),
        ("10.0.0.1", [FAR], FAR),
        ("10.0.0.1", [FAR, "10.0.0.2"], FAR),
        ("10.0.0.1", ["1.2.3.4", FAR], FAR),
        ("10.0.0.1", [" 10.0.0.3", "10.0.0.2 "], "10.0.0.3"),
        ("10.0.0.1", [""], "10.0.0.1"),
        ("10.0.0.1", [FAR, "unknown"], "10.0.0.1"),
        ("::ffff:10.0.0.1", [f"{FAR}:4711"], FAR),
        ("fd00::1", ["[2001:db8::7]:443"], "2001:db8::7"),
        ("", [FAR], ""),
    ],
)
def test_the_rightmost_address_that_is_no_proxy_counts(peer: str, forwarded: list[str], expected: str):
    """And only proxies are believed."""
    assert client_address(peer, forwarded, PROXIES) == expected


@given(st.lists(st.one_of(st.ip_addresses().map(str), st.text(max_size=20))))
def test_nothing_that_a_client_writes_changes_its_address(written: list[str]):
    """Not when it comes straight to us, and not when a proxy has added the address it saw."""
    assert client_address(FAR, written, PROXIES) == FAR
    assert client_address("10.0.0.1", [*written, FAR], PROXIES) == FAR


def test_without_proxies_the_header_counts_for_nothing():
    """The default."""
    assert client_address("10.0.0.1", [FAR], ()) == "10.0.0.1"


@pytest.mark.parametrize(
    ("network", "inside", "outside"),
    [
        ("192.0.2.0/24", "192.0.2.9", "192.0.3.9"),
        ("192.0.2.9", "::ffff:192.0.2.9", "192.0.2.8"),
        ("::ffff:192.0.2.0/120", "192.0.2.9", "192.0.3.9"),
        ("2001:db8::/32", "2001:db8:1::5", "2001:db9::5"),
        ("::/0", "2001:db8::1", "192.0.2.9"),
    ],
)
def test_a_network_has_an_address_in_whatever_clothes(network: str, inside: str, outside: str):
    """IPv4 in IPv6 is IPv4, on both sides."""
    addresses = [parse_address(text) for text in (inside, outside)]
    assert None not in addresses
    assert [is_within(address, [parse_network(network)]) for address in addresses if address] == [True, False]


def test_a_list_of_networks_that_cannot_be_read():
    """Says how it is written; an empty one is none."""
    assert parse_networks(" 10.0.0.0/8 , fd00::/8,") == PROXIES
    assert parse_networks("") == ()
    for text in ("10.0.0.1/8", "everywhere", "10.0.0.0/33"):
        with pytest.raises(ValueError, match="CIDR blocks separated by commas"):
            parse_networks(text)
