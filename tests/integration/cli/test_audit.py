"""The audit log on the command line."""

import csv
import io
import json
import stat

from tests.integration.cli.conftest import FIRST, Installation


def test_who_did_what_is_listed(installation: Installation) -> None:
    """Newest first, by conditions that must all hold; with --changes also what was before and after."""
    ivan = installation.hire("ivan", "admin")
    project = ivan.json("projects", "create", "Audited")
    ivan.run("projects", "update", "audited", "--name", "Renamed")
    listed = ivan.json("audit", "list", "--object", project["id"])["data"]
    assert [entry["action"] for entry in listed] == ["project.updated", "project.created"]
    assert {entry["actor"]["name"] for entry in listed} == {"ivan@example.com"}
    assert len(ivan.json("audit", "list", "--object", project["id"], "--action", "project.created")["data"]) == 1
    two = ivan.json("audit", "list", "--object", project["id"], "--action", "project.created", "--action", "project.updated")
    assert len(two["data"]) == 2
    table = ivan.run("audit", "list", "--object", project["id"], "--changes").out
    assert "Renamed" in table
    assert "ivan@example.com" in table
    assert ivan.json("audit", "list", "--to", "2020-01-01T00:00:00Z")["data"] == []
    assert ivan.run("audit", "list", "--action", "project.exploded", code=1).out == ""


def test_it_is_exported_for_other_programs(installation: Installation) -> None:
    """As JSON lines and as CSV; a file is whole, private, and not there after a refusal."""
    judy = installation.hire("judy", "admin")
    lines = judy.run("audit", "export", "--action", "member.joined").out.splitlines()
    entries = [json.loads(line) for line in lines]
    assert {entry["action"] for entry in entries} == {"member.joined"}
    assert "judy@example.com" in lines[0] + lines[-1]
    ran = judy.run("audit", "export", "--format", "csv", "--action", "member.joined", "--output", "audit.csv")
    assert ran.out == ""
    assert "audit.csv" in ran.err
    file = judy.work / "audit.csv"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    rows = list(csv.DictReader(io.StringIO(file.read_text())))
    assert sorted(row["id"] for row in rows) == sorted(entry["id"] for entry in entries)
    kim = installation.hire("kim", "viewer")
    assert kim.run("audit", "export", "--output", "audit.csv", code=1).out == ""
    assert list(kim.work.iterdir()) == []
    assert "nowhere/audit.csv" in judy.run("audit", "export", "--output", "nowhere/audit.csv", code=2).err


def test_operators_read_that_of_the_installation(installation: Installation) -> None:
    """Users and sign-ins, which belong to no organization, and no password or token."""
    grace = installation.first
    ran = grace.run("audit", "list", "--installation", "--action", "auth.signed_in", "--json")
    assert FIRST in {entry["actor"]["name"] for entry in ran.document["data"]}
    assert all(entry["organization_id"] is None for entry in ran.document["data"])
    whole = grace.run("audit", "export", "--installation").out
    assert "cf-ref-" not in whole
    assert "Either an organization" in grace.run("audit", "list", "--installation", "-o", "acme", code=2).err
