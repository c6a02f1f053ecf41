"""Which address a request came from, when proxies stand in between."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


def client_address(peer: str, forwarded: Sequence[str], trusted: Sequence[Network]) -> str:
    """The address nearest to us that is not one of our proxies.

    `forwarded` is X-Forwarded-For from left to right. Each proxy vouches only for the one before it, so it is read from the right
    and only as long as the addresses are trusted; what a client writes in front of them counts for nothing.
    """
    nearest = _parsed(peer)
    if nearest is None:
        return peer
    for text in reversed(forwarded):
        if not _is_trusted(nearest, trusted):
            break
        before = _parsed(text.strip())
        if before is None:
            break
        nearest = before
    return str(nearest)


def _is_trusted(address: Address, trusted: Sequence[Network]) -> bool:
    return any(address in network for network in trusted)


def _parsed(text: str) -> Address | None:
    """Also with a port, as some proxies write it, and an IPv4 address in IPv6 clothes as what it is."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return address.ipv4_mapped or address if isinstance(address, IPv6Address) else address
