"""The specifics of each exchange: its ccxt class, limits, order id format and refusals.

A row states what a venue documents or what was measured. Nothing here is guessed at run time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final, Literal, get_args

from api.exchanges import ExchangeId

OrderIdForm = Literal["36 letters", "t- and 26", "128-bit hex", "48-bit number"]
Finder = Literal["by our id", "by identifier", "as its id", "in lists", "by its hash"]
"""How an order is found by the id that we chose: `by our id` is a parameter of ccxt's `fetch_order`, `by identifier`
Upbit's own query, `as its id` puts our id in place of the exchange's, `in lists` reads open and ended orders, and
`by its hash` computes Polymarket's id of a signed order. Gate knows our id for an hour after a fill and a minute
after a cancel, so `as its id` is followed by its lists."""

Dialect = Literal["binance", "upbit", "gate", "hyperliquid", "lighter", "polymarket"]
"""The format of answers and refusals."""

ExitForm = Literal["engine", "order list", "trigger orders", "position group"]
"""How a stop and a target rest at an exchange. `engine`: not at all, this engine watches the price. `order list`: one
request for both, where a fill of one cancels the other, or a trigger order for one alone. `trigger orders`: each is a
reduce-only order of its own, and this engine cancels the other after a fill. `position group`: reduce-only trigger
orders in one signed action, which the exchange cancels with each other and with the position."""


@dataclass(frozen=True, slots=True)
class TriggerBook:
    """The book of trigger orders of an exchange that keeps them apart from its other orders.

    Attributes:
        id_parameter: ccxt's parameter for our id, when placing and when querying.
        became: The field of a trigger order with the id of the order that it became when its price was reached.
    """

    id_parameter: str
    became: str


@dataclass(frozen=True, slots=True)
class Credential:
    """One credential of an account. All credentials are entered without echo.

    Attributes:
        name: Its name in the prompt.
        pattern: A regular expression for the whole value.
        form: The format in words.
    """

    name: str
    pattern: str
    form: str


@dataclass(frozen=True, slots=True)
class PriceTable:
    """Price steps that an exchange documents but does not return in its answers.

    Attributes:
        quote: The quote currency that they apply to.
        steps: The lowest price for a step, and the step; highest first.
        smallest: The step for all lower prices.
    """

    quote: str
    steps: tuple[tuple[Decimal, Decimal], ...]
    smallest: Decimal

    def step(self, price: Decimal) -> Decimal:
        """The price step near `price`."""
        return next((step for least, step in self.steps if price >= least), self.smallest)


Login = Callable[[tuple[str, ...]], dict[str, Any]]
"""Turns credentials, in the order of the row, into ccxt settings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Convention:
    """One exchange.

    Attributes:
        exchange: Its name in the API.
        ccxt_id: Name of its ccxt class.
        dialect: Selects the parser for its answers and refusals.
        options: Passed to the class; includes everything that prevents hidden fees.
        leverage_parameters: Extra parameters for setting the leverage.
        testnet_options: Options that differ on its testnet.
        page: Maximum candles per request.
        newest_only: Candles available back from now; `None` if the whole history is served.
        lacks: Timeframes that the exchange lacks. They are built from the longest shorter one that divides them.
        interval: Average seconds between requests, for all processes together.
        burst: How many requests may follow each other immediately.
        credentials: The credentials of an account, in the order of the prompts.
        login: Passes them to ccxt.
        order_id: The format of the order id that we choose before sending.
        id_parameter: ccxt's parameter for that id when placing an order.
        finder: How an order is found by that id.
        answers_with_order: Whether the answer to a placed order shows the order, and not only that it arrived.
        refusals: Codes in an answer that prove that there is no order. Anything else is inconclusive.
        refusal_words: The same for exchanges that answer with words.
        no_market_buys: Why a market order to buy an amount cannot be sent; "" if it can.
        no_market_sells: The same for selling.
        takes_fok: Whether fill-or-kill orders can be sent.
        hidden_fee: A regular expression that no request body may match, because it would pay a third party.
        lists_outcomes: Its class looks up each token itself and needs no market list.
        says_missing: An order query and the status that means no such order, where ccxt does not recognise it.
        price_table: Price steps that only its documentation gives; `None` if its answers have them.
        price_decimals: Total decimals of a price and an amount; `None` if the answers give the step.
        minimum_told: Its answers give the smallest order. Otherwise the row in `api.exchanges` does.
        keeps_raw: ccxt needs the raw answer about each market when it places orders.
        price_window: For an exchange with prices but no candles, the seconds covered by one answer; else `None`.
        tells_funding: Whether it publishes past funding rates.
        archive: Its folder in the archive of candle files; `None` if there is none.
        native_signer: The package whose library signs its orders; `None` if ccxt signs them.
        has_testnet: Whether it has a testnet with play money.
        tells_permissions: Whether the exchange reports the permissions of a key.
        exits: How a stop and a target rest there.
        no_exits: Why they cannot rest there, in words that follow its name; "" if they can.
        trigger_book: Where its trigger orders are, if apart from its other orders.
    """

    exchange: ExchangeId
    ccxt_id: str
    dialect: Dialect
    page: int
    interval: float
    burst: int
    credentials: tuple[Credential, ...]
    login: Login
    order_id: OrderIdForm
    id_parameter: str
    finder: Finder
    refusals: frozenset[str] = frozenset()
    refusal_words: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    leverage_parameters: Mapping[str, Any] = field(default_factory=dict[str, Any])
    testnet_options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    newest_only: int | None = None
    lacks: frozenset[str] = frozenset({"1w"})
    answers_with_order: bool = True
    no_market_buys: str = ""
    no_market_sells: str = ""
    takes_fok: bool = True
    hidden_fee: str | None = None
    lists_outcomes: bool = False
    says_missing: tuple[str, int] | None = None
    price_table: PriceTable | None = None
    price_decimals: int | None = None
    minimum_told: bool = True
    keeps_raw: bool = False
    price_window: int | None = None
    tells_funding: bool = True
    archive: str | None = None
    native_signer: str | None = None
    has_testnet: bool = True
    tells_permissions: bool = False
    exits: ExitForm = "engine"
    no_exits: str = ""
    trigger_book: TriggerBook | None = None


