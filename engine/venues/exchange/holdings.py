"""What own accounts hold: balances, positions, and what they are worth; and what a key may do.

Read from the exchange each time. Prediction tokens come from the wallet, as Polymarket's own list shows them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, cast

from api.accounts import Balance, BalancesResponse, Position
from api.errors import HeyTradersError, NotAuthorised
from api.exchanges import EXCHANGES
from api.orders import Order
from api.times import iso8601
from engine.trading_rules import ZERO
from engine.venues.exchange.conventions import CONVENTIONS

from .markets import decimal
from .reading import AccountReader
from .session import Connector
from .views import OwnAccount, held

_DOLLARS: Final = ("USDT", "USDC", "USD")
_THROUGH: Final = ("BTC", "ETH", *_DOLLARS)
"""The assets through which others are converted first, because they trade most."""


def balances(reader: AccountReader, own: OwnAccount) -> BalancesResponse:
    """The holdings of the account.

    Raises:
        HeyTradersError: The exchange cannot be reached, or does not accept the key.
    """
    held_open, resting = positions(reader, own), reader.open_orders(own, None)
    rows, has_profit = _held(reader, own, resting)
    worth = _worth(reader, own, rows, _profit(own, held_open, has_profit=has_profit), _DOLLARS[0])
    return BalancesResponse(
        account_id=own.account_id,
        total_equity_usd=None if worth is None else worth.quantize(Decimal("0.01")),
        balances=rows,
        positions=held_open,
        open_orders=resting,
        updated_at=iso8601(time.time()),
        paper=False,
    )


def equity(reader: AccountReader, own: OwnAccount) -> Decimal | None:
    """The value of the account in its own currency; `None` if an asset that trades has no price now."""
    rows, has_profit = _held(reader, own, ())
    return _worth(
        reader, own, rows, _profit(own, positions(reader, own), has_profit=has_profit), EXCHANGES[own.exchange].quote
    )


def free_amount(reader: AccountReader, own: OwnAccount, asset: str) -> Decimal:
    """The available amount of an asset; of a prediction market also the tokens in the wallet that none sells."""
    row = EXCHANGES[own.exchange]
    if row.market_type != "prediction":
        return sum((each.free for each in _held(reader, own, ())[0] if each.asset == asset), ZERO)
    resting = reader.open_orders(own, None)
    if asset == row.quote:
        return sum((each.free for each in _held(reader, own, resting)[0] if each.asset == asset), ZERO)
    symbol = f"{asset}/{row.quote}"
    sells = [one for one in resting if one.side == "sell" and one.symbol == symbol and one.role is None]
    tied = sum((one.remaining_amount or ZERO for one in sells), ZERO)
    return sum((one.size for one in positions(reader, own) if one.symbol == symbol), ZERO) - tied


def positions(reader: AccountReader, own: OwnAccount) -> list[Position]:
    """Open positions: perpetuals, or tokens of a prediction market. Spot holdings are balances."""
    kind = EXCHANGES[own.exchange].market_type
    if kind == "spot":
        return []
    if kind == "prediction":
        wallet = CONVENTIONS[own.exchange].login(own.keys().values)["walletAddress"]
        return _prediction_tokens(reader.read(own, "dataPublicGetPositions", {"user": wallet, "limit": "500"}))
    markets = reader.by_symbol(own.exchange)
    found: list[Position] = []
    for raw in reader.read(own, "fetch_positions"):
        market, contracts = markets.get(str(raw.get("symbol"))), decimal(raw.get("contracts"))
        if market is None or not contracts:
            continue
        found.append(
            Position(
                symbol=market.instrument.symbol,
                side="short" if raw.get("side") == "short" else "long",
                size=abs(contracts) * market.contract,
                entry_price=decimal(raw.get("entryPrice")) or Decimal(0),
                unrealized_pnl=decimal(raw.get("unrealizedPnl")) or Decimal(0),
                leverage=decimal(raw.get("leverage")) or Decimal(1),
                mark_price=decimal(raw.get("markPrice")),
                liquidation_price=decimal(raw.get("liquidationPrice")),
                margin=decimal(raw.get("initialMargin")),
            )
        )
    return found


def _held(reader: AccountReader, own: OwnAccount, resting: Sequence[Order]) -> tuple[list[Balance], bool]:
    """The balance of each asset, and whether these include the unrealised profit of positions.

    Prediction market balances do not show the part held by open buy orders.
    """
    row = EXCHANGES[own.exchange]
    buys = [one for one in resting if row.market_type == "prediction" and one.side == "buy"]
    tied = sum(((one.remaining_amount or ZERO) * (one.price or ZERO) for one in buys), ZERO)
    raw: Mapping[str, Any] = reader.read(own, "fetch_balance")
    unified = _unified_account(own, raw)
    rows: list[Balance] = []
    for asset, available, total in held(unified or raw):
        free = available - tied if asset == row.quote else available
        if free or total:
            rows.append(Balance(asset=asset, free=free, used=max(total - free, ZERO), total=total))
    return rows, unified is not None or CONVENTIONS[own.exchange].balance_has_profit


def _unified_account(own: OwnAccount, raw: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The balance of Gate's unified account, in ccxt's format; `None` for all other accounts.

    A currency's equity there is available + locked - borrowed + futures account + unrealised profit, as Gate documents
    it. ccxt adds up the first two only.
    """
    if CONVENTIONS[own.exchange].unified_account != "own form":
        return None
    told: Any = raw.get("info")
    answers: list[Any] = cast("list[Any]", told) if isinstance(told, list) else [told]
    if len(answers) != 1 or not isinstance(answers[0], dict) or "balances" not in answers[0]:
        return None
    rows = cast("Mapping[str, Mapping[str, Any]]", answers[0]["balances"])
    return {
        "free": {asset: row.get("available") for asset, row in rows.items()},
        "total": {asset: row.get("equity") for asset, row in rows.items()},
    }


