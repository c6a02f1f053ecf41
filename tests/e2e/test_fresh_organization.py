"""One sign-in is enough: what is created with a token can be reported on with the same token."""

from tests.e2e.running_stack import RunningStack, call, eventually


def test_a_new_organizations_usage_is_seen_with_the_token_that_made_it(stack: RunningStack) -> None:
    """The token is older than the organization: usage asks accounts about it instead of answering 404."""
    token = stack.token
    organization = call("POST", f"{stack.accounts}/api/v1/organizations", {"name": "Fresh"}, bearer=token).json["id"]
    projects = f"{stack.accounts}/api/v1/organizations/{organization}/projects"
    project = call("POST", projects, {"name": "First", "limits": {"monthly_tokens": 1_000_000}}, bearer=token).json["id"]
    key = call("POST", f"{stack.accounts}/api/v1/projects/{project}/keys", {"name": "k"}, bearer=token).json["key"]
    body = {"model": "fast", "messages": [{"role": "user", "content": "hello"}]}
    assert call("POST", f"{stack.gateway}/v1/chat/completions", body, bearer=key).status == 200

    def rows() -> object:
        answer = call("GET", f"{stack.usage}/api/v1/projects/{project}/usage/daily", bearer=token)
        return answer.status == 200 and answer.json["data"]

    assert eventually(rows)[0]["requests"] == 1
    assert call("GET", f"{stack.accounts}/api/v1/auth/me", bearer=token).json["roles"][organization] == "owner"
