"""What own accounts hold: balances, positions, and what they are worth; and what a key may do.

Read from the exchange each time. Prediction tokens come from the wallet, as Polymarket's own list shows them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, cast

from api.accounts import Balance, BalancesResponse, Position
from api.errors import HeyTradersError
from api.exchanges import EXCHANGES
from api.orders import Order
from api.symbols import Instrument
from api.times import iso8601
from engine.trading_rules import ZERO
from engine.venues.exchange.conventions import CONVENTIONS

from .markets import decimal
from .reading import AccountReader
from .session import Connector
from .views import OwnAccount, held

_DOLLARS: Final = ("USDT", "USDC", "USD")


def balances(reader: AccountReader, own: OwnAccount) -> BalancesResponse:
    """The holdings of the account.

    Raises:
        HeyTradersError: The exchange cannot be reached, or does not accept the key.
    """
    held_open, resting = positions(reader, own), reader.open_orders(own, None)
    rows = _held(reader, own, resting)
    worth = _worth(reader, own, rows, held_open, _DOLLARS[0])
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
    """The value of the account in its own currency; `None` if any asset in it has no price."""
    return _worth(reader, own, _held(reader, own, ()), positions(reader, own), EXCHANGES[own.exchange].quote)


def free_amount(reader: AccountReader, own: OwnAccount, asset: str) -> Decimal:
    """The available amount of an asset; of a prediction market also the tokens in the wallet that none sells."""
    row = EXCHANGES[own.exchange]
    if row.market_type != "prediction":
        return sum((each.free for each in _held(reader, own, ()) if each.asset == asset), ZERO)
    resting = reader.open_orders(own, None)
    if asset == row.quote:
        return sum((each.free for each in _held(reader, own, resting) if each.asset == asset), ZERO)
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


def _held(reader: AccountReader, own: OwnAccount, resting: Sequence[Order]) -> list[Balance]:
    """The balance of each asset. Prediction market balances do not show the part held by open buy orders."""
    row = EXCHANGES[own.exchange]
    buys = [one for one in resting if row.market_type == "prediction" and one.side == "buy"]
    tied = sum(((one.remaining_amount or ZERO) * (one.price or ZERO) for one in buys), ZERO)
    rows: list[Balance] = []
    for asset, free, used in held(reader.read(own, "fetch_balance")):
        more = tied if asset == row.quote else ZERO
        if free or used:
            rows.append(Balance(asset=asset, free=free - more, used=used + more, total=free + used))
    return rows


def _worth(
    reader: AccountReader, own: OwnAccount, rows: Sequence[Balance], positions: Sequence[Position], currency: str
) -> Decimal | None:
    """Value in a currency, treating all dollar currencies as equal; `None` if any asset has no price."""
    same = _DOLLARS if currency in _DOLLARS else (currency,)
    if EXCHANGES[own.exchange].market_type == "prediction":
        total = sum((p.size * (p.mark_price or p.entry_price) for p in positions), ZERO)
    else:
        total = sum((p.unrealized_pnl for p in positions), ZERO)
    total += sum((row.total for row in rows if row.asset in same), ZERO)
    others = [row for row in rows if row.asset not in same]
    if not others:
        return total
    try:
        prices = reader.markets.prices(own.exchange)
    except HeyTradersError:
        return None
    for row in others:
        listed = (reader.markets.of(own.exchange).get(Instrument(own.exchange, row.asset, quote)) for quote in same)
        found = next((prices[m.symbol] for m in listed if m is not None and m.symbol in prices), None)
        if found is None:
            return None
        total += row.total * found.last
    return total


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


def withdrawal_right(connector: Connector, own: OwnAccount, markets: Callable[[], list[Any]]) -> bool | None:
    """Whether the key may withdraw money; `None` if the exchange does not say. Blocking.

    Raises:
        HeyTradersError: The exchange cannot be reached, or does not accept the key.
    """
    account = (own.account_id, own.keys())
    connector.read(own.exchange, "fetch_balance", account=account, markets=markets)
    if not CONVENTIONS[own.exchange].tells_permissions or own.testnet:
        return None
    said = connector.read(own.exchange, "sapiGetAccountApiRestrictions", account=account)
    return bool(said.get("enableWithdrawals") or said.get("enableInternalTransfer"))
