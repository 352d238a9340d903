"""Where orders may go: paper accounts always, real money only under a policy that a human has signed.

This version knows no such policy, so no order goes to the hosted service. Cancelling is never gated.
"""

from __future__ import annotations

from typing import Literal

from api.errors import Denied

Backend = Literal["hosted", "embedded"]


def may_place(backend: Backend) -> None:
    """Let an order pass, or stop it before anything is sent.

    Raises:
        Denied: `backend` trades real money, or is not known.
    """
    if backend == "embedded":
        return
    raise Denied(
        "orders on the hosted service trade real money, which needs a policy signed by a human; this version has none",
        suggestion="Tell the user. Without HEYTRADERS_API_KEY and HEYTRADERS_BASE_URL the server trades paper "
        "accounts; orders_cancel works here as well",
    )
