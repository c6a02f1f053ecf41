"""Limits and their version, which budgets refer to: it rises with every change of any of them."""

from collections.abc import Mapping

import msgspec

from common.contracts.directory import Limits


def changed_limits(present: Limits, changes: Mapping[str, int | None]) -> Limits:
    """The limits with some of them set (None = no limit); the others stay, and the version only rises if anything differs."""
    after = msgspec.structs.replace(present, **changes)
    return after if after == present else msgspec.structs.replace(after, version=present.version + 1)
