"""The simulated crypto assets: which there are, what each costs, and its daily bars."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np

from engine.feeds.feed import lot_exponent
from engine.feeds.simulation import CLOSE, HIGH, LOW, OPEN, ROWS, VARIANCE, VOLUME, Stream, bridge_extremes
from engine.frame import Floats

_TABLE: Final = """
BTC L1 105000 | ETH L1 2600 | XRP Payments 2.2 | BNB Exchange 655 | SOL L1 155
DOGE Meme 0.19 | TRX L1 0.27 | ADA L1 0.68 | HYPE DeFi 33 | SUI L1 3.3
LINK Infrastructure 14 | AVAX L1 21 | XLM Payments 0.27 | BCH Payments 410 | TON L1 3.1
SHIB Meme 0.0000127 | HBAR L1 0.17 | LTC Payments 87 | DOT L1 4.1 | XMR Privacy 330
BGB Exchange 4.7 | PEPE Meme 0.0000119 | UNI DeFi 6.3 | AAVE DeFi 250 | TAO AI 400
NEAR L1 2.5 | APT L1 4.9 | ICP Infrastructure 5 | ONDO RWA 0.83 | ETC L1 17
CRO Exchange 0.1 | KAS L1 0.086 | OKB Exchange 50 | MNT L2 0.65 | POL L2 0.21
TRUMP Meme 11 | RENDER AI 3.7 | VET Infrastructure 0.024 | ENA DeFi 0.31 | FET AI 0.75
ALGO L1 0.19 | WLD AI 1.15 | ARB L2 0.34 | FIL Infrastructure 2.5 | ATOM L1 4.3
GT Exchange 19.5 | JUP DeFi 0.5 | KCS Exchange 11 | SEI L1 0.19 | QNT Infrastructure 110
TIA L2 2.2 | BONK Meme 0.000016 | INJ DeFi 12.3 | FARTCOIN Meme 1 | STX L2 0.75
FLR Infrastructure 0.018 | OP L2 0.62 | VIRTUAL AI 1.9 | IMX Gaming 0.54 | S L1 0.38
GRT Infrastructure 0.094 | MKR DeFi 1800 | WIF Meme 0.86 | CRV DeFi 0.67 | FLOKI Meme 0.000085
XDC L1 0.064 | PAXG RWA 3350 | JASMY AI 0.0155 | ENS Infrastructure 21 | LDO DeFi 0.86
CAKE DeFi 2.4 | THETA Infrastructure 0.74 | IOTA Infrastructure 0.185 | SAND Gaming 0.27 | GALA Gaming 0.0165
PYTH Infrastructure 0.125 | RAY DeFi 2.4 | ZEC Privacy 51 | HNT Infrastructure 3.4 | PENDLE DeFi 4
NEXO DeFi 1.25 | XTZ L1 0.58 | CORE L1 0.68 | FLOW Gaming 0.37 | MANA Gaming 0.29
KAIA L1 0.11 | RUNE DeFi 1.55 | BSV Payments 34 | EOS L1 0.69 | AXS Gaming 2.5
AERO DeFi 0.52 | STRK L2 0.13 | CFX L1 0.076 | COMP DeFi 41 | EGLD L1 15.5
DEXE DeFi 13.5 | APE Gaming 0.65 | AR Infrastructure 6.1 | NEO L1 5.9 | DYDX DeFi 0.56
CHZ Gaming 0.04 | PENGU Meme 0.0105 | AKT AI 1.2 | MORPHO DeFi 1.35 | GRASS AI 1.75
W Infrastructure 0.077 | ZRO Infrastructure 2.2 | ETHFI DeFi 1.15 | JTO DeFi 1.75 | EIGEN Infrastructure 1.3
MOVE L2 0.145 | SUPER Gaming 0.68 | BRETT Meme 0.056 | POPCAT Meme 0.38 | MEW Meme 0.0031
RON Gaming 0.56 | AIOZ AI 0.35 | ARKM AI 0.55 | GNO DeFi 120 | SNX DeFi 0.68
TWT Infrastructure 0.78 | AXL Infrastructure 0.37 | KSM L1 16.5 | MINA L1 0.21 | ZK L2 0.054
1INCH DeFi 0.2 | KAVA DeFi 0.41 | ROSE L1 0.029 | BLUR DeFi 0.1 | LPT AI 7.5
BEAM Gaming 0.0068 | CVX DeFi 3 | SAFE Infrastructure 0.47 | GMX DeFi 15.5 | ASTR L2 0.026
TFUEL Infrastructure 0.037 | ZIL L1 0.0115 | BAT Infrastructure 0.135 | QTUM L1 2.1 | CELO L2 0.31
DASH Privacy 22 | TURBO Meme 0.0045 | NOT Gaming 0.0022 | MOG Meme 0.0000011 | SUSHI DeFi 0.68
ZRX DeFi 0.24 | LRC L2 0.093 | ANKR Infrastructure 0.0165 | YFI DeFi 5400 | WOO DeFi 0.073
HOT Infrastructure 0.00105 | GLM AI 0.25 | IOTX Infrastructure 0.021 | SKL L2 0.022 | RVN L1 0.0165
ENJ Gaming 0.078 | MASK Infrastructure 2.4 | ICX L1 0.15 | ID Infrastructure 0.17 | BICO Infrastructure 0.11
CKB L1 0.0045 | SC Infrastructure 0.0036 | ONT L1 0.14 | WAVES L1 1.15 | ELF AI 0.24
MAGIC Gaming 0.16 | YGG Gaming 0.18 | PIXEL Gaming 0.043 | PORTAL Gaming 0.065 | ILV Gaming 13.5
GMT Gaming 0.052 | DYM L2 0.27 | MANTA L2 0.23 | METIS L2 17.5 | ALT L2 0.029
BLAST L2 0.0024 | SCR L2 0.29 | TAIKO L2 0.58 | ARPA AI 0.021 | NMR AI 8.5
PHB AI 0.48 | CTXC AI 0.07 | AGLD Gaming 0.85 | HIGH Gaming 0.55 | ALICE Gaming 0.42
C98 DeFi 0.055 | BAND Infrastructure 0.65 | API3 Infrastructure 0.72 | TRB Infrastructure 45 | UMA DeFi 1.2
BNT DeFi 0.65 | BAL DeFi 1.1 | KNC DeFi 0.32 | RPL DeFi 5.2 | SSV Infrastructure 9.5
LQTY DeFi 1 | COW DeFi 0.38 | OSMO DeFi 0.21 | ORCA DeFi 2.6 | DRIFT DeFi 0.52
STORJ Infrastructure 0.27 | CELR Infrastructure 0.0078 | CTSI L2 0.069 | CHR Gaming 0.087 | DENT Payments 0.00075
ACH Payments 0.021 | XVS DeFi 6.2 | COTI L2 0.06 | REQ Payments 0.14 | DUSK Privacy 0.068
SCRT Privacy 0.17 | PEOPLE Meme 0.021 | BOME Meme 0.0019 | NEIRO Meme 0.00042 | DOGS Meme 0.00015
MEME Meme 0.0019 | ORDI Meme 8.3 | SATS Meme 0.000000045 | RATS Meme 0.00003 | GOAT AI 0.12
"""


@dataclass(frozen=True, slots=True)
class Asset:
    """A crypto asset. `rank` is by market capitalisation from 1; `price` is its US dollar price on the anchor day."""

    base: str
    sector: str
    price: float
    rank: int

    @property
    def daily_turnover(self) -> float:
        """Typical turnover in US dollars a day over all venues: falls with rank as in the real market."""
        return 4.0e10 * self.rank**-1.25


@cache
def assets() -> dict[str, Asset]:
    """All assets by name, largest first."""
    cells = [cell.split() for line in _TABLE.strip().splitlines() for cell in line.split("|")]
    return {
        base: Asset(base=base, sector=sector, price=float(price), rank=rank)
        for rank, (base, sector, price) in enumerate(cells, 1)
    }


STEPS_PER_PRICE: Final = 1e9
"""Price steps in an asset's anchor price: far finer than any venue's tick."""

ANCHOR_DAY: Final = 20_240
"""2025-06-01, when assets have the prices in the table."""

PATH_START: Final = 14_336
"""Days since 1970. Paths start here; the years before the first served day feed the averages."""

_AVERAGED_DAYS: Final = 2_048
_SERVED_FROM: Final = PATH_START + _AVERAGED_DAYS
_HORIZON_STEP: Final = 1_024

_MARKET_VOLATILITY: Final = 0.45
_MARKET_GROWTH: Final = 0.15
_YEAR: Final = 365.0

_SWING_SCALES: Final = (3, 12, 48)
_SWING: Final = 0.24
_SHOCK: Final = 0.25
_MEAN_SQUARE: Final = 2.0 * len(_SWING_SCALES) / 3.0 * _SWING**2 + _SHOCK**2
_VOLUME_FOLLOWS_VOLATILITY: Final = 0.9
_WEEKEND: Final = 0.75

_Moves = Callable[[int, int], tuple[Floats, Floats]]
"""Log returns, and the volatility used to draw them, of `count` days from a first day on."""


@dataclass(frozen=True, slots=True)
class PriceBehaviour:
    """How an asset moves: its share of the market's moves, and its own annual volatility."""

    beta: float
    volatility: float

    @property
    def total_volatility(self) -> float:
        """Total annual volatility: the market's part and its own."""
        return math.hypot(self.beta * _MARKET_VOLATILITY, self.volatility)


