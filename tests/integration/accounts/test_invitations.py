"""Invitations: links by which people become members, once and for a while."""

import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import psycopg
import pytest

from accounts.domain import opaque_tokens
from common.contracts.api_keys import lookup_of
from tests.integration.accounts import bucket
from tests.integration.accounts.conftest import Service
from tests.integration.accounts.people import People, Person

PASSWORD = "correct horse battery"


@pytest.fixture
def owner(people: People) -> Person:
    """A fresh user."""
    return people.make("owner")


@pytest.fixture
def organization(people: People, owner: Person) -> str:
    """A fresh organization of the owner's, by its id."""
    return people.organization(owner, "Research")["id"]


def _invite(inviter: Person, organization: str, email: str, role: str = "developer", **more: Any) -> dict[str, Any]:
    made = inviter.post(f"/organizations/{organization}/invitations", json={"email": email, "role": role, **more})
    assert made.status_code == 201, made.text
    return made.json()


def _token(invited: dict[str, Any]) -> str:
    return invited["link"].partition("#token=")[2]


def _accept(caller: Person | People, token: str, **more: Any) -> httpx.Response:
    return caller.post("/invitations/accept", json={"token": token, **more})


def _preview(people: People, token: str) -> httpx.Response:
    return people.post("/invitations/preview", json={"token": token})


def _sign_in(people: People, email: str, password: str = PASSWORD) -> httpx.Response:
    return people.post("/auth/login", json={"email": email, "password": password})


def test_somebody_with_an_account_joins_by_the_link(accounts: Service, people: People, organization: str, owner: Person):
    """Signed in with the email of the invitation, in whatever case; once. The gateways learn of the member, nobody is signed in."""
    guest = people.make("guest")
    invited = _invite(owner, organization, guest.email.upper())
    assert (invited["status"], invited["role"], invited["mailed"]) == ("open", "developer", False)
    assert invited["link"].startswith("http://127.0.0.1:8001/invitations#token=cf-inv-")
    seen = _preview(people, _token(invited)).json()
    assert (seen["organization_name"], seen["role"], seen["has_account"]) == ("Research", "developer", True)
    accepted = _accept(guest, _token(invited))
    assert accepted.status_code == 200, accepted.text
    assert (accepted.json()["user_id"], accepted.json()["organization_id"]) == (guest.id, organization)
    assert "token" not in accepted.text
    assert guest.get(f"/organizations/{organization}").status_code == 200
    assert bucket.wait_for(accounts.bus, f"member.{organization}.{guest.id}")["status"] == "active"
    assert _accept(guest, _token(invited)).status_code == 404, "it works once"
    assert _preview(people, _token(invited)).status_code == 404
    listed = owner.get(f"/organizations/{organization}/invitations").json()["data"]
    assert [(item["status"], item["email"]) for item in listed] == [("accepted", guest.email.upper())]
    assert people.actions_in(organization)[-2:] == ["member.invited", "member.joined"]


def test_somebody_without_an_account_gets_one(people: People, organization: str, owner: Person):
    """With the email of the invitation and a password of their own; then they sign in like everybody."""
    email = people.fresh_email("newcomer")
    invited = _invite(owner, organization, email, "viewer")
    assert _preview(people, _token(invited)).json()["has_account"] is False
    lacking = _accept(people, _token(invited))
    assert (lacking.status_code, [error["field"] for error in lacking.json()["errors"]]) == (422, ["name", "password"])
    short = _accept(people, _token(invited), name="Ada", password="short")
    assert (short.status_code, [error["field"] for error in short.json()["errors"]]) == (422, ["password"])
    assert _accept(people, _token(invited), name="Ada").status_code == 422
    accepted = _accept(people, _token(invited), name="Ada", password=PASSWORD)
    assert (accepted.status_code, accepted.json()["email"]) == (200, email)
    assert "access_token" not in accepted.text
    signed_in = _sign_in(people, email)
    assert signed_in.status_code == 200, signed_in.text
    ada = people.bearing(signed_in.json()["access_token"])
    assert [item["id"] for item in ada.get("/organizations").json()["data"]] == [organization]
    member = owner.get(f"/organizations/{organization}/members/{accepted.json()['user_id']}").json()
    assert (member["name"], member["role"]) == ("Ada", "viewer")


