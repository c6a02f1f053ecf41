"""Counts the tokens of a prompt by its model family's own tokenizer, in bounded time: long prompts by samples."""

import logging
from collections.abc import Iterable
from importlib.machinery import EXTENSION_SUFFIXES, ExtensionFileLoader, FileFinder
from importlib.util import find_spec, module_from_spec
from typing import Any

from gateway.domain.chat_request import ChatRequest

log = logging.getLogger(__name__)

WHOLE = 24_000
"""Characters that are counted as they are, which takes less than a millisecond."""

SAMPLE = 8_000
"""Of longer prompts the beginning, the middle and the end are counted, so many characters of each."""


class Tokenizers:
    """Those of some families, loaded when the first of them is needed: 30 to 65 MB and a tenth of a second for each."""

    def __init__(self, families: Iterable[str]) -> None:
        self._families = frozenset(family for family in families if family)
        self._by_family: dict[str, Any] = {}

    def load(self) -> None:
        """Load them now, unless they are there: before somebody waits for it."""
        if len(self._by_family) == len(self._families):
            return
        library = _library()
        for family in self._families:
            self._by_family[family] = library.tokenizer_for_encoding(family)
            self._by_family[family].count("")
        log.info("tokenizers: loaded", extra={"families": sorted(self._families)})

    def __call__(self, family: str, request: ChatRequest) -> int | None:
        """Tokens of all text of the messages; None where the family is not known. What cannot be counted counts a token per byte."""
        if family not in self._families:
            return None
        self.load()
        tokenizer = self._by_family[family]
        text = "\n".join(request.texts())
        if len(text) <= WHOLE:
            return _count(tokenizer, text)
        middle = (len(text) - SAMPLE) // 2
        samples = (text[:SAMPLE], text[middle : middle + SAMPLE], text[-SAMPLE:])
        return -(-sum(_count(tokenizer, sample) for sample in samples) * len(text) // (len(samples) * SAMPLE))


def _library() -> Any:
    """The counting alone: the package around it imitates another library's interface, which costs half a second and 70 MB."""
    package = find_spec("bpe_openai")
    places = package.submodule_search_locations if package else None
    found = FileFinder(places[0], (ExtensionFileLoader, EXTENSION_SUFFIXES)).find_spec("_bindings") if places else None
    if found is None or found.loader is None:
        raise ModuleNotFoundError("bpe_openai is not installed; set GATEWAY_TOKENIZER=false to do without it")
    library = module_from_spec(found)
    found.loader.exec_module(library)
    return library


def _count(tokenizer: Any, text: str) -> int:
    try:
        return int(tokenizer.count(text))
    except UnicodeEncodeError:  # half a surrogate pair, which no tokenizer takes
        return len(text.encode("utf-8", "surrogatepass"))
