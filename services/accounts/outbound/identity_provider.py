"""An OpenID provider over HTTP: what it publishes, and the exchange of a code for who has signed in."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote_plus

import httpx
import msgspec

from accounts.domain.oidc import ProviderConfig, challenge_of, is_trustworthy, with_query
from accounts.outbound.id_tokens import InvalidIdToken, UnknownKey, verify_id_token
from accounts.outbound.json_documents import ask, decoded, document, open_client
from accounts.outbound.remembered import FetchFailed, Remembered

log = logging.getLogger(__name__)


class ProviderAway(Exception):
    """The provider does not answer as one, or not to this client; nothing that the person could mend."""


class SignInInvalid(Exception):
    """What came back proves nothing: a code used twice, a token of somebody else."""


class Discovery(msgspec.Struct, frozen=True, kw_only=True):
    """What we read of a provider's metadata (OpenID Connect Discovery 1.0 §3)."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None = None
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)
    authorization_response_iss_parameter_supported: bool = False


class _KeySet(msgspec.Struct, frozen=True):
    keys: tuple[dict[str, Any], ...]


class _Tokens(msgspec.Struct, frozen=True):
    id_token: str
    access_token: str


class _Refusal(msgspec.Struct, frozen=True):
    error: str = ""


class IdentityProvider:
    """One configured provider. Its metadata and keys are fetched when they are first needed, and kept for a while."""

    def __init__(self, config: ProviderConfig, secret: str, public_url: str, client: httpx.AsyncClient) -> None:
        self.config = config
        self._secret, self._client = secret, client
        self._redirect_uri = public_url.rstrip("/") + config.callback_path
        self._discovery = Remembered(self._discover)
        self._keys = Remembered(self._fetch_keys)

    async def authorization_url(self, *, state: str, nonce: str, verifier: str) -> str:
        """Where the person signs in. Raises ProviderAway."""
        discovery = await self._known()
        return with_query(
            discovery.authorization_endpoint,
            response_type="code",
            client_id=self.config.client_id,
            redirect_uri=self._redirect_uri,
            scope=" ".join(self.config.scopes),
            state=state,
            nonce=nonce,
            code_challenge=challenge_of(verifier),
            code_challenge_method="S256",
        )

    async def claims(self, *, code: str, verifier: str, nonce: str, issuer: str | None) -> dict[str, Any]:
        """Verified claims about who has signed in; `issuer` is what the answer said that it came from (RFC 9207).

        Raises ProviderAway, SignInInvalid.
        """
        discovery = await self._known()
        if issuer != self.config.issuer and (issuer is not None or discovery.authorization_response_iss_parameter_supported):
            raise SignInInvalid("the answer is another provider's")
        tokens = await self._exchange(discovery, code, verifier)
        claims = await self._verified(tokens.id_token, nonce)
        return {**await self._more(discovery, tokens.access_token, claims), **claims}

    async def _known(self) -> Discovery:
        try:
            return await self._discovery.get()
        except FetchFailed as problem:
            raise self._away(problem) from None

    async def _discover(self) -> Discovery:
        url = self.config.issuer.rstrip("/") + "/.well-known/openid-configuration"
        discovery = await document(self._client, url, Discovery)
        if discovery.issuer != self.config.issuer:
            raise FetchFailed("it says that it is another issuer than the configured one")
        endpoints = (discovery.authorization_endpoint, discovery.token_endpoint, discovery.jwks_uri, discovery.userinfo_endpoint)
        if not all(url is None or is_trustworthy(url) for url in endpoints):
            raise FetchFailed("an endpoint is no https URL")
        return discovery

    async def _fetch_keys(self) -> _KeySet:
        return await document(self._client, (await self._discovery.get()).jwks_uri, _KeySet)

    async def _verified(self, id_token: str, nonce: str) -> dict[str, Any]:
        expected = {"issuer": self.config.issuer, "client_id": self.config.client_id, "nonce": nonce}
        try:
            try:
                return verify_id_token(id_token, (await self._keys.get()).keys, **expected)
            except UnknownKey:
                return verify_id_token(id_token, (await self._keys.refreshed()).keys, **expected)
        except FetchFailed as problem:
            raise self._away(problem) from None
        except InvalidIdToken as problem:
            log.warning("an ID token of %s is not valid: %s", self.config.name, problem)
            raise SignInInvalid("the ID token is not valid") from None

    async def _exchange(self, discovery: Discovery, code: str, verifier: str) -> _Tokens:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._redirect_uri,
            "code_verifier": verifier,
        }
        client_id = self.config.client_id
        if "client_secret_basic" in discovery.token_endpoint_auth_methods_supported:
            # RFC 6749 §2.3.1: both are form-encoded before they are joined
            proof = {"auth": httpx.BasicAuth(quote_plus(client_id), quote_plus(self._secret))}
        else:
            proof, form = {}, {**form, "client_id": client_id, "client_secret": self._secret}
        try:
            status, body = await ask(self._client, "POST", discovery.token_endpoint, data=form, **proof)
            return self._tokens(status, body)
        except FetchFailed as problem:
            raise self._away(problem) from None

    @staticmethod
    def _tokens(status: int, body: bytes) -> _Tokens:
        if status == 200:
            return decoded(body, _Tokens)
        error = decoded(body, _Refusal).error if 400 <= status < 500 else ""
        if error == "invalid_grant":
            raise SignInInvalid("the code is not valid")
        raise FetchFailed(f"the token endpoint answers {status} {error[:40] if error.isidentifier() else ''}".strip())

    async def _more(self, discovery: Discovery, access_token: str, claims: dict[str, Any]) -> dict[str, Any]:
        """What the ID token does not say but the userinfo endpoint does, if it says it of the same person."""
        wanted = {"email", self.config.groups_claim} - {None}
        if discovery.userinfo_endpoint is None or wanted <= claims.keys():
            return {}
        try:
            headers = {"authorization": f"Bearer {access_token}"}
            more = await document(self._client, discovery.userinfo_endpoint, dict[str, Any], headers=headers)
        except FetchFailed as problem:
            raise self._away(problem) from None
        if more.get("sub") != claims["sub"]:
            raise SignInInvalid("the userinfo is somebody else's")
        return more

    def _away(self, problem: Exception) -> ProviderAway:
        log.error("the identity provider %s does not serve: %s", self.config.name, problem)
        return ProviderAway(self.config.name)


class IdentityProviders(Mapping[str, IdentityProvider]):
    """The configured providers by name, in the order of the setting."""

    def __init__(self, configs: Sequence[ProviderConfig], secrets: Mapping[str, str], public_url: str) -> None:
        self._client = open_client()
        self._providers = {
            config.name: IdentityProvider(config, secrets[config.name], public_url, self._client) for config in configs
        }

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    def __getitem__(self, name: str) -> IdentityProvider:
        return self._providers[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._providers)

    def __len__(self) -> int:
        return len(self._providers)
