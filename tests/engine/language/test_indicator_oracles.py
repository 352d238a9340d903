"""Indicators compared with direct calls of TA-Lib, on recorded and random hours, through the public evaluation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pytest
import talib

from engine.frame import Bars, Frame
from engine.language import check_expression, evaluate
from tests.conftest import recorded_csv
from tests.engine.language.dsl_markets import BTC, frame_of, recorded

Oracle = Callable[[Bars], Any]

# The first of several outputs starts before the others: TA-Lib gives it as early as the shortest signal allows.
ORACLES: Final[dict[str, Oracle]] = {
    "rsi(close, 14)": lambda b: talib.RSI(b.close, 14),
    "sma(volume, 20)": lambda b: talib.SMA(b.volume, 20),
    "ema(close, 26)": lambda b: talib.EMA(b.close, 26),
    "wma(close, 10)": lambda b: talib.WMA(b.close, 10),
    "dema(close, 12)": lambda b: talib.DEMA(b.close, 12),
    "tema(close, 12)": lambda b: talib.TEMA(b.close, 12),
    "trima(close, 12)": lambda b: talib.TRIMA(b.close, 12),
    "kama(close, 30)": lambda b: talib.KAMA(b.close, 30),
    "hma(close, 20)": lambda b: talib.HMA(b.close, 20),
    "t3(close, 5, 0.7)": lambda b: talib.T3(b.close, 5, 0.7),
    "vwma(close, 20)": lambda b: talib.VWMA(b.close, b.volume, 20),
    "midprice(14)": lambda b: talib.MIDPRICE(b.high, b.low, 14),
    "sar(0.02, 0.2)": lambda b: talib.SAR(b.high, b.low, 0.02, 0.2),
    "supertrend_line(10, 3)": lambda b: talib.SUPERTREND(b.high, b.low, b.close, 10, 3.0)[0],
    "bbands_upper(close, 20, 2)": lambda b: talib.BBANDS(b.close, 20, 2.0, 2.0)[0],
    "bbands_lower(close, 20, 2.5)": lambda b: talib.BBANDS(b.close, 20, 2.5, 2.5)[2],
    "donchian_upper(20)": lambda b: talib.DONCHIAN(b.high, b.low, 20)[0],
    "keltner_lower(20, 10, 2)": lambda b: talib.KC(b.high, b.low, b.close, 20, 10, 2.0)[2],
    "macd_line(close)": lambda b: talib.MACD(b.close, 12, 26, 1)[0],
    "macd_signal(close)": lambda b: talib.MACD(b.close, 12, 26, 9)[1],
    "macd_hist(close, 5, 35, 5)": lambda b: talib.MACD(b.close, 5, 35, 5)[2],
    "ppo(close)": lambda b: talib.PPO(b.close, 12, 26, talib.MA_Type.EMA),
    "apo(close)": lambda b: talib.APO(b.close, 12, 26, talib.MA_Type.EMA),
    "roc(close, 7)": lambda b: talib.ROC(b.close, 7),
    "mom(close, 10)": lambda b: talib.MOM(b.close, 10),
    "trix(close, 15)": lambda b: talib.TRIX(b.close, 15),
    "cmo(close, 14)": lambda b: talib.CMO(b.close, 14),
    "tsi(close)": lambda b: talib.TSI(b.close, 25, 13),
    "stochrsi_k(close)": lambda b: talib.STOCHRSI(b.close, 14, 5, 1, talib.MA_Type.SMA)[0],
    "adx(14)": lambda b: talib.ADX(b.high, b.low, b.close, 14),
    "adxr(14)": lambda b: talib.ADXR(b.high, b.low, b.close, 14),
    "plus_di(14)": lambda b: talib.PLUS_DI(b.high, b.low, b.close, 14),
    "minus_di(14)": lambda b: talib.MINUS_DI(b.high, b.low, b.close, 14),
    "cci(20)": lambda b: talib.CCI(b.high, b.low, b.close, 20),
    "willr(14)": lambda b: talib.WILLR(b.high, b.low, b.close, 14),
    "mfi(14)": lambda b: talib.MFI(b.high, b.low, b.close, b.volume, 14),
    "aroon_up(25)": lambda b: talib.AROON(b.high, b.low, 25)[1],
    "aroonosc(25)": lambda b: talib.AROONOSC(b.high, b.low, 25),
    "stoch_k(14, 3, 3)": lambda b: talib.STOCH(b.high, b.low, b.close, 14, 3, talib.MA_Type.SMA, 1, talib.MA_Type.SMA)[
        0
    ],
    "stoch_d(14, 3, 3)": lambda b: talib.STOCH(b.high, b.low, b.close, 14, 3, talib.MA_Type.SMA, 3, talib.MA_Type.SMA)[
        1
    ],
    "stochf_k(5, 3)": lambda b: talib.STOCHF(b.high, b.low, b.close, 5, 1, talib.MA_Type.SMA)[0],
    "ultosc()": lambda b: talib.ULTOSC(b.high, b.low, b.close, 7, 14, 28),
    "bop()": lambda b: talib.BOP(b.open, b.high, b.low, b.close),
    "atr(14)": lambda b: talib.ATR(b.high, b.low, b.close, 14),
    "natr(14)": lambda b: talib.NATR(b.high, b.low, b.close, 14),
    "trange()": lambda b: talib.TRANGE(b.high, b.low, b.close),
    "obv()": lambda b: talib.OBV(b.close, b.volume),
    "ad()": lambda b: talib.AD(b.high, b.low, b.close, b.volume),
    "adosc(3, 10)": lambda b: talib.ADOSC(b.high, b.low, b.close, b.volume, 3, 10),
    "cmf(20)": lambda b: talib.CMF(b.high, b.low, b.close, b.volume, 20),
    "stddev(close, 20)": lambda b: talib.STDDEV(b.close, 20, 1.0),
    "linearreg(close, 14)": lambda b: talib.LINEARREG(b.close, 14),
    "slope(close, 14)": lambda b: talib.LINEARREG_SLOPE(b.close, 14),
    "correlation(high, low, 30)": lambda b: talib.CORREL(b.high, b.low, 30),
    "ht_dcperiod(close)": lambda b: talib.HT_DCPERIOD(b.close),
    "mama_line(close)": lambda b: talib.MAMA(b.close, 0.5, 0.05)[0],
    "highest(high, 20)": lambda b: talib.MAX(b.high, 20),
    "typprice()": lambda b: talib.TYPPRICE(b.high, b.low, b.close),
    "heikin_ashi_close()": lambda b: talib.HA(b.open, b.high, b.low, b.close)[3],
}
WHOLE_NUMBERS: Final[dict[str, Oracle]] = {
    "cdl_engulfing()": lambda b: talib.CDLENGULFING(b.open, b.high, b.low, b.close),
    "cdl_hammer()": lambda b: talib.CDLHAMMER(b.open, b.high, b.low, b.close),
    "cdl_morningstar(0.3)": lambda b: talib.CDLMORNINGSTAR(b.open, b.high, b.low, b.close, 0.3),
    "ht_trendmode(close)": lambda b: talib.HT_TRENDMODE(b.close),
}


def _value(expression: str, frame: Frame) -> Any:
    return evaluate(check_expression(expression), frame, BTC).series


def _compare(expression: str, oracle: Oracle, frame: Frame) -> None:
    found, wanted = _value(expression, frame), oracle(frame.bars[BTC])

    np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-9, equal_nan=True)


@pytest.fixture(scope="module")
def years() -> Frame:
    """Recorded hours of some years, or 5,000 random ones if there is no recording."""
    path = recorded_csv()
    return recorded(path) if path.is_file() else frame_of(BTC, count=5_000, seed=7)


@pytest.mark.parametrize("expression", ORACLES)
def test_years_of_hours_give_what_talib_gives(expression: str, years: Frame) -> None:
    """Except for bars where both sides of a quotient are 0: there TA-Lib gives an extreme value, and we give none."""
    found, wanted = _value(expression, years), ORACLES[expression](years.bars[BTC])
    known = ~np.isnan(found)

    np.testing.assert_allclose(found[known], wanted[known], rtol=1e-9, atol=1e-8)
    assert np.count_nonzero(~known & ~np.isnan(wanted)) <= 0.002 * len(wanted)


@pytest.mark.parametrize("expression", ORACLES)
def test_random_hours_give_what_talib_gives(expression: str) -> None:
    for seed in (1, 2, 3):
        _compare(expression, ORACLES[expression], frame_of(BTC, count=500, seed=seed))


@pytest.mark.parametrize("expression", WHOLE_NUMBERS)
def test_patterns_are_those_of_talib_after_the_warm_up(expression: str) -> None:
    frame = frame_of(BTC, count=3_000)
    found, wanted = _value(expression, frame), WHOLE_NUMBERS[expression](frame.bars[BTC])
    known = ~np.isnan(found)

    assert known[70:].all()
    np.testing.assert_array_equal(found[known], wanted[known])
    assert np.count_nonzero(wanted[known])


def test_forty_indicators_and_more_have_an_oracle() -> None:
    assert len({name.partition("(")[0] for name in ORACLES}) >= 40
