"""Signing in by an OpenID provider: who gets in, as whom, and which shortcuts are closed."""

import base64
import hashlib
import secrets
from collections.abc import Callable

import httpx
import pytest

from accounts.domain.oidc import challenge_of
from tests.integration.accounts.oidc.browser import Browser, query_of
from tests.integration.accounts.oidc.conftest import Installation
from tests.integration.accounts.process import AccountsProcess, seed


def reason_of(answer: httpx.Response) -> tuple[int, str | None]:
    """The status and why a person was not let in."""
    return answer.status_code, answer.json().get("reason")


@pytest.mark.parametrize("name", ["company", "partner", "trusted"])
def test_a_new_person_becomes_a_user(installation: Installation, browser: Browser, domain: str, name: str):
    """With the domain's default role; whatever way the provider proves, signs and delivers its claims."""
    installation.map_domain(domain, name, "developer")
    email = f"Ann@{domain}"
    installation.providers[name].put_person(f"ann-{domain}", email=email, email_verified=True, name="Ann Example")
    answer = browser.sign_in(name, f"ann-{domain}")
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    assert {"access_token", "refresh_token", "expires_in"} <= answer.json().keys()
    with installation.as_bearer(answer) as ann:
        me = ann.get("/auth/me").json()
        assert me["roles"] == {installation.organization_id: "developer"}
        assert ann.get(f"/organizations/{installation.organization_id}").status_code == 200
    member = installation.member(me["user_id"])
    assert (member["email"], member["name"], member["status"]) == (email, "Ann Example", "active")
    told = installation.rows(
        "SELECT action, after FROM accounts.audit_log WHERE object_id = %s OR actor_id = %s ORDER BY id",
        me["user_id"],
        me["user_id"],
    )
    assert [action for action, _ in told][:2] == ["user.created", "member.joined"]
    assert ("auth.signed_in", "oidc") in [(action, after.get("method")) for action, after in told]
    assert installation.rows("SELECT password_hash FROM accounts.users WHERE id = %s", me["user_id"]) == [(None,)]


def test_the_second_sign_in_is_the_same_user(installation: Installation, make_browser: Callable[[], Browser], domain: str):
    """By the provider's subject, also from another browser and with another address; the tokens differ."""
    installation.map_domain(domain)
    company = installation.providers["company"]
    company.put_person(f"bea-{domain}", email=f"bea@{domain}", email_verified=True)
    first = make_browser().sign_in("company", f"bea-{domain}")
    company.put_person(f"bea-{domain}", email="bea@elsewhere.example.net", email_verified=False)
    second = make_browser().sign_in("company", f"bea-{domain}")
    assert installation.user_of(first) == installation.user_of(second)
    assert first.json()["refresh_token"] != second.json()["refresh_token"]


def test_an_existing_user_is_linked_by_a_verified_address(installation: Installation, browser: Browser, domain: str):
    """The password still works; the case of the address does not matter."""
    seeded = seed(installation.env, f"carl@{domain}", "Carls")
    installation.map_domain(domain, default_role=None)
    installation.providers["company"].put_person(f"carl-{domain}", email=f"CARL@{domain}", email_verified=True)
    answer = browser.sign_in("company", f"carl-{domain}")
    assert installation.user_of(answer) == seeded["user_id"]
    installation.process.sign_in(f"carl@{domain}").close()


@pytest.mark.parametrize("verified", [False, None, "yes"])
def test_an_unverified_address_is_refused(installation: Installation, browser: Browser, domain: str, verified: object):
    """It is not the person's until the provider says so; nothing is made, and it is written down."""
    installation.map_domain(domain)
    installation.providers["company"].put_person(f"dan-{domain}", email=f"dan@{domain}", email_verified=verified)
    assert reason_of(browser.sign_in("company", f"dan-{domain}")) == (403, "email_unverified")
    assert installation.rows("SELECT 1 FROM accounts.users WHERE email = %s", f"dan@{domain}") == []
    assert [after["reason"] for after in installation.said_of_sign_ins(f"dan@{domain}")] == ["email_unverified"]


