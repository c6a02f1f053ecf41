"""Progress for people: colours on a terminal, plain lines elsewhere."""

import contextlib
import os
import sys
from threading import Lock


class Terminal:
    """Writes lines from several threads, whole. Everything but errors goes to standard output."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._colours = sys.stdout.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"

    def say(self, text: str = "") -> None:
        """A line. Whoever read them may have gone: that must not stop a start, nor a stop."""
        with self._lock, contextlib.suppress(BrokenPipeError):
            print(text, flush=True)

    def done(self, what: str, seconds: float, note: str = "") -> None:
        """A part is ready."""
        self.say(f"  {self.green('✓')} {what:<16} {self.dim(f'{seconds:5.2f} s')}  {self.dim(note)}".rstrip())

    def error(self, text: str) -> None:
        """Why it did not work."""
        with self._lock, contextlib.suppress(BrokenPipeError):
            mark = "\033[31m✗\033[0m" if sys.stderr.isatty() and self._colours else "error:"
            print(f"{mark} {text}", file=sys.stderr, flush=True)

    def bold(self, text: str) -> str:
        """For what is looked for."""
        return self._coloured("1", text)

    def dim(self, text: str) -> str:
        """For what may be overlooked."""
        return self._coloured("2", text)

    def green(self, text: str) -> str:
        """For what is well."""
        return self._coloured("32", text)

    def _coloured(self, code: str, text: str) -> str:
        return f"\033[{code}m{text}\033[0m" if self._colours and text else text