def test_an_account_is_never_touched_without_its_sign_in(people: People, organization: str, owner: Person):
    """Holding the link is not enough: no new password, no membership; neither for strangers nor for somebody else."""
    guest = people.make("guest")
    token = _token(_invite(owner, organization, guest.email))
    for answer in (_accept(people, token), _accept(people, token, name="Mallory", password=PASSWORD)):
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
    other = people.make("other")
    assert _accept(other, token).status_code == 403
    assert _accept(other, token, name="Mallory", password=PASSWORD).status_code == 403
    assert _accept(people.scoped(guest, "organization.read"), token).status_code == 403, "a token with scopes is no person"
    assert _sign_in(people, guest.email).status_code == 401
    assert guest.get(f"/organizations/{organization}").status_code == 404
    assert _accept(guest, token).status_code == 200


def test_where_an_identity_provider_vouches_nobody_makes_up_an_account(
    accounts: Service, people: People, organization: str, owner: Person
):
    """Who sees the link could else be a colleague with a password of their own; one who has signed in there accepts as usual."""
    domain = f"d{uuid.uuid4().hex}.example"
    with psycopg.connect(accounts.database.conninfo("accounts"), autocommit=True) as connection:
        mapping = "INSERT INTO organization_domains (domain, organization_id, provider) VALUES (%s, %s, 'corporate')"
        connection.execute(mapping, [domain, people.organization(owner)["id"]])
    email = f"Ada@{domain.title()}"
    token = _token(_invite(owner, organization, email))
    seen = _preview(people, token).json()
    assert (seen["has_account"], seen["provider"]) == (False, "corporate")
    refused = _accept(people, token, name="Mallory", password=PASSWORD)
    assert (refused.status_code, "corporate" in refused.json()["detail"]) == (401, True)
    assert _sign_in(people, email).status_code == 401
    ada = people.make(email=email.lower())
    assert _accept(ada, token).status_code == 200


def test_tokens_that_do_not_count_are_answered_alike(accounts: Service, people: People, organization: str, owner: Person):
    """Wrong, of another kind, withdrawn, expired, replaced: 404 with the same body."""
    emails = [people.fresh_email() for _ in range(3)]
    withdrawn, expired, replaced = (_invite(owner, organization, email) for email in emails)
    path = f"/organizations/{organization}/invitations/{withdrawn['id']}"
    assert owner.delete(path).json()["status"] == "revoked"
    assert owner.delete(path).status_code == 200, "repeating is harmless"
    with psycopg.connect(accounts.database.conninfo("accounts"), autocommit=True) as connection:
        connection.execute("UPDATE invitations SET expires_at = now() WHERE id = %s", [expired["id"]])
    _invite(owner, organization, emails[2].upper(), "viewer")
    tokens = [
        *(_token(invited) for invited in (withdrawn, expired, replaced)),
        opaque_tokens.make("invitation"),
        opaque_tokens.make("personal"),
        "cf-inv-" + "0" * 49,
        "nonsense",
    ]
    answers = [_preview(people, token) for token in tokens]
    answers += [_accept(people, token, name="Ada", password=PASSWORD) for token in tokens]
    assert [answer.status_code for answer in answers] == [404] * len(answers)
    assert len({answer.text for answer in answers}) == 1
    listed = owner.get(f"/organizations/{organization}/invitations").json()["data"]
    assert [item["status"] for item in listed] == ["revoked", "expired", "revoked", "open"]
    for status in ("open", "expired"):
        found = owner.get(f"/organizations/{organization}/invitations", params={"status": status}).json()["data"]
        assert [item["status"] for item in found] == [status]


def test_one_who_may_no_longer_invite_has_not_invited(people: People, organization: str, owner: Person):
    """Invitations of somebody who was removed or demoted lead nowhere: no way back in through one's own letter box."""
    admin = people.member(organization, "admin")
    email = people.fresh_email()
    token = _token(_invite(admin, organization, email, "admin"))
    path = f"/organizations/{organization}/members/{admin.id}"
    assert owner.patch(path, json={"role": "developer"}).status_code == 200
    assert _preview(people, token).status_code == 404
    assert owner.patch(path, json={"role": "admin"}).status_code == 200
    assert _preview(people, token).status_code == 200
    assert owner.delete(path).status_code == 200
    assert _accept(people, token, name="Backdoor", password=PASSWORD).status_code == 404
    assert _sign_in(people, email).status_code == 401


