"""The throttle of logins."""

from hypothesis import given
from hypothesis import strategies as st

from accounts.domain.throttle import REMEMBERED_NAMES, WINDOW_SECONDS, Throttle


@given(st.lists(st.tuples(st.sampled_from("ab"), st.floats(0, 30)), max_size=200), st.integers(1, 5))
def test_no_window_ever_holds_more_than_the_allowed_attempts(steps: list[tuple[str, float]], attempts: int):
    """Whatever the rhythm; and a refused caller who waits as told gets in."""
    throttle, now = Throttle(attempts), 0.0
    allowed: dict[str, list[float]] = {"a": [], "b": []}
    for name, pause in steps:
        now += pause
        wait = throttle.attempt(name, now)
        if wait:
            now += wait + 1e-6
            assert throttle.attempt(name, now) == 0
        allowed[name].append(now)
    for times in allowed.values():
        for at in times:
            assert sum(at <= other < at + WINDOW_SECONDS for other in times) <= attempts


def test_a_flood_of_names_cannot_fill_the_memory():
    """The oldest names are forgotten."""
    throttle = Throttle(10)
    for number in range(REMEMBERED_NAMES * 2):
        throttle.attempt(str(number), 0.0)
    assert len(throttle._tried) <= REMEMBERED_NAMES
