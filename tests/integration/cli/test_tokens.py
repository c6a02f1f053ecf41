"""Scripts that act as a person, and automation that is no person."""

from tests.integration.cli.conftest import Installation


def test_a_script_acts_as_a_person_by_a_token(installation: Installation) -> None:
    """Within the token's scopes, without a sign-in, until it is revoked; its secret stands once on the last line."""
    nina = installation.hire("nina", "admin")
    made = nina.run("tokens", "create", "nightly", "--scope", "organization.read", "--scope", "projects.read")
    assert made.last_line.startswith("cf-pat-")
    assert made.last_line not in nina.run("tokens", "list").out
    script = installation.terminal("nightly", CODEXFLOW_TOKEN=made.last_line)
    assert script.json("whoami")["scopes"] == ["organization.read", "projects.read"]
    script.run("projects", "list")
    assert script.run("projects", "create", "Beyond", code=1).out == ""
    assert script.run("tokens", "create", "another", code=1).out == ""
    nina.run("tokens", "revoke", "nightly", "--yes")
    refused = script.run("projects", "list", code=4)
    assert made.last_line not in refused.err
    assert nina.json("tokens", "list")["data"] == []


def test_automation_has_a_role_of_its_own(installation: Installation) -> None:
    """A service account acts by its token, owns keys, is suspended and closed, and its keys with it."""
    grace = installation.first
    assert grace.json("service-accounts", "create", "deploy", "--role", "admin")["status"] == "active"
    token = grace.run("service-accounts", "tokens", "create", "deploy", "pipeline").last_line
    assert token.startswith("cf-sat-")
    robot = installation.terminal("deploy", CODEXFLOW_TOKEN=token)
    assert robot.json("whoami")["kind"] == "service_account"
    robot.run("projects", "create", "Deployed")
    key = grace.json("keys", "create", "robot", "--project", "deployed", "--owner", "deploy")
    assert key["owner"]["kind"] == "service_account"
    assert grace.json("limits", "set", "service-account", "deploy", "daily-tokens=1000")["limits"]["daily_tokens"] == 1000
    assert grace.json("service-accounts", "update", "deploy", "--role", "developer")["role"] == "developer"
    assert robot.run("projects", "create", "Refused", code=1).out == ""
    grace.run("service-accounts", "suspend", "deploy", "--yes")
    assert robot.run("whoami", code=4).out == ""
    assert grace.json("service-accounts", "resume", "deploy")["status"] == "active"
    assert robot.json("whoami")["name"] == "deploy"
    assert [item["name"] for item in grace.json("service-accounts", "tokens", "list", "deploy")["data"]] == ["pipeline"]
    grace.run("service-accounts", "tokens", "revoke", "deploy", "pipeline", "--yes")
    assert robot.run("whoami", code=4).out == ""
    assert grace.json("service-accounts", "close", "deploy", "--yes")["status"] == "ended"
    assert grace.json("service-accounts", "list", "--status", "ended")["data"][0]["name"] == "deploy"
    assert grace.json("keys", "show", "robot", "--project", "deployed")["status"] == "revoked"
