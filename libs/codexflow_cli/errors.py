"""Why a command ends without success: each with the exit code that scripts rely on."""

from typing import Any, ClassVar


class CommandFailed(Exception):
    """The message is what the person reads on stderr."""

    exit_code: ClassVar[int] = 1


class Refused(CommandFailed):
    """The API said no; `problem` is its problem document."""

    def __init__(self, problem: dict[str, Any]) -> None:
        super().__init__(_sentence(problem))
        self.status = int(problem.get("status", 500))
        self.code = str(problem.get("code", ""))


class WrongUse(CommandFailed):
    """Something is missing from, or wrong with, the command or its configuration."""

    exit_code = 2


class Unreachable(CommandFailed):
    """No answer from the service."""

    exit_code = 3


class NotSignedIn(CommandFailed):
    """No credentials, or none that are valid any more."""

    exit_code = 4


class Declined(CommandFailed):
    """The person answered a question with no; nothing was done."""

    exit_code = 130


def _sentence(problem: dict[str, Any]) -> str:
    lines = [str(problem.get("detail") or problem.get("title") or "The service refused without saying why.")]
    lines += [f"  {error.get('field')}: {error.get('message')}" for error in problem.get("errors", [])]
    if seconds := problem.get("retry_after_seconds"):
        lines.append(f"  Try again in {seconds} s.")
    return "\n".join(lines)
