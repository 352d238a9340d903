"""Several strategies on one account: each trades its share on a separate book, and the books add up to one equity
curve.

A book has its own cash, positions and trades, and cannot spend another book's money. On request, the equity is split by
the weights again at the first bar of each week, month or quarter (UTC). A book above its share transfers free cash, if
it has any, to the books below theirs. Positions are not touched; later entries are sized by the new equity. A book's
figures leave these transfers out: its return is that of money that stayed in it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import numpy as np

from api.errors import InvalidInput
from api.research import PORTFOLIO_COLUMNS, PortfolioRequest, Rebalancing
from engine.executor import Array, tell
from engine.frame import Floats, Frame, FrameLayout, Times, packed, unpacked
from engine.jobs.preparation import compiled
from engine.jobs.run import ReportRun, loaded_frame, open_feed_at, outcome_of, run_alone, settings_of
from engine.jobs.spec import PORTFOLIO, CandleOrigin, ResultColumns, Spec
from engine.program import AccountState, Program
from engine.results.metrics import measure_curve, measure_trades, returns_of
from engine.results.packing import to_bytes
from engine.simulation.kernel import begin
from engine.simulation.portfolio import PortfolioKernel
from engine.simulation.result import Simulation, SizeCounts
from engine.simulation.settings import SimulationSettings
from engine.simulation.trades import Fills, Trades

from .comparison import DAY, correlation, short

RULES: Final[dict[Rebalancing, str]] = {
    "never": "No money moves between the books.",
    "weekly": "On the first bar of each week (Monday, UTC) ",
    "monthly": "On the first bar of each month (UTC) ",
    "quarterly": "On the first bar of each quarter (UTC) ",
}
_RULE: Final = (
    "the equity is split by the weights again: a book above its share hands free cash to those below; positions are "
    "not touched."
)
_LOADING, _TRADING = 1, 3


def rule_of(rebalance: Rebalancing) -> str:
    """The rule in one sentence."""
    return RULES[rebalance] if rebalance == "never" else RULES[rebalance] + _RULE


@dataclass(frozen=True, slots=True, kw_only=True)
class PortfolioSpec:
    """A checked portfolio.

    Attributes:
        account: The portfolio as one backtest: every ticker, all the cash, the scripts one after the other.
        books: The backtest of each book; its cash is its share of the account's.
        result_ids: The results that the strategies come from.
        names: The names of the books.
        weights: Shares of the account; their sum is 1.
    """

    account: Spec
    books: tuple[Spec, ...]
    result_ids: tuple[str, ...]
    names: tuple[str, ...]
    weights: tuple[float, ...]
    rebalance: Rebalancing

    def to_json(self) -> str:
        """For the job's row."""
        given = asdict(self) | {"account": self.account.to_json(), "books": [book.to_json() for book in self.books]}
        return f"{PORTFOLIO}: {json.dumps(given)}}}"

    @classmethod
    def from_json(cls, text: str) -> PortfolioSpec:
        """From the job's row."""
        given: dict[str, Any] = json.loads(text)["portfolio"]
        return cls(
            account=Spec.from_json(given["account"]),
            books=tuple(Spec.from_json(book) for book in given["books"]),
            result_ids=tuple(given["result_ids"]),
            names=tuple(given["names"]),
            weights=tuple(given["weights"]),
            rebalance=given["rebalance"],
        )


