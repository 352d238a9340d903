"""Every row of the parameter tables: declared, shown by the tool, and enforced by the engine, bound by bound."""

from __future__ import annotations

from typing import Any, Final

import pytest

from api.catalogue import endpoint
from tools.snapshot import load

from .document import PARAMETERS, Parameter
from .probes import IN_BODY, LEFT_OUT, accepted, fitting, refused
from .world import Arguments, World

FOLLOWS_FROM_EXCHANGE: Final = {"market_tickers.market_type", "orders_place.market_type"}
"""The documented default, spot, belongs to the default exchange; on others the type follows from the exchange."""

JSON_TYPES: Final = {
    "string": {"string"},
    "date": {"string"},
    "time": {"string"},
    "int": {"integer"},
    "float": {"number"},
    "string[]": {"array"},
    "object": {"object"},
}

PLAIN: Final = [p for p in PARAMETERS if p.id not in {"accounts_balances.symbol", "arena_post.strategy_settings_id"}]


def _ids(parameter: Parameter) -> str:
    return parameter.id


@pytest.mark.parametrize("parameter", PARAMETERS, ids=_ids)
def test_a_parameter_is_declared_as_documented(parameter: Parameter) -> None:
    field = endpoint(parameter.endpoint).request.model_fields[parameter.name]

    assert field.is_required() == (parameter.required == "yes")
    if parameter.default != "-" and parameter.id not in FOLLOWS_FROM_EXCHANGE:
        assert _same(field.default, parameter.default)


@pytest.mark.parametrize("parameter", PARAMETERS, ids=_ids)
def test_the_tool_shows_a_parameter_as_documented(parameter: Parameter) -> None:
    schema = load(parameter.endpoint)["inputSchema"]
    shown = schema["properties"][parameter.name]

    types = {shown.get("type"), *(option.get("type") for option in shown.get("anyOf", ()))}
    assert types >= JSON_TYPES[parameter.kind]
    assert (parameter.name in schema.get("required", ())) == (parameter.required == "yes")
    if parameter.default not in {"-", "null"} and parameter.id not in FOLLOWS_FROM_EXCHANGE:
        assert _same(shown["default"], parameter.default)
    if parameter.choices and (words := shown.get("enum", shown.get("items", {}).get("enum"))):
        assert set(words) >= set(parameter.choices)
    if parameter.bounds is not None:
        assert (
            _limit(parameter, shown, "minimum", "ge"),
            _limit(parameter, shown, "maximum", "le"),
        ) == parameter.bounds
    if parameter.lengths is not None:
        least, most = parameter.lengths
        shortest = _limit(parameter, shown, "minLength", "min_length") or 0
        longest = _limit(parameter, shown, "maxLength", "max_length")
        assert (shortest, longest) == (least, most) or f"{least}-{most} chars" in shown["description"]


def _limit(parameter: Parameter, shown: dict[str, Any], word: str, attribute: str) -> Any:
    """A limit as the tool shows it, or as the model enforces it where the tool leaves it out to save tokens."""
    if word in shown:
        return shown[word]
    held = endpoint(parameter.endpoint).request.model_fields[parameter.name].metadata
    return next((getattr(each, attribute) for each in held if hasattr(each, attribute)), None)


def _same(value: Any, documented: str) -> bool:
    if value is None or documented == "null":
        return value is None and documented == "null"
    return float(value) == float(documented) if isinstance(value, int | float) else value == documented


@pytest.mark.parametrize("parameter", PLAIN, ids=_ids)
async def test_the_engine_takes_what_the_document_allows(world: World, parameter: Parameter) -> None:
    for value in accepted(parameter):
        call = await fitting(world, parameter, value)
        if parameter.endpoint == "backtest_execute":
            status = await world.finished(call)
            assert status["status"] == "completed", (call, status)
        else:
            await world.tidy(parameter.endpoint, await world.data(parameter.endpoint, call))


@pytest.mark.parametrize("parameter", [p for p in PARAMETERS if refused(p)], ids=_ids)
async def test_the_engine_refuses_what_is_beyond(world: World, parameter: Parameter) -> None:
    answers: list[tuple[Any, str, str]] = []
    for value in refused(parameter):
        call = await fitting(world, parameter, value)
        answers.append((value, *await world.refusal(parameter.endpoint, call)))

    wrong = [answer for answer in answers if answer[1] != "VALIDATION_ERROR" or parameter.name not in answer[2]]
    assert wrong == []


