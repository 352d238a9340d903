"""What is particular to each exchange: its class in ccxt, its limits, the form of its order ids, its refusals.

A row says what a venue documents or what its behaviour was measured to be. Nothing here is guessed at run time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from api.exchanges import ExchangeId

Credential = Literal["key", "secret", "wallet", "private key"]
OrderIdForm = Literal["36 letters", "t- and 26", "128-bit hex", "48-bit number", "salt"]


@dataclass(frozen=True, slots=True)
class Convention:
    """One exchange.

    Attributes:
        ccxt_id: Name of its class.
        options: Handed to the class; among them everything that keeps hidden fees away.
        page: Candles that one request may ask for.
        newest_only: How many candles reach back from now; `None` where the whole history is served.
        lacks: Timeframes that the exchange does not have. They are made from the longest shorter one that divides them.
        interval: Seconds between requests in the long run, for all processes together.
        burst: How many requests may follow one another at once.
        credentials: What an account needs, in the order in which a person is asked.
        order_id: The form of the order id that we choose before sending.
        finds_for: Seconds after which the exchange may no longer find an order by our id; `None` for always.
        refusals: Codes in an answer that prove that there is no order. Anything else leaves it open.
        has_testnet: Whether there is one that trades play money.
        tells_permissions: Whether the exchange says what a key may do.
    """

    exchange: ExchangeId
    ccxt_id: str
    page: int
    interval: float
    burst: int
    credentials: tuple[Credential, ...]
    order_id: OrderIdForm
    refusals: frozenset[str]
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    newest_only: int | None = None
    lacks: frozenset[str] = frozenset({"1w"})
    finds_for: float | None = None
    has_testnet: bool = True
    tells_permissions: bool = False


_KEY: Final[tuple[Credential, ...]] = ("key", "secret")
_BINANCE_REFUSALS: Final = frozenset(
    {"-1013", "-1021", "-1022", "-1100", "-1102", "-1111", "-1116", "-1121", "-2010", "-2014", "-2015", "-2018"}
    | {"-2019", "-2022", "-2026", "-4003", "-4005", "-4014", "-4023", "-4164"}
)
"""Filters, parameters, signature, rights, balance and margin. -1006 and -1007 say "unknown" and are not among them."""

_GATE_REFUSALS: Final = frozenset(
    {"INVALID_PARAM_VALUE", "INVALID_CURRENCY_PAIR", "BALANCE_NOT_ENOUGH", "INVALID_KEY", "INVALID_SIGNATURE"}
    | {"REQUEST_EXPIRED", "FORBIDDEN", "READ_ONLY", "CONTRACT_NOT_FOUND", "INSUFFICIENT_AVAILABLE", "ORDER_POC"}
    | {"RISK_LIMIT_EXCEEDED", "LIQUIDATE_IMMEDIATELY", "INVALID_PROTOCOL", "INVALID_REQUEST_BODY", "SIZE_TOO_SMALL"}
)

CONVENTIONS: Final[Mapping[ExchangeId, Convention]] = {
    row.exchange: row
    for row in (
        Convention(
            "binance",
            "binance",
            page=1_000,
            interval=0.05,
            burst=40,
            credentials=_KEY,
            order_id="36 letters",
            refusals=_BINANCE_REFUSALS,
            options={
                "defaultType": "spot",
                "fetchMarkets": {"types": ["spot"]},
                "fetchMargins": False,
                "fetchCurrencies": False,
                "warnOnFetchOpenOrdersWithoutSymbol": False,
            },
            tells_permissions=True,
        ),
        Convention(
            "binancefuturesusd",
            "binanceusdm",
            page=1_000,
            interval=0.05,
            burst=40,
            credentials=_KEY,
            order_id="36 letters",
            refusals=_BINANCE_REFUSALS,
            options={
                "defaultType": "swap",
                "fetchMarkets": {"types": ["linear"]},
                "fetchMargins": False,
                "fetchCurrencies": False,
                "warnOnFetchOpenOrdersWithoutSymbol": False,
            },
            tells_permissions=True,
        ),
        Convention(
            "upbit",
            "upbit",
            page=200,
            interval=0.11,
            burst=5,
            credentials=_KEY,
            order_id="36 letters",
            refusals=frozenset(
                {"invalid_query_payload", "jwt_verification", "expired_access_key", "no_authorization_i_p"}
                | {"insufficient_funds_bid", "insufficient_funds_ask", "under_min_total_bid", "under_min_total_ask"}
                | {"validation_error", "create_ask_error", "create_bid_error", "out_of_scope", "invalid_access_key"}
                | {"invalid_price", "invalid_price_bid", "invalid_price_ask", "market_does_not_exist"}
            ),
            options={"fetchCurrencies": False},
            lacks=frozenset({"2h", "6h", "8h", "12h", "1w"}),
            has_testnet=False,
        ),
        Convention(
            "gate",
            "gate",
            page=1_000,
            interval=0.06,
            burst=40,
            credentials=_KEY,
            order_id="t- and 26",
            refusals=_GATE_REFUSALS,
            options={"defaultType": "spot", "fetchMarkets": {"types": ["spot"]}, "fetchCurrencies": False},
            finds_for=60.0,
            lacks=frozenset({"6h", "12h", "1w"}),
            has_testnet=False,
        ),
        Convention(
            "gatefutures",
            "gate",
            page=1_999,
            interval=0.06,
            burst=40,
            credentials=_KEY,
            order_id="t- and 26",
            refusals=_GATE_REFUSALS,
            options={
                "defaultType": "swap",
                "fetchMarkets": {"types": ["swap"]},
                "fetchCurrencies": False,
                "swap": {"fetchMarkets": {"settlementCurrencies": ["usdt"]}},
            },
            finds_for=60.0,
            lacks=frozenset({"6h", "12h", "1w"}),
        ),
        Convention(
            "hyperliquid",
            "hyperliquid",
            page=5_000,
            interval=1.0,
            burst=20,
            credentials=("wallet", "private key"),
            order_id="128-bit hex",
            refusals=frozenset(
                {"Insufficient margin", "Price must be divisible", "Order must have minimum value", "does not exist"}
                | {"Order has invalid size", "Order has zero size", "Invalid TP/SL price", "Order price cannot be"}
                | {"Only post-only orders", "Reduce only order would increase", "immediately matched"}
                | {"could not immediately match", "Too many cumulative requests", "Invalid nonce"}
            ),
            options={
                "defaultType": "swap",
                "fetchMarkets": {"types": ["swap"]},
                "builderFee": False,
                "approvedBuilderFee": False,
                "refSet": True,
            },
            newest_only=5_000,
            lacks=frozenset({"6h", "1w"}),
        ),
        Convention(
            "lighter",
            "lighter",
            page=500,
            interval=1.0,
            burst=10,
            credentials=("key", "private key"),
            order_id="48-bit number",
            refusals=frozenset({"21701", "21702", "21703", "21704", "21705", "21706", "21720", "21739", "21740"}),
            options={
                "integratorAccountIndex": 0,
                "integratorMakerFee": 0,
                "integratorTakerFee": 0,
                "builderFee": False,
            },
            lacks=frozenset({"2h", "6h", "8h", "1w"}),
        ),
        Convention(
            "polymarket",
            "polymarket",
            page=200,
            interval=0.1,
            burst=20,
            credentials=("wallet", "private key"),
            order_id="salt",
            refusals=frozenset(
                {"INVALID_ORDER_MIN_TICK_SIZE", "INVALID_ORDER_MIN_SIZE", "INVALID_ORDER_NOT_ENOUGH_BALANCE"}
                | {"INVALID_ORDER_EXPIRATION", "FOK_ORDER_NOT_FILLED_ERROR", "MARKET_NOT_READY", "not enough balance"}
                | {"invalid signature", "breaks minimum tick size rule", "lower than the minimum"}
            ),
            options={"builder": None, "builderFee": False},
            lacks=frozenset({"15m", "30m", "2h", "4h", "6h", "8h", "12h", "1w"}),
            has_testnet=False,
        ),
    )
}
"""By exchange. Polymarket serves 15 days a request: `page` is small enough for hours, and ccxt is asked for less."""

POLYMARKET_WINDOW: Final = 15 * 86_400
"""Seconds of history that Polymarket serves in one answer."""
