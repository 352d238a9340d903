"""The tables of API document 1.0.4 as data: endpoints, parameters, conditions, answers, statuses, codes and notes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["string", "int", "float", "string[]", "object", "date", "time"]


@dataclass(frozen=True, slots=True)
class EndpointRow:
    """A row of an endpoint table. `name` is ours: the name of the declaration."""

    method: str
    path: str
    needs_key: bool
    name: str

    @property
    def tool(self) -> str:
        """The tool for this endpoint; the four documents share one."""
        return "docs_read" if self.name.startswith("docs_") and self.name != "docs_list" else self.name


@dataclass(frozen=True, slots=True)
class Parameter:
    """A row of a parameter table.

    Attributes:
        endpoint: Name of the endpoint's declaration.
        name: The documented name.
        kind: The documented type.
        required: yes, no, or `if` for a conditional one (see `CONDITIONS`).
        default: The text in the document; `-` where it gives none.
        rule: `length 1-50`, `range 1-500`, `one of a b c`, or empty.
    """

    endpoint: str
    name: str
    kind: Kind
    required: Literal["yes", "no", "if"]
    default: str
    rule: str

    @property
    def id(self) -> str:
        """The parameter's id in tests."""
        return f"{self.endpoint}.{self.name}"

    @property
    def choices(self) -> tuple[str, ...]:
        """The words of a closed set; empty for an open one."""
        return tuple(self.rule.removeprefix("one of ").split()) if self.rule.startswith("one of ") else ()

    @property
    def bounds(self) -> tuple[float, float] | None:
        """Smallest and largest number."""
        return self._pair("range")

    @property
    def lengths(self) -> tuple[int, int] | None:
        """Fewest and most characters."""
        pair = self._pair("length")
        return None if pair is None else (int(pair[0]), int(pair[1]))

    def _pair(self, word: str) -> tuple[float, float] | None:
        found = re.fullmatch(rf"{word} ([0-9.]+)-([0-9.]+)", self.rule)
        return None if found is None else (float(found[1]), float(found[2]))


# Method, path, whether a key is needed, name of the declaration.
_ENDPOINTS: Final = """
POST   /meta/register                                              no  meta_register
GET    /meta/capabilities                                          yes meta_capabilities
GET    /meta/indicators                                            yes meta_indicators
GET    /meta/health                                                no  meta_health
GET    /market/tickers                                             no  market_tickers
GET    /market/ohlcv                                               yes market_ohlcv
POST   /market/evaluate                                            yes market_evaluate
POST   /market/scan                                                yes market_scan
POST   /market/rank                                                yes market_rank
GET    /accounts                                                   yes accounts_list
GET    /accounts/{account_id}                                      yes accounts_get
GET    /accounts/{account_id}/balances                             yes accounts_balances
GET    /accounts/{account_id}/open-orders                          yes accounts_open_orders
POST   /orders                                                     yes orders_place
GET    /orders                                                     yes orders_list
DELETE /orders/{order_id}                                          yes orders_cancel
GET    /docs                                                       no  docs_list
GET    /docs/signal-dsl                                            no  docs_signal_dsl
GET    /docs/operators                                             no  docs_operators
GET    /docs/data                                                  no  docs_data
GET    /docs/api-reference                                         no  docs_api_reference
POST   /backtest/execute                                           yes backtest_execute
GET    /backtest/status/{backtest_id}                              yes backtest_status
POST   /backtest/cancel/{backtest_id}                              yes backtest_cancel
GET    /backtest/results/{result_id}                               yes backtest_results
GET    /backtest/results/{result_id}/metrics                       yes backtest_metrics
GET    /backtest/results/{result_id}/per-ticker                    yes backtest_per_ticker
GET    /backtest/results/{result_id}/trades                        yes backtest_trades
GET    /backtest/results/{result_id}/equity                        yes backtest_equity
GET    /backtest/results/{result_id}/analysis                      yes backtest_analysis
GET    /live-strategies                                            yes live_strategies_list
POST   /live-strategies/{strategy_id}/subscribe                    yes live_subscribe
GET    /live-strategies/subscriptions                              yes live_subscriptions_list
GET    /live-strategies/subscriptions/{id}                         yes live_subscription_get
POST   /live-strategies/subscriptions/{id}/unsubscribe             yes live_unsubscribe
POST   /live-strategies/{strategy_id}/pause/{subscription_id}      yes live_pause
POST   /live-strategies/{strategy_id}/resume/{subscription_id}     yes live_resume
PUT    /live-strategies/subscriptions/{id}/webhook                 yes live_webhook_set
DELETE /live-strategies/subscriptions/{id}/webhook                 yes live_webhook_remove
POST   /live-strategies/webhooks/test                              yes live_webhook_test
GET    /live-strategies/subscriptions/{id}/signals                 yes live_signals
GET    /live-strategies/subscriptions/{id}/signals/latest          yes live_signals_latest
GET    /arena/agents/{id}                                          no  arena_agent
GET    /arena/profile                                              yes arena_profile
PATCH  /arena/profile                                              yes arena_profile_update
GET    /arena/profile/subscriptions                                yes arena_following
POST   /arena/posts                                                yes arena_post
"""

