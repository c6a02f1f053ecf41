"""Domains and groups of a provider make members, change their roles and take them away."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.integration.accounts import bucket
from tests.integration.accounts.oidc.browser import Browser
from tests.integration.accounts.oidc.conftest import Installation
from tests.integration.accounts.process import seed


class Employee:
    """Somebody of a mapped domain who signs in again and again, in other groups each time."""

    def __init__(self, installation: Installation, name: str, domain: str) -> None:
        self._installation, self._subject, self._email = installation, f"{name}-{domain}", f"{name}@{domain}"

    def signs_in(self, *groups: str) -> str:
        """The user's id."""
        person = {"email": self._email, "email_verified": True, "groups": list(groups)}
        self._installation.providers["company"].put_person(self._subject, **person)
        with self._installation.browser() as browser:
            return self._installation.user_of(browser.sign_in("company", self._subject))


@pytest.fixture
def employ(installation: Installation, domain: str) -> Callable[..., Employee]:
    """Makes employees of a fresh domain that has no default role."""
    installation.map_domain(domain, default_role=None)
    return lambda name: Employee(installation, name, domain)


@pytest.fixture
def groups(installation: Installation, domain: str) -> dict[str, str]:
    """Names of groups of the test's own, mapped to the role in their name."""
    names = {role: f"{role}s of {domain}" for role in ("admin", "developer", "viewer")}
    for role, group in names.items():
        installation.map_group(group, role)
    return names


def test_roles_follow_the_groups(installation: Installation, employ: Callable[[str], Employee], groups: dict[str, str]):
    """The highest counts, at every sign-in anew; every change is announced and written down."""
    pia = employ("pia")
    user_id = pia.signs_in(groups["viewer"], groups["admin"], "unknown")
    assert installation.member(user_id)["role"] == "admin"
    pia.signs_in(groups["developer"])
    member = installation.member(user_id)
    assert (member["role"], member["status"]) == ("developer", "active")
    record = bucket.wait_for(
        installation.bus, f"member.{installation.organization_id}.{user_id}", version=member["version"], seconds=30
    )
    assert record["status"] == "active"
    told = installation.rows(
        "SELECT actor_kind, before, after FROM accounts.audit_log WHERE action = 'member.updated' AND object_id = %s"
        " ORDER BY id DESC LIMIT 1",
        user_id,
    )
    assert told[0][0] == "system"
    assert (told[0][1]["role"], told[0][2]["role"]) == ("admin", "developer")


def test_without_a_group_the_membership_rests(
    installation: Installation, employ: Callable[[str], Employee], groups: dict[str, str]
):
    """The person still signs in, may do nothing there, and its keys are closed until a group brings a role again."""
    quin = employ("quin")
    user_id = quin.signs_in(groups["developer"])
    quin.signs_in()
    member = installation.member(user_id)
    assert member["status"] == "suspended"
    entry = f"member.{installation.organization_id}.{user_id}"
    assert bucket.wait_for(installation.bus, entry, version=member["version"], seconds=30)["status"] == "suspended"
    quin.signs_in(groups["viewer"])
    member = installation.member(user_id)
    assert (member["role"], member["status"]) == ("viewer", "active")
    assert bucket.wait_for(installation.bus, entry, version=member["version"], seconds=30)["status"] == "active"


def test_without_any_group_nobody_becomes_a_member(installation: Installation, employ: Callable[[str], Employee]):
    """They are users who belong nowhere."""
    user_id = employ("rob").signs_in("unknown")
    assert installation.member(user_id) is None


def test_the_same_again_changes_nothing(installation: Installation, employ: Callable[[str], Employee], groups: dict[str, str]):
    """No new version, nothing announced."""
    sue = employ("sue")
    user_id = sue.signs_in(groups["developer"])
    version = installation.member(user_id)["version"]
    sue.signs_in(groups["developer"])
    assert installation.member(user_id)["version"] == version


@pytest.mark.parametrize("change", [{"role": "viewer"}, {"status": "suspended"}])
def test_what_was_changed_by_hand_stays(
    installation: Installation, employ: Callable[[str], Employee], groups: dict[str, str], change: dict[str, str]
):
    """Another role and a suspension outlive the next sign-ins."""
    tom = employ("tom")
    user_id = tom.signs_in(groups["developer"])
    path = f"/organizations/{installation.organization_id}/members/{user_id}"
    assert installation.owner.patch(path, json=change).status_code == 200
    for group in ("developer", "admin"):
        tom.signs_in(groups[group])
        member = installation.member(user_id)
        assert {name: member[name] for name in change} == change


def test_who_was_removed_stays_out(installation: Installation, employ: Callable[[str], Employee], groups: dict[str, str]):
    """Until somebody invites them again."""
    uma = employ("uma")
    user_id = uma.signs_in(groups["developer"])
    removed = installation.owner.delete(f"/organizations/{installation.organization_id}/members/{user_id}")
    assert removed.status_code in (200, 204), removed.text
    uma.signs_in(groups["admin"])
    assert installation.member(user_id)["status"] == "ended"


def test_owners_are_left_alone(installation: Installation, browser: Browser, domain: str, groups: dict[str, str]):
    """No group makes or unmakes one."""
    seeded = seed(installation.env, f"vera@{domain}", f"Veras {domain}")
    put = installation.operator.put(
        f"/organizations/{seeded['organization_id']}/domains/{domain}", json={"provider": "company", "default_role": "viewer"}
    )
    assert put.status_code == 200, put.text
    installation.providers["company"].put_person(f"vera-{domain}", email=f"vera@{domain}", email_verified=True)
    answer = browser.sign_in("company", f"vera-{domain}")
    with installation.as_bearer(answer) as vera:
        assert vera.get("/auth/me").json()["roles"] == {seeded["organization_id"]: "owner"}