def _profit(own: OwnAccount, positions: Sequence[Position], *, has_profit: bool) -> Decimal:
    """What positions add to the balances: the value of prediction tokens, or unrealised profit not included yet."""
    if EXCHANGES[own.exchange].market_type == "prediction":
        return sum((p.size * (p.mark_price or p.entry_price) for p in positions), ZERO)
    return ZERO if has_profit else sum((p.unrealized_pnl for p in positions), ZERO)


def _worth(
    reader: AccountReader, own: OwnAccount, rows: Sequence[Balance], profit: Decimal, currency: str
) -> Decimal | None:
    """Value in a currency, treating all dollar currencies as equal.

    An asset that the exchange trades for nothing else, such as an airdrop, counts as 0. `None` if one that it trades
    has no price now.
    """
    same = _DOLLARS if currency in _DOLLARS else (currency,)
    total = profit + sum((row.total for row in rows if row.asset in same), ZERO)
    others = [row for row in rows if row.asset not in same]
    if not others:
        return total
    try:
        rates = _rates(reader, own)
    except HeyTradersError:
        return None
    for row in others:
        rate = _rate(rates, row.asset, same)
        if rate is None:
            return None
        total += row.total * rate
    return total


_Rates = Mapping[str, Mapping[str, Decimal | None]]
"""The price of each asset in each asset that it trades against, both ways; `None` if there is none now."""


def _rates(reader: AccountReader, own: OwnAccount) -> _Rates:
    prices = reader.markets.prices(own.exchange)
    rates: dict[str, dict[str, Decimal | None]] = {}
    for instrument, market in reader.markets.of(own.exchange).items():
        last = prices[market.symbol].last if market.symbol in prices else None
        rates.setdefault(instrument.base, {})[instrument.quote] = last
        rates.setdefault(instrument.quote, {}).setdefault(instrument.base, None if last is None else 1 / last)
    return rates


def _rate(rates: _Rates, asset: str, same: Sequence[str]) -> Decimal | None:
    """The price of an asset in one of the currencies of `same`, directly or through one other asset."""
    if asset not in rates and any(rates.get("BTC", {}).values()):
        return ZERO
    direct = rates.get(asset, {})
    found = next((rate for quote in same if (rate := direct.get(quote)) is not None), None)
    if found is not None:
        return found
    for through in sorted(direct, key=_THROUGH.__contains__, reverse=True):
        first = direct[through]
        second = next((rate for quote in same if (rate := rates[through].get(quote)) is not None), None)
        if first is not None and second is not None:
            return first * second
    return None


