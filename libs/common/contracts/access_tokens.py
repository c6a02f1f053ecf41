"""Access tokens between people and services: short-lived EdDSA JWTs signed by accounts, verified offline by the others."""

import time
from typing import Literal

import jwt
import msgspec
from jwt import PyJWK, PyJWKSet

from common.contracts.roles import Permission, Role, permits

ISSUER = "codexflow-accounts"
AUDIENCE = "codexflow"
ALGORITHM = "EdDSA"
JWKS_PATH = "/.well-known/jwks.json"
IDENTITY_PATH = "/api/v1/auth/me"
"""Answers {"user_id", "roles"} of the bearer, as they are now."""


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Who is calling a management API: a user or a service account, and its roles by organization id.

    `scopes` None = all that the roles permit, else only these permissions. `session_id` names the sign-in that the token belongs to.
    """

    user_id: str
    roles: dict[str, Role] = {}
    kind: Literal["user", "service_account"] = "user"
    scopes: tuple[Permission, ...] | None = None
    session_id: str | None = None

    def may(self, permission: Permission, organization_id: str) -> bool:
        """Whether this identity has the permission in that organization; no membership permits nothing."""
        in_scope = self.scopes is None or permission in self.scopes
        return in_scope and permits(self.roles.get(organization_id), permission)


class InvalidToken(Exception):
    """The token is missing, malformed, expired, or not signed by a known key."""


def claims_of(identity: Identity, *, lifetime_seconds: int, now: float | None = None) -> dict[str, object]:
    """The claims that accounts signs for an identity."""
    issued = int(time.time() if now is None else now)
    return {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": identity.user_id,
        "iat": issued,
        "exp": issued + lifetime_seconds,
        "roles": identity.roles,
        "kind": identity.kind,
        **({} if identity.scopes is None else {"scopes": list(identity.scopes)}),
        **({} if identity.session_id is None else {"sid": identity.session_id}),
    }


def verify(token: str, keys: PyJWKSet) -> Identity:
    """The identity of a valid token; raises InvalidToken for anything else. No network."""
    try:
        key = _key_named(jwt.get_unverified_header(token).get("kid"), keys)
        claims = jwt.decode(
            token,
            key,
            algorithms=[ALGORITHM],
            audience=AUDIENCE,
            issuer=ISSUER,
            options={"require": ["exp", "iat", "sub"]},
        )
        return msgspec.convert(
            {
                "user_id": claims["sub"],
                "roles": claims.get("roles", {}),
                "kind": claims.get("kind", "user"),
                "scopes": claims.get("scopes"),
                "session_id": claims.get("sid"),
            },
            Identity,
        )
    except (jwt.PyJWTError, msgspec.ValidationError) as problem:
        raise InvalidToken(type(problem).__name__) from None


def _key_named(key_id: object, keys: PyJWKSet) -> PyJWK:
    for key in keys.keys:
        if key.key_id == key_id:
            return key
    raise InvalidToken("unknown signing key")
