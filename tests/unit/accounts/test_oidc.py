"""OpenID Connect on paper: where a sign-in may return to, what claims say, and which settings are refused."""

import json

import pytest

from accounts.domain.oidc import (
    ProviderConfig,
    UnusableClaims,
    challenge_of,
    may_return_to,
    parse_providers,
    person_of,
    vouched_domain,
    with_query,
)
from accounts.settings import Settings, WrongSettings
from tests.unit.accounts.test_settings import GOOD

PUBLIC = "https://codexflow.example.com"
COMPANY = {"name": "company", "issuer": "https://id.example.com", "client_id": "codexflow"}


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        (f"{PUBLIC}/console?page=1", True),
        (f"{PUBLIC}:443/console", True),
        ("http://127.0.0.1:4000/done", True),
        ("http://[::1]:4000/done?state=x", True),
        ("http://127.0.0.1/done", False),
        ("http://localhost:4000/done", False),
        ("https://127.0.0.1:4000/done", False),
        ("http://codexflow.example.com/console", False),
        ("https://codexflow.example.com:8443/", False),
        ("https://codexflow.example.com.evil.test/", False),
        ("https://codexflow.example.com@evil.test/", False),
        ("https://evil.test/?https://codexflow.example.com", False),
        ("https://evil.test\\@codexflow.example.com/", False),
        ("http://127.0.0.1:4000@evil.test/", False),
        ("http://127.0.0.1.evil.test:4000/", False),
        ("//evil.test/", False),
        ("/console", False),
        ("javascript:alert(1)", False),
        (f"{PUBLIC}/#fragment", False),
        (f"{PUBLIC}/\r\nset-cookie: a=b", False),
        ("http://127.0.0.1:99999/", False),
        (f"{PUBLIC}/" + "a" * 2000, False),
        ("", False),
    ],
)
def test_a_sign_in_returns_only_to_us_or_to_this_machine(address: str, allowed: bool):
    """Anything else could be handed a code that is somebody else's."""
    assert may_return_to(address, PUBLIC) is allowed


def test_parameters_are_added_to_an_address():
    """Those that it has stay."""
    assert with_query("http://127.0.0.1:1/a?state=x", code="a b") == "http://127.0.0.1:1/a?state=x&code=a+b"
    assert with_query("http://127.0.0.1:1/a", code="c") == "http://127.0.0.1:1/a?code=c"


def test_the_challenge_is_that_of_the_rfc():
    """The example of RFC 7636, appendix B."""
    assert challenge_of("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk") == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


CLAIMS = {"iss": "https://id.example.com", "sub": "1", "email": "Ada@Example.com", "email_verified": True}


def test_claims_become_a_person():
    """What is of another kind than it should be is as good as absent."""
    person = person_of(CLAIMS | {"name": "Ada\x00 L", "roles": ["a", 5, "b"]}, "roles")
    assert (person.email, person.email_verified, person.name) == ("Ada@Example.com", True, "Ada L")
    assert person.groups == {"a", "b"}
    assert person_of(CLAIMS | {"groups": "one"}, "groups").groups == {"one"}
    assert person_of(CLAIMS | {"groups": {"a": 1}, "name": 5, "email": ["x"]}, "groups").email is None


@pytest.mark.parametrize(
    ("claim", "verified"), [(True, True), ("true", True), (False, False), (1, False), ("yes", False), (None, False)]
)
def test_only_a_plain_yes_is_a_verified_email(claim: object, verified: bool):
    """True, or the text that some providers write for it."""
    assert person_of(CLAIMS | {"email_verified": claim}, None).email_verified is verified


@pytest.mark.parametrize("subject", [None, "", 5, "a" * 256, "a\nb", "a\x00", "é", "\ud800"])
def test_a_subject_is_needed(subject: object):
    """Nobody can be recognized without one."""
    with pytest.raises(UnusableClaims):
        person_of(CLAIMS | {"sub": subject}, None)


def test_an_unverified_address_counts_only_where_that_is_configured():
    """By default it does not."""
    strict = ProviderConfig(**COMPANY)
    trusting = ProviderConfig(**COMPANY, allow_unverified_email=True)
    unverified = person_of(CLAIMS | {"email_verified": False}, None)
    assert vouched_domain(unverified, strict) is None
    assert vouched_domain(unverified, trusting) == "example.com"
    assert vouched_domain(person_of(CLAIMS, None), strict) == "example.com"


def load(monkeypatch: pytest.MonkeyPatch, providers: object, secrets: object) -> Settings:
    """The settings with these two."""
    for name, value in GOOD.items():
        monkeypatch.setenv(name, value)
    for name, value in (("ACCOUNTS_OIDC_PROVIDERS", providers), ("ACCOUNTS_OIDC_SECRETS", secrets)):
        if value is not None:
            monkeypatch.setenv(name, value if isinstance(value, str) else json.dumps(value))
    return Settings.load()


def test_providers_come_from_the_settings(monkeypatch: pytest.MonkeyPatch):
    """With sensible defaults; the secrets are not shown."""
    settings = load(monkeypatch, [COMPANY], {"company": "hunter2"})
    assert parse_providers(settings.oidc_providers) == (ProviderConfig(**COMPANY),)
    assert "hunter2" not in repr(settings)


@pytest.mark.parametrize(
    ("providers", "secrets", "named"),
    [
        ("not json", {}, "PROVIDERS"),
        ([{"name": "company"}], {}, "PROVIDERS"),
        ([COMPANY | {"extra": 1}], {"company": "x"}, "PROVIDERS"),
        ([COMPANY | {"name": "Not A Slug"}], {"company": "x"}, "PROVIDERS"),
        ([COMPANY | {"issuer": "http://id.example.com"}], {"company": "x"}, "PROVIDERS"),
        ([COMPANY | {"issuer": "https://id.example.com/?a=b"}], {"company": "x"}, "PROVIDERS"),
        ([COMPANY | {"issuer": "https://user@id.example.com"}], {"company": "x"}, "PROVIDERS"),
        ([COMPANY | {"client_id": ""}], {"company": "x"}, "PROVIDERS"),
        ([COMPANY | {"scopes": ["email"]}], {"company": "x"}, "PROVIDERS"),
        ([COMPANY, COMPANY], {"company": "x"}, "PROVIDERS"),
        ([COMPANY], None, "SECRETS"),
        ([COMPANY], {"company": ""}, "SECRETS"),
        ([COMPANY], {"company": "x", "other": "hunter2"}, "SECRETS"),
        ([COMPANY], '{"company": "hunter2', "SECRETS"),
        ([COMPANY], ["hunter2"], "SECRETS"),
    ],
)
def test_wrong_providers_are_named_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch, providers: object, secrets: object, named: str
):
    """At the start, and without any secret."""
    with pytest.raises(WrongSettings) as wrong:
        load(monkeypatch, providers, secrets)
    assert str(wrong.value).startswith(f"ACCOUNTS_OIDC_{named}: ")
    assert "\n" not in str(wrong.value)
    assert "hunter2" not in str(wrong.value)