_WON_STEPS: Final = PriceTable(
    "KRW",
    tuple(
        (Decimal(least), Decimal(step))
        for least, step in (
            ("1000000", "1000"), ("500000", "500"), ("100000", "100"), ("50000", "50"), ("10000", "10"), ("5000", "5"),
            ("100", "1"), ("10", "0.1"), ("1", "0.01"), ("0.1", "0.001"), ("0.01", "0.0001"), ("0.001", "0.00001"),
            ("0.0001", "0.000001"),
        )
    ),
    Decimal("0.0000001"),
)  # fmt: skip
"""Upbit's price steps in won since 31 July 2025."""

_UNSEEN: Final = r"[!-~]{8,512}"
_KEY_AND_SECRET: Final = (
    Credential("key", _UNSEEN, "the key as the exchange shows it"),
    Credential("secret", _UNSEEN, "the secret that belongs to the key"),
)
_WALLET: Final = Credential("wallet address", r"0x[0-9a-fA-F]{40}", "0x and 40 hex digits")
_PRIVATE_KEY: Final = Credential("private key", r"(0x)?[0-9a-fA-F]{64}", "64 hex digits")


def _key_and_secret(values: tuple[str, ...]) -> dict[str, Any]:
    key, secret = values
    return {"apiKey": key, "secret": secret}


def _wallet_and_key(values: tuple[str, ...]) -> dict[str, Any]:
    wallet, private_key = values
    return {"walletAddress": wallet, "privateKey": private_key}


def _lighter_login(values: tuple[str, ...]) -> dict[str, Any]:
    account, index, private_key = values
    kept = {account: {index: {"lighterPrivateKey": private_key}}}
    return {"options": {"accountIndex": account, "apiKeyIndex": index, "auths": kept}}


def _polymarket_login(values: tuple[str, ...]) -> dict[str, Any]:
    wallet, kind, private_key = values
    return {"walletAddress": wallet, "privateKey": private_key, "options": {"signatureType": int(kind)}}


_BINANCE_REFUSALS: Final = frozenset(
    {"-1013", "-1021", "-1022", "-1100", "-1102", "-1111", "-1116", "-1121", "-2010", "-2014", "-2015", "-2018"}
    | {"-2019", "-2021", "-2022", "-2026", "-4003", "-4005", "-4014", "-4023", "-4045", "-4164"}
)
"""Filters, parameters, signature, rights, balance, margin, and stops that would trigger at once or are too many. -1006
and -1007 mean "unknown" and are excluded."""

_GATE_REFUSALS: Final = frozenset(
    {"INVALID_PARAM_VALUE", "INVALID_CURRENCY_PAIR", "BALANCE_NOT_ENOUGH", "INVALID_KEY", "INVALID_SIGNATURE"}
    | {"REQUEST_EXPIRED", "FORBIDDEN", "READ_ONLY", "CONTRACT_NOT_FOUND", "INSUFFICIENT_AVAILABLE", "ORDER_POC"}
    | {"RISK_LIMIT_EXCEEDED", "LIQUIDATE_IMMEDIATELY", "INVALID_PROTOCOL", "INVALID_REQUEST_BODY", "SIZE_TOO_SMALL"}
)

