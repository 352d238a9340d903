"""The list of documents, and their text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from typing import Final, Literal, get_args

from engine.quotas import QuotaSettings

Slug = Literal["signal-dsl", "operators", "data", "api-reference"]

SLUGS: Final[tuple[Slug, ...]] = get_args(Slug)

TITLES: Final[dict[Slug, tuple[str, str]]] = {
    "signal-dsl": ("Script guide", "The whole Signal DSL: syntax, execution modes, intents, examples."),
    "operators": ("Operators and indicators", "Every operator and indicator with its signature."),
    "data": ("Data variables", "What a script can read: prices, time, state, context, on-chain."),
    "api-reference": ("API reference", "Every endpoint with its parameters, results, errors and exchange notes."),
}
"""Title and description."""


@dataclass(frozen=True, slots=True)
class Document:
    """A document."""

    slug: Slug
    title: str
    description: str
    content: str

    @property
    def size(self) -> int:
        """Bytes of the text in UTF-8."""
        return len(self.content.encode())


class Library:
    """The four documents, each read or generated when it is first asked for. Blocking."""

    def __init__(self, quotas: QuotaSettings) -> None:
        self._quotas = quotas
        self._read: dict[Slug, Document] = {}

    def document(self, slug: Slug) -> Document:
        """One document."""
        if slug not in self._read:
            sources: dict[Slug, Callable[[], str]] = {
                "operators": _operators,
                "api-reference": self._api_reference,
            }
            content = sources[slug]() if slug in sources else _written(slug)
            self._read[slug] = Document(slug, *TITLES[slug], content)
        return self._read[slug]

    def _api_reference(self) -> str:
        from api.catalogue import ENDPOINTS

        from .api_reference import render

        return render(ENDPOINTS, self._quotas)


def _written(slug: Slug) -> str:
    return files("engine.documents").joinpath(f"{slug}.md").read_text(encoding="utf-8")


def _operators() -> str:
    from engine.language.catalogue import render

    return render()
