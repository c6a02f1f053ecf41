"""One rig for all scenarios while the law holds, a fresh one after a breach; and the tables at the end of the run."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.faults.rig import Rig

TOLD = pytest.StashKey[list[str]]()

Tell = Callable[[str], None]


class Rigs:
    """Hands out the running rig, or starts another when the last scenario on it did not end well."""

    def __init__(self, factory: pytest.TempPathFactory) -> None:
        self._factory = factory
        self._running = ExitStack()
        self._rig: Rig | None = None

    def take(self) -> Rig:
        """A rig in which everything runs; the oracle's sums go on from scenario to scenario."""
        if self._rig is None or not self._rig.is_sound:
            self.close()
            self._rig = rig = Rig(self._factory.mktemp("faults") / "state")
            self._running.callback(rig.state.close)
            self._running.callback(rig.parts.stop)
            rig.start()
        self._rig.is_sound = False
        return self._rig

    def close(self) -> None:
        """Stop what runs."""
        self._running.close()


@pytest.fixture(scope="module")
def rigs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rigs]:
    """Stopped at the end, whatever state they are in."""
    made = Rigs(tmp_path_factory)
    yield made
    made.close()


@pytest.fixture
def rig(rigs: Rigs) -> Rig:
    """Running and quiet; who is satisfied with it in the end says so: `rig.is_sound = True`."""
    return rigs.take()


@pytest.fixture
def tell(request: pytest.FixtureRequest) -> Tell:
    """Shows a text at the end of the run, also when the test has passed."""
    told = request.config.stash.setdefault(TOLD, [])
    return lambda text: told.append(f"{request.node.name}: {text}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Provider and ledger side by side, for every scenario."""
    for text in config.stash.get(TOLD, []):
        terminalreporter.write_line(text)
