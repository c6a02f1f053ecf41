"""Reports for scripts: usage verifies access tokens alone, so that a long-lived token is exchanged before it is asked."""

from tests.e2e.running_stack import RunningStack, call, eventually


def _robot(stack: RunningStack, organization: str, role: str, scopes: list[str] | None) -> tuple[str, str]:
    """The path of a fresh service account, and a token of it."""
    accounts = f"{stack.accounts}/api/v1/organizations/{organization}/service-accounts"
    robot = call("POST", accounts, {"name": f"{role} {scopes}", "role": role}, bearer=stack.token).json["id"]
    made = call("POST", f"{accounts}/{robot}/tokens", {"name": "Reports", "scopes": scopes}, bearer=stack.token)
    assert made.status == 201, made
    return f"{accounts}/{robot}", made.json["token"]


def _exchanged(stack: RunningStack, token: str) -> str:
    answer = call("POST", f"{stack.accounts}/api/v1/auth/token", bearer=token)
    assert answer.status == 200, answer
    return answer.json["access_token"]


def test_a_service_account_sees_reports_by_an_exchanged_token(stack: RunningStack) -> None:
    """As far as its role and the scopes of the token go; what was not exchanged, and another organization's, it does not see."""
    organizations = f"{stack.accounts}/api/v1/organizations"
    organization, other = (
        call("POST", organizations, {"name": name}, bearer=stack.token).json["id"] for name in ("Reports", "Others")
    )
    mine, foreign = (
        call("POST", f"{organizations}/{one}/projects", {"name": "First"}, bearer=stack.token).json["id"]
        for one in (organization, other)
    )

    def report(project: str, bearer: str) -> int:
        return call("GET", f"{stack.usage}/api/v1/projects/{project}/usage/daily", bearer=bearer).status

    for project in (mine, foreign):
        assert eventually(lambda project=project: report(project, stack.token) == 200)
    _, token = _robot(stack, organization, "viewer", ["usage.read"])
    access = _exchanged(stack, token)
    assert report(mine, access) == 200
    assert report(foreign, access) == 404
    assert report(mine, token) == 401

    _, narrow = _robot(stack, organization, "viewer", ["projects.read"])
    assert report(mine, _exchanged(stack, narrow)) == 403


def test_an_exchanged_token_gains_nothing_after_its_account_was_closed(stack: RunningStack) -> None:
    """Accounts refuses it at once, and says nothing new about it to usage."""
    organizations = f"{stack.accounts}/api/v1/organizations"
    organization = call("POST", organizations, {"name": "Closing"}, bearer=stack.token).json["id"]
    account, token = _robot(stack, organization, "admin", None)
    access = _exchanged(stack, token)
    assert call("GET", f"{organizations}/{organization}", bearer=access).status == 200
    assert call("DELETE", account, bearer=stack.token).status == 200
    assert call("GET", f"{organizations}/{organization}", bearer=access).status == 401
    assert call("POST", f"{stack.accounts}/api/v1/auth/token", bearer=token).status == 401
