"""Money as people type and read it (USD) and as the API counts it (whole nano-USD)."""

import re

NANO_DIGITS = 9
LARGEST = 2**63 - 1
_AMOUNT = re.compile(r"(?P<whole>[0-9]+)(\.(?P<decimals>[0-9]+))?")


def to_nanousd(text: str) -> int:
    """Exactly what was typed, like 25 or 0.50; raises ValueError for anything that is not a whole number of nano-USD."""
    amount = _AMOUNT.fullmatch(text.strip())
    if amount is None:
        raise ValueError("give an amount in USD, like 25 or 0.50")
    decimals = amount["decimals"] or ""
    if len(decimals) > NANO_DIGITS:
        raise ValueError("give at most nine decimals: 0.000000001 USD is the smallest amount")
    whole = amount["whole"].lstrip("0")
    nanousd = int(whole + decimals.ljust(NANO_DIGITS, "0")) if len(whole) <= len(str(LARGEST)) else LARGEST + 1
    if nanousd > LARGEST:
        raise ValueError(f"give at most {to_usd(LARGEST)} USD")
    return nanousd


def to_usd(nanousd: int) -> str:
    """At least two decimals, as many as it takes, and no rounding."""
    whole, nano = divmod(abs(nanousd), 10**NANO_DIGITS)
    decimals = f"{nano:0{NANO_DIGITS}d}".rstrip("0").ljust(2, "0")
    return f"{'-' if nanousd < 0 else ''}{whole}.{decimals}"