def _prediction_tokens(answer: Any) -> list[Position]:
    """The tokens in a wallet, with their questions."""
    rows = cast("Sequence[Mapping[str, Any]]", answer if isinstance(answer, list) else answer.get("data") or [])
    found: list[Position] = []
    for raw in rows:
        size = decimal(raw.get("size"))
        if not size:
            continue
        found.append(
            Position(
                symbol=f"{raw.get('asset')}/USDC",
                title=f"{raw.get('title')} ({raw.get('outcome')})",
                side="long",
                size=size,
                entry_price=decimal(raw.get("avgPrice")) or Decimal(0),
                unrealized_pnl=decimal(raw.get("cashPnl")) or Decimal(0),
                leverage=Decimal(1),
                mark_price=decimal(raw.get("curPrice")),
            )
        )
    return found


@dataclass(frozen=True, slots=True)
class KeyRights:
    """What a key may do; `None` where the exchange does not say.

    Attributes:
        withdraw: It may withdraw or transfer money.
        trade: It may place orders on this kind of market.
        whole_wallet: It is the private key of a wallet, and the exchange has no key that may do less.
    """

    withdraw: bool | None = None
    trade: bool | None = None
    whole_wallet: bool = False


def key_rights(connector: Connector, own: OwnAccount, markets: Callable[[], list[Any]]) -> KeyRights:
    """Ask the exchange what the key of an account may do. Blocking.

    Raises:
        NotAuthorised: The exchange does not accept the key, or the key belongs to another account.
        HeyTradersError: The exchange cannot be reached, or refuses the request for another reason.
    """
    account = (own.account_id, own.keys())
    connector.read(own.exchange, "fetch_balance", account=account, markets=markets)
    row = CONVENTIONS[own.exchange]
    if row.key_check == "its rights" and not own.testnet:
        said = connector.read(own.exchange, "sapiGetAccountApiRestrictions", account=account)
        trading = "enableSpotAndMarginTrading" if EXCHANGES[own.exchange].market_type == "spot" else "enableFutures"
        may_withdraw = bool(said.get("enableWithdrawals") or said.get("enableInternalTransfer"))
        return KeyRights(may_withdraw, bool(said[trading]) if trading in said else None)
    if row.key_check == "signed list":
        connector.read(own.exchange, "fetch_open_orders", markets()[0]["symbol"], account=account, markets=markets)
    if row.key_check == "role of its address":
        return _rights_of_address(connector, own)
    if row.key_check == "its address":
        wallet, kind, _ = own.keys().values
        signer = connector.read(own.exchange, "signer", account=account)
        if kind == "0" and signer.lower() != wallet.lower():
            raise NotAuthorised(
                f"with signature type 0 the address of the private key holds the money, and that is {signer}",
                suggestion="Give that address, or the type of the wallet that holds your money",
            )
        return KeyRights(whole_wallet=True)
    return KeyRights()


def _rights_of_address(connector: Connector, own: OwnAccount) -> KeyRights:
    """What the private key of an address on Hyperliquid may do for the account.

    The key of the account itself may withdraw. An API wallet may only trade, for the account that approved it; orders
    with the key of any other address would be those of another account.
    """
    account = (own.account_id, own.keys())
    wallet = own.keys().values[0].lower()
    signer = str(connector.read(own.exchange, "signer", account=account))
    if signer.lower() == wallet:
        return KeyRights(withdraw=True, trade=True)
    said = connector.read(own.exchange, "publicPostInfo", {"type": "userRole", "user": signer}, account=account)
    shown: Mapping[str, Any] = said.get("data") or {}
    master = shown.get("user") if said.get("role") == "agent" else None
    if str(master).lower() != wallet:
        name = EXCHANGES[own.exchange].name
        raise NotAuthorised(
            f"the private key belongs to the address {signer}, which is no API wallet of the given wallet address",
            suggestion=f"Authorise an API wallet on {name}'s page More > API, and connect with its private key",
        )
    return KeyRights(withdraw=False, trade=True)