def test_two_at_once_cannot_use_one_invitation(accounts: Service, people: People, organization: str, owner: Person):
    """Both are held at the invitation until both have begun; one account is made, by one of them."""
    statuses: list[int] = []
    deadline = time.monotonic() + 120
    while 503 in statuses or not statuses:  # a machine that stood still let a request wait for longer than it does
        assert time.monotonic() < deadline
        email = people.fresh_email()
        invited = _invite(owner, organization, email, "viewer")
        statuses = _accept_at_once(accounts, people, invited, times=3)
    assert statuses.count(200) == 1
    assert set(statuses) <= {200, 401, 404}
    with psycopg.connect(accounts.database.conninfo("accounts")) as connection:
        assert connection.execute("SELECT count(*) FROM users WHERE email = %s", [email]).fetchone() == (1,)
    assert people.actions_in(organization).count("member.joined") == 1


def _accept_at_once(accounts: Service, people: People, invited: dict[str, Any], *, times: int) -> list[int]:
    with (
        psycopg.connect(accounts.database.conninfo("accounts"), autocommit=True) as watch,
        psycopg.connect(accounts.database.conninfo("accounts")) as gate,
        ThreadPoolExecutor(times) as threads,
    ):
        gate.execute("SELECT 1 FROM invitations WHERE id = %s FOR UPDATE", [invited["id"]])
        asks = [
            threads.submit(_accept, people, _token(invited), name=f"Ada {number}", password=PASSWORD) for number in range(times)
        ]
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        deadline = time.monotonic() + 3
        while watch.execute(waiting).fetchone() != (times,) and time.monotonic() < deadline:
            time.sleep(0.01)
        gate.rollback()
        return [ask.result(60).status_code for ask in asks]


def test_who_is_a_member_is_not_invited_again(people: People, organization: str, owner: Person):
    """Whatever the case of the email, also while suspended; somebody who has left is."""
    member = people.member(organization, "viewer")
    path = f"/organizations/{organization}/invitations"
    again = owner.post(path, json={"email": member.email.title(), "role": "viewer"})
    assert (again.status_code, again.json()["code"]) == (409, "conflict")
    assert owner.patch(f"/organizations/{organization}/members/{member.id}", json={"status": "suspended"}).status_code == 200
    assert owner.post(path, json={"email": member.email, "role": "viewer"}).status_code == 409
    assert owner.delete(f"/organizations/{organization}/members/{member.id}").status_code == 200
    assert owner.post(path, json={"email": member.email, "role": "viewer"}).status_code == 201


def test_one_who_became_a_member_otherwise_keeps_the_role(people: People, organization: str, owner: Person):
    """An invitation changes nobody's role."""
    guest = people.make("guest")
    token = _token(_invite(owner, organization, guest.email, "admin"))
    people.join(organization, guest, "viewer")
    assert _accept(guest, token).status_code == 409
    assert owner.get(f"/organizations/{organization}/members/{guest.id}").json()["role"] == "viewer"


def test_coming_back_takes_the_membership_up_without_its_keys(
    accounts: Service, people: People, organization: str, owner: Person
):
    """A higher version, the limits of before, a new role; keys that were revoked at the end stay revoked, new ones work."""
    project = owner.post(f"/organizations/{organization}/projects", json={"name": "Chat"}).json()["id"]
    developer = people.member(organization, "developer")
    path = f"/organizations/{organization}/members/{developer.id}"
    assert owner.patch(path, json={"limits": {"daily_tokens": 9}}).status_code == 200
    old = developer.post(f"/projects/{project}/keys", json={"name": "Old"}).json()
    assert owner.delete(path).json()["version"] == 3
    assert _accept(developer, _token(_invite(owner, organization, developer.email, "admin"))).status_code == 200
    record = bucket.wait_for(accounts.bus, f"member.{organization}.{developer.id}", version=4)
    assert (record["status"], record["limits"]) == ("active", {"version": 1, "daily_tokens": 9})
    member = owner.get(path).json()
    assert (member["role"], member["status"], member["version"]) == ("admin", "active", 4)
    assert bucket.read(accounts.bus, f"key.{lookup_of(old['key'])}")["status"] == "revoked"
    new = developer.post(f"/projects/{project}/keys", json={"name": "New"}).json()
    assert bucket.wait_for(accounts.bus, f"key.{lookup_of(new['key'])}")["status"] == "active"