def test_a_trusted_provider_makes_users_of_unverified_addresses_but_takes_none_over(
    installation: Installation, browser: Browser, domain: str
):
    """Where the operator has allowed it, and only for addresses that are nobody's yet."""
    seed(installation.env, f"emil@{domain}", "Emils")
    installation.map_domain(domain, "trusted")
    installation.providers["trusted"].put_person(f"new-{domain}", email=f"new@{domain}")
    installation.providers["trusted"].put_person(f"emil-{domain}", email=f"emil@{domain}")
    assert browser.sign_in("trusted", f"new-{domain}").status_code == 200
    with installation.browser() as another:
        assert reason_of(another.sign_in("trusted", f"emil-{domain}")) == (403, "email_unverified")


def test_a_domain_that_is_not_mapped_is_refused(installation: Installation, browser: Browser, domain: str):
    """Not even a verified address helps, for the user may be somebody else's."""
    seed(installation.env, f"fay@{domain}", "Fays")
    installation.providers["company"].put_person(f"fay-{domain}", email=f"fay@{domain}", email_verified=True)
    assert reason_of(browser.sign_in("company", f"fay-{domain}")) == (403, "domain_unmapped")


def test_a_domain_mapped_to_another_provider_is_refused(installation: Installation, browser: Browser, domain: str):
    """One provider cannot vouch for the people of another."""
    installation.map_domain(domain, "company")
    installation.providers["partner"].put_person(f"gus-{domain}", email=f"gus@{domain}", email_verified=True)
    assert reason_of(browser.sign_in("partner", f"gus-{domain}")) == (403, "domain_unmapped")


def test_an_address_that_has_passed_on_does_not_open_the_former_users_account(
    installation: Installation, make_browser: Callable[[], Browser], domain: str
):
    """Another subject with the same address is another person."""
    installation.map_domain(domain)
    for subject in (f"old-{domain}", f"new-{domain}"):
        installation.providers["company"].put_person(subject, email=f"info@{domain}", email_verified=True)
    assert make_browser().sign_in("company", f"old-{domain}").status_code == 200
    assert reason_of(make_browser().sign_in("company", f"new-{domain}")) == (403, "already_linked")


def test_a_suspended_user_is_refused(installation: Installation, make_browser: Callable[[], Browser], domain: str):
    """Known to the provider or not."""
    installation.map_domain(domain)
    installation.providers["company"].put_person(f"hal-{domain}", email=f"hal@{domain}", email_verified=True)
    user_id = installation.user_of(make_browser().sign_in("company", f"hal-{domain}"))
    installation.rows("UPDATE accounts.users SET status = 'suspended' WHERE id = %s", user_id)
    assert reason_of(make_browser().sign_in("company", f"hal-{domain}")) == (403, "suspended")


def test_a_sign_in_belongs_to_the_browser_that_began_it(
    installation: Installation, make_browser: Callable[[], Browser], domain: str
):
    """A link with somebody else's code signs nobody in; it is spent all the same."""
    installation.map_domain(domain)
    installation.providers["company"].put_person(f"ida-{domain}", email=f"ida@{domain}", email_verified=True)
    attacker, victim = make_browser(), make_browser()
    callback = attacker.walk("company", f"ida-{domain}")
    victim.start("company")  # the victim has a cookie of its own
    for browser in (make_browser(), victim, attacker):
        assert browser.client.get(callback).status_code == 401


def test_a_callback_works_once(installation: Installation, browser: Browser, domain: str):
    """And not at another provider, and not with a state that nobody made."""
    installation.map_domain(domain)
    installation.providers["company"].put_person(f"jon-{domain}", email=f"jon@{domain}", email_verified=True)
    callback = browser.walk("company", f"jon-{domain}")
    assert browser.client.get(callback.replace("/company/", "/partner/")).status_code == 401
    assert browser.client.get(callback.replace("state=", "state=x")).status_code == 401
    assert browser.client.get(callback).status_code == 200
    assert browser.client.get(callback).status_code == 401


