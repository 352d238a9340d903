"""Losses that nobody asks about: while a strategy trades by itself, its account is looked at without any call of ours.

Orders bring their account's equity with them, and R18 and R19 pull the switch on that occasion. A strategy in mode
trade places its orders upstream, so that no such occasion might ever come.
"""

from __future__ import annotations

from anyio import to_thread

from api import accounts
from safety.gate.footing import Footing
from safety.gate.halting import MOST, QUIET, pull
from safety.gate.status import ANY_ORDER
from safety.policy.evaluation import tripped
from safety.terms.facts import AccountFacts, Facts
from safety.terms.proposal import Order, Standing


async def watch_losses(footing: Footing) -> None:
    """Look at each account on which a strategy trades by itself, and pull the switch if it has lost too much.

    Raises:
        HeyTradersError: The service did not show an account. The next call tries again.
    """
    for account_id in await to_thread.run_sync(_traded_upon, footing):
        shown = await footing.client.call(accounts.ACCOUNTS_BALANCES, accounts.BalancesRequest(account_id=account_id))
        if shown.total_equity_usd is not None:
            account = AccountFacts(0.0, shown.total_equity_usd)
            await _judge(footing, ANY_ORDER.model_copy(update={"account_id": account_id}), account)


def _traded_upon(footing: Footing) -> list[str]:
    """Accounts of what was deployed or resumed and is not known to rest since, as the ledger saw each last."""
    latest: dict[str, tuple[str | None, object]] = {}
    for intent in reversed(footing.ledger.intents(states={"ACKED"}, service=footing.services, limit=MOST)):
        if isinstance(intent.proposal.action, Standing):
            status = (intent.result or {}).get("status")
            latest[intent.order_id or intent.intent_id] = intent.proposal.action.account_id, status
    return sorted({account_id for account_id, status in latest.values() if account_id and status not in QUIET})


async def _judge(footing: Footing, order: Order, account: AccountFacts) -> None:
    ledger, equity = footing.ledger, account.equity_usd
    money = (await footing.channels.of(order)).money
    if equity is not None:
        await to_thread.run_sync(ledger.saw_equity, money, order.account_id, equity)
    usage = await to_thread.run_sync(ledger.usage, money, order)
    loaded, _, _ = await to_thread.run_sync(footing.judge.standing)
    facts = Facts(footing.now(), money, account=account, usage=usage)
    await pull(footing, tripped(order, loaded.policy.limits(money), facts))