def test_nobody_invites_to_more_than_they_have(people: People, organization: str, owner: Person):
    """Owners invite owners; admins anybody else; the rest nobody. Who may see members sees invitations, without links."""
    admin, viewer, billing = (people.member(organization, role) for role in ("admin", "viewer", "billing"))
    path = f"/organizations/{organization}/invitations"
    email = people.fresh_email()
    assert admin.post(path, json={"email": email, "role": "owner"}).status_code == 403
    assert billing.post(path, json={"email": email, "role": "billing"}).status_code == 403
    assert viewer.post(path, json={"email": email, "role": "viewer"}).status_code == 403
    scoped = people.scoped(owner, "members.manage", "members.read")
    assert scoped.post(path, json={"email": email, "role": "viewer"}).status_code == 403
    invited = _invite(admin, organization, email, "admin")
    assert _invite(owner, organization, people.fresh_email(), "owner")["role"] == "owner"
    seen = viewer.get(path)
    assert (seen.status_code, len(seen.json()["data"])) == (200, 2)
    assert "cf-inv-" not in seen.text
    assert viewer.delete(f"{path}/{invited['id']}").status_code == 403
    assert people.make().delete(f"{path}/{invited['id']}").status_code == 404
    other = people.organization(owner)["id"]
    assert owner.delete(f"/organizations/{other}/invitations/{invited['id']}").status_code == 404


def test_an_invitation_lasts_as_long_as_was_said(accounts: Service, people: People, organization: str, owner: Person):
    """Seven days unless said otherwise, by the clock of the database."""
    for more, days in (({}, 7), ({"expires_in_days": 30}, 30)):
        invited = _invite(owner, organization, people.fresh_email(), **more)
        with psycopg.connect(accounts.database.conninfo("accounts")) as connection:
            lasts = "SELECT extract(epoch FROM expires_at - created_at)::int FROM invitations WHERE id = %s"
            assert connection.execute(lasts, [invited["id"]]).fetchone() == (days * 86_400,)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"email": "ada@example.com"}, "role"),
        ({"role": "viewer"}, "email"),
        ({"email": "ada", "role": "viewer"}, "email"),
        ({"email": "ada@example.com\nBcc: x@y.z", "role": "viewer"}, "email"),
        ({"email": "a@b.c,d@e.f", "role": "viewer"}, "email"),
        ({"email": "Ada <ada@example.com>", "role": "viewer"}, "email"),
        ({"email": "ada@example.com", "role": "emperor"}, "role"),
        ({"email": "ada@example.com", "role": "viewer", "expires_in_days": 0}, "expires_in_days"),
        ({"email": "ada@example.com", "role": "viewer", "expires_in_days": 31}, "expires_in_days"),
    ],
)
def test_a_wrong_invitation_is_refused_by_field(organization: str, owner: Person, body: dict[str, Any], field: str):
    """And nobody is invited."""
    answer = owner.post(f"/organizations/{organization}/invitations", json=body)
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert owner.get(f"/organizations/{organization}/invitations").json()["data"] == []


def test_no_token_is_kept_anywhere(accounts: Service, people: People, organization: str, owner: Person):
    """Only its digest: neither in a row nor in the log."""
    token = _token(_invite(owner, organization, people.fresh_email()))
    _preview(people, token)
    with psycopg.connect(accounts.database.conninfo("accounts")) as connection:
        rows = [str(connection.execute(query).fetchall()) for query in ("SELECT * FROM invitations", "SELECT * FROM audit_log")]
    assert opaque_tokens.digest_of(token) in rows[0]
    assert opaque_tokens.digest_of(token) not in rows[1]
    assert token[7:50] not in rows[0] + rows[1] + accounts.process.log.read_text()
