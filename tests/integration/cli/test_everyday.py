"""What people do daily, from an empty installation on."""

import re

from tests.integration.cli.conftest import FIRST, SETUP_TOKEN, Installation

KEY = re.compile(r"sk-cf-\S+")
NOBODY = "01890000-0000-7000-8000-000000000000"


def test_the_first_user_runs_the_installation(installation: Installation) -> None:
    """And owns its first organization; a second first user is refused, and the setup token is never shown."""
    me = installation.first.json("whoami")
    assert (me["email"], me["operator"], list(me["roles"].values())) == (FIRST, True, ["owner"])
    again = ("bootstrap", "--email", "second@example.com", "--stdin")
    ran = installation.terminal("second").run(*again, stdin=f"{SETUP_TOKEN}\npassword\n", code=1)
    assert ran.out == ""
    assert SETUP_TOKEN not in ran.err


def test_somebody_is_invited_and_comes(installation: Installation) -> None:
    """By a link that is good once, with the role of the invitation and no more than its rights."""
    link = installation.first.run("invitations", "create", "bob@example.com", "--role", "viewer").last_line
    bob = installation.terminal("bob")
    accept = ("invitations", "accept", "--name", "Bob", "--stdin")
    assert bob.run(*accept, "--json", stdin=f"{link}\npassword\n").document["role"] == "viewer"
    assert bob.run(*accept, stdin=f"{link}\npassword\n", code=1).out == ""
    bob.sign_in("bob@example.com")
    assert bob.json("orgs", "show", "acme")["slug"] == "acme"
    assert "projects.manage" in bob.run("projects", "create", "Forbidden", code=1).err
    assert installation.first.json("members", "set-role", "bob@example.com", "developer")["role"] == "developer"
    assert bob.run("keys", "list", "--project", NOBODY, code=1).out == ""


def test_a_project_follows_a_plan_and_has_its_own_limits(installation: Installation) -> None:
    """Money is typed and shown in USD and travels in nano-USD; a limit that follows the plan changes with it."""
    grace = installation.first
    grace.run("plans", "create", "Standard", "--limit", "monthly-cost=25", "--limit", "daily-tokens=1000000")
    project = ("projects", "create", "Search", "--plan", "Standard", "--environment", "production", "--model", "fast")
    made = grace.json(*project, "--limit", "monthly-cost=2.50")
    assert (made["slug"], made["models"], made["environment"]) == ("search", ["fast"], "production")
    assert (made["limits"]["monthly_cost_nanousd"], made["limits"]["daily_tokens"]) == (2_500_000_000, 1_000_000)
    assert re.search(r"monthly cost USD +2\.50", grace.run("limits", "show", "project", "search").out)
    grace.run("limits", "set", "plan", "Standard", "monthly-cost=50", "daily-tokens=2000000")
    limits = grace.json("projects", "show", "search")["limits"]
    assert (limits["monthly_cost_nanousd"], limits["daily_tokens"]) == (2_500_000_000, 2_000_000)
    changed = grace.json("projects", "update", "search", "--inherit", "monthly_cost_nanousd")
    assert changed["limits"]["monthly_cost_nanousd"] == 50_000_000_000
    assert "2.5" not in grace.run("limits", "set", "organization", "acme", "monthly-cost=none").out


def test_the_life_of_a_key(installation: Installation) -> None:
    """Created, rotated, the old secret ended, suspended, resumed, revoked; each secret stands once on the last line."""
    installation.first.run("projects", "create", "Keys")
    carol = installation.hire("carol")
    where = ("--project", "keys")
    made = carol.run("keys", "create", "ci", *where, "--scope", "chat", "--tag", "team=search")
    assert KEY.fullmatch(made.last_line)
    assert made.out.count(made.last_line) == 1
    shown = carol.run("keys", "show", "ci", *where)
    assert made.last_line not in shown.out
    assert "team=search" in shown.out
    rotated = carol.json("keys", "rotate", "ci", *where, "--overlap-seconds", "3600")
    assert rotated["key"] != made.last_line
    assert rotated["rotation"]["old_secret_until"] is not None
    assert carol.json("keys", "end-rotation", "ci", *where, "--yes")["rotation"]["old_secret_until"] is None
    assert carol.json("keys", "suspend", "ci", *where, "--yes")["status"] == "suspended"
    assert carol.json("keys", "resume", "ci", *where)["status"] == "active"
    ended = carol.run("keys", "revoke", "ci", *where, "--yes")
    assert "In effect" in ended.err
    assert [key["status"] for key in carol.json("keys", "list", *where, "--owner", "carol@example.com")["data"]] == ["revoked"]
    assert carol.run("keys", "resume", "ci", *where, code=1).out == ""