@pytest.mark.parametrize("parameter", [p for p in PARAMETERS if p.required == "yes"], ids=_ids)
async def test_a_required_parameter_cannot_be_left_out(world: World, parameter: Parameter) -> None:
    call = world.call(parameter.endpoint)
    del call[parameter.name]
    code, message = await world.refusal(parameter.endpoint, call)

    assert code == "VALIDATION_ERROR"
    assert f"{parameter.name} is missing" in message


@pytest.mark.parametrize(
    "parameter", [p for p in PARAMETERS if p.default == "null" and p.endpoint in IN_BODY], ids=_ids
)
async def test_null_is_the_default(world: World, parameter: Parameter) -> None:
    call = {**world.call(parameter.endpoint), parameter.name: None}
    if parameter.name == "script":
        pytest.skip("the good call is one that needs a script")

    await world.tidy(parameter.endpoint, await world.data(parameter.endpoint, call))


@pytest.mark.parametrize("parameter", [p for p in PARAMETERS if p.default not in {"-", "null"}], ids=_ids)
async def test_leaving_a_parameter_out_is_giving_its_default(world: World, parameter: Parameter) -> None:
    default = parameter.default if parameter.kind == "string" else float(parameter.default)
    default = int(default) if parameter.kind == "int" else default

    assert await _outcome(world, parameter, {}) == await _outcome(world, parameter, {parameter.name: default})


async def _outcome(world: World, parameter: Parameter, given: Arguments) -> Any:
    """The result of a call, without its ids and times."""
    call = {**world.call(parameter.endpoint), **given}
    if parameter.endpoint == "backtest_execute":
        result = {"result_id": (await world.finished(call))["result_id"]}
        answer = await world.data("backtest_results", result)
        return {name: answer[name] for name in ("metrics", "assumptions", "universe", "timeframe")}
    answer = await world.data(parameter.endpoint, call)
    await world.tidy(parameter.endpoint, answer)
    own = {"order_id", "exchange_order_id", "subscription_id"}
    return {name: value for name, value in answer.items() if name not in own}


# Endpoint, changes to the valid call (`None`: left out), the parameter that the refusal names.
CONDITIONS: Final[list[tuple[str, Arguments, str]]] = [
    *(("orders_place", {"order_type": kind}, "price") for kind in ("limit", "GTC", "FOK")),
    ("orders_place", {"leverage": 5}, "leverage"),
    ("market_evaluate", {"expression": LEFT_OUT}, "expression"),
    ("backtest_execute", {"script": LEFT_OUT}, "script"),
    ("backtest_execute", {"strategy_type": "dca", "fixed_amount": 10, "interval": "daily"}, "script"),
    ("live_subscribe", {"mode": "trade"}, "account_id"),
    ("accounts_open_orders", {"account_id": "paper-lighter"}, "symbol"),
    ("accounts_balances", {"symbol": "BTC/USDT"}, "symbol"),
]


@pytest.mark.parametrize(("name", "changes", "named"), CONDITIONS, ids=str)
async def test_what_is_required_on_a_condition_is_required(
    world: World, name: str, changes: Arguments, named: str
) -> None:
    call = {k: v for k, v in {**world.call(name), **changes}.items() if v is not LEFT_OUT}
    code, message = await world.refusal(name, call)

    assert code == "VALIDATION_ERROR"
    assert named in message


@pytest.mark.parametrize("given", [(), ("exchange",), ("exchange", "symbol"), ("exchange", "symbol", "account_id")])
async def test_an_order_from_elsewhere_needs_exchange_symbol_and_account(world: World, given: tuple[str, ...]) -> None:
    known = {"exchange": "lighter", "symbol": "BTC/USDT", "account_id": "paper-lighter"}
    answer = await world.send("orders_cancel", {"order_id": "1770730748798", **{name: known[name] for name in given}})

    error = answer.json()["error"]
    assert error["code"] == "ORDER_NOT_FOUND"
    assert all((name in error["suggestion"]) == (name not in given) for name in known)


async def test_a_token_asks_for_one_market_and_a_result_shows_a_backtest(world: World) -> None:
    one = await world.data("accounts_balances", {"account_id": "paper-polymarket", "symbol": world.token})
    post = await world.data("arena_post", {**world.call("arena_post"), "strategy_settings_id": world.ids["result_id"]})

    assert [position["size"] > 0 for position in one["positions"]] == [True]
    assert {"roi", "sharpe"} <= post["stats"].keys()


def test_every_parameter_of_the_document_is_tried() -> None:
    assert [p.id for p in PLAIN if not accepted(p)] == []
    assert [p.id for p in PARAMETERS if p.rule and not refused(p)] == []
