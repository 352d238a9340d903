"""dca, grid, pair_trading and cross_sectional: with any parameters, the script passes the linter and runs."""

from __future__ import annotations

import json
from typing import Any, get_args

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.backtests import ExecuteRequest
from api.errors import InvalidInput
from api.exchanges import ExchangeId
from api.strategies import (
    CrossSectionalParameters,
    DcaParameters,
    ExecutionTiming,
    GridParameters,
    GridType,
    HedgeRatio,
    PairParameters,
    ResetCondition,
    ScheduleInterval,
    Smoothing,
    Spacing,
)
from api.symbols import Instrument, resolve
from engine.jobs.preparation import write_script
from engine.language.compile import ScriptReport, check_script, compile_script
from engine.language.script import ScriptContext
from engine.program import Rebalance
from engine.strategies import WrittenStrategy
from tests.engine.language.dsl_markets import frame_of

from .conftest import Body, Finish, Send

SPOT = ["BINANCE:BTC/USDT", "BINANCE:ETH/USDT", "BINANCE:SOL/USDT", "BINANCE:XRP/USDT"]
PERPETUAL = [f"BINANCEFUTURESUSD:{base}/USDT:USDT" for base in ("BTC", "ETH", "SOL", "XRP")]
MARKETS = st.sampled_from([SPOT, PERPETUAL])
TIMEFRAMES = st.sampled_from(["5m", "1h", "4h", "1d"])
CONDITIONS = st.sampled_from([None, "rsi(close, 14) < 30", "close > sma(close, 50)\n  and volume > 0"])


def request(strategy_type: str, universe: list[str], timeframe: str = "1h", **fields: Any) -> ExecuteRequest:
    return ExecuteRequest.model_validate(
        {
            "strategy_type": strategy_type,
            "universe": universe,
            "timeframe": timeframe,
            "start_date": "2024-01-01",
            "end_date": "2024-06-30",
            **fields,
        }
    )


def written(asked: ExecuteRequest) -> WrittenStrategy:
    return write_script(asked, [resolve(ticker) for ticker in asked.universe])


def checked(asked: ExecuteRequest) -> ScriptReport:
    script = written(asked)
    universe = tuple(resolve(ticker) for ticker in asked.universe)
    return check_script(script.script, ScriptContext(universe, asked.timeframe, script.mode, asked.exchange))


def passes(strategy_type: str, universe: list[str], timeframe: str, parameters: Body, **fields: Any) -> None:
    asked = request(strategy_type, universe, timeframe, parameters=parameters, **fields)
    report = checked(asked)

    assert [str(d) for d in report.diagnostics if d.severity == "error"] == []
    small_percent = {"scale"} if parameters.get("exit_target_pct", 1) < 1 else set[str]()
    assert {d.code for d in report.diagnostics} <= {"missing-exit"} | small_percent
    assert written(asked) == written(asked)


quick = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@quick
@given(
    universe=MARKETS,
    timeframe=TIMEFRAMES,
    parameters=st.fixed_dictionaries(
        {"fixed_amount": st.floats(0.01, 1e6), "interval": st.sampled_from(get_args(ScheduleInterval))},
        optional={
            "interval_day": st.integers(0, 6),
            "condition_script": CONDITIONS,
            "exit_target_pct": st.floats(0.1, 500),
            "exit_script": CONDITIONS,
            "execution_timing": st.sampled_from(get_args(ExecutionTiming)),
        },
    ),
)
def test_every_dca_passes_the_linter(universe: list[str], timeframe: str, parameters: Body) -> None:
    passes("dca", universe, timeframe, parameters)


@quick
@given(
    universe=MARKETS,
    timeframe=TIMEFRAMES,
    parameters=st.fixed_dictionaries(
        {},
        optional={
            "grid_range_pct": st.floats(0.5, 90),
            "grid_count": st.integers(2, 200),
            "grid_spacing": st.sampled_from(get_args(Spacing)),
            "grid_type": st.sampled_from(get_args(GridType)),
            "reset_condition": st.sampled_from(get_args(ResetCondition)),
            "reset_interval_days": st.integers(1, 365),
        },
    ),
)
def test_every_grid_passes_the_linter(universe: list[str], timeframe: str, parameters: Body) -> None:
    passes("grid", universe, timeframe, parameters)


