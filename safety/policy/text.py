"""Reads and writes a policy as TOML: exact decimals, no unknown names, `"unlimited"` for no limit."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final, cast

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from api.errors import HeyTradersError, InvalidInput, clean, show
from api.exchanges import EXCHANGES, ExchangeId
from api.symbols import resolve
from safety.policy.evaluation import LIVE, PAPER, Policy
from safety.policy.limits import Limits

_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
UNLIMITED: Final = "unlimited"
MAX_CHARACTERS: Final = 65_536
MAX_SHOWN_PROBLEMS: Final = 5


class BadPolicy(InvalidInput):
    """A policy that cannot be read. The message names each wrong line."""

    default_code = "BAD_POLICY"


@lru_cache(maxsize=8)
def parse_policy(text: str) -> Policy:
    """Parse a policy from TOML. Fields that a table leaves out keep their built-in value.

    Raises:
        BadPolicy: It is not TOML, or has wrong names or values.
    """
    if len(text) > MAX_CHARACTERS:
        raise BadPolicy(f"the policy has {len(text)} characters", suggestion=f"Keep it under {MAX_CHARACTERS}")
    try:
        given: dict[str, Any] = tomllib.loads(text, parse_float=Decimal)
    except (ValueError, ArithmeticError, RecursionError) as error:
        raise BadPolicy(f"the policy is not TOML: {clean(str(error))}", suggestion="Fix that line") from error
    try:
        tables = {name: _table(given.pop(name, {}), default, name) for name, default in DEFAULTS.items()}
        policy = Policy.model_validate({**_exact(given, Policy, ""), **tables})
    except ValidationError as error:
        raise BadPolicy(
            _told(error), suggestion="heytraders-mcp policy show --toml writes every name with its meaning"
        ) from error
    for name in DEFAULTS:
        _check_symbols(getattr(policy, name), name)
    return policy


def _check_symbols(limits: Limits, name: str) -> None:
    """Refuse a symbol that no order can have: it would allow nothing and, worse, forbid nothing.

    Raises:
        BadPolicy: A symbol is not in the notation of orders.
    """
    for field in ("symbols", "forbidden_symbols", "max_amount"):
        for symbol in getattr(limits, field) or ():
            written = dict.fromkeys(found for exchange in EXCHANGES if (found := _as_in_orders(symbol, exchange)))
            if symbol not in written:
                proposed = f"Write {' or '.join(written or ('it as BTC/USDT', 'BTC/USDT:USDT'))}"
                raise BadPolicy(f"{name}.{field}: no order has the symbol {show(symbol)}", suggestion=proposed)


def _as_in_orders(symbol: str, exchange: ExchangeId) -> str | None:
    try:
        return resolve(symbol, exchange).symbol
    except HeyTradersError:
        return None


DEFAULTS: Final[dict[str, Limits]] = {"live": LIVE, "paper": PAPER}


def _table(given: object, default: Limits, name: str) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise BadPolicy(f"{name} is not a table", suggestion=f"Write [{name}] on a line of its own")
    return {**default.model_dump(), **_exact(cast("dict[str, Any]", given), Limits, f"{name}.")}


def _exact(given: Mapping[str, Any], model: type[BaseModel], where: str) -> dict[str, Any]:
    """The same fields, with `"unlimited"` read as no limit, and booleans only in boolean fields."""
    read: dict[str, Any] = {}
    for name, value in given.items():
        field = model.model_fields.get(name)
        if field is not None and isinstance(value, bool) != (field.annotation is bool):
            wanted = "true or false" if field.annotation is bool else "a number or list, not true or false"
            raise BadPolicy(f"{where}{name} = {clean(str(value), 60)} has to be {wanted}", suggestion="Fix that line")
        read[name] = None if value == UNLIMITED and field is not None and _may_be_unlimited(field) else value
    return read


def _may_be_unlimited(field: FieldInfo) -> bool:
    return type(None) in getattr(field.annotation, "__args__", ())


def _told(error: ValidationError) -> str:
    problems = error.errors(include_url=False)
    said = [
        f"{'.'.join(map(str, problem['loc']))} = {clean(str(problem['input']), 60)}: {problem['msg']}"
        for problem in problems[:MAX_SHOWN_PROBLEMS]
    ]
    more = len(problems) - len(said)
    return "; ".join(said) + (f"; and {more} more" if more else "")


def write_policy(policy: Policy) -> str:
    """The whole policy as TOML, each limit under a comment that says what it means; `parse_policy` reads it back."""
    lines = [
        "# What this machine's agents may do. Edits that allow more count once `heytraders-mcp policy sign` signed"
    ]
    lines += ["# them. Money is in USD, shares are fractions, spans are seconds.", ""]
    lines += [
        *_limit_lines(policy, Policy, ""),
    ]
    for name in DEFAULTS:
        lines += ["", f"[{name}]", *_limit_lines(getattr(policy, name), Limits, f"{name}.")]
    return "\n".join(lines) + "\n"


def _limit_lines(limits: BaseModel, model: type[BaseModel], prefix: str) -> Iterator[str]:
    later: list[str] = []
    for name, field in model.model_fields.items():
        value = getattr(limits, name)
        comment = f"# {field.description}"
        if isinstance(value, dict):
            later += ["", comment, f"[{prefix}{name}]"]
            later += [_line(symbol, amount) for symbol, amount in sorted(cast("dict[str, Decimal]", value).items())]
        elif not isinstance(value, BaseModel):
            yield comment
            yield _line(name, value)
    yield from later


def _line(name: str, value: object) -> str:
    key = name if _BARE.fullmatch(name) else _string(name)
    return f"{key} = {_value(value)}"


def _value(value: object) -> str:
    if isinstance(value, frozenset):
        return f"[{', '.join(map(_string, sorted(cast('frozenset[str]', value))))}]"
    if isinstance(value, Decimal):
        return format(value.normalize(), "f")
    return _string(UNLIMITED) if value is None else str(value).lower()


def _string(text: str) -> str:
    """A TOML basic string: a JSON string with DEL escaped too (toml.io, v1.0, String)."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
