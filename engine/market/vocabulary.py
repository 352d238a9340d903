"""The words of the expression language for the indicators endpoint, straight from the registry."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache

from api.errors import InvalidInput
from api.meta import IndicatorsResponse, Word
from api.text import fold, show
from engine.dsl.registry import OPERATOR_CATEGORIES, Operator, primary
from engine.dsl.variables import VARIABLES, Variable


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
    known = [(operator.category in OPERATOR_CATEGORIES, _word(operator)) for operator in primary()]
    variables = tuple(_variable(variable) for variable in VARIABLES.values())
    return tuple(w for is_op, w in known if not is_op), tuple(w for is_op, w in known if is_op), variables


def _word(operator: Operator) -> Word:
    outputs = tuple(output.name for output in operator.outputs)
    return Word(
        name=operator.name,
        signature=operator.signature,
        category=operator.category,
        description=operator.description,
        outputs=outputs if len(outputs) > 1 else None,
    )


def _variable(variable: Variable) -> Word:
    return Word(
        name=variable.name,
        signature=None,
        category=variable.group,
        description=variable.description,
        outputs=None,
    )
