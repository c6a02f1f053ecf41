"""The last-known-good directory on disk: signed, replaced atomically, with a journal of changes that precedes acknowledgement.

Three files in one folder: `view` (everything, rewritten now and then), `fresh` (until when the view was confirmed) and `revoked`
(records that took the place of others or close something, appended at once). A file that is missing, torn or not signed by us
counts as absent.
"""

import errno
import hmac
import os
import time
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import msgspec

from gateway.domain.directory_view import DirectoryView

_MAC_LENGTH = 64
_PIECE = 1024 * 1024
_LINES = 1000


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
        """Fill a view; (bucket's `created`, Unix time of the last confirmation), or None if there is no whole one to trust.

        What the journal says is applied in any case: a revocation need not be preceded by anything.
        """
        self._replay_journal(view)
        fresh_body = self._read_fresh()
        try:
            with (self._folder / "view").open("rb") as file:
                if fresh_body is None or not self._is_ours(file):
                    return None
                for line in file:
                    entry, _, record = line.rstrip(b"\n").partition(b" ")
                    view.apply(entry.decode(), record)
        except FileNotFoundError:
            return None
        fresh = msgspec.json.decode(fresh_body, type=_Fresh)
        return fresh.created, fresh.as_of / 1000

    def _is_ours(self, file: BinaryIO) -> bool:
        """Whether a file that begins with our mark is whole; it is left at the first line after the mark."""
        mark = file.read(_MAC_LENGTH + 1)
        mac = hmac.new(self._secret, digestmod="sha256")
        while piece := file.read(_PIECE):
            mac.update(piece)
        file.seek(len(mark))
        return hmac.compare_digest(mark[:_MAC_LENGTH], mac.hexdigest().encode())

    def _replay_journal(self, view: DirectoryView) -> None:
        for line in (self._folder / "revoked").read_bytes().splitlines():
            mac, _, body = line.partition(b" ")
            if hmac.compare_digest(mac, self._mac(body)):
                entry, _, record = body.partition(b" ")
                view.apply(entry.decode(), record)

    def append_change(self, entry: str, body: bytes) -> None:
        """Written (not synced) when this returns: it survives the death of the process. Raises OSError."""
        line = entry.encode() + b" " + body
        # The first newline ends what an earlier write may have left torn.
        text = b"\n" + self._mac(line) + b" " + line + b"\n"
        if os.write(self._journal, text) != len(text):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def journal_size(self) -> int:
        """To be taken before the entries that `save_view` gets are listed, without an await in between."""
        return os.fstat(self._journal).st_size

    def save_view(self, entries: Mapping[str, bytes]) -> None:
        """Replace the view. Blocks: call in a thread; then `shorten_journal` where changes are appended."""
        scratch = self._folder / "view.new"
        mac = hmac.new(self._secret, digestmod="sha256")
        with os.fdopen(_create(scratch), "wb") as file:
            file.write(b" " * _MAC_LENGTH + b"\n")
            for piece in _pieces(entries):
                mac.update(piece)
                file.write(piece)
            file.seek(0)
            file.write(mac.hexdigest().encode())
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(self._folder / "view")

    def shorten_journal(self, size: int) -> None:
        """The view in place contains the journal's first `size` bytes: begin anew, unless something was appended since."""
        if size and self.journal_size() == size:
            os.ftruncate(self._journal, 0)

    def save_freshness(self, created: str, as_of: float | None = None) -> None:
        """Note that what is on disk was confirmed just now (or at `as_of`, Unix seconds)."""
        moment = time.time() if as_of is None else as_of
        body = msgspec.json.encode(_Fresh(created=created, as_of=int(moment * 1000)))
        scratch = self._folder / "fresh.new"
        with os.fdopen(_create(scratch), "wb") as file:
            file.write(self._mac(body) + b"\n" + body)
        scratch.replace(self._folder / "fresh")

    def _read_fresh(self) -> bytes | None:
        try:
            mac, _, body = (self._folder / "fresh").read_bytes().partition(b"\n")
        except FileNotFoundError:
            return None
        return body if hmac.compare_digest(mac, self._mac(body)) else None

    def _mac(self, body: bytes) -> bytes:
        return hmac.digest(self._secret, body, "sha256").hex().encode()


def _create(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)


def _pieces(entries: Mapping[str, bytes]) -> Iterator[bytes]:
    """The lines in pieces of some hundred kilobytes: the interpreter is never held for longer than one of them."""
    lines = (b"%b %b\n" % (name.encode(), body) for name, body in entries.items())
    while piece := b"".join(islice(lines, _LINES)):
        yield piece