def plan_portfolio(request: PortfolioRequest, specs: Sequence[Spec], now: float, max_bars: int) -> PortfolioSpec:
    """Build a portfolio of the results' strategies, from their specs, over their common time range.

    Raises:
        InvalidInput: Different timeframes or currencies, no common time, too many bars, or a portfolio among the
            results.
    """
    first = specs[0]
    if any(spec.strategy_type == "portfolio" for spec in specs):
        raise InvalidInput("a portfolio cannot hold a portfolio", suggestion="Name the results of its strategies")
    timeframes = sorted({spec.timeframe for spec in specs})
    if len(timeframes) > 1:
        raise InvalidInput(
            f"the results have bars of {' and '.join(timeframes)}; the books of one account share one timeframe",
            suggestion=f"Run the strategies again on {timeframes[0]}",
        )
    tickers = tuple(dict.fromkeys(ticker for spec in specs for ticker in spec.tickers))
    quotes = sorted({instrument.quote for spec in specs for instrument in spec.instruments})
    if len(quotes) > 1:
        raise InvalidInput(
            f"the results are quoted in {' and '.join(quotes)}; one account holds one currency",
            suggestion="Make one portfolio for each quote currency",
        )
    start, end = max(spec.start for spec in specs), min(spec.end for spec in specs)
    if end - start < 2 * first.seconds:
        raise InvalidInput("the results have no time in common", suggestion="Run the strategies over one range")
    bars = (end - start) // first.seconds * len(tickers)
    if bars > max_bars:
        raise InvalidInput(f"{bars:,} bars are too many; {max_bars:,} fit", suggestion="Use shorter ranges")
    given = request.weights or (1.0,) * len(specs)
    weights = tuple(weight / math.fsum(given) for weight in given)
    names = tuple(f"{n}. {(spec.description or spec.strategy_type)[:40]}" for n, spec in enumerate(specs, 1))
    latest, earliest = max(specs, key=lambda s: s.start), min(specs, key=lambda s: s.end)
    common = {
        "start": start,
        "end": end,
        "start_date": latest.start_date,
        "end_date": earliest.end_date,
        "as_of": now,
        "stop_loss": None,
        "take_profit": None,
    }
    warnings = [f"{names[n]}: {warning}" for n, spec in enumerate(specs) for warning in spec.warnings]
    if len({(spec.start, spec.end) for spec in specs}) > 1:
        warnings.append("The results cover different times: the portfolio trades the time that all of them share.")
    if any(spec.stop_loss is not None or spec.take_profit is not None for spec in specs):
        warnings.append(
            "stop_loss and take_profit of a whole backtest do not apply to books; write them into the scripts."
        )
    books = tuple(
        replace(spec, initial_cash=request.initial_cash * weight, warnings=(), **common)
        for spec, weight in zip(specs, weights, strict=True)
    )
    account = replace(
        first,
        strategy_type="portfolio",
        script="\n".join(f"# {name}\n{spec.script}" for name, spec in zip(names, specs, strict=True)),
        generated=True,
        tickers=tickers,
        initial_cash=float(request.initial_cash),
        description=request.description,
        experiment=None,
        parameters={"rebalance": request.rebalance, "weights": [round(weight, 6) for weight in weights]},
        warnings=tuple(dict.fromkeys(warnings)),
        leverage=max(spec.leverage for spec in specs),
        **common,
    )
    return PortfolioSpec(
        account=account,
        books=books,
        result_ids=tuple(request.result_ids),
        names=names,
        weights=weights,
        rebalance=request.rebalance,
    )


def run_portfolio(world: CandleOrigin, text: str, report: ReportRun) -> ResultColumns:
    """Run the portfolio in `text`.

    Raises:
        HeyTradersError: There is no bar to trade on, or a script cannot run on these bars.
    """
    spec = PortfolioSpec.from_json(text)
    account = spec.account
    feed = open_feed_at(world, account.as_of)
    report(0.02, _LOADING)
    scripts = [compiled(book) for book in spec.books]
    instruments = tuple(dict.fromkeys((*account.instruments, *(i for script in scripts for i in script.instruments))))
    frame, first_bar = loaded_frame(feed, account, instruments, max(script.warmup_bars for script in scripts))
    layout, arrays = packed(frame)
    settings = tuple(settings_of(book, feed) for book in (account, *spec.books))
    task = PortfolioTask(spec, layout, first_bar, settings)
    return run_alone(world, arrays, run_books, task, lambda done: report(0.25 + 0.75 * done, _TRADING))


@dataclass(frozen=True, slots=True)
class PortfolioTask:
    """A portfolio with its candles. `settings` are the account's, then each book's."""

    spec: PortfolioSpec
    layout: FrameLayout
    first_bar: int
    settings: tuple[SimulationSettings, ...]


