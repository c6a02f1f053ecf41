"""Settings that are wrong are named in one sentence."""

import pytest

from accounts.settings import Settings, WrongSettings

GOOD = {
    "ACCOUNTS_DATABASE_PASSWORD": "x",
    "ACCOUNTS_NATS_PASSWORD": "x",
    "ACCOUNTS_KEY_PEPPERS": "1:" + "ab" * 32,
    "ACCOUNTS_SIGNING_KEY": "cd" * 32,
}


def test_the_defaults_are_those_of_the_development_stack(monkeypatch: pytest.MonkeyPatch):
    """Secrets have none."""
    for name, value in GOOD.items():
        monkeypatch.setenv(name, value)
    settings = Settings.load()
    assert (settings.port, settings.access_token_seconds) == (8001, 900)
    assert "cd" * 32 not in repr(settings)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ACCOUNTS_SIGNING_KEY", "secret-that-is-not-hexadecimal"),
        ("ACCOUNTS_KEY_PEPPERS", "1:abcd"),
        ("ACCOUNTS_DATABASE_URL", "postgresql://accounts:hunter2@localhost/db"),
        ("ACCOUNTS_NATS_URL", "http://localhost"),
        ("ACCOUNTS_ACCESS_TOKEN_SECONDS", "a day"),
        ("ACCOUNTS_PORT", "0"),
        ("ACCOUNTS_TRUSTED_PROXIES", "10.0.0.1/8"),
        ("ACCOUNTS_SMTP_URL", "smtp://user:hunter2@localhost"),
        ("ACCOUNTS_SMTP_URL", "http://localhost"),
        ("ACCOUNTS_SMTP_URL", "smtp://localhost:99999"),
        ("ACCOUNTS_MAIL_FROM", "nobody"),
        ("ACCOUNTS_PUBLIC_URL", "example.com"),
        ("ACCOUNTS_NATS_PASSWORD", None),
    ],
)
def test_a_wrong_setting_is_named_without_its_value(monkeypatch: pytest.MonkeyPatch, name: str, value: str | None):
    """One line, for it may be a secret."""
    for key, good in GOOD.items():
        monkeypatch.setenv(key, good)
    if value is None:
        monkeypatch.delenv(name)
    else:
        monkeypatch.setenv(name, value)
    with pytest.raises(WrongSettings) as wrong:
        Settings.load()
    assert str(wrong.value).startswith(f"{name}: ")
    assert "\n" not in str(wrong.value)
    assert value is None or value not in str(wrong.value)


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ({"ACCOUNTS_SMTP_URL": "smtp://localhost"}, "ACCOUNTS_MAIL_FROM"),
        ({"ACCOUNTS_SMTP_URL": "smtps://me@localhost", "ACCOUNTS_MAIL_FROM": "a@b.c"}, "ACCOUNTS_SMTP_PASSWORD"),
    ],
)
def test_settings_of_mail_belong_together(monkeypatch: pytest.MonkeyPatch, given: dict[str, str], missing: str):
    """What is missing is named."""
    for name, value in (GOOD | given).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(WrongSettings, match=f"^{missing}: set it"):
        Settings.load()
