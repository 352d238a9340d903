"""The form of a row about an exchange: what has to be known about it, its credentials, and how ccxt gets them.

Below it are the functions of rows: how one exchange takes its credentials, counts requests or words its refusals.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, Literal, cast

from api.exchanges import ExchangeId
from api.times import SECONDS

OrderIdForm = Literal["36 letters", "t- and 26", "128-bit hex", "48-bit number"]
Finder = Literal["by our id", "by identifier", "as its id", "in lists", "by its hash"]
"""How an order is found by the id that we chose: `by our id` is a parameter of ccxt's `fetch_order`, `by identifier`
Upbit's own query, `as its id` puts our id in place of the exchange's, `in lists` reads open and ended orders, and
`by its hash` computes Polymarket's id of a signed order. Gate knows our id for an hour after a fill and a minute
after a cancel, so `as its id` is followed by its lists."""

Said = tuple[str, str]
"""A code, and words."""

Refused = Callable[[Mapping[str, Any], int], Said | None]
"""What an answer with this body and status says against an order; `None` if it accepts it or says nothing clear."""

ExitOrders = Literal["engine", "order list", "trigger orders", "position group"]
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
class Archive:
    """A public archive of candle files.

    Attributes:
        name: For people.
        address: Where it is.
        folder: The folder of an exchange's markets.
    """

    name: str
    address: str
    folder: str


@dataclass(frozen=True, slots=True)
class Signer:
    """The library that signs the orders of an exchange.

    Attributes:
        package: Its package and the only version that is used.
        module: The folder of the package.
        library: How the names of its libraries begin; the system and the machine follow.
    """

    package: str
    module: str
    library: str


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


KeyCheck = Literal["its rights", "role of its address", "its address", "signed list", "balance"]
"""Binance lists the rights of a key. Hyperliquid says for which account the address of a private key may trade. On
Polymarket, a wallet of one's own has the address of its key. Lighter shows balances to all, and orders only for a
signature. Elsewhere the balance needs the key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Convention:
    """One exchange. No field has a default, so that a row of a new exchange cannot leave one out by mistake.

    Attributes:
        exchange: Its name in the API.
        ccxt_id: Name of its ccxt class.
        refused: Reads from an answer why it refuses an order.
        options: Passed to the class; includes everything that prevents hidden fees.
        leverage_parameters: Extra parameters for setting the leverage.
        testnet_options: Options that differ on its testnet.
        page: Maximum candles per request.
        newest_only: Candles available back from now; `None` if the whole history is served.
        lacks: Timeframes that the exchange lacks. They are built from the longest shorter one that divides them.
        interval: Average seconds a turn, for all processes together. Most requests take one turn.
        burst: How many turns may follow each other immediately. An exchange that counts a minute's requests gets at
            most `burst + 60 / interval` turns in any minute.
        turns: How many turns a request takes, from its body.
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
        archive: Its public archive of candle files; `None` if there is none.
        native_signer: The package whose library signs its orders; `None` if ccxt signs them.
        testnet: How ccxt reaches the one of its networks that has play money; "" if there is none.
        balance_has_profit: The total of its balance includes the profit of open positions that is not realised yet.
        unified_account: Whether its accounts can be unified ones, and whether their balance then has a form of its own.
        key_check: How to find out what a key may do, or at least that it is the account's.
        exits: How a stop and a target rest there. `api.exchanges` says why where they cannot.
        nothing_to_close: Its words for an exit that ended, or was refused, with nothing left to close: its owner
            cancelled it, the other exit filled, or the position is closed. An exit that ends with any other word
            before it has filled is sent again.
        trigger_book: Where its trigger orders are, if apart from its other orders.
    """

    exchange: ExchangeId
    ccxt_id: str
    refused: Refused
    page: int
    interval: float
    burst: int
    turns: Callable[[str], float]
    credentials: tuple[Credential, ...]
    login: Login
    order_id: OrderIdForm
    id_parameter: str
    finder: Finder
    refusals: frozenset[str]
    refusal_words: tuple[str, ...]
    options: Mapping[str, Any]
    leverage_parameters: Mapping[str, Any]
    testnet_options: Mapping[str, Any]
    newest_only: int | None
    lacks: frozenset[str]
    answers_with_order: bool
    no_market_buys: str
    no_market_sells: str
    takes_fok: bool
    hidden_fee: str | None
    lists_outcomes: bool
    says_missing: tuple[str, int] | None
    price_table: PriceTable | None
    price_decimals: int | None
    minimum_told: bool
    keeps_raw: bool
    price_window: int | None
    tells_funding: bool
    archive: Archive | None
    native_signer: Signer | None
    testnet: Literal["", "sandbox", "demo trading"]
    balance_has_profit: bool
    unified_account: Literal["none", "same form", "own form"]
    key_check: KeyCheck
    exits: ExitOrders
    nothing_to_close: frozenset[str]
    trigger_book: TriggerBook | None

    @property
    def names_intents(self) -> bool:
        """The order id has room for an intent id of the safety gate, which is a ULID of 128 bits."""
        return self.order_id != "48-bit number"


