# ruff: noqa: E501, RUF001 - scripts are kept as their authors write them
"""Scripts by people who half know other tools, and the script that each of them means.

The refusal's correction, applied once, has to compile to the very computation of the script that was meant, which is
written here by hand. A correction that compiles to something else is worse than none.
"""

from __future__ import annotations

from typing import Final

import pytest

from engine.language import ScriptContext, check_script, compile_script
from engine.language.graph import Node
from tests.engine.language.dsl_markets import BTC, ETH

CONTEXT: Final = ScriptContext((BTC, ETH))
CONDITIONS: Final = [
    ("df.ta.rsi(14) < 30", "rsi(close, 14) < 30"),
    ("df.ta.rsi(length=14) < 30", "rsi(close, 14) < 30"),
    ("df.ta.ema(length=50) < df.close", "ema(close, 50) < close"),
    ("ta.sma(df['close'], length=20) > ta.sma(df['close'], length=50)", "sma(close, 20) > sma(close, 50)"),
    ("df.ta.bbands(length=20, std=2)['BBL_20_2.0'] > df['close']", "bbands_lower(close, 20, 2) > close"),
    ("df['RSI_14'] < 30", "rsi(close, 14) < 30"),
    ("df['SMA_20'] > df['SMA_50']", "sma(close, 20) > sma(close, 50)"),
    ("df['MACD_12_26_9'] > df['MACDs_12_26_9']", "macd_line(close, 12, 26, 9) > macd_signal(close, 12, 26, 9)"),
    ("df['MACDh_12_26_9'] > 0", "macd_hist(close, 12, 26, 9) > 0"),
    ("df['BBU_20_2.0'] < df['close']", "bbands_upper(close, 20, 2) < close"),
    ("df['ATRr_14'] > 5", "atr(14) > 5"),
    ("df['STOCHk_14_3_3'] < 20", "stoch_k(14, 3, 3) < 20"),
    ("df['ADX_14'] > 25", "adx(14) > 25"),
    ("df['DMP_14'] > df['DMN_14']", "plus_di(14) > minus_di(14)"),
    ("pandas_ta.adx(df['high'], df['low'], df['close'], length=14)['ADX_14'] > 25", "adx(14) > 25"),
    ("ta.supertrend(high, low, close, 10, 3)['SUPERTd_10_3.0'] == 1", "supertrend_direction(10, 3) == 1"),
    ("df['close'].iloc[-1] > df['close'].iloc[-2]", "close[-1] > close[-2]"),
    ("close.rolling(20).mean().shift(1) < close", "lag(sma(close, 20), 1) < close"),
    (
        "close > close.rolling(20).mean() + 2 * close.rolling(20).std()",
        "close > sma(close, 20) + 2 * stddev(close, 20)",
    ),
    ("df['close'].between(100, 200)", "between(close, 100, 200)"),
    ("(df['close'] > df['open']) & (df['volume'] > 0)", "close > open and volume > 0"),
    ("(df.close > df.open) | (df.close > df.high.shift(1))", "close > open or close > lag(high, 1)"),
    ("~(close > open)", "not (close > open)"),
    ("close.rolling(14).apply(np.mean) > open", "sma(close, 14) > open"),
    ("close.pct_change() > 0.01", "pct_change(close, 1) > 0.01"),
    ("close.pct_change(periods=5) > 0.01", "pct_change(close, 5) > 0.01"),
    ("close.shift(periods=3) < close", "lag(close, 3) < close"),
    ("df['high'].rolling(20).max()[1] < close", "lag(highest(high, 20), 1) < close"),
    ("volume > volume.rolling('20').mean()", "volume > sma(volume, 20)"),
    ("df['close'].quantile(0.9) < close", "percentile(close, 100, 90) < close"),
    ("close.rolling(30).quantile(0.1) > close", "percentile(close, 30, 10) > close"),
    ("close.index.hour == 9", "hour == 9"),
    ("df.index.dayofweek == 0", "weekday == 0"),
    ("np.abs(close.diff()) > 2", "abs(change(close, 1)) > 2"),
    ("np.sqrt(close) > 3", "sqrt(close) > 3"),
    ("close.rolling(20).max() - close.rolling(20).min() > 5", "highest(close, 20) - lowest(close, 20) > 5"),
    ("ta.crossover(ta.sma(close, 50), ta.sma(close, 200))", "crossover(sma(close, 50), sma(close, 200))"),
    (
        "ta.crossunder(close, ta.ema(close, 20)) and ta.rsi(close, 14) > 50",
        "crossunder(close, ema(close, 20)) and rsi(close, 14) > 50",
    ),
    ("close[1] < open[1] and close > open[1]", "close[-2] < open[-2] and close > open[-2]"),
    ("ta.atr(14) > ta.atr(14)[1]", "atr(14) > atr(14)[-2]"),
    ("ta.lowest(low, 10)[1] > close", "lowest(low, 10)[-2] > close"),
    ("ta.stoch(close, high, low, 14) < 20", "stochf_k(14) < 20"),
    ("ta.barssince(ta.crossover(close, open)) < 5", "bars_since(crossover(close, open)) < 5"),
    ("ta.valuewhen(close > open, close, 0) < close", "value_when(close > open, close, 0) < close"),
    ("ta.wpr(14) < -80", "willr(14) < -80"),
    ("ta.cci(close, 20) < -100", "cci(20) < -100"),
    ("ta.dmi(14, 14)[0] > 20", "plus_di(14) > 20"),
    ("ta.supertrend(3, 10)[1] < 0", "-supertrend_direction(10, 3) < 0"),
    ("ta.pivothigh(high, 5, 5) > 0", "pivot_high(5, 5) > 0"),
    ("ta.linreg(close, 50, 0) > close", "linearreg(close, 50) > close"),
    ("ta.percentrank(close, 100) > 80", "rank_pct(close, 100) > 80"),
    ("nz(close[1]) < close", "nz(close[-2]) < close"),
    ("hl2 > ta.vwap(hlc3)", "hl2 > session_vwap()"),
    ("strategy.position_size == 0", "position == 0"),
    ("math.round(close) > 5", "round(close) > 5"),
    ('request.security(syminfo.tickerid, "W", close) < close', 'tf("1w", close) < close'),
    ("request.security('BINANCE:ETHUSDT', '60', close) > 5", 'tf("1h", close["BINANCE:ETH/USDT"]) > 5'),
    ("ta.bb(close, 20, 2)[0] > close", "bbands_middle(close, 20, 2) > close"),
    ("ta.macd(close, 12, 26, 9)[2] > 0", "macd_hist(close, 12, 26, 9) > 0"),
    ("self.rsi[0] < 30", "rsi(close, 14) < 30"),
    ("bt.indicators.RSI(self.data.close, period=14) < 30", "rsi(close, 14) < 30"),
    ("bt.ind.SMA(self.data, period=20) < self.data.close", "sma(close, 20) < close"),
    ("bt.ind.CrossOver(bt.ind.EMA(period=12), bt.ind.EMA(period=26)) > 0", "crossover(ema(close, 12), ema(close, 26))"),
    ("self.data.high[0] > self.data.high[-1]", "high[-1] > high[-2]"),
    ("not self.position", "position == 0"),
    ("self.position.size > 0", "position > 0"),
    ("dataframe['ema9'] > dataframe['ema21']", "ema(close, 9) > ema(close, 21)"),
    ("qtpylib.crossed_above(dataframe['ema9'], dataframe['ema21'])", "crossover(ema(close, 9), ema(close, 21))"),
    ("ta.RSI(dataframe, timeperiod=14) < 30", "rsi(close, 14) < 30"),
    ("dataframe['close'] < dataframe['bb_lowerband']", "close < bbands_lower(close, 20)"),
    ("(dataframe['rsi'] < 30) & (dataframe['volume'] > 0)", "rsi(close, 14) < 30 and volume > 0"),
    ("dataframe['volume'].shift(1) * 2 < dataframe['volume']", "lag(volume, 1) * 2 < volume"),
    ("ta.EMA(dataframe, timeperiod=200) < dataframe['close']", "ema(close, 200) < close"),
    ("vbt.RSI.run(close, 14).rsi_below(30)", "rsi(close, 14) < 30"),
    ("vbt.MA.run(close, 10).ma_crossed_above(vbt.MA.run(close, 50))", "crossover(sma(close, 10), sma(close, 50))"),
    ("vbt.RSI.run(close, window=14).rsi < 30", "rsi(close, 14) < 30"),
    ("close.vbt.crossed_above(sma(close, 20))", "crossover(close, sma(close, 20))"),
    ("talib.BBANDS(close, timeperiod=20, nbdevup=2, nbdevdn=2)[2] > close", "bbands_lower(close, 20, 2) > close"),
    ("talib.MACD(close, 12, 26, 9)[0] > 0", "macd_line(close, 12, 26, 9) > 0"),
    ("talib.STOCH(high, low, close, 14, 3, 0, 3, 0)[0] < 20", "stoch_k(14, 3, 3) < 20"),
    ("talib.CDLENGULFING(open, high, low, close) > 0", "cdl_engulfing() > 0"),
    ("CDLHAMMER(open, high, low, close) == 100", "cdl_hammer() == 100"),
    ("talib.WILLR(high, low, close, timeperiod=14) < -80", "willr(14) < -80"),
    ("talib.OBV(close, volume) > talib.SMA(talib.OBV(close, volume), 20)", "obv() > sma(obv(), 20)"),
    ("talib.MFI(high, low, close, volume, 14) < 20", "mfi(14) < 20"),
    ("talib.MAX(high, 20) < close", "highest(high, 20) < close"),
    ("talib.abstract.SMA(df, 20) > close", "sma(close, 20) > close"),
    ("iRSI(NULL, 0, 14, PRICE_CLOSE, 0) < 30", "rsi(close, 14) < 30"),
    ("iMA(Symbol(), PERIOD_CURRENT, 50, 0, MODE_EMA, PRICE_CLOSE, 0) > Close[0]", "ema(close, 50) > close"),
    ("iMA(NULL, 0, 20, 0, MODE_SMA, PRICE_CLOSE, 1) < Close[1]", "sma(close, 20)[-2] < close[-2]"),
    ("Close[1] > Open[1] && Close[2] < Open[2]", "close[-2] > open[-2] and close[-3] < open[-3]"),
    ("iATR(_Symbol, PERIOD_H1, 14, 0) > 5", 'tf("1h", atr(14)) > 5'),
    ("iClose(NULL, PERIOD_D1, 1) < Close[0]", 'tf("1d", close) < close'),
    ("iHighest(NULL, 0, MODE_HIGH, 20, 1) > 5", "bars_since_highest(high, 20)[-2] > 5"),
    ("Bid > iMA(NULL,0,20,0,MODE_SMA,PRICE_CLOSE,0)", "close > sma(close, 20)"),
    ("close crosses above Average(close, 20)", "crossover(close, sma(close, 20))"),
    ("RSI(length = 14) < 30", "rsi(close, 14) < 30"),
    ("SimpleMovingAvg(close, 20) > close", "sma(close, 20) > close"),
    ("MovAvgExponential(close, 20) > close", "ema(close, 20) > close"),
    ("Highest(high[1], 20) < close", "highest(high[-2], 20) < close"),
    ("close from 1 bars ago < close", "close[-2] < close"),
    ("MovingAverage(AverageType.EXPONENTIAL, close, 20) > close", "ema(close, 20) > close"),
    ("RSI() crosses below 70", "crossunder(rsi(close, 14), 70)"),
    ("open(period = AggregationPeriod.DAY) < close", 'tf("1d", open) < close'),
    ("Close of 1 bar ago < Close", "close[-2] < close"),
    ("Average(Close, 20) > Average(Close, 50)", "sma(close, 20) > sma(close, 50)"),
    ("XAverage(Close, 12) crosses over XAverage(Close, 26)", "crossover(ema(close, 12), ema(close, 26))"),
    ("C > Highest(H, 20)[1]", "close > highest(high, 20)[-2]"),
    ("Close > Close[1] and Volume > Average(Volume, 50)", "close > close[-2] and volume > sma(volume, 50)"),
    ("AvgTrueRange(14) > 5", "atr(14) > 5"),
    ("MarketPosition = 0", "position == 0"),
    ("Close <> Open", "close != open"),
    ("Close = High", "close == high"),
    ("rsi below 30", "rsi(close, 14) < 30"),
    ("the close is above the 200 day moving average", 'close > tf("1d", sma(close, 200))'),
    ("price above the 50 period EMA", "close > ema(close, 50)"),
    ("14-period RSI is below 30", "rsi(close, 14) < 30"),
    ("volume is twice its 20 bar average", "volume > 2 * sma(volume, 20)"),
    ("close is higher than the previous close", "close > close[-2]"),
    ("macd line crosses above the signal line", "crossover(macd_line(close), macd_signal(close))"),
    ("50 EMA crosses above 200 EMA", "crossover(ema(close, 50), ema(close, 200))"),
    ("golden cross", "crossover(sma(close, 50), sma(close, 200))"),
    ("rsi(14) is oversold", "rsi(close, 14) < 30"),
    ("Close > SMA(20)", "close > sma(close, 20)"),
    ("CLOSE > OPEN AND RSI(14) < 30", "close > open and rsi(close, 14) < 30"),
    ("close > open || close > high[1]", "close > open or close > high[-2]"),
    ("close > sma 20", "close > sma(close, 20)"),
    ("CrossesAbove(close, sma(close, 20))", "crossover(close, sma(close, 20))"),
    ("CrossAbove(EMA(12), EMA(26), 1)", "crossover(ema(close, 12), ema(close, 26))"),
    ("sma(20) > sma(50)", "sma(close, 20) > sma(close, 50)"),
    ("rsi[14] < 30", "rsi(close, 14) < 30"),
    ("close.sma(20) > close", "sma(close, 20) > close"),
    ("rsi(14)[1] < 30", "rsi(close, 14)[-2] < 30"),
    ("bollinger.lower > close", "bbands_lower(close, 20) > close"),
    ("Cross(MA(C,10), MA(C,30))", "crossover(sma(close, 10), sma(close, 30))"),
    ("REF(C, -1) < C", "lag(close, 1) < close"),
    ("HHV(H, 20) < C", "highest(high, 20) < close"),
    ("Ref(HHV(High,20),-1) < Close", "lag(highest(high, 20), 1) < close"),
    ("Math.max(close, open) > 5", "max(close, open) > 5"),
    ("close ≥ open", "close >= open"),
    ("close > 1.02 × open", "close > 1.02 * open"),
    ("position is None", "position == 0"),
    ("position == 'long'", "position > 0"),
    ("close > 1,000", "close > 1000"),
    ("close > 50k", "close > 50000"),
    ("close[-20:-1].max() < close", "lag(highest(close, 19), 1) < close"),
    ("high[1:21].max() < close", "lag(highest(high, 20), 1) < close"),
    ("talib.MA(close, 20, matype=1) > close", "ema(close, 20) > close"),
    ("iMA(NULL, 0, 20, 3, MODE_SMA, PRICE_CLOSE, 0) > Close[0]", "sma(close, 20)[-4] > close"),
    ("sma(20, close) > close", "sma(close, 20) > close"),
    ("dayofweek == 2", "weekday == 0"),
    ("ta.rsi(close, length = 14) < 30", "rsi(close, 14) < 30"),
    ("ta.sma(source=close, length=20) < close", "sma(close, 20) < close"),
    ("df['close'].ewm(span=20).mean().iloc[-1] > df['close'].iloc[-1]", "ema(close, 20) > close"),
    ("data['Close'].rolling(20).mean() > data['Close'].rolling(50).mean()", "sma(close, 20) > sma(close, 50)"),
    ("self.data.Close > self.sma20", "close > sma(close, 20)"),
    ("df.Close.pct_change(20) > 0.1", "pct_change(close, 20) > 0.1"),
    ("np.sign(close - open) > 0", "sign(close - open) > 0"),
    ("close.rolling(20).sum() > 0", "sum(close, 20) > 0"),
    ("close.rolling(50).median() < close", "median(close, 50) < close"),
    ("df['low'].rolling(10).min() < df['low'].shift(1)", "lowest(low, 10) < lag(low, 1)"),
    ("ta.cross(ta.sma(close, 10), ta.sma(close, 20))", "cross(sma(close, 10), sma(close, 20))"),
    ("ta.falling(close, 5)", "falling(close, 5)"),
    ("close > ta.vwma(close, 20)", "close > vwma(close, 20)"),
    ("ta.hma(close, 9) > ta.hma(close, 9)[1]", "hma(close, 9) > hma(close, 9)[-2]"),
    ("ta.alma(close, 9, 0.85, 6) > close", "alma(close, 9, 0.85, 6) > close"),
    ("ta.median(close, 5) > close", "median(close, 5) > close"),
    ("ta.correlation(close, volume, 20) > 0.5", "correlation(close, volume, 20) > 0.5"),
    ("math.abs(ta.change(close, 1)) > ta.atr(14)", "abs(change(close, 1)) > atr(14)"),
    ("close >= ta.highest(close, 20)", "close >= highest(close, 20)"),
    ("ta.bb(close, 20, 2)[2] > close", "bbands_lower(close, 20, 2) > close"),
    ("open > close[1] and close > open", "open > close[-2] and close > open"),
    ("talib.ADX(df.high, df.low, df.close, 14) > 20", "adx(14) > 20"),
    ("talib.AROON(high, low, 25)[1] > 70", "aroon_up(25) > 70"),
    ("talib.NATR(high, low, close, 14) > 3", "natr(14) > 3"),
    ("talib.CCI(high, low, close, timeperiod=20) > 100", "cci(20) > 100"),
    ("talib.PLUS_DI(high, low, close, 14) > talib.MINUS_DI(high, low, close, 14)", "plus_di(14) > minus_di(14)"),
    ("talib.ULTOSC(high, low, close) < 30", "ultosc() < 30"),
    ("talib.TRIX(close, 15) > 0", "trix(close, 15) > 0"),
    ("talib.STOCHRSI(close, 14, 5, 3, 0)[0] < 20", "stochrsi_k(close, 14, 5, 3) < 20"),
    ("talib.MACD(close)[2] > 0", "macd_hist(close) > 0"),
    ("df['STOCHRSIk_14_14_3_3'] < 20", "stochrsi_d(close, 14, 14, 3) < 20"),
    ("df['DCU_20_20'] < df['close']", "donchian_upper(20) < close"),
    ("df['MFI_14'] < 20", "mfi(14) < 20"),
    ("df['OBV'] > 0", "obv() > 0"),
    ("df['SUPERTd_10_3.0'] > 0", "supertrend_direction(10, 3) > 0"),
    ("df['atr14'] > 5", "atr(14) > 5"),
    ("df['macd'] > df['macdsignal']", "macd_line(close) > macd_signal(close)"),
    ("dataframe['macdhist'] > 0", "macd_hist(close) > 0"),
    ("dataframe['ema_100'] < dataframe['close']", "ema(close, 100) < close"),
    ("iMACD(_Symbol,_Period,12,26,9,PRICE_CLOSE,MODE_SIGNAL,0) > 0", "macd_signal(close, 12, 26, 9) > 0"),
    ("iCCI(NULL, 0, 14, PRICE_TYPICAL, 0) > 100", "cci(14) > 100"),
    (
        "iMA(NULL, 0, 10, 0, MODE_EMA, PRICE_CLOSE, 0) > iMA(NULL, 0, 30, 0, MODE_EMA, PRICE_CLOSE, 0)",
        "ema(close, 10) > ema(close, 30)",
    ),
    ("iHigh(NULL, 0, 1) < Close[0]", "high[-2] < close"),
    ("iWPR(NULL, 0, 14, 0) < -80", "willr(14) < -80"),
    ("Low[0] < Low[1] && Close[0] > Open[0]", "low < low[-2] and close > open"),
    ("Average(Close, 10) crosses above Average(Close, 30)", "crossover(sma(close, 10), sma(close, 30))"),
    ("RSI(Close, 14) crosses over 30", "crossover(rsi(close, 14), 30)"),
    ("ADX(14) > 25 and Close > Average(Close, 200)", "adx(14) > 25 and close > sma(close, 200)"),
    ("H > H[1] and L > L[1]", "high > high[-2] and low > low[-2]"),
    ("C > MA(C, 200)", "close > sma(close, 200)"),
    ("RSI(14) < 30 AND C > MA(C,200)", "rsi(close, 14) < 30 and close > sma(close, 200)"),
    ("LLV(L, 10) > C", "lowest(low, 10) > close"),
    ("ROC(C, 10) > 5", "roc(close, 10) > 5"),
    ("close is above its 200 period moving average", "close > sma(close, 200)"),
    ("close crosses below the 20 EMA", "crossunder(close, ema(close, 20))"),
    ("the RSI(14) drops below 30", "crossunder(rsi(close, 14), 30)"),
    ("RSI falls under 25 and close > ema(close, 200)", "crossunder(rsi(close, 14), 25) and close > ema(close, 200)"),
    ("rsi is over 70", "rsi(close, 14) > 70"),
    ("volume greater than 1.5 times the 20 bar average volume", "volume > 1.5 * sma(volume, 20)"),
    ("price is 3% above the 20 SMA", "close > 1.03 * sma(close, 20)"),
    ("close below lower bollinger band", "close < bbands_lower(close, 20)"),
    ("ema 9 > ema 21", "ema(close, 9) > ema(close, 21)"),
    ("EMA9 > EMA21", "ema(close, 9) > ema(close, 21)"),
    ("ema(9) crosses ema(21)", "cross(ema(close, 9), ema(close, 21))"),
    ("close[0] > close[1] * 1.01", "close[-1] > close[-2] * 1.01"),
    ("(close - close[1]) / close[1] > 0.02", "(close - close[-2]) / close[-2] > 0.02"),
    ("delta(close, 1) > 0", "change(close, 1) > 0"),
    ("rolling_mean(close, 20) < close", "sma(close, 20) < close"),
    ("moving_average(close, 20) < close", "sma(close, 20) < close"),
    ("highest_high(20) < close", "highest(high, 20) < close"),
    ("std(close, 20) > 5", "stddev(close, 20) > 5"),
    ("vwap > close", "vwap() > close"),
    ("obv > sma(obv, 20)", "obv() > sma(obv(), 20)"),
    ("macd.histogram > 0", "macd_hist(close) > 0"),
    ("MACD(12,26,9).signal < 0", "macd_signal(close, 12, 26, 9) < 0"),
    ("macd(12, 26, 9) > 0", "macd_line(close, 12, 26, 9) > 0"),
    ("bb(close, 20, 2).upper < close", "bbands_upper(close, 20, 2) < close"),
    ("bollinger_bands(close, 20, 2).lower > close", "bbands_lower(close, 20, 2) > close"),
    ("stochastic(14, 3, 3).k < 20", "stoch_k(14, 3, 3) < 20"),
    ("close > open and (rsi(14) < 40 or adx > 25)", "close > open and (rsi(close, 14) < 40 or adx(14) > 25)"),
    ("position_size == 0", "position == 0"),
    ("is_flat and close > open", "position == 0 and close > open"),
    ("self.position == 0 and close > open", "position == 0 and close > open"),
    ("time.hour == 9", "hour == 9"),
    ("bar.hour >= 9 and bar.hour <= 16", "hour >= 9 and hour <= 16"),
    ("datetime.weekday() == 0", "weekday == 0"),
    ("dayofweek == dayofweek.friday", "weekday == 4"),
    ("df['close'] > df['close'].rolling(window=50).mean()", "close > sma(close, 50)"),
    ("df.ta.macd(fast=12, slow=26, signal=9)['MACDh_12_26_9'] > 0", "macd_hist(close, 12, 26, 9) > 0"),
    ("df['EMA_9'].gt(df['EMA_21'])", "ema(close, 9) > ema(close, 21)"),
    ("df['BBP_20_2.0'] < 0", "bb_percent(close, 20, 2) < 0"),
    ("df['KCUe_20_2'] < df['close']", "keltner_upper(20, 20, 2) < close"),
    ("df['WILLR_14'] < -80", "willr(14) < -80"),
    ("df['CCI_20_0.015'] < -100", "cci(20) < -100"),
    ("df['AROONU_25'] > df['AROOND_25']", "aroon_up(25) > aroon_down(25)"),
    ("ta.ema(df.close, 21) > ta.ema(df.close, 55)", "ema(close, 21) > ema(close, 55)"),
    ("close.rolling(20).max().shift() < close", "lag(highest(close, 20), 1) < close"),
    ("close / close.shift(10) - 1 > 0.05", "close / lag(close, 10) - 1 > 0.05"),
    ("df['volume'] > 1.5 * df['volume'].rolling(30).mean()", "volume > 1.5 * sma(volume, 30)"),
    ("close.diff(3) > 0", "change(close, 3) > 0"),
    (
        "(close - low.rolling(14).min()) / (high.rolling(14).max() - low.rolling(14).min()) < 0.2",
        "(close - lowest(low, 14)) / (highest(high, 14) - lowest(low, 14)) < 0.2",
    ),
    ("np.maximum(close, open) > 100", "max(close, open) > 100"),
    ("np.isnan(close)", "is_missing(close)"),
    ("close.ewm(span=9, min_periods=9).mean() > open", "ema(close, 9) > open"),
    ("ta.rsi(close, 14) < 30 and ta.adx(14) > 20", "rsi(close, 14) < 30 and adx(14) > 20"),
    (
        "ta.ema(close, 8) > ta.ema(close, 21) and not (ta.ema(close, 8)[1] > ta.ema(close, 21)[1])",
        "ema(close, 8) > ema(close, 21) and not (ema(close, 8)[-2] > ema(close, 21)[-2])",
    ),
    ("ta.obv > ta.sma(ta.obv, 20)", "obv() > sma(obv(), 20)"),
    ("ta.mom(close, 10) > 0", "mom(close, 10) > 0"),
    ("ta.kc(close, 20, 1.5)[1] < close", "keltner_upper(20, 20, 1.5) < close"),
    ("ta.roc(close, 12) > 2", "roc(close, 12) > 2"),
    ("ta.sar(0.02, 0.02, 0.2) < close", "sar(0.02, 0.2) < close"),
    ("ta.tsi(close, 13, 25) > 0.2", "tsi(close, 25, 13) / 100 > 0.2"),
    ("ta.mfi(hlc3, 14) < 20", "mfi(14) < 20"),
    ("ta.highestbars(high, 10) == 0", "-bars_since_highest(high, 10) == 0"),
    ("ta.stdev(close, 20) > 5", "stddev(close, 20) > 5"),
    ("ta.cmo(close, 9) > 50", "cmo(close, 9) > 50"),
    ("close > ta.highest(high, 55)[1]", "close > highest(high, 55)[-2]"),
    ("math.max(open, close) < ta.vwap", "max(open, close) < session_vwap()"),
    ("self.data.volume[0] > self.data.volume[-1] * 2", "volume[-1] > volume[-2] * 2"),
    ("bt.indicators.ATR(self.data, period=14) > 5", "atr(14) > 5"),
    ("bt.talib.RSI(self.data.close, timeperiod=7) < 20", "rsi(close, 7) < 20"),
    ("self.sma[0] > self.sma[-1]", "sma(close, 20)[-1] > sma(close, 20)[-2]"),
    ("self.position.size == 0", "position == 0"),
    (
        "qtpylib.crossed_above(dataframe['close'], dataframe['bb_upperband'])",
        "crossover(close, bbands_upper(close, 20))",
    ),
    ("dataframe['adx'] > 25", "adx(14) > 25"),
    ("dataframe['close'].shift(2) > dataframe['open']", "lag(close, 2) > open"),
    ("ta.MACD(dataframe)['macd'] > ta.MACD(dataframe)['macdsignal']", "macd_line(close) > macd_signal(close)"),
    ("ta.STOCHF(dataframe, 5, 3, 0)['fastk'] < 20", "stochf_k(5, 3) < 20"),
    ("vbt.ATR.run(high, low, close, window=14).atr > 5", "atr(14) > 5"),
    ("vbt.BBANDS.run(close).lower > close", "bbands_lower(close) > close"),
    ("talib.EMA(close, timeperiod=50) > talib.EMA(close, timeperiod=200)", "ema(close, 50) > ema(close, 200)"),
    ("talib.ROC(close, 10) > 3", "roc(close, 10) > 3"),
    ("talib.MIN(low, timeperiod=20) == low", "lowest(low, 20) == low"),
    ("talib.STDDEV(close, 20, 1) > 5", "stddev(close, 20) > 5"),
    ("talib.SAR(high, low, 0.02, 0.2) < close", "sar(0.02, 0.2) < close"),
    ("talib.LINEARREG_SLOPE(close, 14) > 0", "slope(close, 14) > 0"),
    ("talib.CDLDOJI(open, high, low, close) != 0", "cdl_doji() != 0"),
    (
        "iMACD(NULL, 0, 12, 26, 9, PRICE_CLOSE, MODE_MAIN, 0) > iMACD(NULL, 0, 12, 26, 9, PRICE_CLOSE, MODE_SIGNAL, 0)",
        "macd_line(close, 12, 26, 9) > macd_signal(close, 12, 26, 9)",
    ),
    ("iBands(NULL, 0, 20, 2, 0, PRICE_CLOSE, MODE_LOWER, 0) > Close[0]", "bbands_lower(close, 20, 2) > close"),
    ("iStochastic(NULL, 0, 14, 3, 3, MODE_SMA, 0, MODE_MAIN, 0) < 20", "stoch_k(14, 3, 3) < 20"),
    ("iADX(NULL, 0, 14, PRICE_CLOSE, MODE_PLUSDI, 0) > 20", "plus_di(14) > 20"),
    ("High[1] < High[2]", "high[-2] < high[-3]"),
    ("iMA(_Symbol, PERIOD_H4, 50, 0, MODE_SMA, PRICE_CLOSE, 1) < Close[0]", 'tf("4h", sma(close, 50)) < close'),
    ("ExpAverage(close, 20) crosses below ExpAverage(close, 50)", "crossunder(ema(close, 20), ema(close, 50))"),
    ("close crosses below Lowest(low[1], 20)", "crossunder(close, lowest(low[-2], 20))"),
    ("Stochastic(14) < 20", "stoch_k(14) < 20"),
    ("Momentum(close, 10) > 0", "mom(close, 10) > 0"),
    ("Low < Lowest(Low, 10)[1]", "low < lowest(low, 10)[-2]"),
    ("the 20 EMA is above the 50 EMA", "ema(close, 20) > ema(close, 50)"),
    ("RSI(2) is less than 10", "rsi(close, 2) < 10"),
    ("price closes above the upper bollinger band", "close > bbands_upper(close, 20)"),
    ("the close is more than 5% above the 50 period SMA", "close > 1.05 * sma(close, 50)"),
    ("volume above average volume", "volume > sma(volume, 20)"),
    ("ADX is greater than 25 and RSI is below 40", "adx(14) > 25 and rsi(close, 14) < 40"),
    ("MACD crosses above its signal line", "crossover(macd_line(close), macd_signal(close))"),
    ("close breaks above the 20 bar high", "crossover(close, lag(highest(high, 20), 1))"),
    ("close < ema(200)", "close < ema(close, 200)"),
    ("Ema(50) > Ema(200)", "ema(close, 50) > ema(close, 200)"),
    ("rsi(period=14) < 30", "rsi(close, 14) < 30"),
    ("rsi(source=close, length=14) < 30", "rsi(close, 14) < 30"),
    ("highest(20) < close", "highest(high, 20) < close"),
    ("close > close.previous", "close > close[-2]"),
    ("close > prev(close)", "close > lag(close, 1)"),
    ("candle.close > candle.open", "close > open"),
    ("bars[-1].close > bars[-2].close", "close[-1] > close[-2]"),
    ("close[-1] > close[-2] && rsi(14) < 40", "close[-1] > close[-2] and rsi(close, 14) < 40"),
    ("price > sma(200)", "close > sma(close, 200)"),
    ("crosses_above(ema(9), ema(21))", "crossover(ema(close, 9), ema(close, 21))"),
    ("cross_over(close, vwap)", "crossover(close, vwap())"),
    ("CROSSOVER(EMA(CLOSE,9),EMA(CLOSE,21))", "crossover(ema(close, 9), ema(close, 21))"),
    ("MACD.hist > 0", "macd_hist(close) > 0"),
    ("BB.upper < close", "bbands_upper(close, 20) < close"),
    ("bbands(close, 20, 2).lower > close", "bbands_lower(close, 20, 2) > close"),
    ("close > open * 1.01 and volume > avg(volume, 20)", "close > open * 1.01 and volume > sma(volume, 20)"),
    ("sma(close, 10) crossed above sma(close, 20)", "crossover(sma(close, 10), sma(close, 20))"),
    ("hour >= 9 && hour < 17", "hour >= 9 and hour < 17"),
]
"""A wrong condition, and the one that is meant."""

