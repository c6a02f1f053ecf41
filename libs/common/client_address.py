"""Which address a request came from, when proxies stand in between; and addresses and networks as people write them."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_MAPPED = IPv6Network("::ffff:0:0/96")


def client_address(peer: str, forwarded: Sequence[str], trusted: Sequence[Network]) -> str:
    """The address nearest to us that is not one of our proxies.

    `forwarded` is X-Forwarded-For from left to right. Each proxy vouches only for the one before it, so it is read from the right
    and only as long as the addresses are trusted; what a client writes in front of them counts for nothing.
    """
    nearest = parse_address(peer)
    if nearest is None:
        return peer
    for text in reversed(forwarded):
        if not is_within(nearest, trusted):
            break
        before = parse_address(text.strip())
        if before is None:
            break
        nearest = before
    return str(nearest)


def is_within(address: Address, networks: Sequence[Network]) -> bool:
    """Whether one of the networks has the address."""
    return any(address in network for network in networks)


def network_of(address: str) -> str:
    """What one client surely has: an IPv4 address, or the /64 of an IPv6 one, all of which one machine can use."""
    if ":" not in address:
        return address
    parsed = parse_address(address)
    return str(IPv6Network((parsed, 64), strict=False)) if isinstance(parsed, IPv6Address) else str(parsed or address)


def parse_address(text: str) -> Address | None:
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


def parse_network(text: str) -> Network:
    """A CIDR block or a single address; an IPv4 block in IPv6 clothes as what it is. Raises ValueError."""
    network = ip_network(text.strip())
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        return ip_network((int(network.network_address) & 0xFFFFFFFF, network.prefixlen - 96))
    return network


def parse_networks(text: str) -> tuple[Network, ...]:
    """CIDR blocks separated by commas. Raises ValueError with a sentence that says what is wrong."""
    try:
        return tuple(parse_network(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise ValueError("give CIDR blocks separated by commas, like 10.0.0.0/8,fd00::/8") from None
