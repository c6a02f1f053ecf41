"""The last-known-good directory on disk: signed, replaced atomically, with a journal of revocations that precedes acknowledgement.

Three files in one folder: `view` (everything, rewritten after changes), `fresh` (until when the view was confirmed) and `revoked`
(records that close a key, appended at once). A file that is missing, torn or not signed by us counts as absent.
"""

import errno
import hmac
import os
import time
from collections.abc import Iterable
from pathlib import Path

import msgspec

from gateway.domain.directory_view import DirectoryView

_MAC_LENGTH = 64


class _Fresh(msgspec.Struct):
    created: str
    as_of: int


class DirectoryFile:
    """Owned by one process (its spool slot's folder)."""

    def __init__(self, folder: Path, secret: bytes) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder = folder
        self._secret = secret
        self._journal = os.open(folder / "revoked", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def close(self) -> None:
        """Close the journal."""
        os.close(self._journal)

    def load(self, view: DirectoryView) -> tuple[str, float] | None:
        """Fill a view; (bucket's `created`, Unix time of the last confirmation), or None if there is nothing to trust."""
        body = self._read_signed("view")
        fresh_body = self._read_signed("fresh")
        if body is None or fresh_body is None:
            return None
        for line in body.splitlines():
            entry, _, record = line.partition(b" ")
            view.apply(entry.decode(), record)
        self._replay_journal(view)
        fresh = msgspec.json.decode(fresh_body, type=_Fresh)
        return fresh.created, fresh.as_of / 1000

    def _replay_journal(self, view: DirectoryView) -> None:
        for line in (self._folder / "revoked").read_bytes().splitlines():
            mac, _, body = line.partition(b" ")
            if hmac.compare_digest(mac, self._mac(body)):
                entry, _, record = body.partition(b" ")
                view.apply(entry.decode(), record)

    def append_revocation(self, entry: str, body: bytes) -> None:
        """Written (not synced) when this returns: it survives the death of the process. Raises OSError."""
        line = entry.encode() + b" " + body
        # The first newline ends what an earlier write may have left torn.
        text = b"\n" + self._mac(line) + b" " + line + b"\n"
        if os.write(self._journal, text) != len(text):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def journal_size(self) -> int:
        """To be taken before the entries that `save_view` gets are listed, without an await in between."""
        return os.fstat(self._journal).st_size

    def save_view(self, entries: Iterable[tuple[str, msgspec.Struct]]) -> None:
        """Replace the view. Blocks: call in a thread; then `shorten_journal` where revocations are appended."""
        self._write_signed("view", b"\n".join(name.encode() + b" " + msgspec.json.encode(record) for name, record in entries))

    def shorten_journal(self, size: int) -> None:
        """The view in place contains the journal's first `size` bytes: begin anew, unless something was appended since."""
        if size and self.journal_size() == size:
            os.ftruncate(self._journal, 0)

    def save_freshness(self, created: str, as_of: float | None = None) -> None:
        """Note that the view was confirmed just now (or at `as_of`, Unix seconds)."""
        moment = time.time() if as_of is None else as_of
        self._write_signed("fresh", msgspec.json.encode(_Fresh(created=created, as_of=int(moment * 1000))), sync=False)

    def _mac(self, body: bytes) -> bytes:
        return hmac.digest(self._secret, body, "sha256").hex().encode()

    def _read_signed(self, name: str) -> bytes | None:
        try:
            content = (self._folder / name).read_bytes()
        except FileNotFoundError:
            return None
        mac, body = content[:_MAC_LENGTH], content[_MAC_LENGTH + 1 :]
        return body if hmac.compare_digest(mac, self._mac(body)) else None

    def _write_signed(self, name: str, body: bytes, *, sync: bool = True) -> None:
        scratch = self._folder / f"{name}.new"
        descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(self._mac(body) + b"\n" + body)
            file.flush()
            if sync:
                os.fsync(file.fileno())
        scratch.replace(self._folder / name)