@dataclass(frozen=True, slots=True)
class PortfolioBars:
    """The frame of one book, on the account's time axis."""

    frame: Frame
    program: Program
    settings: SimulationSettings
    weight: float


@dataclass(frozen=True, slots=True)
class Transfer:
    """The transfers before the open of `bar`: positive into a book, negative out of it. The sum is 0."""

    bar: int
    amounts: tuple[float, ...]


def run_books(shared: Mapping[str, Array], task: PortfolioTask) -> ResultColumns:
    """Trade the books side by side and measure each book and the account."""
    spec, first_bar = task.spec, task.first_bar
    frame = unpacked(task.layout, shared)
    books: list[PortfolioBars] = []
    warmup = 0
    for book, settings, weight in zip(spec.books, task.settings[1:], spec.weights, strict=True):
        script = compiled(book)
        read = replace(frame, bars={i: frame.bars[i] for i in dict.fromkeys((*book.instruments, *script.instruments))})
        traded = replace(frame, bars={i: frame.bars[i] for i in book.instruments})
        books.append(PortfolioBars(traded, script.program(read, first_bar), settings, weight))
        warmup = max(warmup, script.warmup_bars)
    ran, transfers = trade_books(books, first_bar, boundaries(frame.time, first_bar, spec.rebalance), tell)
    whole = replace(frame, bars={i: frame.bars[i] for i in spec.account.instruments})
    account = together(whole, task.settings[0], ran, spec.names)
    found = {"portfolio": told(spec, account, ran, transfers)}
    outcome = outcome_of(spec.account, account, None, warmup, warmup, found)
    labels = json.loads(outcome.trade_labels) | {"books": list(spec.names)}
    return replace(
        outcome,
        variant=spec.account.variant_of(spec.weights, spec.rebalance),
        trade_labels=json.dumps(labels),
        equity=to_bytes(np.stack([account.equity, *(each.equity for each in ran)])),
    )


