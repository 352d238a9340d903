"""Generates simulated candles: counter-based noise, daily paths of coins, and refinement into shorter bars."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from hashlib import blake2b
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from api.times import SECONDS, Timeframe
from engine.feeds.feed import Kept, lot_exponent
from engine.frame import Floats

Words = NDArray[np.uint64]

_GAMMA: Final = np.uint64(0x9E3779B97F4A7C15)
_MIX: Final = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, 1))
_TO_UNIT: Final = 2.0**-32
_LOW_HALF: Final = np.uint64(0xFFFFFFFF)
_HALF: Final = np.uint64(32)


@dataclass(frozen=True)
class Stream:
    """An endless stream of random draws, determined by seed and name. `first` may be any whole number >= 0."""

    seed: int
    name: str

    def uniforms(self, first: int, count: int) -> tuple[Floats, Floats]:
        """Two independent arrays of `count` numbers, uniform strictly between 0 and 1."""
        words = self._words(first, count)
        return _to_unit(words >> _HALF), _to_unit(words & _LOW_HALF)

    def normals(self, first: int, count: int) -> tuple[Floats, Floats]:
        """Two independent arrays of `count` standard normal numbers (Box-Muller)."""
        radius, angle = self.uniforms(first, count)
        radius = np.sqrt(-2.0 * np.log(radius))
        angle *= 2.0 * np.pi
        return radius * np.cos(angle), radius * np.sin(angle)

    def swings(self, first: int, count: int, scales: tuple[int, ...]) -> Floats:
        """A slowly changing series: for each scale, normals that many draws apart, joined linearly, then summed."""
        total = np.zeros(count)
        for scale in scales:
            low = first // scale
            knots, _ = Stream(self.seed, f"{self.name}/{scale}").normals(low, (first + count - 1) // scale - low + 2)
            at, into = np.divmod(np.arange(first - low * scale, first - low * scale + count), scale)
            weight = into / scale
            total += knots[at] * (1.0 - weight) + knots[at + 1] * weight
        return total

    @cached_property
    def _key(self) -> np.uint64:
        digest = blake2b(f"{self.seed}/{self.name}".encode(), digest_size=8).digest()
        return np.uint64(int.from_bytes(digest))

    def _words(self, first: int, count: int) -> Words:
        words = np.arange(first + 1, first + count + 1, dtype=np.uint64)
        words *= _GAMMA
        words += self._key
        for shift, factor in _MIX:
            words ^= words >> np.uint64(shift)
            words *= np.uint64(factor)
        return words


def _to_unit(words: Words) -> Floats:
    return (words.astype(np.float64) + 0.5) * _TO_UNIT


OPEN, HIGH, LOW, CLOSE, VOLUME, VARIANCE = range(6)
ROWS: Final = 6

BURSTINESS: Final = 0.5
VOLUME_NOISE: Final = 0.3
CALM_VOLUME: Final = 0.5
"""A child's volume is proportional to its range plus this part of the mean range."""


@dataclass(frozen=True)
class Chance:
    """Draws of one asset at one timeframe. `shared` (0 to 1) is its correlation with the path common to all assets."""

    seed: int
    name: str
    timeframe: Timeframe
    shared: float

    def own(self, purpose: str) -> Stream:
        """A stream specific to the asset."""
        return Stream(self.seed, f"{self.name}/{self.timeframe}/{purpose}")

    def path(self, first: int, count: int) -> tuple[Floats, Floats]:
        """Two arrays of standard normal numbers, each with correlation `shared` to the path common to all assets."""
        own = self.own("path").normals(first, count)
        if not self.shared:
            return own
        market = _market_path(self.seed, self.timeframe, first, count)
        rest = math.sqrt(1.0 - self.shared**2)
        return self.shared * market[0] + rest * own[0], self.shared * market[1] + rest * own[1]


@lru_cache(maxsize=64)
def _market_path(seed: int, timeframe: Timeframe, first: int, count: int) -> tuple[Floats, Floats]:
    return Stream(seed, f"market/{timeframe}/path").normals(first, count)


