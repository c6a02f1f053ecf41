"""The audit log: who may read it, what it says, its pages, filters and exports."""

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import psycopg
import pytest

from accounts.domain import opaque_tokens
from common.contracts.identifiers import uuid7
from tests.integration.accounts.conftest import Service
from tests.integration.accounts.people import People, Person

MANY = 5_000
NASTY = '=HYPERLINK("http://evil"),"a"\nb'


@dataclass(frozen=True)
class Place:
    """An organization with a log of its own, and its owner."""

    id: str
    owner: Person
    accounts: Service

    @property
    def path(self) -> str:
        return f"/organizations/{self.id}/audit"

    def entries(self, **params: Any) -> list[dict[str, Any]]:
        """Those of one page."""
        answer = self.owner.get(self.path, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    def write(self, count: int, **values: Any) -> None:
        """As many lines as that, a second apart, written as the owner of the table, who may say when it was."""
        row = {
            "actor_name": "Ada",
            "action": "key.updated",
            "object_id": "x",
            "agent": "test",
            "start": "2026-01-01T00:00:00Z",
            **values,
        }
        rows = [{**row, "id": uuid7(), "organization_id": self.id, "second": second} for second in range(count)]
        with psycopg.connect(self.accounts.database.conninfo("accounts_owner")) as connection:
            connection.cursor().executemany(
                "INSERT INTO audit_log (id, at, organization_id, actor_kind, actor_name, action, object_kind, object_id, address,"
                " agent, request_id, after) VALUES (%(id)s, %(start)s::timestamptz + %(second)s * interval '1 second',"
                " %(organization_id)s, 'user', %(actor_name)s, %(action)s, 'key', %(object_id)s, '192.0.2.7', %(agent)s, 'r',"
                " jsonb_build_object('n', %(second)s))",
                rows,
            )


@pytest.fixture
def place(people: People, accounts: Service) -> Place:
    """Fresh."""
    owner = people.make("owner")
    return Place(people.organization(owner)["id"], owner, accounts)


@pytest.fixture
def operator(people: People) -> Person:
    """Runs the installation."""
    return people.make("operator", operator=True)


def test_a_change_is_told_with_everything_that_is_to_know(place: Place):
    """Who, what, when, from where, before and after; only the fields that changed."""
    headers = {"x-request-id": "trace-7", "user-agent": "deployer/2"}
    assert place.owner.patch(f"/organizations/{place.id}", json={"name": "Renamed"}, headers=headers).status_code == 200
    entry, made = place.entries()
    assert entry.pop("at") > made["at"]
    assert entry.pop("id") != made["id"]
    assert entry == {
        "organization_id": place.id,
        "actor": {"kind": "user", "id": place.owner.id, "name": place.owner.email},
        "action": "organization.updated",
        "object_kind": "organization",
        "object_id": place.id,
        "origin": {"address": "127.0.0.1", "agent": "deployer/2", "request_id": "trace-7"},
        "before": {"name": "Team"},
        "after": {"name": "Renamed"},
    }
    assert (made["action"], made["before"], made["after"]["name"]) == ("organization.created", None, "Team")


def test_every_condition_must_hold(place: Place, people: People):
    """Actions, actor, object, and a time that includes its beginning but not its end."""
    admin = people.member(place.id, "admin")
    place.write(3, object_id="first")
    place.write(3, object_id="second", action="key.revoked", start="2026-01-01T00:00:03Z")
    assert admin.post(f"/organizations/{place.id}/projects", json={"name": "Chat"}).status_code == 201

    def seconds(**params: Any) -> list[int]:
        return [int(entry["at"][17:19]) for entry in place.entries(**params)]

    assert [entry["action"] for entry in place.entries(actor_id=admin.id)] == ["project.created"]
    assert place.entries(actor_id=admin.id, action="key.updated") == []
    assert seconds(object_id="first") == [2, 1, 0]
    assert seconds(action="key.revoked") == [5, 4, 3]
    assert seconds(action=["key.revoked", "key.updated"]) == [5, 4, 3, 2, 1, 0]
    assert seconds(**{"from": "2026-01-01T00:00:01Z", "to": "2026-01-01T00:00:04Z"}) == [3, 2, 1]
    assert seconds(**{"from": "2026-01-01T01:00:01+01:00", "to": "2026-01-01T00:00:04Z", "object_id": "second"}) == [3]
    assert seconds(**{"from": "2026-01-01T00:00:04Z", "to": "2026-01-01T00:00:01Z"}) == []


@pytest.mark.parametrize(
    "params", [{"action": "key.stolen"}, {"actor_id": "ada"}, {"from": "yesterday"}, {"cursor": "x"}, {"limit": 0}]
)
def test_a_condition_that_cannot_be_is_refused(place: Place, params: dict[str, Any]):
    """422, not an empty list."""
    assert place.owner.get(place.path, params=params).status_code == 422


def test_a_walk_meets_each_entry_once_while_new_ones_come(place: Place):
    """Also those of the same moment; what comes meanwhile is newer and not in it."""
    place.write(1)
    for _ in range(9):
        place.write(1, object_id="same moment")
    wanted = [entry["id"] for entry in place.entries(limit=200)]
    met: list[str] = []
    cursor = None
    while True:
        page = place.owner.get(place.path, params={"limit": 3} | ({"cursor": cursor} if cursor else {})).json()
        met += [entry["id"] for entry in page["data"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
        assert place.owner.patch(f"/organizations/{place.id}", json={"name": f"Name {len(met)}"}).status_code == 200
    assert met == wanted
    assert len(place.entries(limit=200)) > len(met)


def test_a_cursor_of_another_log_leads_nowhere(place: Place, people: People):
    """It tells nothing about the other log."""
    other = people.make()
    foreign = people.organization(other)["id"]
    (entry,) = other.get(f"/organizations/{foreign}/audit").json()["data"]
    for cursor in (entry["id"], uuid7()):
        answer = place.owner.get(place.path, params={"cursor": cursor})
        assert answer.json() == {"data": [], "next_cursor": None}


def _exported(answer: httpx.Response, ending: str) -> str:
    assert answer.status_code == 200
    assert answer.headers["content-disposition"].startswith('attachment; filename="audit-')
    assert answer.headers["content-disposition"].endswith(f'.{ending}"')
    assert "content-length" not in answer.headers  # it is sent while it is read
    return answer.text


def test_thousands_of_entries_are_exported_in_both_formats(place: Place):
    """All of them, newest first, and the same as in the list."""
    place.write(MANY, actor_name=NASTY, agent="@SUM(1)")
    lines = _exported(place.owner.get(f"{place.path}/export"), "ndjson").splitlines()
    objects = [json.loads(line) for line in lines]
    assert [entry["after"]["n"] for entry in objects[1:]] == list(range(MANY))[::-1]
    assert objects[:200] == place.entries(limit=200)

    text = _exported(place.owner.get(f"{place.path}/export", params={"format": "csv"}), "csv")
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [row["id"] for row in rows] == [entry["id"] for entry in objects]
    assert [json.loads(row["after"])["n"] for row in rows[1:]] == list(range(MANY))[::-1]
    assert {(row["actor_name"], row["agent"]) for row in rows[1:]} == {(f"'{NASTY}", "'@SUM(1)")}


def test_an_export_has_the_same_conditions(place: Place):
    """An empty one is an empty file, or a header alone."""
    place.write(10)
    params = {"from": "2026-01-01T00:00:02Z", "to": "2026-01-01T00:00:05Z"}
    assert len(place.owner.get(f"{place.path}/export", params=params).text.splitlines()) == 3
    nothing = {"action": "key.revoked"}
    assert place.owner.get(f"{place.path}/export", params=nothing).text == ""
    header = place.owner.get(f"{place.path}/export", params={**nothing, "format": "csv"}).text
    assert header.startswith("id,at,organization_id,actor_kind,")
    assert header.count("\n") == 1
    assert place.owner.get(f"{place.path}/export", params={"format": "xlsx"}).status_code == 422


def test_sign_ins_are_told_to_operators(place: Place, people: People, operator: Person):
    """Those that succeeded and those that were refused, with the reason; and to nobody in an organization."""
    person = people.join(place.id, people.make(password="right horse"), "admin")
    for password, status in (("wrong horse", 401), ("right horse", 200)):
        body = {"email": person.email, "password": password}
        assert people.post("/auth/login", json=body, headers={"user-agent": "browser"}).status_code == status
    refused = operator.get("/audit", params={"action": "auth.sign_in_refused", "object_id": person.id}).json()["data"]
    assert [(entry["actor"]["kind"], entry["actor"]["name"], entry["after"]) for entry in refused] == [
        ("anonymous", person.email, {"reason": "password"})
    ]
    (signed_in,) = operator.get("/audit", params={"actor_id": person.id}).json()["data"]
    assert (signed_in["action"], signed_in["after"]) == ("auth.signed_in", {"method": "password"})
    assert (signed_in["origin"]["agent"], signed_in["organization_id"]) == ("browser", None)
    assert {entry["organization_id"] for entry in operator.get("/audit", params={"limit": 200}).json()["data"]} == {None}
    assert not [entry for entry in place.entries() if entry["action"].startswith("auth.")]


def test_operators_export_the_log_of_the_installation(people: People, operator: Person):
    """A new user is in it."""
    email = people.fresh_email()
    made = operator.post("/users", json={"email": email}).json()
    (line,) = operator.get("/audit/export", params={"object_id": made["id"]}).text.splitlines()
    assert json.loads(line)["after"]["email"] == email


@pytest.mark.parametrize("role", ["developer", "billing", "viewer"])
def test_the_log_is_not_for_everybody(place: Place, people: People, role: Any):
    """403 for members without the permission, before anything is sent."""
    member = people.member(place.id, role)
    for path in (place.path, f"{place.path}/export", "/audit", "/audit/export"):
        answer = member.get(path)
        assert (answer.status_code, answer.headers["content-type"]) == (403, "application/problem+json")


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _strings(each)
    elif isinstance(value, str):
        yield value


def test_no_secret_is_in_the_log(place: Place, people: People, operator: Person):
    """Neither what was shown once nor its digest: keys, links and passwords."""
    password = "correct horse battery staple"
    user = operator.post("/users", json={"email": people.fresh_email(), "password": password}).json()
    reset = operator.post(f"/users/{user['id']}/password-reset").json()["link"]
    project = place.owner.post(f"/organizations/{place.id}/projects", json={"name": "Chat"}).json()["id"]
    key = place.owner.post(f"/projects/{project}/keys", json={"name": "K"}).json()
    rotated = place.owner.post(f"/projects/{project}/keys/{key['id']}/rotate").json()
    invited = place.owner.post(
        f"/organizations/{place.id}/invitations", json={"email": people.fresh_email(), "role": "viewer"}
    ).json()
    shown = [text for answer in (key, rotated, invited) for text in _strings(answer) if "sk-cf-" in text or "cf-inv-" in text]
    shown = [text for text in shown if "…" not in text]  # hints are for everybody
    assert len(shown) == 3
    secrets = [text.split("=")[-1].split("#")[-1].split("/")[-1] for text in [*shown, reset]] + [password]
    secrets += [opaque_tokens.digest_of(secret) for secret in secrets]
    with psycopg.connect(place.accounts.database.conninfo("accounts")) as connection:
        (stored,) = connection.execute("SELECT secrets FROM api_keys WHERE id = %s", [key["id"]]).fetchone()
    secrets += [text for text in _strings(stored) if len(text) >= 32]
    assert len(secrets) >= 12
    told = place.owner.get(f"{place.path}/export").text + operator.get("/audit/export", params={"object_id": user["id"]}).text
    assert told.count("key.") >= 2
    assert [secret for secret in secrets if secret in told] == []