def test_a_code_of_another_sign_in_is_refused(installation: Installation, make_browser: Callable[[], Browser], domain: str):
    """Neither somebody else's nor one's own that was used: it belongs to its verifier and its nonce."""
    installation.map_domain(domain)
    installation.providers["company"].put_person(f"kim-{domain}", email=f"kim@{domain}", email_verified=True)
    attacker, victim = make_browser(), make_browser()
    stolen = query_of(attacker.walk("company", f"kim-{domain}"))["code"]
    callback = victim.walk("company", f"kim-{domain}")
    own = query_of(callback)["code"]
    assert victim.client.get(callback.replace(own, stolen)).status_code == 401
    assert victim.client.get(victim.walk("company", f"kim-{domain}")).status_code == 200
    assert victim.client.get(victim.walk("company", f"kim-{domain}").replace("code=", "code=used")).status_code == 401


@pytest.mark.parametrize("issuer", ["", "&iss=http%3A%2F%2F127.0.0.1%3A1"])
def test_an_answer_of_another_issuer_is_refused(installation: Installation, browser: Browser, domain: str, issuer: str):
    """The provider names itself in its answers (RFC 9207), and says that it does."""
    installation.map_domain(domain)
    installation.providers["company"].put_person(f"lea-{domain}", email=f"lea@{domain}", email_verified=True)
    callback = browser.walk("company", f"lea-{domain}")
    assert browser.client.get(callback.partition("&iss=")[0] + issuer).status_code == 401


def test_who_refuses_at_the_provider_is_not_signed_in(installation: Installation, browser: Browser):
    """The provider's error is an answer like any other."""
    callback = browser.walk("company", "nobody", refuse=True)
    assert query_of(callback)["error"] == "access_denied"
    assert browser.client.get(callback).status_code == 401


def test_a_program_fetches_its_tokens(installation: Installation, browser: Browser, domain: str):
    """It gets a code where it listens, and with its verifier the tokens; once."""
    installation.map_domain(domain)
    installation.providers["company"].put_person(f"mia-{domain}", email=f"mia@{domain}", email_verified=True)
    verifier = secrets.token_urlsafe(32)
    query = {"return_to": "http://127.0.0.1:4711/done?run=7", "code_challenge": challenge_of(verifier)}
    answer = browser.sign_in("company", f"mia-{domain}", **query)
    assert answer.status_code == 302
    assert answer.headers["location"].startswith("http://127.0.0.1:4711/done?run=7&code=")
    assert answer.headers["referrer-policy"] == "no-referrer"
    body = {"code": query_of(answer.headers["location"])["code"], "code_verifier": verifier}
    exchange = f"{installation.process.url}/api/v1/auth/oidc/exchange"
    fetched = httpx.post(exchange, json=body)
    assert installation.member(installation.user_of(fetched))["email"] == f"mia@{domain}"
    assert httpx.post(exchange, json=body).status_code == 401


def test_a_code_without_its_verifier_is_worth_nothing(installation: Installation, browser: Browser, domain: str):
    """Who reads it on the way has one try, and so has the program then none."""
    installation.map_domain(domain)
    installation.providers["company"].put_person(f"ned-{domain}", email=f"ned@{domain}", email_verified=True)
    verifier = secrets.token_urlsafe(32)
    query = {"return_to": f"{installation.process.url}/console", "code_challenge": challenge_of(verifier)}
    code = query_of(browser.sign_in("company", f"ned-{domain}", **query).headers["location"])["code"]
    exchange = f"{installation.process.url}/api/v1/auth/oidc/exchange"
    assert httpx.post(exchange, json={"code": code, "code_verifier": "x" * 43}).status_code == 401
    assert httpx.post(exchange, json={"code": code, "code_verifier": verifier}).status_code == 401