def refine(parents: Floats, first_parent: int, children: int, chance: Chance, profile: Floats | None = None) -> Floats:
    """Split each parent into `children` bars.

    Args:
        parents: Bars of shape (6, n).
        first_parent: Number of the first parent on the time axis; draws depend on it and on nothing before it.
        children: Bars per parent.
        chance: The source of the draws.
        profile: The children's typical share of the variance, shape (children,); equal by default.

    Returns:
        Bars of shape (6, n * children).
    """
    count = parents.shape[1]
    shape = (count, children)
    drawn = (first_parent * children, count * children)
    burst, step = (z.reshape(shape) for z in chance.path(*drawn))
    up, down = (u.reshape(shape) for u in chance.own("wick").uniforms(*drawn))
    noise = chance.own("volume").uniforms(*drawn)[0].reshape(shape)

    share = np.exp(BURSTINESS * burst)
    if profile is not None:
        share *= profile
    share /= share.sum(axis=1, keepdims=True)
    refined = np.empty((ROWS, count, children))
    refined[VARIANCE] = share * parents[VARIANCE][:, None]
    _draw_path(refined, parents, share, step)
    refined[HIGH], refined[LOW] = bridge_extremes(refined[OPEN], refined[CLOSE], refined[VARIANCE], up, down)
    _stretch(refined, parents)
    ranges = refined[HIGH] - refined[LOW]
    weights = ranges + (CALM_VOLUME * ranges.mean(axis=1, keepdims=True) + 1.0)
    weights *= np.exp(VOLUME_NOISE * math.sqrt(12.0) * (noise - 0.5))
    refined[VOLUME] = _split_volume(parents[VOLUME], weights)
    return refined.reshape(ROWS, count * children)


def bridge_extremes(start: Floats, end: Floats, variance: Floats, up: Floats, down: Floats) -> tuple[Floats, Floats]:
    """Highest and lowest point of Brownian paths from `start` to `end`, at the quantiles `up` and `down`."""
    squared = (end - start) ** 2
    middle = start + end
    high = (middle + np.sqrt(squared - 2.0 * variance * np.log(up))) / 2.0
    low = (middle - np.sqrt(squared - 2.0 * variance * np.log(down))) / 2.0
    return high, low


def _draw_path(refined: Floats, parents: Floats, share: Floats, step: Floats) -> None:
    opens, closes = parents[OPEN][:, None], parents[CLOSE][:, None]
    elapsed = np.cumsum(share, axis=1)
    walk = np.cumsum(np.sqrt(refined[VARIANCE]) * step, axis=1)
    path = opens + (closes - opens) * elapsed + walk - walk[:, -1:] * elapsed
    path[:, -1] = parents[CLOSE]
    refined[CLOSE] = path
    refined[OPEN, :, 0] = parents[OPEN]
    refined[OPEN, :, 1:] = path[:, :-1]


def _stretch(refined: Floats, parents: Floats) -> None:
    body_high = np.maximum(parents[OPEN], parents[CLOSE])
    body_low = np.minimum(parents[OPEN], parents[CLOSE])
    rise = _ratio(parents[HIGH] - body_high, refined[HIGH].max(axis=1) - body_high)[:, None]
    fall = _ratio(body_low - parents[LOW], body_low - refined[LOW].min(axis=1))[:, None]
    prices = refined[:VOLUME]
    inside = np.clip(prices, body_low[:, None], body_high[:, None])
    beyond = prices - inside
    beyond *= np.where(beyond > 0.0, rise, fall)
    np.rint(inside + beyond, out=prices)


def _ratio(wanted: Floats, drawn: Floats) -> Floats:
    return np.divide(wanted, drawn, out=np.zeros_like(wanted), where=drawn > 0.0)


def _split_volume(volume: Floats, weights: Floats) -> Floats:
    """Whole lots by weight: the running total is rounded, so that the parts sum to the parent."""
    total = np.cumsum(weights, axis=1)
    total *= (volume / total[:, -1])[:, None]
    total[:, -1] = volume
    return np.diff(np.rint(total), axis=1, prepend=0.0)


class Days(Protocol):
    """Daily bars of one asset or token; every shorter bar is refined from them."""

    @property
    def name(self) -> str:
        """Names the asset or token; all its randomness derives from this and the seed."""
        ...

    @property
    def shared(self) -> float:
        """Correlation of its moves within the day with those of the market, 0 to 1."""
        ...

    def bars(self, first_day: int, count: int) -> Floats:
        """Bars of shape (6, count) from `first_day` (days since 1970) on: open, high, low, close in whole price
        steps, volume in whole lots, variance in squared steps. Zero where there is no bar."""
        ...


DAY: Final = 86_400
DEFAULT_BUDGET: Final = 128 * 2**20


@dataclass(frozen=True, slots=True)
class _Level:
    """A timeframe below one day: the timeframe it is refined from, and the days that one block covers."""

    parent: Timeframe
    block_days: int
    profile: tuple[float, ...] | None = None