@quick
@given(
    universe=MARKETS,
    timeframe=TIMEFRAMES,
    parameters=st.fixed_dictionaries(
        {},
        optional={
            "lookback": st.integers(10, 500),
            "entry_z": st.floats(1.5, 3),
            "exit_z": st.floats(0, 1.4),
            "stop_loss_z": st.one_of(st.none(), st.floats(3.1, 10)),
            "hedge_ratio_method": st.sampled_from(get_args(HedgeRatio)),
            "beta_method": st.sampled_from(["ratio", "ols"]),
            "beta_lookback": st.integers(10, 500),
            "cointegration_check_period": st.one_of(st.none(), st.integers(30, 500)),
            "cointegration_pvalue_threshold": st.floats(0.01, 0.1),
        },
    ),
)
def test_every_pair_passes_the_linter(universe: list[str], timeframe: str, parameters: Body) -> None:
    passes("pair_trading", universe, timeframe, parameters)


@quick
@given(
    universe=MARKETS,
    timeframe=TIMEFRAMES,
    script=st.sampled_from(["roc(close, 24)", "alpha = -zscore(close, 50)", "x = rsi(close)\nalpha = 50 - x"]),
    parameters=st.fixed_dictionaries(
        {},
        optional={
            "target_weight": st.floats(0.1, 1),
            "top_bottom_pct": st.floats(1, 50),
            "rebalancing_interval": st.integers(1, 1000),
            "alpha_smoothing_method": st.sampled_from(get_args(Smoothing)),
            "alpha_smoothing_window": st.integers(2, 100),
            "max_weight_per_asset": st.one_of(st.none(), st.floats(0.01, 1)),
            "min_rebalance_weight_change": st.floats(0, 0.5),
            "max_turnover_per_rebalance": st.one_of(st.none(), st.floats(0.1, 2)),
        },
    ),
)
def test_every_cross_section_passes_the_linter(
    universe: list[str], timeframe: str, script: str, parameters: Body
) -> None:
    passes("cross_sectional", universe, timeframe, parameters, script=script)


RUNS: dict[str, Body] = {
    "dca": {"strategy_type": "dca", "universe": SPOT[:1], "fixed_amount": 100, "interval": "weekly"},
    "dca with exits": {
        "strategy_type": "dca",
        "universe": SPOT[:1],
        "fixed_amount": 500,
        "interval": "daily",
        "exit_target_pct": 5,
        "condition_script": "close < sma(close, 20)",
    },
    "grid": {"strategy_type": "grid", "universe": SPOT[:1], "grid_range_pct": 15},
    "grid that moves": {
        "strategy_type": "grid",
        "universe": SPOT[:1],
        "grid_range_pct": 5,
        "reset_condition": "out_of_range",
    },
    "pair": {"strategy_type": "pair_trading", "universe": PERPETUAL[:2]},
    "pair with a test": {
        "strategy_type": "pair_trading",
        "universe": PERPETUAL[:2],
        "beta_method": "ols",
        "hedge_ratio_method": "beta",
        "cointegration_check_period": 200,
        "cointegration_pvalue_threshold": 0.1,
    },
    "long-only pair": {"strategy_type": "pair_trading", "universe": SPOT[:2]},
    "cross-section": {"strategy_type": "cross_sectional", "universe": PERPETUAL, "script": "roc(close, 24)"},
    "cross-section with limits": {
        "strategy_type": "cross_sectional",
        "universe": SPOT,
        "script": "alpha = roc(close, 24)",
        "min_rebalance_weight_change": 0.02,
        "max_turnover_per_rebalance": 0.5,
        "alpha_smoothing_method": "ema",
    },
}


@pytest.mark.parametrize("body", RUNS.values(), ids=RUNS.keys())
async def test_ready_strategies_trade_and_show_their_script(body: Body, finish: Finish, send: Send) -> None:
    status = await finish({**body, "start_date": "2024-01-01", "end_date": "2024-04-30"})
    assert status["status"] == "completed", status["message"]

    result = (await send("GET", f"/backtest/results/{status['result_id']}")).json()["data"]

    assert result["script_generated"] is True
    assert "emit_signal" in result["script"]
    assert result["metrics"]["num_trades"] > 0
    assert result["assumptions"]["parameters"]


async def test_dca_buys_the_amount_on_every_monday(finish: Finish, send: Send) -> None:
    body = {**RUNS["dca"], "start_date": "2024-01-01", "end_date": "2024-03-31", "slippage": 0, "trading_fee": 0}
    status = await finish({**body, "timeframe": "1d"})

    metrics = (await send("GET", f"/backtest/results/{status['result_id']}/metrics")).json()["data"]

    mondays = 13
    bought = metrics["turnover"] - (metrics["final_equity"] - 10_000 + mondays * 100)
    lots = mondays * 0.00001 * 75_000
    assert mondays * 100 - lots < bought <= mondays * 100


