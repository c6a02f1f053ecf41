"""What no hold could cover: inputs that the body does not bound under a strict budget, models without a price under a cost limit."""

from gateway.domain.bounded_inputs import may_hide, refuse_hidden_inputs
from gateway.domain.refusals import BadRequest
from gateway.domain.run import Run


def refuse_unboundable(run: Run) -> None:
    """Raises BadRequest where a limit that refuses would have to cover it."""
    standing = run.standing
    if standing.binding and run.mode == "strict" and may_hide(run.request, run.fields):
        refuse_hidden_inputs(run.request, run.fields)
    if standing.costs_bind and run.route.has_unpriced:
        _refuse_unpriced(run)


def would_refuse_unboundable(run: Run) -> tuple[str, ...]:
    """The code of what would be refused if the limits in shadow mode were enforced."""
    shadowed = run.standing.shadowed
    try:
        if shadowed and run.mode == "strict":
            refuse_hidden_inputs(run.request, run.fields)
        if run.route.has_unpriced and any(account.limit_nanousd is not None for account in shadowed):
            _refuse_unpriced(run)
    except BadRequest as refusal:
        return (refusal.code,)
    return ()


def _refuse_unpriced(run: Run) -> None:
    if run.caller.project.on_unpriced == "deny":
        raise BadRequest(
            f"The model '{run.request.model}' has no price, so a cost budget cannot cover it.",
            param="model",
            code="model_not_priced",
        )
