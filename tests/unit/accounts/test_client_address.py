"""Whose address counts behind proxies."""

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.domain.client_address import client_address

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
