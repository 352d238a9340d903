"""The accounts section: exchange accounts, their balances, positions and open orders."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, cast

from pydantic import Field, model_validator

from api.endpoint import Endpoint
from api.inputs import Identifier, Request
from api.outputs import TABLE, ReportedMoney, Response, Time, listed_as

from .orders import Order, Symbol


class AccountsRequest(Request):
    """No arguments: all accounts are listed."""


class AccountRequest(Request):
    """One account."""

    account_id: Identifier = Field(description="From accounts_list.")


class BalancesRequest(AccountRequest):
    """One account, or on Polymarket one of its markets."""

    symbol: Symbol | None = Field(
        default=None, description="Polymarket only: a token id, for that market's size alone, which is faster."
    )


class OpenOrdersRequest(AccountRequest):
    """One account, or one symbol of it."""

    symbol: Symbol | None = Field(default=None, description="Only this symbol, e.g. BTC/USDT. Required for Lighter.")


class Account(Response):
    """A linked exchange account."""

    account_id: str | None = Field(default=None, description="What orders and balances take.")
    name: str | None = Field(default=None, description="For people.")
    exchange: str | None = Field(default=None, description="The only exchange its orders go to.")
    market_type: str | None = Field(default=None, description="spot, perpetual or prediction.")
    currency: str | None = Field(default=None, description="Of its cash.")
    status: str | None = Field(default=None, description="active or closed.")
    paper: bool | None = Field(default=None, description="true: simulated money.")
    created_at: Time | None = Field(default=None, description="ISO 8601 UTC.")


class AccountsResponse(Response):
    """All accounts."""

    accounts: list[Account] = Field(default_factory=list[Account], description="Oldest first.")

    _bare_list = model_validator(mode="before")(listed_as("accounts"))


class Balance(Response):
    """What an account holds of one asset, in units of it."""

    asset: str = Field(description="E.g. USDT.")
    free: ReportedMoney = Field(description="Available.")
    used: ReportedMoney = Field(description="In open orders and margin.")
    total: ReportedMoney = Field(description="free + used.")


class Position(Response):
    """A perpetual or prediction position."""

    symbol: str = Field(description="On Polymarket TOKEN_ID/USDC.")
    title: str | None = Field(default=None, description="The question, on Polymarket.")
    side: str = Field(description="long or short.")
    size: ReportedMoney = Field(description="Base units or tokens.")
    entry_price: ReportedMoney = Field(description="Average. 0: not known, see note.")
    unrealized_pnl: ReportedMoney = Field(description="Quote currency, at the latest close.")
    leverage: ReportedMoney = Field(description="1 means no leverage.")
    mark_price: ReportedMoney | None = Field(default=None, description="Latest close.")
    liquidation_price: ReportedMoney | None = Field(default=None, description="Perpetuals: where the margin is lost.")
    margin: ReportedMoney | None = Field(default=None, description="Isolated margin, quote currency.")
    note: str | None = Field(default=None, description="What is not known.")

    @model_validator(mode="before")
    @classmethod
    def _say_unknown(cls, data: Any) -> Any:
        """A single-market query of Polymarket answers 0 for what it does not know; say that these are not facts."""
        if not isinstance(data, Mapping):
            return data
        given = dict(cast("Mapping[str, Any]", data))
        unknown = str(given.get("entry_price")).strip("0.") == "" and str(given.get("size")).strip("0.") != ""
        return {"note": _ONLY_SIZE, **given} if unknown and not given.get("note") else given


_ONLY_SIZE: Final = (
    "Only the size is known: entry_price and unrealized_pnl are 0 because this query does not tell them. "
    "Call accounts_balances without symbol for them."
)


class BalancesResponse(Response):
    """Everything an account holds."""

    account_id: str | None = Field(default=None, description="As asked.")
    total_equity_usd: ReportedMoney | None = Field(
        default=None, description="All holdings in USD: USDT and USDC count as 1, KRW at the BTC/KRW to BTC/USDT rate."
    )
    balances: list[Balance] = Field(default_factory=list[Balance], description="One row per asset.")
    positions: list[Position] = Field(default_factory=list[Position], description="Open positions.")
    open_orders: Annotated[list[Order], TABLE] = Field(default_factory=list[Order], description="Resting orders.")
    updated_at: Time | None = Field(default=None, description="ISO 8601 UTC.")
    paper: bool | None = Field(default=None, description="true: simulated money.")


class OpenOrdersResponse(Response):
    """The resting orders of an account."""

    account_id: str | None = Field(default=None, description="As asked.")
    orders: Annotated[list[Order], TABLE] = Field(default_factory=list[Order], description="Newest first.")

    _bare_list = model_validator(mode="before")(listed_as("orders"))


ACCOUNTS_LIST: Final = Endpoint(
    "accounts_list", "GET", "/accounts", "read", AccountsRequest, AccountsResponse, "List all linked exchange accounts."
)
ACCOUNTS_GET: Final = Endpoint(
    "accounts_get", "GET", "/accounts/{account_id}", "read", AccountRequest, Account, "Details of one account."
)
ACCOUNTS_BALANCES: Final = Endpoint(
    "accounts_balances",
    "GET",
    "/accounts/{account_id}/balances",
    "read",
    BalancesRequest,
    BalancesResponse,
    "Balances, positions and open orders of an account.",
)
ACCOUNTS_OPEN_ORDERS: Final = Endpoint(
    "accounts_open_orders",
    "GET",
    "/accounts/{account_id}/open-orders",
    "read",
    OpenOrdersRequest,
    OpenOrdersResponse,
    "Open orders of an account.",
)
