"""Keep a sliced stream's hold ahead of its output: one more slice before it is needed, and an end when none can be had."""

from dataclasses import dataclass

from gateway.domain.patience import Patience
from gateway.domain.refusals import Refusal, SpoolFull
from gateway.domain.run import Run
from gateway.domain.standing import would_refuse
from gateway.outbound.event_spool import errors as spool_errors
from gateway.outbound.event_spool.records import AttemptHold
from gateway.outbound.event_spool.spool import EventSpool
from gateway.use_cases.take_hold import TakeHold

AHEAD = 4
"""A slice is asked for when a quarter of the last one is left."""


@dataclass(frozen=True, slots=True)
class ExtendHold:
    """One per process. `wait_seconds` bounds the wait for each slice."""

    take_hold: TakeHold
    spool: EventSpool
    wait_seconds: float

    async def __call__(self, run: Run, attempt: int, seen_output: int) -> Refusal | None:
        """After so much output of attempt number `attempt`: None if the stream may go on, else why it must end."""
        while True:
            estimate = run.estimate
            tokens, nanousd = estimate.next_slice()
            left = estimate.completion_tokens - estimate.hidden_output - seen_output
            if tokens == 0 or left > tokens // AHEAD:
                return None
            if run.standing.shadowed and (passed := would_refuse(run.standing, tokens, nanousd)):
                if left > 0:
                    return None  # with a limit that refuses it would go on so far
                run.would_refuse = tuple(dict.fromkeys((*run.would_refuse, *passed)))
            if not self.take_hold.take_now(run.hold, run.standing, tokens, nanousd):
                if left > 0:
                    return None  # what is held still covers it
                refusal = await self._wait(run, tokens, nanousd)
                if refusal is not None:
                    return refusal
            refusal = self._grow(run, attempt, tokens, nanousd)
            if refusal is not None:
                return refusal

    async def to_the_cap(self, run: Run, attempt: int) -> Refusal | None:
        """Hold all that may still come of the attempt: None if it is held, else why it must end."""
        tokens, nanousd = run.estimate.rest()
        if not tokens:
            return None
        return await self._wait(run, tokens, nanousd) or self._grow(run, attempt, tokens, nanousd)

    async def _wait(self, run: Run, tokens: int, nanousd: int) -> Refusal | None:
        try:
            patience = Patience(self.wait_seconds)
            run.no_grant = await self.take_hold.take(run.hold, run.standing, tokens, nanousd, patience) or run.no_grant
        except Refusal as refusal:
            return refusal
        return None

    def _grow(self, run: Run, attempt: int, tokens: int, nanousd: int) -> Refusal | None:
        run.estimate = run.estimate.grown(tokens, nanousd)
        run.slices += 1
        if not self._write_down(run, attempt):
            return SpoolFull("The gateway cannot record requests at the moment.", retry_after=1)
        return None

    def _write_down(self, run: Run, attempt: int) -> bool:
        """What is held must be known to whoever finds the spool of this process, should it die."""
        estimate, candidate = run.estimate, run.candidate
        try:
            self.spool.attempt(
                AttemptHold(
                    event_id=run.event_id,
                    number=attempt,
                    upstream=candidate.upstream if candidate else "",
                    model=candidate.model if candidate else "",
                    hold_prompt_tokens=estimate.prompt_tokens,
                    hold_completion_tokens=estimate.completion_tokens,
                    hold_nanousd=estimate.nanousd,
                )
            )
        except (spool_errors.SpoolFull, OSError):
            return False
        return True
