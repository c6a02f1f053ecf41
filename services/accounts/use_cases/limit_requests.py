"""The rate limit of the management API: counted here and now, by each replica for itself."""

from ipaddress import IPv6Address, ip_network

from accounts.domain.principal import Principal
from accounts.domain.token_buckets import Taken, TokenBuckets
from accounts.outbound import metrics
from common.client_address import parse_address

IPV6_PREFIX = 64
"""What one customer of a provider has."""


class RequestLimit:
    """So many requests per minute: of a user or service account, by whatever token they come, or of an address.

    Known callers and addresses have buckets of their own kind: a flood of addresses makes no known caller forgotten.
    """

    def __init__(self, per_minute: int) -> None:
        self.per_minute = per_minute
        self._known, self._anonymous = TokenBuckets(per_minute), TokenBuckets(per_minute)

    def take(self, caller: Principal, now: float) -> Taken | None:
        """Count a request; None when there is no limit."""
        if not self.per_minute:
            return None
        anonymous = caller.kind == "anonymous"
        taken = self._anonymous.take(_network(caller), now) if anonymous else self._known.take(_name(caller), now)
        if taken.wait_seconds:
            metrics.LIMITED_REQUESTS.labels("anonymous" if anonymous else "known").inc()
        return taken


def _name(caller: Principal) -> str:
    return f"{caller.kind}:{caller.subject}"


def _network(caller: Principal) -> str:
    address = parse_address(caller.origin.address)
    if isinstance(address, IPv6Address):
        return str(ip_network((address, IPV6_PREFIX), strict=False))
    return caller.origin.address
