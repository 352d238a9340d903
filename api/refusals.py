"""From a wrong call to the one message that lets a model fix it: value, rule, what to do and, where known, the call.

Validators report what they know with `reject`; `refuse` collects pydantic's findings into one `InvalidInput`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from types import NoneType
from typing import Final, Literal, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from api.errors import MAX_SHOWN_VALUE, NEVER_SHOWN, InvalidInput, clean, holds_secret, respelling, show
from api.inputs import Request

MAX_SHOWN_PROBLEMS: Final = 6
MAX_CORRECTED_CALL: Final = 400
MAX_ROUNDS: Final = 3
_UNSET: Final = object()


def call_text(tool: str, arguments: Mapping[str, object]) -> str | None:
    """A call as a model reads it: `market_rank(universe=["BTC/USDT"], limit=10)`; `None` if it is too long to help."""
    try:
        literals = [f"{k}={json.dumps(v, ensure_ascii=False, default=str)}" for k, v in arguments.items()]
    except ValueError:
        return None
    text = f"{tool}({', '.join(literals)})"
    return text if len(text) <= MAX_CORRECTED_CALL else None


def refuse(tool: str, model: type[BaseModel], error: ValidationError, given: Mapping[str, object]) -> InvalidInput:
    """One `InvalidInput` for everything that is wrong with `given`, a call of `tool` whose arguments are `model`.

    A corrected call is added when every problem has one sure repair that keeps the meaning, and the result is
    accepted. Values are cut to
    `MAX_SHOWN_VALUE` characters.
    """
    said: list[str] = []
    ways: list[str] = []
    problems = _problems(model, error, given)
    for problem in problems[:MAX_SHOWN_PROBLEMS]:
        _, text, suggestion, _ = _describe(problem, model, given)
        said.append(text)
        if suggestion and suggestion not in ways:
            ways.append(suggestion)
    message = "; ".join(said)
    if len(problems) > MAX_SHOWN_PROBLEMS:
        message += f"; and {len(problems) - MAX_SHOWN_PROBLEMS} more problems"
    repaired = None if holds_secret(given) else _with_repairs(model, error, given)
    corrected = call_text(tool, repaired) if repaired is not None else None
    return InvalidInput(message, suggestion=" ".join(ways), corrected=corrected)


def _problems(model: type[BaseModel], error: ValidationError, given: Mapping[str, object]) -> list[ErrorDetails]:
    """The findings to report: no echoes, and no argument that is missing only because its name was misspelt."""
    every = error.errors(include_url=False)
    found = [p for p in every if not _is_echo(p, every)]
    strange = [str(p["loc"][0]) for p in found if p["type"] == "extra_forbidden" and len(p["loc"]) == 1]
    meant = {_meant_argument(name, model, given) for name in strange}
    return [p for p in found if not (p["type"] == "missing" and p["loc"][0] in meant)]


def _is_echo(problem: ErrorDetails, every: list[ErrorDetails]) -> bool:
    """Pydantic calls a list too short when its items failed; the items are reported themselves."""
    if problem["type"] != "too_short":
        return False
    where = problem["loc"]
    return any(len(p["loc"]) > len(where) and p["loc"][: len(where)] == where for p in every)


def _with_repairs(
    model: type[BaseModel], error: ValidationError, given: Mapping[str, object]
) -> dict[str, object] | None:
    """The call with all its repairs, including those that the first repairs reveal; `None` unless it is accepted."""
    call: dict[str, object] = dict(given)
    for _ in range(MAX_ROUNDS):
        for problem in _problems(model, error, call):
            name, _, _, repair = _describe(problem, model, call)
            repaired = _repaired(call, name, repair)
            if repaired is None:
                return None
            call = repaired
        try:
            model.model_validate(call)
        except ValidationError as still:
            error = still
        else:
            return call
    return None


_Repair = tuple[str, object] | None
"""The argument name and value to use instead, or `None` where the right value is not known."""


def _repaired(call: dict[str, object], name: str, repair: _Repair) -> dict[str, object] | None:
    """`call` with one argument repaired, keeping the order of the arguments; `None` if it cannot be."""
    if repair is None or (repair[0] != name and repair[0] in call):
        return None
    new_name, value = repair
    if name not in call:
        return {**call, new_name: value}
    return {(new_name if k == name else k): (value if k == name else v) for k, v in call.items()}


def _describe(
    problem: ErrorDetails, model: type[BaseModel], given: Mapping[str, object]
) -> tuple[str, str, str, _Repair]:
    """The argument, the fault, the remedy, and the repair."""
    context = problem.get("ctx", {})
    where = [str(part) for part in problem["loc"]]
    name = (where[0] if where else "") or str(context.get("field", ""))
    path = clean(".".join(where) or name, MAX_SHOWN_VALUE)
    value = problem["input"] if where else given.get(name, _UNSET)
    if problem["type"] == "extra_forbidden" and len(where) == 1:
        return _unknown_argument(name, model, given)
    if problem["type"] == "missing":
        return name, f"{path} is missing", _missing_hint(model, where), None
    if problem["type"] == "refused":
        repair = (name, context["fixed"]) if "fixed" in context and len(where) <= 1 and name else None
        said = context["rule"] if context["complete"] else _sentence(path, value, context["rule"])
        return name, said, str(context["suggestion"]), repair
    name, said, suggestion, repair = _pydantic_problem(problem, path, where)
    if problem["type"] == "greater_than" and len(where) == 1 and value == 0 and _may_be_null(model, name):
        suggestion = f"Send null for no {name}."
    return name, said, suggestion, repair


def _may_be_null(model: type[BaseModel], name: str) -> bool:
    field = model.model_fields.get(name)
    return field is not None and NoneType in get_args(field.annotation)


def _sentence(path: str, value: object, rule: str) -> str:
    """`limit 500 must be at most 100`; without the value if none was given or it must not be repeated."""
    if not path:
        return rule
    if value is _UNSET or path.rpartition(".")[2] == NEVER_SHOWN or (isinstance(value, str) and NEVER_SHOWN in value):
        return f"{path} {rule}"
    return f"{path} {show(value)} {rule}"


def _meant_argument(name: str, model: type[BaseModel], given: Mapping[str, object]) -> str | None:
    """The argument, not given yet, that `name` means: respelt, by its other name, or the only one so described."""
    if name in _absent(model):
        return None
    free = {known: field for known, field in model.model_fields.items() if known not in given}
    synonym = model.synonyms.get(name) if issubclass(model, Request) else None
    meant = synonym if synonym in free else respelling(name, free)
    if meant is not None or "_" not in name:
        return meant
    described = [f for f, field in free.items() if name in re.findall(r"\w+", field.description or "")]
    return described[0] if len(described) == 1 else None


def _absent(model: type[BaseModel]) -> Mapping[str, str]:
    return model.absent if issubclass(model, Request) else {}


def _unknown_argument(name: str, model: type[BaseModel], given: Mapping[str, object]) -> tuple[str, str, str, _Repair]:
    text = f"{show(name)} is not an argument"
    if name in _absent(model):
        return name, text, _absent(model)[name], None
    meant = _meant_argument(name, model, given)
    if meant:
        return name, text, f"Did you mean {meant}?", (meant, given[name])
    known = ", ".join(model.model_fields)
    return name, text, f"The arguments are: {known}." if known else "There are no arguments.", None


def _missing_hint(model: type[BaseModel], where: list[str]) -> str:
    field = model.model_fields.get(where[0]) if len(where) == 1 else None
    if field is None or not field.description:
        return ""
    choices = ", ".join(map(str, get_args(field.annotation))) if get_origin(field.annotation) is Literal else ""
    return f"{where[0]}: {field.description}" + (f" One of {choices}." if choices else "")


_RULES: Final[dict[str, str]] = {
    "string_type": "must be a string",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
    "string_pattern_mismatch": "must match {pattern}",
    "too_short": "must have at least {min_length} items",
    "too_long": "must have at most {max_length} items",
    "greater_than": "must be above {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be below {lt}",
    "less_than_equal": "must be at most {le}",
    "literal_error": "must be one of {expected}",
    "tuple_type": "must be a list",
    "list_type": "must be a list",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "extra_forbidden": "is not known here",
    "finite_number": "must be a finite number",
}

_BOUNDS: Final[dict[str, str]] = {"greater_than_equal": "ge", "less_than_equal": "le"}
_PAGE_SIZES: Final = frozenset({"limit", "offset"})
"""Arguments that say how much to show. Only they may be moved to a bound, because any other number has a meaning."""


def _pydantic_problem(problem: ErrorDetails, path: str, where: list[str]) -> tuple[str, str, str, _Repair]:
    """Pydantic's own findings in our words; a page size beyond an inclusive bound becomes the bound."""
    kind, context, value = problem["type"], problem.get("ctx", {}), problem["input"]
    if isinstance(value, str) and kind in {"too_short", "too_long"}:
        kind = f"string_{kind}"
    if kind in _RULES:
        rule = "must not be empty" if context.get("min_length") == 1 else _RULES[kind].format_map(context)
    else:
        rule = "is wrong: " + clean(problem["msg"].removeprefix("Value error, "), 200)
    repair: _Repair = None
    if len(where) == 1 and where[0] in _PAGE_SIZES and kind in _BOUNDS and not isinstance(value, str):
        repair = (where[0], context[_BOUNDS[kind]])
    suggestion = "Give it as a string, in quotes." if kind == "string_type" and isinstance(value, int | float) else ""
    return (where[0] if where else ""), _sentence(path, value, rule), suggestion, repair