def one_turn(_: str) -> float:
    """Each request counts the same."""
    return 1.0


_LIGHT: Final = frozenset(
    {"l2Book", "allMids", "clearinghouseState", "orderStatus", "spotClearinghouseState", "exchangeStatus"}
)


def hyperliquid_turns(body: str) -> float:
    """Hyperliquid's weights of requests, in turns of 20, which is the weight of most.

    Source: its page "Rate limits". An address has 1,200 a minute. Actions weigh 1, six kinds of reading 2, the others
    20, and candles 1 more for every 60 of them.
    """
    given = json.loads(body)
    if "action" in given:
        return 1 / 20
    kind = given.get("type")
    if kind == "candleSnapshot":
        asked = given["req"]
        seconds = SECONDS[asked["interval"]]
        return 1 + min((asked["endTime"] - asked["startTime"]) / 1_000 / seconds, 5_000) / 60 / 20
    return 2 / 20 if kind in _LIGHT else 1.0


UNSEEN: Final = r"[!-~]{8,512}"
KEY_AND_SECRET: Final = (
    Credential("key", UNSEEN, "the key as the exchange shows it"),
    Credential("secret", UNSEEN, "the secret that belongs to the key"),
)
WALLET: Final = Credential("wallet address", r"0x[0-9a-fA-F]{40}", "0x and 40 hex digits")
PRIVATE_KEY: Final = Credential("private key", r"(0x)?[0-9a-fA-F]{64}", "64 hex digits")


def key_and_secret(values: tuple[str, ...]) -> dict[str, Any]:
    """An API key and its secret."""
    key, secret = values
    return {"apiKey": key, "secret": secret}


def wallet_and_key(values: tuple[str, ...]) -> dict[str, Any]:
    """A wallet address and the private key that signs for it."""
    wallet, private_key = values
    return {"walletAddress": wallet, "privateKey": private_key}


def lighter_login(values: tuple[str, ...]) -> dict[str, Any]:
    """An account number, the index of its API key, and the private key."""
    account, index, private_key = values
    kept = {account: {index: {"lighterPrivateKey": private_key}}}
    return {"options": {"accountIndex": account, "apiKeyIndex": index, "auths": kept}}


def polymarket_login(values: tuple[str, ...]) -> dict[str, Any]:
    """A wallet address, the kind of signature, and the private key."""
    wallet, kind, private_key = values
    return {"walletAddress": wallet, "privateKey": private_key, "options": {"signatureType": int(kind)}}


_SUCCESS: Final = range(200, 300)


def binance_refused(body: Mapping[str, Any], status: int) -> Said | None:
    return None if status in _SUCCESS else (str(body.get("code")), str(body.get("msg") or ""))


def upbit_refused(body: Mapping[str, Any], status: int) -> Said | None:
    error = cast("Mapping[str, Any]", body.get("error") or {})
    return None if status in _SUCCESS else (str(error.get("name")), str(error.get("message") or ""))


def gate_refused(body: Mapping[str, Any], status: int) -> Said | None:
    return None if status in _SUCCESS else (str(body.get("label")), str(body.get("message") or ""))


def hyperliquid_refused(body: Mapping[str, Any], _: int) -> Said | None:
    """Its refusals come with status 200, as a text or as the only status of every order."""
    response = body.get("response")
    if body.get("status") == "err" and isinstance(response, str):
        return "", response
    try:
        said = [str(one["error"]) for one in cast("Any", response)["data"]["statuses"] if set(one) == {"error"}]
        return ("", said[0]) if said and len(said) == len(cast("Any", response)["data"]["statuses"]) else None
    except (TypeError, KeyError, ValueError):
        return None


def lighter_refused(body: Mapping[str, Any], _: int) -> Said | None:
    code = str(body.get("code"))
    return None if code in {"200", "0", "None"} else (code, str(body.get("message") or body.get("msg") or ""))


def polymarket_refused(body: Mapping[str, Any], status: int) -> Said | None:
    """A refusal is text only: `error`, or `errorMsg` with status 200 and no order id."""
    if status in _SUCCESS and (body.get("success") is not False or body.get("orderID")):
        return None
    words = str(body.get("error") or body.get("errorMsg") or "")
    return ("", words) if words else None
