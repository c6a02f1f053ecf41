"""The limits of a request in its event: short, and all of them to be read again."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.limit_list import read_limits, write_limits

names = st.builds(
    "{}.{}".format,
    st.sampled_from(["organization", "project", "key", "member", "end_user", "ip"]),
    st.sampled_from(["monthly", "daily", "requests_per_minute", "tokens_per_minute", "concurrency"]),
)


def test_a_word_for_each_owner() -> None:
    """Rates by the names that everybody knows."""
    named = ["project.monthly", "project.daily", "key.requests_per_minute", "key.tokens_per_minute", "key.concurrency"]
    assert write_limits(named) == "project.monthly+daily key.rpm+tpm+concurrency"


@given(st.lists(names, unique=True), st.lists(names, unique=True))
def test_what_is_written_is_read(budgets: list[str], rates: list[str]) -> None:
    """Also where two lists are joined, or names were written out, as events before had them."""
    text = f"{write_limits(budgets)} {write_limits(rates)}"
    assert sorted(read_limits(text)) == sorted([*budgets, *rates])
    assert read_limits(" ".join(budgets)) == budgets
