"""What no hold could cover: inputs that the body does not bound under a strict budget, models without a price under a cost limit."""

from gateway.domain.bounded_inputs import refuse_hidden_inputs
from gateway.domain.refusals import BadRequest
from gateway.domain.run import Run


def refuse_unboundable(run: Run) -> None:
    """Raises BadRequest where a limit that refuses would have to cover it."""
    _check(run, is_limited=bool(run.standing.binding), costs_are_limited=run.standing.costs_bind)


def would_refuse_unboundable(run: Run) -> tuple[str, ...]:
    """The code of what would be refused if the limits in shadow mode were enforced."""
    shadowed = run.standing.shadowed
    costs_are_limited = run.route.has_unpriced and any(account.limit_nanousd is not None for account in shadowed)
    try:
        _check(run, is_limited=bool(shadowed), costs_are_limited=costs_are_limited)
    except BadRequest as refusal:
        return (refusal.code,)
    return ()


def _check(run: Run, *, is_limited: bool, costs_are_limited: bool) -> None:
    if is_limited and run.mode == "strict":
        refuse_hidden_inputs(run.request, run.fields)
    if costs_are_limited and run.route.has_unpriced and run.caller.project.on_unpriced == "deny":
        raise BadRequest(
            f"The model '{run.request.model}' has no price, so a cost budget cannot cover it.",
            param="model",
            code="model_not_priced",
        )
