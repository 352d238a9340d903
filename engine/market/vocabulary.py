"""The words of the expression language for the indicators endpoint, straight from the registry."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache

from api.errors import InvalidInput, fold, show
from api.meta import IndicatorsResponse, Word
from engine.language.catalogue import OperatorEntry, VariableEntry, catalogue


def vocabulary(search: str | None, category: str | None) -> IndicatorsResponse:
    """Indicators, operators and variables; of those, the ones with `search` in name or description.

    Raises:
        InvalidInput: There is no such category.
    """
    indicators, operators, variables = _words()
    categories = Counter(word.category or "" for word in indicators)
    known = sorted({word.category or "" for word in (*indicators, *operators, *variables)})
    if category is not None and fold(category) not in map(fold, known):
        raise InvalidInput(f"category {show(category)} is not known", suggestion=f"Choose one of {', '.join(known)}")

    def wanted(word: Word) -> bool:
        in_category = category is None or fold(word.category or "") == fold(category)
        return in_category and (search or "").casefold() in f"{word.name} {word.description}".casefold()

    return IndicatorsResponse(
        indicators=tuple(filter(wanted, indicators)),
        operators=tuple(filter(wanted, operators)),
        variables=tuple(filter(wanted, variables)),
        categories=dict(sorted(categories.items())),
    )


@lru_cache(maxsize=1)
def _words() -> tuple[tuple[Word, ...], tuple[Word, ...], tuple[Word, ...]]:
    known = catalogue()
    return (
        tuple(map(_word, known.indicators)),
        tuple(map(_word, known.operators)),
        tuple(map(_variable, known.variables)),
    )


def _word(entry: OperatorEntry) -> Word:
    return Word(
        name=entry.name,
        signature=entry.signature,
        category=entry.category,
        description=entry.description,
        outputs=entry.outputs if len(entry.outputs) > 1 else None,
    )


def _variable(entry: VariableEntry) -> Word:
    note = "" if entry.available else " No feed has it here: reading it is DATA_UNAVAILABLE."
    return Word(
        name=entry.name, signature=None, category=entry.group, description=f"{entry.description}{note}", outputs=None
    )
