"""The gateway can read the routes files that the supervisor writes."""

import pytest

from common.contracts.prices import built_in_book
from devstack.stack import routes
from devstack.stack.settings import Upstream
from gateway.outbound.routes_file import read_routes

UPSTREAMS = (
    Upstream("simulated", fast="sim-fast-1", deep="sim-deep-1"),
    Upstream("openai", "http://127.0.0.1:9/v1", "k"),
    Upstream("litellm", "http://127.0.0.1:9/v1", "k", fast="fast", deep="deep"),
)


@pytest.mark.parametrize("upstream", UPSTREAMS, ids=lambda upstream: upstream.kind)
def test_every_model_of_the_routes_has_a_price(tmp_path, upstream):
    """Both tiers are there and all their models are in the price book, so cost budgets cover them."""
    file = tmp_path / "routes.toml"
    file.write_text(routes.render(upstream, "http://127.0.0.1:9/v1", has_key=upstream.api_key is not None))
    read, addresses = read_routes(file, built_in_book(), {"UPSTREAM_API_KEY": "k"})
    assert set(addresses) == {upstream.kind}
    candidates = [candidate for route in (*read.tiers.values(), *read.models.values()) for candidate in route.candidates]
    assert len(candidates) >= 2
    assert all(candidate.price is not None for candidate in candidates)
