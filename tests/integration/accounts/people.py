"""People for tests: users with a token, in organizations with a role."""

import json
import uuid
from collections.abc import Callable
from typing import Any, get_args

import httpx
import psycopg
from argon2 import PasswordHasher

from accounts.domain import opaque_tokens
from accounts.outbound.token_signer import TokenSigner
from common.contracts.access_tokens import Identity
from common.contracts.identifiers import uuid7
from common.contracts.roles import Permission, Role

ROLES: tuple[Role, ...] = get_args(Role)
TOKEN_SECONDS = 900


class Caller:
    """Somebody who asks the API with a bearer token; all callers share one pool of connections."""

    def __init__(self, send: Callable[..., httpx.Response], token: str) -> None:
        self._send, self._headers = send, {"authorization": f"Bearer {token}"}

    @property
    def bearer(self) -> dict[str, str]:
        """The header by which the caller is known."""
        return dict(self._headers)

    def request(self, method: str, path: str, *, headers: dict[str, str] | None = None, **more: Any) -> httpx.Response:
        return self._send(method, path, headers=self._headers | (headers or {}), **more)

    def get(self, path: str, **more: Any) -> httpx.Response:
        return self.request("GET", path, **more)

    def post(self, path: str, **more: Any) -> httpx.Response:
        return self.request("POST", path, **more)

    def patch(self, path: str, **more: Any) -> httpx.Response:
        return self.request("PATCH", path, **more)

    def delete(self, path: str, **more: Any) -> httpx.Response:
        return self.request("DELETE", path, **more)


class Person(Caller):
    """A user."""

    def __init__(self, send: Callable[..., httpx.Response], token: str, user_id: str, email: str) -> None:
        super().__init__(send, token)
        self.id, self.email = user_id, email


class People:
    """Makes users of a running service, in its database: there is no other way to a user without an invitation."""

    def __init__(self, connection: psycopg.Connection, client: httpx.Client) -> None:
        self._connection, self._client = connection, client

    def make(
        self, name: str = "person", *, email: str | None = None, operator: bool = False, password: str | None = None
    ) -> Person:
        """A fresh user, who is nowhere a member."""
        user_id, email = uuid7(), email or self.fresh_email(name)
        self._execute(
            "INSERT INTO users (id, email, name, operator, password_hash) VALUES (%s, %s, %s, %s, %s)",
            user_id,
            email,
            name.title(),
            operator,
            None if password is None else PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1).hash(password),
        )
        return Person(self._client.request, self._sign_in(user_id), user_id, email)

    def member(self, organization_id: str, role: Role) -> Person:
        """A fresh user with a role in an organization, without an invitation."""
        return self.join(organization_id, self.make(role), role)

    def join(self, organization_id: str, person: Person, role: Role) -> Person:
        """Make somebody a member."""
        self._execute(
            "INSERT INTO memberships (user_id, organization_id, role) VALUES (%s, %s, %s)", person.id, organization_id, role
        )
        return person

    def post(self, path: str, **more: Any) -> httpx.Response:
        """Ask without any token."""
        return self._client.post(path, **more)

    @staticmethod
    def fresh_email(name: str = "person") -> str:
        """One that nobody has."""
        return f"{name}-{uuid.uuid4().hex[:12]}@example.com"

    def sign_in_again(self, person: Person) -> Person:
        """The same user with a session that lives."""
        return Person(self._client.request, self._sign_in(person.id), person.id, person.email)

    def scoped(self, person: Person, *scopes: Permission) -> Caller:
        """The same user with a personal token for these permissions only."""
        return self._with_long_lived_token("personal", person.id, None, json.dumps(scopes))

    def service_account(self, organization_id: str, role: Role) -> Caller:
        """A fresh service account with a role."""
        service_account_id = uuid7()
        self._execute(
            "INSERT INTO service_accounts (id, organization_id, name, role, created_by) VALUES (%s, %s, %s, %s, %s)",
            *(service_account_id, organization_id, f"Robot {service_account_id}", role, uuid7()),
        )
        return self._with_long_lived_token("service_account", None, service_account_id, None)

    def bearing(self, token: str) -> Caller:
        """Whoever has this token."""
        return Caller(self._client.request, token)

    @staticmethod
    def organization(owner: Person, name: str = "Team") -> dict[str, Any]:
        """A fresh organization of that owner."""
        made = owner.post("/organizations", json={"name": name})
        assert made.status_code == 201, made.text
        return made.json()

    def actions_in(self, organization_id: str) -> list[str]:
        """What the audit log says was done in an organization, in order."""
        query = "SELECT action FROM audit_log WHERE organization_id = %s ORDER BY at, id"
        return [action for (action,) in self._connection.execute(query, [organization_id])]

    def _sign_in(self, user_id: str) -> str:
        session_id = uuid7()
        self._execute(
            "INSERT INTO sessions (id, user_id, method, refresh_digest, address, agent, refreshed_at, expires_at)"
            " VALUES (%s, %s, 'password', %s, '', '', now(), now() + interval '1 day')",
            *(session_id, user_id, uuid.uuid4().hex),
        )
        signer = TokenSigner(bytes.fromhex("cd" * 32), TOKEN_SECONDS)
        return signer.sign(Identity(user_id=user_id, session_id=session_id))

    def _with_long_lived_token(
        self, kind: opaque_tokens.Kind, user_id: str | None, service_account_id: str | None, scopes: str | None
    ) -> Caller:
        token = opaque_tokens.make(kind)
        self._execute(
            "INSERT INTO access_tokens (id, user_id, service_account_id, name, digest, hint, scopes)"
            " VALUES (%s, %s, %s, '', %s, '', %s)",
            *(uuid7(), user_id, service_account_id, opaque_tokens.digest_of(token), scopes),
        )
        return Caller(self._client.request, token)

    def _execute(self, statement: str, *values: object) -> None:
        self._connection.execute(statement, values)
