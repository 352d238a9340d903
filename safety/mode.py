"""What may go where: paper always, real money and the public only under a policy that a human has signed.

This version knows no such policy, so on the hosted service no order goes out, no strategy trades by itself, nothing is
published and no webhook is configured. Cancelling, pausing and unsubscribing are never gated.
"""

from __future__ import annotations

from typing import Final, Literal, Protocol

from api.errors import Denied

Backend = Literal["hosted", "embedded"]

_WAY_OUT: Final = (
    "Tell the user. Without HEYTRADERS_API_KEY and HEYTRADERS_BASE_URL the server runs on the embedded engine, "
    "where this is allowed"
)


class Subscribing(Protocol):
    """What a request to deploy a strategy says about itself."""

    @property
    def mode(self) -> str:
        """signal or trade."""
        ...

    @property
    def webhook(self) -> object | None:
        """Where it delivers."""
        ...


def may_place(backend: Backend, _request: object = None) -> None:
    """Let an order pass, or stop it before anything is sent.

    Raises:
        Denied: `backend` trades real money, or is not known.
    """
    _needs_policy(backend, "orders on the hosted service trade real money")


def may_subscribe(backend: Backend, request: Subscribing) -> None:
    """Let a strategy be deployed; on the hosted service one that only signals, to whoever polls.

    Raises:
        Denied: It would trade real money by itself, or deliver to an address.
    """
    if request.mode != "signal":
        may_trade_by_itself(backend)
    if request.webhook is not None:
        may_deliver(backend)


def may_trade_by_itself(backend: Backend, _request: object = None) -> None:
    """Let a strategy trade on without a question for each order.

    Raises:
        Denied: It would be real money.
    """
    _needs_policy(backend, "a strategy in mode trade on the hosted service trades real money by itself")


def may_deliver(backend: Backend, _request: object = None) -> None:
    """Let a webhook be called.

    Raises:
        Denied: The hosted service would call an address that nobody has approved.
    """
    _needs_policy(backend, "a webhook of the hosted service sends account activity to an address")


def may_publish(backend: Backend, _request: object = None) -> None:
    """Let a text be published.

    Raises:
        Denied: It would be public under the user's name.
    """
    _needs_policy(backend, "posts and profiles on the hosted service are public under the user's name")


def _needs_policy(backend: Backend, what: str) -> None:
    if backend != "embedded":
        raise Denied(f"{what}, which needs a policy signed by a human; this version has none", suggestion=_WAY_OUT)
