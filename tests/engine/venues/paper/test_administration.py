"""The owner's command-line actions, and how the books detect tampering."""

from __future__ import annotations

from decimal import Decimal

import pytest
import sqlalchemy as sa

from api.errors import HeyTradersError, InvalidInput, NotFound
from engine.store.accounts import balances_table, ledger_table, orders_table, positions_table
from engine.trading_rules import text
from engine.venues.paper.administration import Administration
from engine.venues.paper.postings import verify
from engine.venues.paper.records import read_accounts

from .conftest import OWNER, Bench


@pytest.fixture
def office(desk: Bench) -> Administration:
    """The accounts of the test's owner."""
    return Administration(desk.store, desk.clock, OWNER)


async def test_more_accounts_can_be_opened_and_traded(desk: Bench, office: Administration) -> None:
    opened = office.create("binance", "second", "My second", "500.5")
    made_up = office.create("upbit", None, None, None)

    assert (opened.account.account_id, opened.free) == ("second", Decimal("500.5"))
    assert made_up.account.account_id.startswith("acc_")
    assert made_up.free == Decimal(14_000_000)
    order = await desk.place("binance", "BTC/USDT", "buy", "0.004")
    assert order.account_id == "paper-binance"
    assert [s.account.account_id for s in office.accounts()][-2:] == ["second", made_up.account.account_id]


@pytest.mark.parametrize(
    ("account_id", "opening", "words"),
    [
        ("paper-binance", None, "already"),
        ("../x", None, "is not 1-64 letters"),
        ("x" * 65, None, "is not 1-64 letters"),
        ("new", "-1", "below 0"),
        ("new", "1e9", "not a decimal number"),
        ("new", "NaN", "not a decimal number"),
        ("new", "١٢", "not a decimal number"),
    ],
)
def test_what_cannot_be_an_account_is_refused(
    office: Administration, account_id: str, opening: str | None, words: str
) -> None:
    before = office.accounts()
    with pytest.raises(InvalidInput, match=words):
        office.create("binance", account_id, None, opening)

    assert office.accounts() == before


def test_money_goes_in_and_out_but_not_below_zero(office: Administration) -> None:
    assert office.fund("paper-gate", "250.25", None).free == Decimal("10250.25")
    assert office.fund("paper-gate", "-10000", None).free == Decimal("250.25")
    for account, amount, asset in (
        ("paper-gate", "-250.26", None),
        ("paper-gate", "1", "b t c"),
        ("paper-lighter", "1", "BTC"),
        ("nobody", "1", None),
    ):
        with pytest.raises(HeyTradersError):
            office.fund(account, amount, asset)
    assert office.fund("paper-gate", "2", "BTC").free == Decimal("250.25")


def test_money_of_thirty_six_digits_goes_in_back_and_out_to_the_last_one(office: Administration) -> None:
    most = Decimal("999999999999999999.999999999999999999")
    assert office.create("gate", "rich", None, str(most)).free == most
    assert office.fund("rich", "-0.000000000000000001", None).free == Decimal("999999999999999999.999999999999999998")
    assert office.reset("rich").free == most
    assert office.fund("rich", f"-{most}", None).free == 0
    assert office.verify("rich") == {"rich": []}


async def test_a_reset_account_starts_again(desk: Bench, office: Administration) -> None:
    await desk.place("binancefuturesusd", "BTC/USDT:USDT", "sell", "0.05", leverage=3)
    resting = await desk.place("binancefuturesusd", "BTC/USDT:USDT", "sell", "0.05", order_type="limit", price=110_000)
    assert office.reset("paper-binancefuturesusd").free == Decimal(10_000)

    shown = await desk.balances("binancefuturesusd")
    assert (shown.positions, shown.open_orders, shown.total_equity_usd) == ([], [], Decimal(10_000))
    assert (await desk.order(resting.order_id)).message == "The account was reset"


async def test_a_closed_account_takes_no_orders_until_it_is_reset(desk: Bench, office: Administration) -> None:
    resting = await desk.place("binance", "BTC/USDT", "buy", "0.01", order_type="limit", price=90_000)
    assert office.close("paper-binance").account.status == "closed"
    assert (await desk.order(resting.order_id)).status == "CANCELLED"
    with pytest.raises(InvalidInput, match="is closed"):
        await desk.place("binance", "BTC/USDT", "buy", "0.01")

    office.reset("paper-binance")
    assert (await desk.place("binance", "BTC/USDT", "buy", "0.01")).status == "FILLED"


async def test_an_account_with_positions_is_not_closed(desk: Bench, office: Administration) -> None:
    await desk.place("lighter", "BTC/USDT", "sell", "0.05")
    with pytest.raises(InvalidInput, match="open positions: BTC/USDT"):
        office.close("paper-lighter")


async def test_every_change_of_a_balance_is_in_the_ledger_and_sums_to_it(desk: Bench, office: Administration) -> None:
    order = await desk.place("binance", "BTC/USDT", "buy", "0.01")
    ledger = office.ledger("paper-binance", 100)

    assert [row.kind for row in ledger] == ["deposit"] * 2 + ["fill"] * 5
    assert {row.order_id for row in ledger[2:]} == {order.order_id}
    free = sum((row.amount for row in ledger if (row.book, row.asset) == ("free", "USDT")), Decimal(0))
    assert text(free) == (await desk.cash("binance"))[0]
    assert [row.seq for row in office.ledger("paper-binance", 3)] == [row.seq for row in ledger[-3:]]
    with pytest.raises(NotFound):
        office.ledger("nobody", 3)


async def test_verification_finds_what_does_not_add_up(desk: Bench, office: Administration) -> None:
    perp, token = "binancefuturesusd", "99244664687000000001"
    await desk.place(perp, "BTC/USDT:USDT", "buy", "0.05", leverage=3)
    await desk.place(perp, "BTC/USDT:USDT", "buy", "0.05", order_type="limit", price=90_000)
    await desk.place("polymarket", token, "buy", 10, order_type="FOK", price="0.7")
    frauds = {
        "the balance is": sa.update(balances_table).values(amount="999999").where(balances_table.c.book == "free"),
        "does not sum to zero": sa.update(ledger_table).values(amount="-1").where(ledger_table.c.book == "fees"),
        "held USDT": sa.update(orders_table).values(reserved="1"),
        "margin USDT": sa.update(positions_table).values(margin="1"),
        "position BTC/USDT:USDT": sa.update(positions_table).values(size="1"),
        f"tokens {token}": sa.update(positions_table).values(size="1"),
        "still holds": sa.update(orders_table).values(status="CANCELLED"),
        "OPEN with": sa.update(orders_table).values(filled="0.05"),
    }
    for words, fraud in frauds.items():
        with pytest.raises(_Undo) as undone:
            desk.store.write_now(lambda connection, fraud=fraud: _tried(connection, fraud))

        assert any(words in problem for problem in undone.value.problems), words
    assert office.verify() == {s.account.account_id: [] for s in office.accounts()}


class _Undo(Exception):
    """Rolls back a transaction and reports the result of the verification in it."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__()
        self.problems = problems


def _tried(connection: sa.Connection, fraud: sa.Update) -> None:
    connection.execute(fraud)
    raise _Undo([p for account in read_accounts(connection, OWNER) for p in verify(connection, account)])
