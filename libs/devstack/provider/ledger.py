"""The truth: one row per call, in memory and, when asked for, in a file that survives kill -9."""

import os
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import Final, Literal

import msgspec

# How a call ended. `killed` is what a row becomes that was open when an earlier process with the same file died.
Outcome = Literal["running", "answered", "refused", "client_left", "cut", "hung", "stopped", "killed"]

KEPT_ROWS: Final = 1_000_000  # the oldest rows leave the listing then; totals stay exact


class Reported(msgspec.Struct, frozen=True):
    """The usage the client was told, which a fault may have falsified."""

    prompt_tokens: int
    completion_tokens: int


class Row(msgspec.Struct):
    """`prompt_tokens` is what is billed: 0 for a refused call, unless a filter read it. `sent` counts tokens written to the connection."""

    call: int
    request_id: str
    attempt: int
    endpoint: str
    model: str
    stream: bool = False
    fault: str = ""
    status: int = 200
    prompt_tokens: int = 0
    generated: int = 0
    sent: int = 0
    reported: Reported | None = None
    finished: bool = False
    outcome: Outcome = "running"


class ModelTotals(msgspec.Struct):
    requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def add(self, row: Row) -> None:
        if row.prompt_tokens or row.generated:
            self.requests += 1
            self.prompt_tokens += row.prompt_tokens
            self.completion_tokens += row.generated


class Totals(msgspec.Struct):
    requests: int
    prompt_tokens: int
    completion_tokens: int
    by_model: dict[str, ModelTotals]
    calls: int


class _Line(msgspec.Struct):
    event: Literal["begin", "end"]
    row: Row


class Ledger:
    """Rows begin and end exactly once; `end` is final."""

    def __init__(self, file: Path | None = None) -> None:
        self._calls = 0
        self._open: dict[int, Row] = {}
        self._ended: deque[Row] = deque(maxlen=KEPT_ROWS)
        self._ended_totals: dict[str, ModelTotals] = {}
        self._ended_calls = 0
        self._calls_by_request: dict[str, int] = {}
        self._descriptor: int | None = None
        if file is not None:
            self._resume(file)

    def begin(self, *, request_id: str | None, attempt: int, endpoint: str, model: str) -> Row:
        """Open a row; it is listed from now on, and written to the file by `announce`."""
        self._calls += 1
        row = Row(
            call=self._calls,
            request_id=request_id or f"anon-{self._calls:08d}",
            attempt=attempt,
            endpoint=endpoint,
            model=model,
        )
        self._open[row.call] = row
        return row

    def announce(self, row: Row) -> None:
        """Write the row as it stands before the first token exists."""
        self._write("begin", row)

    def end(self, row: Row) -> None:
        if row.outcome == "running":
            row.outcome = "stopped"
        if self._open.pop(row.call, None) is None:
            return  # a reset forgot it
        self._fold(row)
        self._write("end", row)

    def count_call(self, request_id: str) -> int:
        """How many calls with this request id were counted so far, this one included."""
        seen = self._calls_by_request.get(request_id, 0) + 1
        self._calls_by_request[request_id] = seen
        return seen

    def rows(self, request_id: str | None = None) -> list[Row]:
        rows = [row for row in self._all() if request_id is None or row.request_id == request_id]
        return sorted(rows, key=lambda row: row.call)

    def totals(self) -> Totals:
        by_model = {model: msgspec.structs.replace(totals) for model, totals in self._ended_totals.items()}
        for row in self._open.values():
            by_model.setdefault(row.model, ModelTotals()).add(row)
        by_model = {model: totals for model, totals in sorted(by_model.items()) if totals.requests}
        return Totals(
            requests=sum(totals.requests for totals in by_model.values()),
            prompt_tokens=sum(totals.prompt_tokens for totals in by_model.values()),
            completion_tokens=sum(totals.completion_tokens for totals in by_model.values()),
            by_model=by_model,
            calls=self._ended_calls + len(self._open),
        )

    def reset(self) -> None:
        """Forget everything, the file's contents too. Calls still running are not listed any more."""
        self._open.clear()
        self._ended.clear()
        self._ended_totals.clear()
        self._ended_calls = 0
        self._calls_by_request.clear()
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _all(self) -> Iterable[Row]:
        yield from self._ended
        yield from self._open.values()

    def _fold(self, row: Row) -> None:
        self._ended.append(row)
        self._ended_calls += 1
        if row.prompt_tokens or row.generated:
            self._ended_totals.setdefault(row.model, ModelTotals()).add(row)

    def _write(self, event: Literal["begin", "end"], row: Row) -> None:
        # One unbuffered append per line: what a killed process had written is in the kernel already.
        if self._descriptor is not None:
            os.write(self._descriptor, msgspec.json.encode(_Line(event, row)) + b"\n")

    def _resume(self, file: Path) -> None:
        whole = 0
        if file.exists():
            whole = self._read_back(file.read_bytes())
        self._descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.ftruncate(self._descriptor, whole)
        for row in list(self._open.values()):
            row.outcome = "killed"
            self.end(row)

    def _read_back(self, content: bytes) -> int:
        """Take over the rows of an earlier process; answers the length without a line torn by its death."""
        whole = content.rfind(b"\n") + 1
        decoder = msgspec.json.Decoder(_Line)
        for text in content[:whole].splitlines():
            line = decoder.decode(text)
            self._calls = max(self._calls, line.row.call)
            self._open[line.row.call] = line.row
            if line.event == "end":
                self._fold(self._open.pop(line.row.call))
        return whole