def test_a_repeated_create_with_a_key_of_ones_own_makes_one(installation: Installation) -> None:
    """A script that runs again gets the same project; without a key it is refused, or makes another."""
    create = ("projects", "create", "Repeated", "--json")
    first = installation.first.run("--idempotency-key", "nightly-run-17", *create).document
    assert installation.first.run("--idempotency-key", "nightly-run-17", *create).document["id"] == first["id"]
    other = ("projects", "create", "Another", "--json")
    assert "nightly-run-17" not in installation.first.run("--idempotency-key", "nightly-run-17", *other, code=1).out


def test_a_user_is_shut_out_and_let_in_again(installation: Installation) -> None:
    """The sign-in ends at once, exit code 4; later the same password is good again."""
    dave, grace = installation.hire("dave"), installation.first
    assert grace.json("users", "suspend", "dave@example.com", "--yes")["status"] == "suspended"
    assert dave.run("whoami", code=4).out == ""
    assert [user["email"] for user in grace.json("users", "list", "--status", "suspended")["data"]] == ["dave@example.com"]
    assert grace.json("users", "resume", "dave@example.com")["status"] == "active"
    dave.sign_in("dave@example.com").run("whoami")


def test_a_lost_password_is_replaced_by_a_link(installation: Installation) -> None:
    """An operator makes the link; it works once, and the old password is over."""
    erin = installation.hire("erin")
    link = installation.first.run("users", "reset-link", "erin@example.com").last_line
    assert "#token=" in link
    erin.run("reset-password", "--stdin", stdin=f"{link}\nanother password\n")
    assert erin.run("reset-password", "--stdin", stdin=f"{link}\na third password\n", code=1).out == ""
    assert erin.run("whoami", code=4).out == ""
    erin.log_in("erin@example.com", password="another password")
    assert "on its way" in erin.run("forgot-password", "nobody@example.com").err


def test_somebody_is_made_a_user_and_an_operator(installation: Installation) -> None:
    """Only operators see users; the last one cannot give it up."""
    grace = installation.first
    ran = grace.run("users", "create", "frank@example.com", "--name", "Frank", "--password-stdin", "--json", stdin="password\n")
    assert (ran.document["has_password"], ran.document["operator"]) == (True, False)
    frank = installation.terminal("frank").sign_in("frank@example.com")
    assert frank.run("users", "list", code=1).out == ""
    assert grace.json("users", "grant-operator", "frank@example.com", "--yes")["operator"] is True
    assert FIRST in frank.run("users", "list").out
    assert frank.json("users", "update", "frank@example.com", "--name", "Francis")["name"] == "Francis"
    assert grace.json("users", "revoke-operator", "frank@example.com", "--yes")["operator"] is False
    assert frank.run("audit", "list", "--installation", code=1).out == ""
    assert grace.run("users", "revoke-operator", FIRST, "--yes", code=1).out == ""


def test_ownership_goes_to_somebody_else(installation: Installation) -> None:
    """And comes back; the one before is an admin."""
    heidi = installation.hire("heidi", "admin")
    ran = installation.first.json("members", "transfer-ownership", "heidi@example.com", "--yes")
    assert (ran["owner"]["role"], ran["former_owner"]["role"]) == ("owner", "admin")
    back = heidi.json("members", "transfer-ownership", FIRST, "--yes")
    assert back["owner"]["email"] == FIRST
    heidi.run("orgs", "leave", "acme", "--yes")
    assert heidi.json("whoami")["roles"] == {}