def boundaries(time: Times, first_bar: int, rebalance: Rebalancing) -> list[int]:
    """The bars with a transfer before their open: the first bar of each period, except the first period."""
    if rebalance == "never":
        return []
    if rebalance == "weekly":
        period = (time // DAY + 3) // 7
    else:
        months = time.astype("datetime64[s]").astype("datetime64[M]").astype(np.int64)
        period = months if rebalance == "monthly" else months // 3
    bars: list[int] = (np.flatnonzero(np.diff(period)) + 1).tolist()
    return [bar for bar in bars if bar > first_bar]


def trade_books(
    books: Sequence[PortfolioBars], first_bar: int, bars: Sequence[int], look: Callable[[float], None] | None = None
) -> tuple[list[Simulation], list[Transfer]]:
    """Trade every book, with a transfer at each of `bars`, to the end."""
    kernels = [begin(book.frame, book.program, book.settings, first_bar) for book in books]
    weights = [book.weight for book in books]
    size = len(books[0].frame)
    transfers: list[Transfer] = []
    for bar in bars:
        for kernel in kernels:
            kernel.run_to(bar)
        transfers.append(Transfer(bar, _split(kernels, weights, bar)))
        if look is not None:
            look(0.9 * bar / size)
    return [kernel.finish() for kernel in kernels], transfers


def _split(kernels: Sequence[PortfolioKernel], weights: Sequence[float], bar: int) -> tuple[float, ...]:
    """Move free cash before `bar` towards the weights, and return the amount for each book."""
    equity = [kernel.worth(bar) for kernel in kernels]
    total = math.fsum(equity)
    above = [own - weight * total for own, weight in zip(equity, weights, strict=True)]
    given = [min(max(more, 0.0), max(kernel.free(), 0.0)) for more, kernel in zip(above, kernels, strict=True)]
    missing = math.fsum(-more for more in above if more < 0.0)
    share = math.fsum(given) / missing if missing > 0.0 else 0.0
    amounts = tuple(-gift if more >= 0.0 else -more * share for gift, more in zip(given, above, strict=True))
    for kernel, amount in zip(kernels, amounts, strict=True):
        if amount != 0.0:
            kernel.move_money(bar, amount)
    return amounts


def together(
    frame: Frame, settings: SimulationSettings, books: Sequence[Simulation], names: Sequence[str]
) -> Simulation:
    """The books as one account: curves added, trades and fills in the order in which they happened."""
    places = {instrument: number for number, instrument in enumerate(frame.bars)}
    maps = [[places[instrument] for instrument in book.instruments] for book in books]
    equity, cash, gross = (np.sum([getattr(b, name) for b in books], axis=0) for name in ("equity", "cash", "gross"))
    top = max(float(equity.max()), settings.initial_cash)
    positions = {i: state for book in books for i, state in book.final.positions.items() if state.side}
    sums = {name: sum(getattr(book.sizes, name) for book in books) for name in SizeCounts.__dataclass_fields__}
    return Simulation(
        frame=frame,
        settings=settings,
        first_bar=books[0].first_bar,
        equity=equity,
        cash=cash,
        gross=gross,
        trades=Trades.together([b.trades for b in books], maps, names, frame),
        fills=Fills.together([b.fills for b in books], maps, frame),
        final=AccountState(
            equity=math.fsum(book.final.equity for book in books),
            cash=math.fsum(book.final.cash for book in books),
            drawdown_pct=100.0 * (float(equity[-1]) / top - 1.0),
            positions=positions,
        ),
        ended_early=None,
        sizes=SizeCounts(**sums),
        funding=math.fsum(book.funding for book in books),
    )


def own_curve(book: Simulation, transfers: Sequence[Transfer], number: int) -> Floats:
    """The growth of 1 that stayed in the book, at each bar's close: each bar's return is on the money at its start."""
    before = np.concatenate(([book.settings.initial_cash], book.equity[:-1]))
    for transfer in transfers:
        before[transfer.bar - book.first_bar] += transfer.amounts[number]
    grown = np.divide(book.equity, before, out=np.ones(len(before)), where=before > 0.0)
    curve: Floats = np.cumprod(grown).astype(np.float64)
    return curve


def told(
    spec: PortfolioSpec, account: Simulation, books: Sequence[Simulation], transfers: Sequence[Transfer]
) -> dict[str, Any]:
    """A row for each book and one for the account, in `PORTFOLIO_COLUMNS`; the correlation of the books; the rule."""
    rows: list[list[Any]] = []
    curves = [own_curve(book, transfers, number) for number, book in enumerate(books)]
    cash = account.settings.initial_cash
    for number, (book, curve) in enumerate(zip(books, curves, strict=True)):
        moved = math.fsum(transfer.amounts[number] for transfer in transfers)
        named = (spec.names[number], spec.result_ids[number], spec.weights[number], moved)
        rows.append([*named, *_figures(book, curve, moved, cash)])
    rows.append(["account", None, 1.0, 0.0, *_figures(account, account.equity / cash, 0.0, cash)])
    days = (account.time + account.frame.seconds - 1) // DAY
    last = np.flatnonzero(np.append(np.diff(days) != 0, True))
    daily = np.stack([returns_of(curve[last], 1.0) for curve in curves])
    return {
        "columns": list(PORTFOLIO_COLUMNS),
        "rows": [[short(value, 6) if isinstance(value, float) else value for value in row] for row in rows],
        "correlation": correlation(daily),
        "rebalancing": rule_of(spec.rebalance),
        "transfers": sum(any(transfer.amounts) for transfer in transfers),
        "data_source": account.frame.source,
    }


def _figures(simulation: Simulation, curve: Floats, moved: float, cash: float) -> list[Any]:
    """From `initial_cash` on."""
    measured = measure_curve(curve, 1.0, simulation.frame.seconds, simulation.span)
    traded = measure_trades(simulation)
    profit = simulation.final_equity - simulation.settings.initial_cash - moved
    return [
        simulation.settings.initial_cash,
        simulation.final_equity,
        profit,
        100.0 * profit / cash,
        measured.total_return_pct,
        measured.sharpe_ratio,
        measured.max_drawdown,
        traded.num_trades,
        traded.win_rate,
    ]
