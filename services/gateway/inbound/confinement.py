"""What a key is confined to: networks that it may be used from, and endpoints. Asked only once the key itself is proven."""

from collections.abc import Sequence

from common.client_address import Network, client_address, is_within, network_of, parse_address
from common.contracts.directory import EndpointScope
from gateway.domain.caller import Caller
from gateway.domain.refusals import AddressNotAllowed, InsufficientPermissions
from gateway.inbound.request_body import Scope


class Confinement:
    """`proxies` are believed when they say by X-Forwarded-For on whose behalf they ask."""

    def __init__(self, proxies: Sequence[Network]) -> None:
        self._proxies = proxies

    def require(self, caller: Caller, needed: EndpointScope, scope: Scope) -> None:
        """Raises AddressNotAllowed or InsufficientPermissions, in this order."""
        if caller.networks is not None:
            address = parse_address(self.address(scope))
            if address is None or not is_within(address, caller.networks):
                raise AddressNotAllowed("This API key may not be used from your network address.")
        if caller.scopes is not None and needed not in caller.scopes:
            raise InsufficientPermissions(f"This API key may not use this endpoint: it lacks the scope '{needed}'.")

    def network(self, scope: Scope) -> str:
        """What limits of client addresses go by."""
        return network_of(self.address(scope))

    def address(self, scope: Scope) -> str:
        """On whose behalf a request is made, as text; empty when that is not known."""
        peer: str = scope["client"][0] if scope.get("client") else ""
        if not self._proxies:
            return peer
        said = [value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for"]
        return client_address(peer, ",".join(said).split(",") if said else (), self._proxies)