def behaviour(asset: Asset) -> PriceBehaviour:
    """Small assets and memes have more own volatility; exchange coins follow the market less; gold hardly at all."""
    if asset.sector == "RWA" and asset.base == "PAXG":
        return PriceBehaviour(beta=0.05, volatility=0.12)
    own = 0.18 if asset.rank == 1 else min(0.75, 0.4 + 0.006 * asset.rank)
    beta = {"Exchange": 0.8, "Payments": 0.95, "Meme": 1.35, "AI": 1.3, "Gaming": 1.25}.get(asset.sector, 1.15)
    return PriceBehaviour(
        beta=0.95 if asset.rank == 1 else beta, volatility=own + (0.25 if asset.sector == "Meme" else 0.0)
    )


class MarketFactor:
    """The path that all crypto assets share."""

    def __init__(self, seed: int) -> None:
        self._stream = Stream(seed, "market")
        self._path = _Path(self.moves)

    def moves(self, first_day: int, count: int) -> tuple[Floats, Floats]:
        """Daily log returns, and the volatility used to draw them."""
        return _moves(self._stream, _MARKET_VOLATILITY, first_day, count)

    def logs(self, until_day: int) -> Floats:
        """Log level at the close of each day from the first served day on."""
        levels = self._path.logs(until_day)
        return levels + _MARKET_GROWTH / _YEAR * np.arange(len(levels))


