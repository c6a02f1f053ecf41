"""The provider's ledger and its file."""

from pathlib import Path

from devstack.provider.ledger import Ledger, Reported, Row


def begin(ledger: Ledger, request_id: str | None = None, prompt_tokens: int = 5) -> Row:
    row = ledger.begin(request_id=request_id, attempt=1, endpoint="chat.completions", model="sim-fast-1")
    row.prompt_tokens = prompt_tokens
    ledger.announce(row)
    return row


def answer(ledger: Ledger, row: Row) -> None:
    row.generated = row.sent = 4
    row.reported = Reported(5, 4)
    row.finished = True
    row.outcome = "answered"
    ledger.end(row)


def test_totals_count_running_and_ended_calls():
    """What was generated counts from the moment it was; refused calls are listed and cost nothing."""
    ledger = Ledger()
    answer(ledger, begin(ledger))
    begin(ledger).generated = 2
    refused = begin(ledger, prompt_tokens=0)
    refused.outcome = "refused"
    ledger.end(refused)
    totals = ledger.totals()
    assert (totals.calls, totals.requests, totals.prompt_tokens, totals.completion_tokens) == (3, 2, 10, 6)
    assert set(totals.by_model) == {"sim-fast-1"}


def test_anonymous_calls_get_ids_of_their_own():
    """Calls without a request id are told apart."""
    ledger = Ledger()
    first, second = begin(ledger), begin(ledger)
    assert first.request_id.startswith("anon-")
    assert first.request_id != second.request_id


def test_the_file_survives_the_process(tmp_path: Path):
    """A new process with the same file knows all rows; those that were open are `killed`, a torn line is dropped."""
    file = tmp_path / "ledger.jsonl"
    before = Ledger(file)
    answer(before, begin(before, "a"))
    begin(before, "b")
    with file.open("ab") as torn:
        torn.write(b'{"event":"end","row":{"ca')
    after = Ledger(file)
    assert [(row.request_id, row.outcome) for row in after.rows()] == [("a", "answered"), ("b", "killed")]
    assert after.totals().prompt_tokens == 10
    assert begin(after).call == 3
    again = Ledger(file)
    assert [row.outcome for row in again.rows()] == ["answered", "killed", "killed"]
    for ledger in (before, after, again):
        ledger.close()


def test_reset_forgets_calls_that_still_run(tmp_path: Path):
    """After a reset nothing of earlier calls appears, not even their end."""
    ledger = Ledger(tmp_path / "ledger.jsonl")
    running = begin(ledger)
    answer(ledger, begin(ledger))
    ledger.reset()
    answer(ledger, running)
    assert ledger.rows() == []
    assert ledger.totals().calls == 0
    assert (tmp_path / "ledger.jsonl").read_bytes() == b""
    ledger.close()