def test_a_program_is_told_of_a_refusal(installation: Installation, browser: Browser, domain: str):
    """Where it listens, with the reason and nothing else."""
    installation.providers["company"].put_person(f"oz-{domain}", email=f"oz@{domain}", email_verified=True)
    query = {"return_to": "http://127.0.0.1:4711/done", "code_challenge": challenge_of("v" * 43)}
    answer = browser.sign_in("company", f"oz-{domain}", **query)
    assert (answer.status_code, answer.headers["location"]) == (302, "http://127.0.0.1:4711/done?error=domain_unmapped")


@pytest.mark.parametrize(
    "query",
    [
        {"return_to": "https://evil.test/", "code_challenge": "c" * 43},
        {"return_to": "http://localhost:4711/", "code_challenge": "c" * 43},
        {"return_to": "http://127.0.0.1:4711/"},
        {"code_challenge": "c" * 43},
        {"return_to": "http://127.0.0.1:4711/", "code_challenge": "short"},
    ],
    ids=str,
)
def test_a_sign_in_returns_nowhere_else(browser: Browser, query: dict[str, str]):
    """It does not even begin."""
    answer = browser.start("company", **query)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"


def test_what_travels_is_bound_to_the_browser(installation: Installation, browser: Browser):
    """A cookie that no script and no other site can use, PKCE with S256, state and nonce; the database has digests."""
    answer = browser.start("company")
    query = query_of(answer.headers["location"])
    assert (query["response_type"], query["code_challenge_method"]) == ("code", "S256")
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert "path=/api/v1/auth/oidc" in cookie
    assert "secure" not in cookie
    digest = hashlib.sha256(query["state"].encode()).hexdigest()
    ((verifier, nonce, browser_digest),) = installation.rows(
        "SELECT code_verifier, nonce, browser_digest FROM accounts.oidc_flows WHERE state_digest = %s", digest
    )
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    assert (query["nonce"], query["code_challenge"]) == (nonce, challenge)
    assert browser_digest == hashlib.sha256(browser.client.cookies["codexflow_oidc"].encode()).hexdigest()


def test_behind_https_the_cookie_is_secure(installation: Installation, tmp_path):
    """The public address decides, not the connection to the service."""
    env = installation.env | {"ACCOUNTS_PUBLIC_URL": "https://codexflow.example.com/accounts"}
    process = AccountsProcess(env, tmp_path).start()
    try:
        answer = httpx.get(f"{process.url}/api/v1/auth/oidc/company/start")
        assert "; secure" in answer.headers["set-cookie"].lower()
        assert "path=/accounts/api/v1/auth/oidc" in answer.headers["set-cookie"].lower()
        redirect = query_of(answer.headers["location"])["redirect_uri"]
        assert redirect == "https://codexflow.example.com/accounts/api/v1/auth/oidc/company/callback"
    finally:
        process.stop()


def test_the_providers_are_public(installation: Installation):
    """By name and where to begin; an unknown one is missing."""
    found = httpx.get(f"{installation.process.url}/api/v1/auth/oidc").json()
    assert [each["name"] for each in found["data"]] == ["company", "partner", "trusted", "moody"]
    assert found["data"][0]["start"] == f"{installation.process.url}/api/v1/auth/oidc/company/start"
    assert httpx.get(f"{installation.process.url}/api/v1/auth/oidc/unknown/start").status_code == 404


def test_beginning_without_end_is_slowed_down(installation: Installation, tmp_path):
    """Strangers cannot fill the table; what has expired is swept away."""
    installation.rows("UPDATE accounts.oidc_flows SET expires_at = now() - interval '1 second'")
    process = AccountsProcess(installation.env, tmp_path).start()
    answers: list[int] = []
    try:
        with httpx.Client(base_url=process.url, timeout=30) as client:
            while 429 not in answers and len(answers) < 2000:  # 121 at once, more where the machine stands still between them
                answers.append(client.get("/api/v1/auth/oidc/company/start").status_code)
    finally:
        process.stop()
    assert answers[:120] == [302] * 120
    assert answers[-1] == 429
    assert installation.rows("SELECT count(*) FROM accounts.oidc_flows WHERE expires_at < now()") == [(0,)]
