"""Source networks as CIDR blocks, each written in one way, so that a gateway only has to compare."""

from ipaddress import IPv4Network, IPv6Network, ip_network

_MAPPED = IPv6Network("::ffff:0:0/96")


def normalized(text: str) -> str:
    """The block that a text names: a bare address is a block of one, host bits are cleared, IPv4 in IPv6's clothes is IPv4.

    Raises ValueError for anything else, zones (`fe80::1%eth0`) included: they mean nothing on another machine.
    """
    if "%" in text or not text.isascii():
        raise ValueError("is no network")
    network = ip_network(text, strict=False)
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        network = IPv4Network((int(network.network_address) & 0xFFFFFFFF, network.prefixlen - 96))
    return str(network)
