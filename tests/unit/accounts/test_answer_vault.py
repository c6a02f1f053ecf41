"""What is kept of requests with an Idempotency-Key and of their answers."""

import pytest
from cryptography.exceptions import InvalidTag

from accounts.domain.idempotency import Ask, GivenAnswer, is_key, sameness, whose
from accounts.domain.principal import Principal
from accounts.outbound.answer_vault import AnswerVault

VAULT = AnswerVault(b"\x01" * 32)
ANSWER = GivenAnswer(201, [(b"content-type", b"application/json"), (b"etag", b'"v1"')], b'{"key": "sk-cf-plaintext"}')
ALICE = Principal(kind="user", id="alice")


def test_an_answer_is_opened_as_it_was_sealed():
    """For the same caller with the same key; nothing of it can be read before, and no two seals are alike."""
    sealed = VAULT.seal(ANSWER, "user:alice", "key-1")
    assert VAULT.open(sealed, "user:alice", "key-1") == ANSWER
    assert b"plaintext" not in sealed
    assert VAULT.seal(ANSWER, "user:alice", "key-1") != sealed


@pytest.mark.parametrize(
    ("vault", "caller", "key"),
    [
        (VAULT, "user:bob", "key-1"),
        (VAULT, "user:alice", "key-2"),
        (AnswerVault(b"\x02" * 32), "user:alice", "key-1"),
    ],
)
def test_nobody_else_opens_an_answer(vault: AnswerVault, caller: str, key: str):
    """Neither another caller, nor with another key, nor a service with another secret; nor when it has been touched."""
    sealed = VAULT.seal(ANSWER, "user:alice", "key-1")
    with pytest.raises(InvalidTag):
        vault.open(sealed, caller, key)
    with pytest.raises(InvalidTag):
        VAULT.open(sealed[:-1] + bytes([sealed[-1] ^ 1]), "user:alice", "key-1")


def test_a_request_is_the_same_only_in_all_its_parts():
    """Path, query, body and the caller's reach; its digest needs the service's secret."""
    ask = Ask(key="k", path="/a", query=b"", body=b"{}")
    same = sameness(ALICE, ask)
    assert same == sameness(ALICE, Ask(key="other", path="/a", query=b"", body=b"{}"))
    narrower = Principal(kind="user", id="alice", scopes=frozenset({"keys.issue"}))
    others = [
        sameness(ALICE, Ask(key="k", path="/b", query=b"", body=b"{}")),
        sameness(ALICE, Ask(key="k", path="/a", query=b"x", body=b"{}")),
        sameness(ALICE, Ask(key="k", path="/a", query=b"", body=b"{ }")),
        sameness(narrower, ask),
    ]
    assert len({same, *others}) == 5
    assert VAULT.request_digest(same) == VAULT.request_digest(same)
    assert VAULT.request_digest(same) != AnswerVault(b"\x02" * 32).request_digest(same)


def test_each_long_lived_token_has_answers_of_its_own():
    """Sign-ins of one user share theirs."""
    sign_ins = {whose(Principal(kind="user", id="alice", session_id=session)) for session in ("1", "2")}
    tokens = {whose(Principal(kind="user", id="alice", token_id=token)) for token in ("1", "2")}
    robot = whose(Principal(kind="service_account", id="alice"))
    assert len(sign_ins) == 1
    assert len({*sign_ins, *tokens, robot}) == 4


def test_keys_are_short_and_printable():
    """1 to 255 characters."""
    assert all(is_key(text) for text in ("a", '"8e03978e"', "two words", "~" * 255))
    assert not any(is_key(text) for text in ("", " ", " a", "a ", "~" * 256, "ä", "a\tb", "a\n"))