SCRIPTS: Final = [
    (
        'if ta.rsi(close, 14) < 30\n    strategy.entry("L", strategy.long)\nif ta.rsi(close, 14) > 70\n    strategy.close("L")',
        'emit_signal(rsi(close, 14) < 30, entry(TICKER, "LONG", Weight(0.5)))\nemit_signal(rsi(close, 14) > 70, exit(TICKER))',
    ),
    (
        "if rsi(14) < 30 then buy\nif rsi(14) > 70 then sell",
        'emit_signal(rsi(close, 14) < 30, entry(TICKER, "LONG", Weight(0.5)))\nemit_signal(rsi(close, 14) > 70, exit(TICKER))',
    ),
    ("buy when rsi below 30", 'emit_signal(rsi(close, 14) < 30, entry(TICKER, "LONG", Weight(0.5)))'),
    (
        "if close > sma(close, 20):\n    entry('LONG')\nelse:\n    exit()",
        'emit_signal(close > sma(close, 20), entry(TICKER, "LONG", Weight(0.5)))\nemit_signal(not (close > sma(close, 20)), exit(TICKER))',
    ),
    (
        "class SmaCross(bt.Strategy):\n    params = dict(pfast=10, pslow=30)\n    def __init__(self):\n        sma1 = bt.ind.SMA(period=self.p.pfast)\n        sma2 = bt.ind.SMA(period=self.p.pslow)\n        self.crossover = bt.ind.CrossOver(sma1, sma2)\n    def next(self):\n        if not self.position:\n            if self.crossover > 0:\n                self.buy()\n        elif self.crossover < 0:\n            self.close()",
        'emit_signal(position == 0 and crossover(sma(close, 10), sma(close, 30)), entry(TICKER, "LONG", Weight(0.5)))\nemit_signal(not (position == 0) and crossunder(sma(close, 10), sma(close, 30)), exit(TICKER))',
    ),
    (
        "def populate_entry_trend(self, dataframe, metadata):\n    dataframe.loc[\n        (dataframe['rsi'] < 30) &\n        (dataframe['volume'] > 0),\n        'enter_long'] = 1\n    return dataframe\ndef populate_exit_trend(self, dataframe, metadata):\n    dataframe.loc[(dataframe['rsi'] > 70), 'exit_long'] = 1\n    return dataframe",
        'emit_signal(rsi(close, 14) < 30 and volume > 0, entry(TICKER, "LONG", Weight(0.5)))\nemit_signal(rsi(close, 14) > 70, exit(TICKER))',
    ),
    (
        "dataframe.loc[(dataframe['rsi'] < 30), 'enter_long'] = 1",
        'emit_signal(rsi(close, 14) < 30, entry(TICKER, "LONG", Weight(0.5)))',
    ),
    ("df.loc[df['close'] > df['open'], 'signal'] = 1", 'emit_signal(close > open, entry(TICKER, "LONG", Weight(0.5)))'),
    (
        "entries = close > sma(close, 20)\nexits = close < sma(close, 20)\npf = vbt.Portfolio.from_signals(close, entries, exits)",
        'emit_signal(close > sma(close, 20), entry(TICKER, "LONG", Weight(0.5)))\nemit_signal(close < sma(close, 20), exit(TICKER))',
    ),
    (
        "void OnTick() {\n   double rsi = iRSI(NULL, 0, 14, PRICE_CLOSE, 0);\n   if (rsi < 30) OrderSend(Symbol(), OP_BUY, 0.1, Ask, 3, 0, 0);\n   if (rsi > 70) OrderClose(ticket, 0.1, Bid, 3);\n}",
        'emit_signal(rsi(close, 14) < 30, entry(TICKER, "LONG", Weight(0.5)))\nemit_signal(rsi(close, 14) > 70, exit(TICKER))',
    ),
    (
        "AddOrder(OrderType.BUY_TO_OPEN, RSI() crosses above 30);\nAddOrder(OrderType.SELL_TO_CLOSE, RSI() crosses below 70);",
        'emit_signal(crossover(rsi(close, 14), 30), entry(TICKER, "LONG", Weight(0.5)))\nemit_signal(crossunder(rsi(close, 14), 70), exit(TICKER))',
    ),
    (
        "def fast = SimpleMovingAvg(close, 10);\ndef slow = SimpleMovingAvg(close, 30);\nAddOrder(OrderType.BUY_AUTO, fast crosses above slow);",
        'emit_signal(crossover(sma(close, 10), sma(close, 30)), entry(TICKER, "LONG", Weight(0.5)))',
    ),
    (
        "inputs: Length(14);\nif RSI(Close, Length) crosses over 30 then Buy next bar at market;\nif RSI(Close, Length) crosses under 70 then Sell next bar at market;",
        'emit_signal(crossover(rsi(close, 14), 30), entry(TICKER, "LONG", Weight(0.5)))\nemit_signal(crossunder(rsi(close, 14), 70), exit(TICKER))',
    ),
    (
        "Buy = Cross(MA(C, 10), MA(C, 30));\nSell = Cross(MA(C, 30), MA(C, 10));",
        'emit_signal(crossover(sma(close, 10), sma(close, 30)), entry(TICKER, "LONG", Weight(0.5)))\nemit_signal(crossover(sma(close, 30), sma(close, 10)), exit(TICKER))',
    ),
    (
        '[macdLine, signalLine, hist] = ta.macd(close, 12, 26, 9)\nif ta.crossover(macdLine, signalLine)\n    strategy.entry("L", strategy.long)',
        'emit_signal(crossover(macd_line(close, 12, 26, 9), macd_signal(close, 12, 26, 9)), entry(TICKER, "LONG", Weight(0.5)))',
    ),
    (
        'macd, signal, hist = talib.MACD(close, 12, 26, 9)\nemit_signal(macd > signal, entry(TICKER, "LONG", Weight(0.5)))',
        'emit_signal(macd_line(close, 12, 26, 9) > macd_signal(close, 12, 26, 9), entry(TICKER, "LONG", Weight(0.5)))',
    ),
    (
        "if crossover(ema(12), ema(26)): buy(size=0.5)",
        'emit_signal(crossover(ema(close, 12), ema(close, 26)), entry(TICKER, "LONG", Weight(0.5)))',
    ),
    ("emit_signal('BUY', rsi(close, 14) < 30)", 'emit_signal(rsi(close, 14) < 30, entry(TICKER, "LONG", Weight(0.5)))'),
    (
        "emit_signal(rsi(close, 14) < 30, 'LONG', 0.5)",
        'emit_signal(rsi(close, 14) < 30, entry(TICKER, "LONG", Weight(0.5)))',
    ),
    (
        "entry(rsi(close, 14) < 30, 'LONG', Weight(0.5))",
        'emit_signal(rsi(close, 14) < 30, entry(TICKER, "LONG", Weight(0.5)))',
    ),
    ("return rsi(close, 14) < 30", 'emit_signal(rsi(close, 14) < 30, entry(TICKER, "LONG", Weight(0.5)))'),
    (
        "def strategy(df):\n    if df['rsi'].iloc[-1] < 30:\n        return 'buy'\n    elif df['rsi'].iloc[-1] > 70:\n        return 'sell'\n    return 'hold'",
        'emit_signal(rsi(close, 14) < 30, entry(TICKER, "LONG", Weight(0.5)))\nemit_signal(not (rsi(close, 14) < 30) and rsi(close, 14) > 70, exit(TICKER))',
    ),
    (
        "entry_condition: rsi(close, 14) < 30\nexit_condition: rsi(close, 14) > 70",
        'emit_signal(rsi(close, 14) < 30, entry(TICKER, "LONG", Weight(0.5)))\nemit_signal(rsi(close, 14) > 70, exit(TICKER))',
    ),
    (
        '{"entry": "rsi(close, 14) < 30", "exit": "rsi(close, 14) > 70"}',
        'emit_signal(rsi(close, 14) < 30, entry(TICKER, "LONG", Weight(0.5)))\nemit_signal(rsi(close, 14) > 70, exit(TICKER))',
    ),
    (
        "on bar:\n  if close > sma(20): go long",
        'emit_signal(close > sma(close, 20), entry(TICKER, "LONG", Weight(0.5)))',
    ),
    ("WHEN rsi(14) < 30 THEN BUY", 'emit_signal(rsi(close, 14) < 30, entry(TICKER, "LONG", Weight(0.5)))'),
    (
        "emit_signal(close > open, entry(TICKER, 'LONG', Weight(50%)))",
        'emit_signal(close > open, entry(TICKER, "LONG", Weight(0.5)))',
    ),
    (
        "emit_signal(close > open, entry(TICKER, side='long', size=0.5))",
        'emit_signal(close > open, entry(TICKER, "LONG", Weight(0.5)))',
    ),
    ("emit_signal(close > open, buy(0.5))", 'emit_signal(close > open, entry(TICKER, "LONG", Weight(0.5)))'),
    (
        "emit_signal(close > open, entry(TICKER, LONG, Weight(0.5)))",
        'emit_signal(close > open, entry(TICKER, "LONG", Weight(0.5)))',
    ),
    (
        "emit_signal(condition=close > open, action=entry(TICKER, 'LONG', Weight(0.5)))",
        'emit_signal(close > open, entry(TICKER, "LONG", Weight(0.5)))',
    ),
    (
        "emit_signal(close > open and close > lag(close, 1) entry(TICKER, 'LONG', Weight(0.5)))",
        'emit_signal(close > open and close > lag(close, 1), entry(TICKER, "LONG", Weight(0.5)))',
    ),
    (
        "emit_signal(close > open, entry(TICKER, 'LONG', Weight(0.5))",
        'emit_signal(close > open, entry(TICKER, "LONG", Weight(0.5)))',
    ),
    (
        "signal = -1 if close < open else 1",
        'emit_signal(close < open, exit(TICKER))\nemit_signal(not (close < open), entry(TICKER, "LONG", Weight(0.5)))',
    ),
    (
        '//@version=4\nstudy("x")\nfast = sma(close, 9)\nslow = sma(close, 21)\nif crossover(fast, slow)\n    strategy.entry("L", true)\nif crossunder(fast, slow)\n    strategy.close("L")',
        'emit_signal(crossover(sma(close, 9), sma(close, 21)), entry(TICKER, "LONG", Weight(0.5)))\nemit_signal(crossunder(sma(close, 9), sma(close, 21)), exit(TICKER))',
    ),
    (
        "def on_bar(self):\n    if rsi(self.close, 14) < 30:\n        self.buy(size=0.2)\n    elif rsi(self.close, 14) > 70:\n        self.sell()",
        'emit_signal(rsi(close, 14) < 30, entry(TICKER, "LONG", Weight(0.5)))\nemit_signal(not (rsi(close, 14) < 30) and rsi(close, 14) > 70, exit(TICKER))',
    ),
    (
        "class Rsi(bt.Strategy):\n    def __init__(self):\n        self.rsi = bt.indicators.RSI(self.data.close, period=7)\n    def next(self):\n        if self.rsi[0] < 30:\n            self.buy()\n        if self.rsi[0] > 70:\n            self.close()",
        'emit_signal(rsi(close, 7) < 30, entry(TICKER, "LONG", Weight(0.5)))\nemit_signal(rsi(close, 7) > 70, exit(TICKER))',
    ),
    (
        "def populate_indicators(self, dataframe, metadata):\n    dataframe['rsi'] = ta.RSI(dataframe, timeperiod=9)\n    return dataframe\ndef populate_buy_trend(self, dataframe, metadata):\n    dataframe.loc[(dataframe['rsi'] < 25), 'buy'] = 1\n    return dataframe\ndef populate_sell_trend(self, dataframe, metadata):\n    dataframe.loc[(dataframe['rsi'] > 75), 'sell'] = 1\n    return dataframe",
        'emit_signal(rsi(close, 9) < 25, entry(TICKER, "LONG", Weight(0.5)))\nemit_signal(rsi(close, 9) > 75, exit(TICKER))',
    ),
    (
        "df['ema_fast'] = ta.ema(df['close'], length=12)\ndf['ema_slow'] = ta.ema(df['close'], length=26)\ndf['buy'] = (df['ema_fast'] > df['ema_slow']) & (df['ema_fast'].shift(1) <= df['ema_slow'].shift(1))\ndf['sell'] = df['ema_fast'] < df['ema_slow']",
        'emit_signal(ema(close, 12) > ema(close, 26) and lag(ema(close, 12), 1) <= lag(ema(close, 26), 1), entry(TICKER, "LONG", Weight(0.5)))\nemit_signal(ema(close, 12) < ema(close, 26), exit(TICKER))',
    ),
    (
        "rsi = vbt.RSI.run(close, window=14)\nentries = rsi.rsi_crossed_below(30)\nexits = rsi.rsi_crossed_above(70)",
        'emit_signal(crossunder(rsi(close, 14), 30), entry(TICKER, "LONG", Weight(0.5)))\nemit_signal(crossover(rsi(close, 14), 70), exit(TICKER))',
    ),
    (
        "when close > sma(close, 50) then go long\nwhen close < sma(close, 50) then exit",
        'emit_signal(close > sma(close, 50), entry(TICKER, "LONG", Weight(0.5)))\nemit_signal(close < sma(close, 50), exit(TICKER))',
    ),
    (
        "1. Buy when RSI(14) < 30\n2. Sell when RSI(14) > 70",
        'emit_signal(rsi(close, 14) < 30, entry(TICKER, "LONG", Weight(0.5)))\nemit_signal(rsi(close, 14) > 70, exit(TICKER))',
    ),
    (
        "Entry: close crosses above sma(close, 50)\nExit: close crosses below sma(close, 50)",
        'emit_signal(crossover(close, sma(close, 50)), entry(TICKER, "LONG", Weight(0.5)))\nemit_signal(crossunder(close, sma(close, 50)), exit(TICKER))',
    ),
    (
        "LONG: rsi(14) < 30\nEXIT: rsi(14) > 70",
        'emit_signal(rsi(close, 14) < 30, entry(TICKER, "LONG", Weight(0.5)))\nemit_signal(rsi(close, 14) > 70, exit(TICKER))',
    ),
    (
        "entry_signal = crossover(ema(close, 9), ema(close, 21))\nexit_signal = crossunder(ema(close, 9), ema(close, 21))\nif entry_signal:\n    open_long()\nif exit_signal:\n    close_position()",
        'emit_signal(crossover(ema(close, 9), ema(close, 21)), entry(TICKER, "LONG", Weight(0.5)))\nemit_signal(crossunder(ema(close, 9), ema(close, 21)), exit(TICKER))',
    ),
    (
        'emit_signal(\n    rsi(14) < 30,\n    entry(TICKER, "LONG", Weight(0.5))\n)',
        'emit_signal(rsi(close, 14) < 30, entry(TICKER, "LONG", Weight(0.5)))',
    ),
    (
        'emit_signal(rsi(close, 14) < 30, entry(TICKER, "LONG", weight=0.5))',
        'emit_signal(rsi(close, 14) < 30, entry(TICKER, "LONG", Weight(0.5)))',
    ),
    (
        'emit_signal("LONG", rsi(close, 14) < 30, Weight(0.5))',
        'emit_signal(rsi(close, 14) < 30, entry(TICKER, "LONG", Weight(0.5)))',
    ),
    (
        "emit_signal(rsi(close, 14) < 30, enter_long(0.5))",
        'emit_signal(rsi(close, 14) < 30, entry(TICKER, "LONG", Weight(0.5)))',
    ),
    (
        'if rsi(close, 14) < 30: emit_signal("BUY")',
        'emit_signal(rsi(close, 14) < 30, entry(TICKER, "LONG", Weight(0.5)))',
    ),
    (
        "if rsi(close, 14) < 30 {\n    buy()\n} else if rsi(close, 14) > 70 {\n    sell()\n}",
        'emit_signal(rsi(close, 14) < 30, entry(TICKER, "LONG", Weight(0.5)))\nemit_signal(not (rsi(close, 14) < 30) and rsi(close, 14) > 70, exit(TICKER))',
    ),
    (
        'const rsi = ta.rsi(close, 14);\nif (rsi < 30) {\n  strategy.entry("L", strategy.long);\n}',
        'emit_signal(rsi(close, 14) < 30, entry(TICKER, "LONG", Weight(0.5)))',
    ),
    (
        "let signal = rsi(close, 14) < 30 ? 1 : 0",
        'emit_signal(rsi(close, 14) < 30, entry(TICKER, "LONG", Weight(0.5)))',
    ),
    (
        'fast = ta.ema(close, 9)\nslow = ta.ema(close, 21)\nlong = ta.crossover(fast, slow)\nshort = ta.crossunder(fast, slow)\nstrategy.entry("Long", strategy.long, when=long)\nstrategy.close("Long", when=short)',
        'emit_signal(crossover(ema(close, 9), ema(close, 21)), entry(TICKER, "LONG", Weight(0.5)))\nemit_signal(crossunder(ema(close, 9), ema(close, 21)), exit(TICKER))',
    ),
    (
        "if crossover(sma(close, 10), sma(close, 30)):\n    enter_long()\nif crossunder(sma(close, 10), sma(close, 30)):\n    exit_long()",
        'emit_signal(crossover(sma(close, 10), sma(close, 30)), entry(TICKER, "LONG", Weight(0.5)))\nemit_signal(crossunder(sma(close, 10), sma(close, 30)), exit(TICKER))',
    ),
    (
        "def next(self):\n    if self.rsi[0] < 30 and not self.position:\n        self.buy()\n    if self.rsi[0] > 70:\n        self.close()",
        'emit_signal(rsi(close, 14) < 30 and position == 0, entry(TICKER, "LONG", Weight(0.5)))\nemit_signal(rsi(close, 14) > 70, exit(TICKER))',
    ),
    (
        "go long when close crosses above sma(close, 50)",
        'emit_signal(crossover(close, sma(close, 50)), entry(TICKER, "LONG", Weight(0.5)))',
    ),
    (
        "Buy if RSI < 30. Sell if RSI > 70.",
        'emit_signal(rsi(close, 14) < 30, entry(TICKER, "LONG", Weight(0.5)))\nemit_signal(rsi(close, 14) > 70, exit(TICKER))',
    ),
    (
        "BUY WHEN close > sma(50) AND volume > 0",
        'emit_signal(close > sma(close, 50) and volume > 0, entry(TICKER, "LONG", Weight(0.5)))',
    ),
    (
        "Enter long when the 9 EMA crosses above the 21 EMA. Exit when the 9 EMA crosses below the 21 EMA.",
        'emit_signal(crossover(ema(close, 9), ema(close, 21)), entry(TICKER, "LONG", Weight(0.5)))\nemit_signal(crossunder(ema(close, 9), ema(close, 21)), exit(TICKER))',
    ),
    (
        "buy_signal = (rsi(close, 14) < 30) & (close > sma(close, 200))\nsell_signal = rsi(close, 14) > 70",
        'emit_signal(rsi(close, 14) < 30 and close > sma(close, 200), entry(TICKER, "LONG", Weight(0.5)))\nemit_signal(rsi(close, 14) > 70, exit(TICKER))',
    ),
    (
        "rsi = talib.RSI(close, timeperiod=7)\nif rsi[-1] < 30:\n    self.buy()",
        'emit_signal(rsi(close, 7) < 30, entry(TICKER, "LONG", Weight(0.5)))',
    ),
    (
        "df['rsi'] = ta.rsi(df['close'], length=7)\ndf['signal'] = np.where(df['rsi'] < 30, 1, 0)",
        'emit_signal(rsi(close, 7) < 30, entry(TICKER, "LONG", Weight(0.5)))',
    ),
    (
        "df['sma_fast'] = df['close'].rolling(10).mean()\ndf['sma_slow'] = df['close'].rolling(40).mean()\ndf.loc[(df['sma_fast'] > df['sma_slow']), 'position'] = 1",
        'emit_signal(sma(close, 10) > sma(close, 40), entry(TICKER, "LONG", Weight(0.5)))',
    ),
    (
        "plot fast = MovAvgExponential(close, 9);\nAddOrder(OrderType.BUY_TO_OPEN, close crosses above fast, open[-1], 100);",
        'emit_signal(crossover(close, ema(close, 9)), entry(TICKER, "LONG", Weight(0.5)))',
    ),
    (
        "If Close crosses above Average(Close, 50) then Buy this bar on close;",
        'emit_signal(crossover(close, sma(close, 50)), entry(TICKER, "LONG", Weight(0.5)))',
    ),
    (
        '[mid, up, lo] = ta.bb(close, 20, 2)\nif close < lo\n    strategy.entry("L", strategy.long)',
        'emit_signal(close < bbands_lower(close, 20, 2), entry(TICKER, "LONG", Weight(0.5)))',
    ),
    (
        '[st, dir] = ta.supertrend(3, 10)\nif dir < 0\n    strategy.entry("L", strategy.long)',
        'emit_signal(-supertrend_direction(10, 3) < 0, entry(TICKER, "LONG", Weight(0.5)))',
    ),
    (
        "upper, middle, lower = talib.BBANDS(close, timeperiod=20, nbdevup=2, nbdevdn=2, matype=0)\nemit_signal(close < lower, entry(TICKER, 'LONG', Weight(0.5)))",
        'emit_signal(close < bbands_lower(close, 20, 2), entry(TICKER, "LONG", Weight(0.5)))',
    ),
    (
        "slowk, slowd = talib.STOCH(high, low, close, 14, 3, 0, 3, 0)\nif slowk < 20:\n    buy()",
        'emit_signal(stoch_k(14, 3, 3) < 20, entry(TICKER, "LONG", Weight(0.5)))',
    ),
    (
        "emit_signal(close > open, entry(TICKER, 'LONG', Weight(0.5)));\nemit_signal(close < open, exit(TICKER));",
        'emit_signal(close > open, entry(TICKER, "LONG", Weight(0.5)))\nemit_signal(close < open, exit(TICKER))',
    ),
    (
        'emit_signal(rsi(14) < 30, entry("LONG"))',
        'emit_signal(rsi(close, 14) < 30, entry(TICKER, "LONG", Weight(0.5)))',
    ),
    (
        'emit_signal(rsi(14) < 30, "buy")\nemit_signal(rsi(14) > 70, "sell")',
        'emit_signal(rsi(close, 14) < 30, entry(TICKER, "LONG", Weight(0.5)))\nemit_signal(rsi(close, 14) > 70, exit(TICKER))',
    ),
    (
        'strategy.entry("L", strategy.long, when=ta.rsi(close, 14) < 30)\nstrategy.close_all(when=ta.rsi(close, 14) > 70)',
        'emit_signal(rsi(close, 14) < 30, entry(TICKER, "LONG", Weight(0.5)))\nemit_signal(rsi(close, 14) > 70, exit(TICKER))',
    ),
    (
        "- Entry: RSI(14) below 30\n- Exit: RSI(14) above 70",
        'emit_signal(rsi(close, 14) < 30, entry(TICKER, "LONG", Weight(0.5)))\nemit_signal(rsi(close, 14) > 70, exit(TICKER))',
    ),
]
"""A wrong script, and the one that is meant."""