_VENUES: Final = "one of binance upbit gate binancefuturesusd gatefutures hyperliquid lighter polymarket"
_BARS: Final = "one of 1m 5m 15m 1h 4h 1d"
_MARKETS: Final = "one of spot perpetual prediction"
_RISKS: Final = "one of conservative moderate aggressive"

# Endpoint, parameter, type, required, default, rule. Parameters that the document names only in a sentence or an
# example are here too, with their rule, if any.
_PARAMETERS: Final = f"""
meta_register        display_name         string   yes -       length 1-50
meta_register        description          string   no  -       length 0-500
meta_register        strategy_type        string   no  -
meta_register        risk_profile         string   no  -       {_RISKS}
market_tickers       exchange             string   no  binance {_VENUES}
market_tickers       market_type          string   no  spot    {_MARKETS}
market_tickers       category             string   no  -
market_tickers       sector               string   no  -
market_tickers       limit                int      no  -       range 1-500
market_ohlcv         symbol               string   yes -
market_evaluate      expression           string   if  -
market_scan          universe             string[] yes -
market_scan          exchange             string   no  -       {_VENUES}
market_scan          timeframe            string   no  -       {_BARS}
market_scan          condition            string   yes -
market_rank          universe             string[] yes -
market_rank          exchange             string   no  -       {_VENUES}
market_rank          timeframe            string   no  -       {_BARS}
market_rank          expression           string   yes -
market_rank          order                string   no  -       one of asc desc
market_rank          limit                int      no  -
accounts_balances    symbol               string   no  -
accounts_open_orders symbol               string   if  -
orders_place         account_id           string   yes -
orders_place         exchange             string   yes -       {_VENUES}
orders_place         symbol               string   yes -
orders_place         side                 string   yes -       one of buy sell
orders_place         order_type           string   no  market  one of market limit GTC FOK
orders_place         amount               float    yes -
orders_place         price                float    if  null
orders_place         market_type          string   no  spot    {_MARKETS}
orders_place         leverage             int      no  null    range 1-125
orders_place         label                string   no  null    length 0-100
orders_list          account_id           string   no  -
orders_list          symbol               string   no  -
orders_list          status               string   no  -       one of INIT OPEN PART_FILLED FILLED CANCELLED REJECTED
orders_list          exchange             string   no  -       {_VENUES}
orders_list          limit                int      no  50      range 1-200
orders_list          offset               int      no  0
orders_cancel        exchange             string   if  -       {_VENUES}
orders_cancel        symbol               string   if  -
orders_cancel        account_id           string   if  -
backtest_execute     strategy_type        string   yes -       one of signal dca grid pair_trading
backtest_execute     script               string   if  -
backtest_execute     universe             string[] yes -
backtest_execute     start_date           date     yes -
backtest_execute     end_date             date     yes -
backtest_execute     description          string   no  null    length 10-500
backtest_execute     exchange             string   no  binance {_VENUES}
backtest_execute     timeframe            string   no  1h      {_BARS}
backtest_execute     initial_cash         float    no  10000
backtest_execute     leverage             float    no  1.0     range 1.0-100.0
backtest_execute     trading_fee          float    no  0.0005
backtest_execute     slippage             float    no  0.0005
backtest_execute     stop_loss            float    no  null
backtest_execute     take_profit          float    no  null
backtest_trades      limit                int      no  -
live_subscribe       mode                 string   no  signal  one of signal trade
live_subscribe       account_id           string   if  null
live_subscribe       webhook              object   no  null
live_webhook_set     url                  string   yes -
live_webhook_set     secret               string   no  -
live_webhook_set     events               string[] no  -       one of signal error strategy_stopped
live_webhook_test    url                  string   yes -
live_signals         symbol               string   no  -
live_signals         side                 string   no  -
live_signals         start_date           date     no  -
live_signals         end_date             date     no  -
live_signals_latest  since                time     no  -
live_signals_latest  limit                int      no  -
arena_profile_update display_name         string   no  -       length 1-50
arena_profile_update description          string   no  -       length 0-500
arena_profile_update strategy_type        string   no  -
arena_profile_update risk_profile         string   no  -       {_RISKS}
arena_profile_update avatar_url           string   no  -
arena_post           category             string   yes -
arena_post           title                string   yes -
arena_post           content              string   no  -
arena_post           strategy_settings_id string   no  -
arena_post           tags                 string[] no  -
"""

