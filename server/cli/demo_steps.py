"""The calls of the demo, in the order of an agent's day: research, an order that a human confirms, live strategy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from api.outputs import table_rows

Result = dict[str, Any]
MAX_ROWS: Final = 5


@dataclass(frozen=True, slots=True)
class Step:
    """One tool call of the demo, why it is made, and how its result reads."""

    why: str
    tool: str
    arguments: dict[str, Any]
    show: Callable[[Result], Iterator[str]]


def _health(result: Result) -> Iterator[str]:
    yield f"{result.get('source')} engine, market data: {result.get('data')}"


def _tickers(result: Result) -> Iterator[str]:
    for row in table_rows(result["tickers"])[:MAX_ROWS]:
        yield f"{row['symbol']:<12} {row.get('sector') or '':<10} {row.get('price', ''):>14}  {row.get('source')}"
    yield f"... of {result.get('total')}"


def _scan(result: Result) -> Iterator[str]:
    matched = result["matched"]
    yield f"{len(matched)} of {result.get('scanned_count')} match: {', '.join(matched[:8]) or 'none'}"


def _rank(result: Result) -> Iterator[str]:
    for row in table_rows(result["ranked"])[:MAX_ROWS]:
        yield f"{row.get('rank'):>2}. {row['symbol']:<12} {row.get('score'):>10.3f}"


def _value(result: Result) -> Iterator[str]:
    yield f"{result['expression']} = {result.get('value')} on {result['symbol']}, bar closed {result.get('as_of')}"


def _candles(result: Result) -> Iterator[str]:
    for row in result["candles"][-3:]:
        yield "  ".join(f"{cell}" for cell in row)


def _document(result: Result) -> Iterator[str]:
    lines = [line for line in result["content"].splitlines() if line.strip()]
    yield from lines[:3]
    yield f"... {result.get('total')} characters"


def _verdict(result: Result) -> Iterator[str]:
    metrics, held = result["metrics"], result["buy_and_hold"]
    yield f"return {metrics['total_return_pct']:.1f} %, buy-and-hold {held['total_return_pct']:.1f} %"
    yield f"{metrics['num_trades']} trades, Sharpe {metrics['sharpe_ratio']:.2f}, win rate {metrics['win_rate']:.2f}"
    yield from (f"! {warning}" for warning in result["warnings"][:MAX_ROWS])


def _order(result: Result) -> Iterator[str]:
    kind = "paper order" if result.get("paper") else "order"
    yield f"{kind} {result['status']}: {result['side']} {result['filled_amount']} {result['symbol']}"
    yield f"at {result.get('average_price')}, fee {result.get('fee')} {result.get('fee_currency')}"


def _preview(result: Result) -> Iterator[str]:
    yield f"{result['decision']}: worth {result['notional_usd']:.2f} USD, paper: {result['paper']}"
    yield from (f"{each['rule']}: {each['left']} of {each['limit']} left" for each in result["left"][:MAX_ROWS])


def _intent(result: Result) -> Iterator[str]:
    yield f"{result['state']}: {result['summary'].splitlines()[0]}"


def _status(result: Result) -> Iterator[str]:
    yield f"mode {result['mode']}, kill switch {result['switch']}, assurance {result['assurance']}"
    yield f"{len(result['pending'])} wait for a human, {len(result['unresolved'])} unresolved"


def _subscription(result: Result) -> Iterator[str]:
    yield f"{result['strategy_name']}, mode {result['mode']}, {result['status']}, paper: {result.get('paper')}"
    yield f"{result.get('message')}"


def _ended(result: Result) -> Iterator[str]:
    yield f"{result['status']} after {result.get('signal_count')} signals"


def _balances(result: Result) -> Iterator[str]:
    for row in result["balances"][:MAX_ROWS]:
        yield f"{row['asset']:<6} {row['total']:>16}"
    yield f"worth {result.get('total_equity_usd')} USD, paper: {result.get('paper')}"


def signal_line(signal: Result) -> str:
    """A signal as the demo shows it when it arrives."""
    order = f"order {signal['order_id']}" if signal.get("order_id") else signal.get("order_message") or "no order"
    return f"{signal['bar_time']}  {signal['action']:<5} {signal['side']:<4} {signal['symbol']:<9} {order}"


SCRIPT: Final = """\
fast = ema(close, 5)
slow = ema(close, 13)
emit_signal(crossover(fast, slow), entry(TICKER, "LONG", Weight(0.25)))
emit_signal(crossunder(fast, slow), exit(TICKER))
"""

STEPS: Final = (
    Step("What answers, and whose data is it?", "meta_health", {}, _health),
    Step("Which symbols are there?", "market_tickers", {"exchange": "binance", "limit": 50}, _tickers),
    Step(
        "Which of the largest are above their 50-hour mean with rising volume?",
        "market_scan",
        {"universe": "top50", "condition": "close > sma(close, 50) and volume > sma(volume, 20)"},
        _scan,
    ),
    Step(
        "Which moved most in a day?",
        "market_rank",
        {"universe": "top50", "expression": "roc(close, 24)", "limit": MAX_ROWS},
        _rank,
    ),
    Step(
        "How does one of them look?",
        "market_evaluate",
        {"symbol": "BTC/USDT", "expression": "rsi(close, 14)[-1]"},
        _value,
    ),
    Step("Its last candles.", "market_ohlcv", {"symbol": "BTC/USDT", "limit": 3}, _candles),
    Step("What else can an expression say?", "docs_read", {"slug": "operators", "limit": 2000}, _document),
)

ACCOUNT: Final = "paper-binance"

_BUY: Final = {"account_id": ACCOUNT, "exchange": "binance", "symbol": "BTC/USDT", "side": "buy", "amount": "0.01"}

ORDERS: Final = (
    Step("What would the limits say to a small order on a paper account?", "order_preview", _BUY, _preview),
    Step("Place it, if the human says yes.", "place_with_confirmation", _BUY, _order),
)


def placed(intent_id: str) -> Step:
    """Looks the order up by its intent."""
    return Step("What became of it?", "order_intent", {"intent_id": intent_id}, _intent)


STATUS: Final = Step("How do things stand between the agent and the money?", "safety_status", {}, _status)

BACKTEST: Final = Step(
    "Would following short swings have worked?",
    "backtest_and_poll",
    {
        "strategy_type": "signal",
        "script": SCRIPT,
        "universe": ["BINANCE:BTC/USDT", "BINANCE:ETH/USDT", "BINANCE:SOL/USDT"],
        "start_date": "2024-01-01",
        "end_date": "2024-06-30",
    },
    _verdict,
)


def subscribe(result_id: str) -> Step:
    """Deploys the strategy of the backtest."""
    return Step(
        "Let that strategy trade the account by itself; time runs fast here.",
        "live_subscribe",
        {"strategy_id": result_id, "mode": "trade", "account_id": ACCOUNT},
        _subscription,
    )


def last_steps(subscription_id: str) -> tuple[Step, ...]:
    """What ends the demo, once signals have arrived."""
    return (
        Step("End it.", "live_unsubscribe", {"subscription_id": subscription_id}, _ended),
        Step("What is in the account now?", "accounts_balances", {"account_id": ACCOUNT}, _balances),
    )