def _shape(node: Node) -> object:
    """What a node computes, whatever names the script uses."""
    return node.op, str(node.payload), tuple(_shape(each) for each in node.args)


def _meaning(script: str) -> list[object]:
    plan = compile_script(script, CONTEXT).plan
    return [(_shape(e.condition), [(i.kind, i.side, i.ticker.payload) for i in e.intents]) for e in plan.emissions]


def _corrected(script: str) -> str:
    report = check_script(script, CONTEXT)
    assert not report.ok
    assert report.fixed is not None, [str(d) for d in report.diagnostics]
    return report.fixed


@pytest.mark.parametrize(("wrong", "meant"), CONDITIONS, ids=range(len(CONDITIONS)))
def test_the_correction_of_a_condition_is_what_the_author_meant(wrong: str, meant: str) -> None:
    order = 'entry(TICKER, "LONG", Weight(0.5))'

    corrected = _corrected(f"emit_signal({wrong}, {order})")

    assert _meaning(corrected) == _meaning(f"emit_signal({meant}, {order})"), corrected


@pytest.mark.parametrize(("wrong", "meant"), SCRIPTS, ids=range(len(SCRIPTS)))
def test_the_correction_of_a_script_is_what_the_author_meant(wrong: str, meant: str) -> None:
    corrected = _corrected(wrong)

    assert _meaning(corrected) == _meaning(meant), corrected