_ROOT_DAYS: Final = 1_024
_LEVELS: Final[dict[Timeframe, _Level]] = {
    "4h": _Level("1d", 256, profile=(0.9, 0.85, 0.9, 1.4, 1.25, 0.8)),
    "1h": _Level("4h", 64),
    "15m": _Level("1h", 16),
    "5m": _Level("15m", 4),
    "1m": _Level("5m", 1),
}
"""Block lengths divide one another, so that a block is refined from part of one block of its parent."""


class Blocks:
    """A cache of bar blocks, built on first use; evicts the least recently used above `budget` bytes."""

    def __init__(self, seed: int, budget: int = DEFAULT_BUDGET) -> None:
        self._seed = seed
        self._kept = Kept(budget)

    def bars(self, days: Days, timeframe: Timeframe, first: int, stop: int) -> Floats:
        """Bars number `first` up to `stop` (open time divided by length), shape (6, stop - first). Do not write."""
        size = (_ROOT_DAYS if timeframe == "1d" else _LEVELS[timeframe].block_days) * DAY // SECONDS[timeframe]
        parts = [
            self._block(days, timeframe, number)[:, max(0, first - number * size) : stop - number * size]
            for number in range(first // size, -(-stop // size))
        ]
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)

    def _block(self, days: Days, timeframe: Timeframe, number: int) -> Floats:
        return self._kept.get((days.name, timeframe, number), lambda: self._make(days, timeframe, number))

    def _make(self, days: Days, timeframe: Timeframe, number: int) -> Floats:
        if timeframe == "1d":
            return days.bars(number * _ROOT_DAYS, _ROOT_DAYS)
        level = _LEVELS[timeframe]
        length = SECONDS[level.parent]
        count = level.block_days * DAY // length
        return refine(
            self.bars(days, level.parent, number * count, (number + 1) * count),
            number * count,
            length // SECONDS[timeframe],
            Chance(self._seed, days.name, timeframe, days.shared),
            None if level.profile is None else np.array(level.profile),
        )


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
class Temper:
    """How an asset moves: its share of the market's moves, and its own annual volatility."""

    beta: float
    volatility: float

    @property
    def total_volatility(self) -> float:
        """Total annual volatility: the market's part and its own."""
        return math.hypot(self.beta * _MARKET_VOLATILITY, self.volatility)


def temper(asset: Asset) -> Temper:
    """Small assets and memes have more own volatility; exchange coins follow the market less; gold hardly at all."""
    if asset.sector == "RWA" and asset.base == "PAXG":
        return Temper(beta=0.05, volatility=0.12)
    own = 0.18 if asset.rank == 1 else min(0.75, 0.4 + 0.006 * asset.rank)
    beta = {"Exchange": 0.8, "Payments": 0.95, "Meme": 1.35, "AI": 1.3, "Gaming": 1.25}.get(asset.sector, 1.15)
    return Temper(beta=0.95 if asset.rank == 1 else beta, volatility=own + (0.25 if asset.sector == "Meme" else 0.0))


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
        self._temper = temper(asset)
        self.shared = self._temper.beta * _MARKET_VOLATILITY / self._temper.total_volatility
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
        volatility = np.sqrt((self._temper.beta * market) ** 2 + own**2)
        up, down = Stream(self._stream.seed, f"{self.name}/wick").uniforms(first_day, count)
        logs[HIGH], logs[LOW] = bridge_extremes(logs[OPEN], logs[CLOSE], volatility**2, up, down)
        bars = np.empty((ROWS, count))
        bars[:VOLUME] = np.maximum(np.rint(np.exp(logs)), 1.0)
        bars[VARIANCE] = (volatility * bars[OPEN]) ** 2
        bars[VOLUME] = self._volume(first_day, bars[CLOSE], volatility)
        return bars

    def _own_moves(self, first_day: int, count: int) -> tuple[Floats, Floats]:
        return _moves(self._stream, self._temper.volatility, first_day, count)

    def _log_steps(self, until_day: int) -> Floats:
        """Log of the price in steps at each day's close, from the first served day on, up to `until_day` or later."""
        if len(self._closes) < until_day - _SERVED_FROM:
            until = max(until_day, ANCHOR_DAY + 1)
            own, market = self._path.logs(until), self._market.logs(until)
            logs = self._temper.beta * market[: len(own)] + own[: len(market)]
            self._closes = logs - logs[ANCHOR_DAY - _SERVED_FROM] + np.log(STEPS_PER_PRICE)
        return self._closes

    def _volume(self, first_day: int, closes: Floats, volatility: Floats) -> Floats:
        typical = self._temper.total_volatility / np.sqrt(_YEAR)
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
