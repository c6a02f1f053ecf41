"""Many keys at once: rows in accounts' own tables, with the digests of real secrets; accounts publishes them itself afterwards."""

import datetime as dt
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from psycopg import Connection

from common.contracts.api_keys import Peppers, lookup_of, make_key, make_lookup
from common.contracts.identifiers import uuid7

KEYS_PER_PROJECT = 100
PROJECTS_PER_ORGANIZATION = 20

_ORGANIZATIONS = ("id", "name", "slug", "time_zone", "max_staleness_seconds")
_MEMBERSHIPS = ("user_id", "organization_id", "role")
_PROJECTS = (
    *("id", "organization_id", "name", "slug", "limits", "budget_mode", "on_no_grant", "revoked_streams"),
    *("cache", "tier"),
)
_KEYS = (
    *("id", "project_id", "organization_id", "lookup", "hint", "name", "label", "status", "secrets", "owner_kind"),
    *("owner_id", "tags", "expires_at", "created_by"),
)


@dataclass(frozen=True)
class FilledKey:
    """A key that is in the tables, with its plaintext."""

    plaintext: str
    id: str
    project_id: str


@dataclass(frozen=True)
class Kind:
    """So many keys in one state; the plaintexts of the first `known` of them are kept."""

    count: int
    known: int
    status: str = "active"
    expires_at: dt.datetime | None = None


def fill(database: Connection[Any], peppers: Peppers, kinds: list[Kind]) -> list[list[FilledKey]]:
    """Insert keys of each kind with organizations, projects and memberships around them; those that are known, by kind."""
    total = sum(kind.count for kind in kinds)
    row = database.execute("SELECT id::text FROM users LIMIT 1").fetchone()
    assert row is not None
    user = str(row[0])
    projects = _surround(database, user, -(-total // KEYS_PER_PROJECT))
    known: list[list[FilledKey]] = []
    rows = _rows(peppers, user, projects, kinds, known)
    _copy(database, "api_keys", _KEYS, rows)
    database.commit()
    return known


def _surround(database: Connection[Any], user: str, count: int) -> list[tuple[str, str]]:
    """That many projects: (organization, project)."""
    organizations = [uuid7() for _ in range(-(-count // PROJECTS_PER_ORGANIZATION))]
    places = [(organizations[number // PROJECTS_PER_ORGANIZATION], uuid7()) for number in range(count)]
    _copy(database, "organizations", _ORGANIZATIONS, ((it, f"Organization {it}", f"o-{it}", "UTC", 300) for it in organizations))
    _copy(database, "memberships", _MEMBERSHIPS, ((user, it, "owner") for it in organizations))
    policies = ("{}", "strict", "closed", "cut", json.dumps({"scope": "project", "ttl_seconds": 86_400}), "{}")
    named = ((project, organization, f"Project {project}", f"p-{project}", *policies) for organization, project in places)
    _copy(database, "projects", _PROJECTS, named)
    return places


def _rows(
    peppers: Peppers, user: str, projects: list[tuple[str, str]], kinds: list[Kind], known: list[list[FilledKey]]
) -> Iterator[tuple[object, ...]]:
    number = 0
    for kind in kinds:
        known.append([])
        for _ in range(kind.count):
            organization, project = projects[number // KEYS_PER_PROJECT]
            plaintext, key_id = make_key(make_lookup()), uuid7()
            if len(known[-1]) < kind.known:
                known[-1].append(FilledKey(plaintext, key_id, project))
            digest = {"pepper_version": peppers.current, "digest": peppers.digest(plaintext).hex()}
            owner = ("member", user) if number % 2 else (None, None)
            yield (
                *(key_id, project, organization, lookup_of(plaintext), plaintext[-4:], f"Key {number}", "live", kind.status),
                *(json.dumps([digest]), *owner, json.dumps({"team": f"team-{number % 50}"}), kind.expires_at, user),
            )
            number += 1


def _copy(database: Connection[Any], table: str, columns: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> None:
    with database.cursor() as cursor, cursor.copy(f"COPY {table} ({', '.join(columns)}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)