@pytest.mark.parametrize(
    "wrong",
    [
        "close.shift(-1) > close",
        "close.diff(-5) > 0",
        "close.rolling(20, center=True).mean() > close",
        "iRSI('EURUSD', 0, 14, PRICE_CLOSE, 0) < 30",
        "talib.BBANDS(close, 20, 2, 3)[2] > close",
        "ta.vwap(close) > close",
        "bbands(close, 20) > close",
        "rsi(close, 14)['foo'] < 30",
    ],
)
def test_what_has_no_equal_here_is_refused_without_a_correction(wrong: str) -> None:
    report = check_script(f'emit_signal({wrong}, entry(TICKER, "LONG", Weight(0.5)))', CONTEXT)

    assert not report.ok
    assert report.fixed is None


@pytest.mark.parametrize(
    "wrong",
    [
        "for i in range(1, 10):\n    if close[i] > open[i]:\n        buy()",
        "if close > open:\n    buy()\n    stop_loss = 0.05",
        "strategy.exit('x', 'L', stop=close * 0.95)",
        "if close > open:\n    buy(sl=95, tp=110)",
        "x = 1\nif close > open:\n    x = 2\n    buy()",
    ],
)
def test_a_script_whose_stop_or_counting_would_be_lost_is_not_corrected(wrong: str) -> None:
    report = check_script(wrong, CONTEXT)

    assert not report.ok
    assert report.fixed is None
