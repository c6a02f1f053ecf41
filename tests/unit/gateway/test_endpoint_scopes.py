"""Which scope opens which endpoint: said in one place, for every route."""

from typing import Any, get_args

import pytest
from prometheus_client import CollectorRegistry

from common.contracts.directory import EndpointScope
from gateway.app import people_app
from gateway.domain.address_failures import AddressFailures
from gateway.domain.endpoints import SCOPES
from gateway.inbound.confinement import Confinement
from gateway.inbound.hot_path import PREFIXES, HotPath
from gateway.use_cases.identify_caller import IdentifyCaller
from tests.unit.gateway.directory_makers import PEPPERS, StandingFeed, fresh_plaintext, full_view, key_record


async def nothing(*_: Any) -> None:
    """Answers nothing."""


def hot_path(routes: dict[tuple[str, str], Any], key: Any) -> HotPath:
    identify = IdentifyCaller(full_view(key), StandingFeed(), PEPPERS)  # type: ignore[arg-type] # a feed of ours
    return HotPath(nothing, routes, identify, lambda _: None, Confinement(()), AddressFailures(0), max_in_flight=10)


async def status_of(hot: HotPath, plaintext: str, method: str, path: str) -> tuple[int, bytes]:
    """What a request is answered; 200 stands for a handler that was reached."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"authorization", f"Bearer {plaintext}".encode())]
    scope = {"type": "http", "method": method, "path": path, "headers": headers, "client": ("192.0.2.1", 1)}
    await hot(scope, nothing, send)
    return (sent[0]["status"], sent[1]["body"]) if sent else (200, b"")


def test_every_documented_route_has_a_scope_and_every_scope_exists() -> None:
    """What OpenAPI shows below /v1 is what the table knows, and the contract knows its scopes."""
    paths = people_app(list, CollectorRegistry()).openapi()["paths"]
    shown = {
        (method.upper(), path.removeprefix("/v1"))
        for path, methods in paths.items()
        if path.startswith("/v1/")
        for method in methods
    }
    assert shown == set(SCOPES)
    assert set(SCOPES.values()) <= set(get_args(EndpointScope))


def test_a_route_without_a_scope_is_not_served() -> None:
    """The gateway does not start with it: nobody can forget to say who may use it."""
    with pytest.raises(KeyError):
        hot_path({("POST", "/brand/new"): nothing}, key_record(fresh_plaintext()))


@pytest.mark.parametrize("prefix", PREFIXES)
async def test_a_key_opens_the_endpoints_of_its_scopes_alone(prefix: str) -> None:
    """Each scope its own routes, under both prefixes; the others are 403 in OpenAI's shape; no scopes = all."""
    for scopes in (None, (), *((scope,) for scope in get_args(EndpointScope))):
        plaintext = fresh_plaintext()
        hot = hot_path(dict.fromkeys(SCOPES, nothing), key_record(plaintext, scopes=scopes))
        for (method, path), needed in SCOPES.items():
            status, body = await status_of(hot, plaintext, method, prefix + path)
            if scopes is None or needed in scopes:
                assert status == 200
            else:
                assert status == 403
                assert b'"code":"insufficient_permissions"' in body
                assert needed.encode() in body


async def test_only_a_proven_key_learns_what_it_may_not() -> None:
    """A stranger gets the 401 of any wrong key, on every route."""
    plaintext = fresh_plaintext()
    hot = hot_path(dict.fromkeys(SCOPES, nothing), key_record(plaintext, scopes=(), networks=("198.51.100.0/24",)))
    assert {(await status_of(hot, fresh_plaintext(), method, f"/v1{path}"))[0] for method, path in SCOPES} == {401}
    status, body = await status_of(hot, plaintext, "GET", "/v1/models")
    assert status == 403
    assert b'"code":"ip_not_allowed"' in body