@pytest.mark.parametrize(
    ("strategy_type", "fields", "said"),
    [
        ("pair_trading", {"pair_a": SPOT[0], "pair_b": SPOT[0]}, "same ticker"),
        ("pair_trading", {"entry_z": 1, "exit_z": 1}, "exit_z 1 is not below entry_z 1"),
        ("pair_trading", {"lookback": 10, "entry_z": 3}, "entry_z 3 is never reached: .* over 10 bars is at most 3"),
        ("pair_trading", {"entry_z": 5}, "stop_loss_z 4 is not above entry_z 5"),
        ("dca", {"fixed_amount": 1, "interval": "daily", "ticker": "BINANCE:DOGE/USDT"}, "is not in the universe"),
        ("cross_sectional", {"script": "beta_ = 1\ngamma = 2"}, "gives no alpha"),
    ],
)
def test_parameters_that_contradict_each_other_are_refused(strategy_type: str, fields: Body, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        written(request(strategy_type, SPOT, **fields))


@pytest.mark.parametrize(
    ("strategy_type", "model"),
    [
        ("dca", DcaParameters),
        ("grid", GridParameters),
        ("pair_trading", PairParameters),
        ("cross_sectional", CrossSectionalParameters),
    ],
)
def test_parameters_are_sent_beside_the_other_fields(strategy_type: str, model: type[Any]) -> None:
    fields = {"fixed_amount": 5, "interval": "daily"} if strategy_type == "dca" else {}
    script = {"script": "alpha = close"} if strategy_type == "cross_sectional" else {}
    asked = request(strategy_type, SPOT, **fields, **script)

    sent = asked.model_dump(mode="json", exclude_none=True)

    assert isinstance(asked.parameters, model)
    assert "parameters" not in sent
    assert ExecuteRequest.model_validate(sent) == asked
    assert ExecuteRequest.model_validate({**sent, "parameters": fields}) == asked


async def test_the_reference_lists_every_parameter_with_its_default(send: Send) -> None:
    text = (await send("GET", "/docs/api-reference")).json()["data"]["content"]

    for model in (DcaParameters, GridParameters, PairParameters, CrossSectionalParameters):
        for name, field in model.model_fields.items():
            assert f"| `{name}` |" in text
            if isinstance(field.default, int | float):
                assert f"`{json.dumps(field.default)}`" in text


def test_a_stop_that_a_z_score_never_reaches_is_left_out_and_named() -> None:
    """Of 10 values none is more than 3 deviations from their mean."""
    short = written(request("pair_trading", SPOT[:2], parameters={"lookback": 10}))
    long = written(request("pair_trading", SPOT[:2], parameters={"lookback": 18}))

    assert any("stop_loss_z 4 is left out" in note and "at most 3." in note for note in short.warnings)
    assert "z > 4" not in short.script
    assert not any("stop_loss_z" in note for note in long.warnings)
    assert "z > 4" in long.script


@pytest.mark.parametrize(
    ("tickers", "percent", "held"),
    [(10, 20, 2), (10, 25, 2), (10, 50, 5), (7, 30, 2), (4, 20, 1), (10, 0.2, 1), (3, 50, 1), (20, 35, 7)],
)
@pytest.mark.parametrize("exchange", ["binance", "binancefuturesusd"])
def test_cross_sectional_holds_that_percentage_of_the_universe(
    tickers: int, percent: float, held: int, exchange: ExchangeId
) -> None:
    """The weights on each rebalancing bar are those that pandas ranks; below one ticker, one is held."""
    universe = tuple(Instrument(exchange, f"C{chr(65 + number)}", "USDT") for number in range(tickers))
    frame = frame_of(*universe, count=60, seed=7)
    asked = request(
        "cross_sectional",
        [each.ticker for each in universe],
        script="alpha = roc(close, 5)",
        parameters={"top_bottom_pct": percent, "rebalancing_interval": 1, "target_weight": 0.9},
    )
    script = write_script(asked, universe)

    program = compile_script(script.script, ScriptContext(universe, "1h", script.mode)).program(frame)

    closes = pd.DataFrame({number: frame.bars[each].close for number, each in enumerate(universe)})
    growth = closes.pct_change(5)
    shorts = exchange == "binancefuturesusd"
    weight = 0.9 / (2 * held if shorts else held)
    expected = (growth.rank(axis=1, ascending=False) <= held) * weight
    if shorts:
        expected -= (growth.rank(axis=1) <= held) * weight
    assert isinstance(program, tuple)
    got = np.full((len(frame), tickers), np.nan)
    for emission in program:
        for intent in emission.intents:
            assert isinstance(intent, Rebalance)
            assert emission.condition[10:].all()
            got[:, universe.index(intent.instrument)] = intent.weight
    np.testing.assert_allclose(got[10:], expected.to_numpy()[10:], rtol=1e-8)
