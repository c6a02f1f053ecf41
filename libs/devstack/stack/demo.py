"""The demo organization, project and key, made once per state folder."""

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from devstack.stack.http import request
from devstack.stack.refusal import Refused
from devstack.stack.state import State

EMAIL = "test@codexflow.dev"
PASSWORD = "password"  # noqa: S105 - printed in the documentation: this stack listens on loopback alone
ORGANIZATION = "Demo organization"
PROJECT = "Demo project"
MONTHLY_TOKENS = 5_000_000
MONTHLY_COST_USD = 20

ARGUMENTS = (
    *("--email", EMAIL, "--password", PASSWORD, "--organization", ORGANIZATION, "--project", PROJECT),
    *("--monthly-tokens", str(MONTHLY_TOKENS), "--monthly-cost-usd", str(MONTHLY_COST_USD)),
)

_FILE = "demo.json"


@dataclass(frozen=True, slots=True)
class Demo:
    """What was seeded; the key is kept because accounts shows it only once."""

    api_key: str = field(repr=False)
    organization_id: str
    project_id: str
    user_email: str = EMAIL
    user_password: str = field(default=PASSWORD, repr=False)


def remembered(state: State) -> Demo | None:
    """From an earlier start."""
    found = state.read(_FILE)
    return Demo(**found) if found else None


def keep(state: State, seeded: str, accounts_port: int) -> Demo:
    """Remember what the seed printed. If the demo is there but its key was lost (an interrupted first start), issue another."""
    line: dict[str, Any] = json.loads(seeded.strip().splitlines()[-1])
    key = line["api_key"] or _issue_key(line["project_id"], accounts_port)
    demo = Demo(api_key=key, organization_id=line["organization_id"], project_id=line["project_id"])
    state.write(_FILE, asdict(demo))
    return demo


def _issue_key(project_id: str, accounts_port: int) -> str:
    login = {"email": EMAIL, "password": PASSWORD}
    status, body = request(accounts_port, "/api/v1/auth/login", method="POST", body=login)
    if status == 200:
        path = f"/api/v1/projects/{project_id}/keys"
        status, body = request(accounts_port, path, method="POST", body={"name": "demo"}, bearer=body["access_token"])
    if status not in {200, 201}:
        raise Refused(f"The demo project is there but its key is lost and no other could be issued ({status}); `make reset`.")
    return str(body["key"])