def test_another_organizations_groups_count_for_nobody_else(
    installation: Installation, employ: Callable[[str], Employee], domain: str
):
    """A group without the domain is a word."""
    seed(installation.env, f"wim@{domain}", f"Wims {domain}")
    with installation.process.sign_in(f"wim@{domain}") as wim:
        organization_id = wim.get("/organizations").json()["data"][0]["id"]
        body = {"provider": "company", "group": f"all of {domain}", "role": "admin"}
        assert wim.put(f"/organizations/{organization_id}/group-roles", json=body).status_code == 200
        user_id = employ("xan").signs_in(f"all of {domain}")
        assert wim.get(f"/organizations/{organization_id}/members/{user_id}").status_code == 404
    assert installation.member(user_id) is None


def test_domains_are_the_operators(installation: Installation, domain: str):
    """Not the organization's owner's; they are listed, changed and taken away, each time written down."""
    path = f"/organizations/{installation.organization_id}/domains"
    body = {"provider": "company", "default_role": "viewer"}
    assert installation.owner.put(f"{path}/{domain}", json=body).status_code == 403
    assert installation.owner.get(path).status_code == 403
    assert installation.owner.delete(f"{path}/{domain}").status_code == 403
    assert httpx.put(f"{installation.process.url}/api/v1{path}/{domain}", json=body).status_code == 401
    made = installation.operator.put(f"{path}/{domain}", json=body)
    assert made.status_code == 200
    assert made.json() | {"created_at": ""} == {
        "domain": domain, "organization_id": installation.organization_id, "created_at": "", **body,
    }  # fmt: skip
    changed = installation.operator.put(f"{path}/{domain}", json={"provider": "partner"})
    assert (changed.json()["provider"], changed.json()["default_role"]) == ("partner", None)
    assert domain in [each["domain"] for each in installation.operator.get(path).json()["data"]]
    assert installation.operator.delete(f"{path}/{domain}").status_code == 204
    assert installation.operator.delete(f"{path}/{domain}").status_code == 404
    told = installation.rows("SELECT action FROM accounts.audit_log WHERE object_id = %s ORDER BY id", domain)
    assert told == [("domain.mapped",), ("domain.mapped",), ("domain.unmapped",)]


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("a.example.org", {"provider": "unknown"}),
        ("a.example.org", {"provider": "company", "default_role": "owner"}),
        ("A.example.org", {"provider": "company"}),
        ("localhost", {"provider": "company"}),
        ("a..example.org", {"provider": "company"}),
        ("a" * 250 + ".org", {"provider": "company"}),
    ],
    ids=str,
)
def test_domains_that_make_no_sense_are_refused(installation: Installation, name: str, body: dict[str, Any]):
    """Unknown providers, owners by mapping, and what is no domain."""
    path = f"/organizations/{installation.organization_id}/domains/{name}"
    assert installation.operator.put(path, json=body).status_code == 422


def test_a_domain_has_one_organization(installation: Installation, domain: str):
    """A second one is told so; an organization that does not exist has none."""
    installation.map_domain(domain)
    other = installation.operator.get("/organizations").json()["data"][0]["id"]
    path = f"/organizations/{other}/domains/{domain}"
    assert installation.operator.put(path, json={"provider": "company"}).status_code == 409
    assert installation.operator.delete(path).status_code == 404
    nowhere = "/organizations/0190a0a0-0000-7000-8000-000000000000/domains"
    assert installation.operator.put(f"{nowhere}/{domain}", json={"provider": "company"}).status_code == 404
    assert installation.operator.get(nowhere).status_code == 404


def test_groups_are_mapped_by_who_manages_members(
    installation: Installation, make_browser: Callable[[], Browser], domain: str, groups: dict[str, str]
):
    """Developers read them, strangers see nothing, and nobody maps to owner."""
    path = f"/organizations/{installation.organization_id}/group-roles"
    installation.map_domain(domain, default_role=None)
    developer = Employee(installation, "yan", domain)
    developer.signs_in(groups["developer"])
    with installation.as_bearer(make_browser().sign_in("company", f"yan-{domain}")) as yan:
        assert groups["admin"] in [each["group"] for each in yan.get(path).json()["data"]]
        body = {"provider": "company", "group": "mine", "role": "viewer"}
        assert yan.put(path, json=body).status_code == 403
        assert yan.delete(path, params={"provider": "company", "group": groups["admin"]}).status_code == 403
    assert installation.operator.get(path).status_code == 404, "an operator has no rights inside organizations"
    assert installation.operator.put(path, json=body).status_code == 404
    assert installation.owner.put(path, json=body | {"role": "owner"}).status_code == 422
    assert installation.owner.put(path, json=body | {"provider": "unknown"}).status_code == 422


def test_a_group_loses_its_role(installation: Installation, employ: Callable[[str], Employee], groups: dict[str, str]):
    """At the next sign-in another group's role holds."""
    zoe = employ("zoe")
    user_id = zoe.signs_in(groups["admin"], groups["viewer"])
    path = f"/organizations/{installation.organization_id}/group-roles"
    query = {"provider": "company", "group": groups["admin"]}
    assert installation.owner.delete(path, params=query).status_code == 204
    assert installation.owner.delete(path, params=query).status_code == 404
    zoe.signs_in(groups["admin"], groups["viewer"])
    assert installation.member(user_id)["role"] == "viewer"
    told = installation.rows(
        "SELECT action FROM accounts.audit_log WHERE object_id = %s ORDER BY id", f"company/{groups['admin']}"
    )
    assert told == [("group.mapped",), ("group.unmapped",)]
