"""Compares the usage service's ledger with the load generator: every accepted answer is booked, and nothing else."""

import datetime as dt
import time

import httpx

from bench.peers.ours import Stack

PATIENCE_SECONDS = 30.0


def booked_requests(stack: Stack, project_id: str) -> int:
    """Requests of a project in this UTC month, as its monthly report says; errors included."""
    month = dt.datetime.now(dt.UTC).strftime("%Y-%m")
    url = f"{stack.facts['usage_url']}/api/v1/projects/{project_id}/usage/monthly"
    answer = httpx.get(url, params={"month": month}, headers=stack.login(), timeout=30, trust_env=False)
    return int(answer.raise_for_status().json()["totals"]["requests"])


def wait_for(stack: Stack, expected: int, project_id: str) -> int:
    """The booked requests, once they are as many as expected and stay so, or after the patience has ended."""
    ends, booked = time.monotonic() + PATIENCE_SECONDS, -1
    while time.monotonic() < ends and booked < expected:
        booked = booked_requests(stack, project_id)
        time.sleep(0.5)
    return booked_requests(stack, project_id)