CONVENTIONS: Final[Mapping[ExchangeId, Convention]] = {
    row.exchange: row
    for row in (
        Convention(
            exchange="binance",
            archive="spot",
            ccxt_id="binance",
            dialect="binance",
            page=1_000,
            interval=0.05,
            burst=40,
            credentials=_KEY_AND_SECRET,
            login=_key_and_secret,
            order_id="36 letters",
            id_parameter="newClientOrderId",
            finder="by our id",
            refusals=_BINANCE_REFUSALS,
            options={
                "defaultType": "spot",
                "fetchMarkets": {"types": ["spot"]},
                "fetchMargins": False,
                "fetchCurrencies": False,
                "warnOnFetchOpenOrdersWithoutSymbol": False,
            },
            tells_permissions=True,
            exits="order list",
        ),
        Convention(
            exchange="binancefuturesusd",
            archive="futures/um",
            ccxt_id="binanceusdm",
            dialect="binance",
            page=1_000,
            interval=0.05,
            burst=40,
            credentials=_KEY_AND_SECRET,
            login=_key_and_secret,
            order_id="36 letters",
            id_parameter="newClientOrderId",
            finder="by our id",
            refusals=_BINANCE_REFUSALS,
            options={
                "defaultType": "swap",
                "fetchMarkets": {"types": ["linear"]},
                "fetchMargins": False,
                "fetchCurrencies": False,
                "warnOnFetchOpenOrdersWithoutSymbol": False,
            },
            tells_permissions=True,
            exits="trigger orders",
            trigger_book=TriggerBook("clientAlgoId", "actualOrderId"),
        ),
        Convention(
            exchange="upbit",
            price_table=_WON_STEPS,
            minimum_told=False,
            ccxt_id="upbit",
            dialect="upbit",
            page=200,
            interval=0.11,
            burst=5,
            credentials=_KEY_AND_SECRET,
            login=_key_and_secret,
            order_id="36 letters",
            id_parameter="clientOrderId",
            finder="by identifier",
            no_market_buys="sizes market orders to buy in won",
            refusals=frozenset(
                {"invalid_query_payload", "jwt_verification", "expired_access_key", "no_authorization_i_p"}
                | {"insufficient_funds_bid", "insufficient_funds_ask", "under_min_total_bid", "under_min_total_ask"}
                | {"validation_error", "create_ask_error", "create_bid_error", "out_of_scope", "invalid_access_key"}
                | {"invalid_price", "invalid_price_bid", "invalid_price_ask", "market_does_not_exist"}
            ),
            options={"fetchCurrencies": False},
            no_exits="has no stop orders",
            lacks=frozenset({"2h", "6h", "8h", "12h", "1w"}),
            has_testnet=False,
        ),
        Convention(
            exchange="gate",
            ccxt_id="gate",
            dialect="gate",
            page=1_000,
            interval=0.06,
            burst=40,
            credentials=_KEY_AND_SECRET,
            login=_key_and_secret,
            order_id="t- and 26",
            id_parameter="text",
            finder="as its id",
            no_market_buys="sizes market orders to buy in the quote currency",
            refusals=_GATE_REFUSALS,
            options={"defaultType": "spot", "fetchMarkets": {"types": ["spot"]}, "fetchCurrencies": False},
            no_exits="has trigger orders that cannot be found by our id",
            lacks=frozenset({"6h", "12h", "1w"}),
            has_testnet=False,
        ),
        Convention(
            exchange="gatefutures",
            ccxt_id="gate",
            dialect="gate",
            page=1_999,
            interval=0.06,
            burst=40,
            credentials=_KEY_AND_SECRET,
            login=_key_and_secret,
            order_id="t- and 26",
            id_parameter="text",
            finder="as its id",
            refusals=_GATE_REFUSALS,
            options={
                "defaultType": "swap",
                "fetchMarkets": {"types": ["swap"]},
                "fetchCurrencies": False,
                "swap": {"fetchMarkets": {"settlementCurrencies": ["usdt"]}},
            },
            no_exits="has trigger orders that cannot be found by our id",
            lacks=frozenset({"6h", "12h", "1w"}),
        ),
        Convention(
            exchange="hyperliquid",
            price_decimals=6,
            minimum_told=False,
            keeps_raw=True,
            ccxt_id="hyperliquid",
            dialect="hyperliquid",
            page=5_000,
            interval=1.0,
            burst=20,
            credentials=(_WALLET, _PRIVATE_KEY),
            login=_wallet_and_key,
            order_id="128-bit hex",
            id_parameter="clientOrderId",
            finder="by our id",
            refusal_words=(
                "Insufficient margin",
                "Price must be divisible",
                "Order must have minimum value",
                "does not exist",
                "Order has invalid size",
                "Order has zero size",
                "Invalid TP/SL price",
                "Order price cannot be",
                "Only post-only orders",
                "Reduce only order would increase",
                "immediately matched",
                "could not immediately match",
                "Too many cumulative requests",
                "Invalid nonce",
            ),
            no_market_buys="has no market orders",
            no_market_sells="has no market orders",
            takes_fok=False,
            hidden_fee=r'"builder"|approveBuilderFee|setReferrer',
            options={
                "defaultType": "swap",
                "fetchMarkets": {"types": ["swap"]},
                "builderFee": False,
                "approvedBuilderFee": False,
                "refSet": True,
            },
            newest_only=5_000,
            exits="position group",
            lacks=frozenset({"6h", "1w"}),
        ),
        Convention(
            exchange="lighter",
            keeps_raw=True,
            tells_funding=False,
            ccxt_id="lighter",
            dialect="lighter",
            page=500,
            interval=1.0,
            burst=10,
            credentials=(
                Credential("account index", r"\d{1,15}", "the number of your account or sub-account"),
                Credential("API key index", r"\d{1,3}", "the number of the API key, 4 to 254"),
                Credential("API private key", r"(0x)?[0-9a-fA-F]{80}", "80 hex digits"),
            ),
            login=_lighter_login,
            order_id="48-bit number",
            id_parameter="clientOrderId",
            finder="in lists",
            answers_with_order=False,
            refusals=frozenset(
                {"21501", "21505", "21506", "21507", "21508", "21511", "21601", "21602", "21605", "21613"}
                | {"21701", "21702", "21703", "21704", "21705", "21706", "21710", "21711", "21712", "21717", "21718"}
                | {"21719", "21720", "21727", "21732", "21733", "21734", "21738", "21739", "21740"}
            ),
            no_market_buys="has market orders with a bounded price only",
            no_market_sells="has market orders with a bounded price only",
            takes_fok=False,
            hidden_fee=r'"tx_type": (?!(?:14|15|20|28)\b)|L2TxAttributes[^}]*"[123]\\*": *[1-9]',
            options={
                "integratorAccountIndex": 0,
                "integratorMakerFee": 0,
                "integratorTakerFee": 0,
                "builderFee": False,
            },
            leverage_parameters={"marginMode": "cross"},
            testnet_options={"chainId": 300},
            no_exits="lets stop orders lapse after 28 days",
            lacks=frozenset({"2h", "6h", "8h", "1w"}),
            native_signer="lighter-sdk==1.1.8",
        ),
        Convention(
            exchange="polymarket",
            price_window=15 * 86_400,
            ccxt_id="polymarket",
            dialect="polymarket",
            page=200,
            interval=0.1,
            burst=20,
            credentials=(
                _WALLET,
                Credential(
                    "signature type",
                    "[0-3]",
                    "0 for a wallet of your own, 1 for one made by e-mail, 2 for a Safe of a browser wallet, 3 for a "
                    "deposit wallet",
                ),
                _PRIVATE_KEY,
            ),
            login=_polymarket_login,
            order_id="48-bit number",
            id_parameter="salt",
            finder="by its hash",
            answers_with_order=False,
            refusal_words=(
                "breaks minimum tick size rule",
                "lower than the minimum",
                "not enough balance",
                "invalid signature",
                "invalid nonce",
                "invalid expiration",
                "Invalid order payload",
                "invalid amount",
                "could not be filled",
                "fully filled or killed",
                "no orders found to match",
                "the order owner has to be",
                "address banned",
                "the order signer address has to be",
                "closed only mode",
                "not yet ready to process new orders",
                "Invalid api key",
                "No orderbook exists",
            ),
            no_market_buys="has no market orders",
            no_market_sells="has no market orders",
            hidden_fee=r'"builder": ?"0x0*[1-9a-fA-F]',
            options={"builder": None, "builderFee": False},
            no_exits="has no stop orders",
            lacks=frozenset({"15m", "30m", "2h", "4h", "6h", "8h", "12h", "1w"}),
            lists_outcomes=True,
            says_missing=("clobPrivateGetDataOrderId", 404),
            has_testnet=False,
        ),
    )
}
"""By exchange."""

if missing := set(get_args(ExchangeId)) - set(CONVENTIONS):
    raise TypeError(f"no row for {', '.join(sorted(missing))}")