class CryptoDays:
    """Daily bars of one asset in US dollars."""

    def __init__(self, seed: int, asset: Asset, market: MarketFactor) -> None:
        self.name = f"asset/{asset.base}"
        self._asset = asset
        self._market = market
        self._behaviour = behaviour(asset)
        self.shared = self._behaviour.beta * _MARKET_VOLATILITY / self._behaviour.total_volatility
        self._stream = Stream(seed, self.name)
        self._path = _Path(self._own_moves)
        self._closes = np.empty(0)

    def bars(self, first_day: int, count: int) -> Floats:
        """See `Days`. `first_day` is not before the first served day."""
        closes = self._log_steps(first_day + count)
        at = first_day - _SERVED_FROM
        logs = np.empty((4, count))
        logs[CLOSE] = closes[at : at + count]
        logs[OPEN] = closes[max(0, at - 1) : at + count - 1] if at else np.append(closes[:1], closes[: count - 1])
        _, market = self._market.moves(first_day, count)
        _, own = self._own_moves(first_day, count)
        volatility = np.sqrt((self._behaviour.beta * market) ** 2 + own**2)
        up, down = Stream(self._stream.seed, f"{self.name}/wick").uniforms(first_day, count)
        logs[HIGH], logs[LOW] = bridge_extremes(logs[OPEN], logs[CLOSE], volatility**2, up, down)
        bars = np.empty((ROWS, count))
        bars[:VOLUME] = np.maximum(np.rint(np.exp(logs)), 1.0)
        bars[VARIANCE] = (volatility * bars[OPEN]) ** 2
        bars[VOLUME] = self._volume(first_day, bars[CLOSE], volatility)
        return bars

    def _own_moves(self, first_day: int, count: int) -> tuple[Floats, Floats]:
        return _moves(self._stream, self._behaviour.volatility, first_day, count)

    def _log_steps(self, until_day: int) -> Floats:
        """Log of the price in steps at each day's close, from the first served day on, up to `until_day` or later."""
        if len(self._closes) < until_day - _SERVED_FROM:
            until = max(until_day, ANCHOR_DAY + 1)
            own, market = self._path.logs(until), self._market.logs(until)
            logs = self._behaviour.beta * market[: len(own)] + own[: len(market)]
            self._closes = logs - logs[ANCHOR_DAY - _SERVED_FROM] + np.log(STEPS_PER_PRICE)
        return self._closes

    def _volume(self, first_day: int, closes: Floats, volatility: Floats) -> Floats:
        typical = self._behaviour.total_volatility / np.sqrt(_YEAR)
        chance, _ = Stream(self._stream.seed, f"{self.name}/volume").normals(first_day, len(closes))
        days = np.arange(first_day, first_day + len(closes))
        weekday = np.where((days + 3) % 7 >= 5, _WEEKEND, 1.0)
        turnover = self._asset.daily_turnover / 100.0 * weekday * np.exp(0.25 * chance)
        turnover *= (volatility / typical) ** _VOLUME_FOLLOWS_VOLATILITY
        price = closes * (self._asset.price / STEPS_PER_PRICE)
        return np.maximum(np.rint(turnover / price * 10.0 ** -lot_exponent(self._asset.price)), 1.0)


class _Path:
    """A random walk relative to its average of the previous years: cached, and extended on request."""

    def __init__(self, moves: _Moves) -> None:
        self._moves = moves
        self._logs = np.empty(0)

    def logs(self, until_day: int) -> Floats:
        """Levels from the first served day on, in whole horizon steps, so that later requests do not change them."""
        if len(self._logs) < until_day - _SERVED_FROM:
            steps = -(-(until_day - PATH_START) // _HORIZON_STEP)
            walk = np.cumsum(self._moves(PATH_START, steps * _HORIZON_STEP)[0])
            total = np.cumsum(walk)
            self._logs = walk[_AVERAGED_DAYS:] - (total[_AVERAGED_DAYS:] - total[:-_AVERAGED_DAYS]) / _AVERAGED_DAYS
        return self._logs


def _moves(stream: Stream, yearly: float, first_day: int, count: int) -> tuple[Floats, Floats]:
    chance, shock = stream.normals(first_day, count)
    swings = stream.swings(first_day, count, _SWING_SCALES)
    volatility = yearly / np.sqrt(_YEAR) * np.exp(_SWING * swings + _SHOCK * shock - _MEAN_SQUARE)
    return volatility * chance, volatility