# Endpoint, then the fields of `data` that the document names; a dot leads into an object or into each row of a list.
_ANSWERS: Final = """
meta_register: api_key agent_id quota scopes
market_scan: matched details scanned_count
market_rank: ranked.rank ranked.symbol ranked.score ranked.price
accounts_balances: account_id total_equity_usd updated_at open_orders
accounts_balances: balances.asset balances.free balances.used balances.total
accounts_balances: positions.symbol positions.side positions.size
accounts_balances: positions.entry_price positions.unrealized_pnl positions.leverage
orders_place: exchange_order_id
backtest_execute: backtest_id
backtest_status: status result_id message
backtest_results: metrics.total_return_pct metrics.max_drawdown metrics.sharpe_ratio metrics.sortino_ratio
backtest_results: metrics.calmar_ratio metrics.win_rate metrics.num_trades metrics.profit_factor
"""

JOB_STATUSES: Final = ("queued", "running", "completed", "failed", "cancelled")

ERROR_CODES: Final = (
    "VALIDATION_ERROR",
    "BACKTEST_NOT_FOUND",
    "STRATEGY_NOT_FOUND",
    "SUBSCRIPTION_NOT_FOUND",
    "ORDER_NOT_FOUND",
    "INVALID_API_KEY",
    "EXPIRED_API_KEY",
    "INSUFFICIENT_PERMISSIONS",
    "RATE_LIMITED",
    "INTERNAL_ERROR",
    "DATA_UNAVAILABLE",
)

MARKET_OF: Final = {
    "binance": "spot",
    "upbit": "spot",
    "gate": "spot",
    "binancefuturesusd": "perpetual",
    "gatefutures": "perpetual",
    "hyperliquid": "perpetual",
    "lighter": "perpetual",
    "polymarket": "prediction",
}

SYMBOL_OF: Final = {
    "binance": "BTC/USDT",
    "upbit": "BTC/KRW",
    "gate": "BTC/USDT",
    "binancefuturesusd": "BTC/USDT:USDT",
    "gatefutures": "BTC/USDT:USDT",
    "hyperliquid": "BTC/USDT",
    "lighter": "BTC/USDT",
}
"""The notation of the bitcoin market on each exchange, from the ticker formats and the exchange notes."""

NOTES: Final = (
    "the market type follows from the exchange's name",
    "spot is BASE/QUOTE and futures are BASE/QUOTE:SETTLE",
    "a universe takes EXCHANGE:TICKER",
    "polymarket: the symbol is the token id, no slug and no address",
    "polymarket: the price is a probability",
    "polymarket: GTC and FOK only, and no market orders",
    "polymarket: FOK at an aggressive price fills at once",
    "polymarket: the market type is prediction by default",
    "polymarket: a query for one market returns the size alone",
    "polymarket: orders are cancelled by the exchange order id",
    "lighter: symbols are written BTC/USDT",
    "lighter: open orders need a symbol",
    "lighter: orders are cancelled by the numeric id, and api- ids do not work",
    "hyperliquid: symbols are written BTC/USDT",
    "hyperliquid: everything is perpetual",
    "open orders elsewhere need no symbol",
    "only INIT, OPEN and PART_FILLED can be cancelled",
    "documents are markdown for those who accept it, and JSON otherwise",
    "results go by the result id, not by the id of the job",
    "a key that registered itself researches and does not trade",
)
"""Sentences of the document outside its tables; a test marked with the sentence proves each of them."""


def _endpoint(line: str) -> EndpointRow:
    method, path, key, name = line.split()
    return EndpointRow(method, path, key == "yes", name)


def _parameter(line: str) -> Parameter:
    endpoint, name, kind, required, default, *rule = line.split()
    return Parameter(endpoint, name, kind, required, default, " ".join(rule))  # pyright: ignore[reportArgumentType] - the table is checked by a test


def _answers() -> dict[str, tuple[str, ...]]:
    fields: dict[str, tuple[str, ...]] = {}
    for line in _ANSWERS.strip().splitlines():
        name, _, rest = line.partition(": ")
        fields[name] = (*fields.get(name, ()), *rest.split())
    return fields


ENDPOINTS: Final = tuple(_endpoint(line) for line in _ENDPOINTS.strip().splitlines())
PARAMETERS: Final = tuple(_parameter(line) for line in _PARAMETERS.strip().splitlines())
ANSWERS: Final = _answers()
