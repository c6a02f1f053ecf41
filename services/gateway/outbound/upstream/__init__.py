"""How the gateway reaches a model provider: a small HTTP/1.1 client of its own on the hot path.

`client` is the contract, `target` one compiled upstream address, `errors` what can go wrong. `pooled_client` is the
implementation the gateway runs (pool → connection → exchange); `aiohttp_client` is the second one, kept to the same
promises by the same tests.
"""
