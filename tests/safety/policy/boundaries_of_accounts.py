"""Accounts, health, humans and publications: R16 to R32, just below, at and just above each limit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from safety.terms.facts import Quote
from tests.safety.policy.boundaries import ANY_TYPE, MARKET, SELL, D, Table
from tests.safety.policy.scenarios import DEPLOYMENT, PERPETUAL, POST, PREDICTION, TOKEN, rest

TABLE: Final = Table()
row = TABLE.row

row("R16: nine open", open_orders=(rest("buy", "1", "1"),) * 2 + (rest("buy", "1", "1", "ETH/USDT"),) * 7)
row("R16: ten open", "R16", open_orders=(rest("buy", "1", "1"),) * 2 + (rest("buy", "1", "1", "ETH/USDT"),) * 8)
row(
    "R16: ten open and one that does not rest",
    "",
    change={"order_type": "FOK"},
    open_orders=(rest("buy", "1", "1", "ETH/USDT"),) * 10,
)
row(
    "R16: ten open, and GTC", "R16", change={"order_type": "GTC"}, open_orders=(rest("buy", "1", "1", "ETH/USDT"),) * 10
)
row("R16: three open of the symbol", "R16", open_orders=(rest("buy", "1", "1"),) * 3)
row("R16: two open and one on its way", "R16", open_orders=(rest("buy", "1", "1"),) * 2, in_flight_here=1)
row("R16: nine open and one on its way", "R16", open_orders=(rest("buy", "1", "1", "ETH/USDT"),) * 9, in_flight_here=1)
row("R16: none may be open", "R16", limits={"open_orders": 0})
row("R16: no account", "R16 R17 R18 R19 R21 R25 R27", account=None)

IN_USD: Final[dict[str, Any]] = {"position_share": None, "exposure_share": None, "position_usd": D(100)}
IN_SHARES: Final[dict[str, Any]] = {"position_share": D("0.1"), "exposure_share": None, "position_usd": None}
IN_ALL: Final[dict[str, Any]] = {"position_share": None, "exposure_share": D("0.25"), "position_usd": None}
HELD: Final[dict[str, Any]] = {"positions": {"BTC/USDT": D(1)}}
row("R17: at the position", limits=IN_USD, **HELD, position_usd={"BTC/USDT": D(70)})
row("R17: above it", "R17", limits=IN_USD, **HELD, position_usd={"BTC/USDT": D("70.01")})
row(
    "R17: a short counts as much",
    "R17",
    limits=IN_USD,
    positions={"BTC/USDT": D(-1)},
    position_usd={"BTC/USDT": D("-70.01")},
    change={"amount": D("0.0005")},
    reserved_symbol_usd=D("0.01"),
)
row(
    "R17: with what is reserved",
    "R17",
    limits=IN_USD,
    **HELD,
    position_usd={"BTC/USDT": D(60)},
    reserved_symbol_usd=D("10.01"),
)
row(
    "R17: at it, with what is reserved",
    limits=IN_USD,
    **HELD,
    position_usd={"BTC/USDT": D(60)},
    reserved_symbol_usd=D(10),
)
row("R17: with what rests", "R17", limits=IN_USD, open_orders=(rest("buy", "59000", "0.0012"),))
row("R17: at it, with what rests", limits=IN_USD, open_orders=(rest("buy", "50000", "0.0014"),))
row(
    "R17: another symbol's position is its own",
    limits=IN_USD,
    positions={"ETH/USDT": D(1)},
    position_usd={"ETH/USDT": D(99)},
)
row(
    "R17: a resting order without a price counts at the market's",
    "R17",
    limits=IN_USD,
    open_orders=(rest("buy", None, "0.0012"),),
)
row(
    "R17: another symbol's resting order is its own",
    limits=IN_USD,
    open_orders=(rest("buy", "2000", "0.1", "ETH/USDT"),),
)
row("R17: a position of unknown value", "R17", limits=IN_USD, **HELD)
row("R17: another symbol's position of unknown value", limits=IN_USD, positions={"ETH/USDT": D(1)})
row("R17: a position of unknown value among all", "R17", limits=IN_ALL, positions={"ETH/USDT": D(1)})
row("R17: a position of nothing", limits=IN_ALL, positions={"ETH/USDT": D(0)})
row("R17: at the share", limits=IN_SHARES, **HELD, position_usd={"BTC/USDT": D(70)})
row("R17: above the share", "R17", limits=IN_SHARES, **HELD, position_usd={"BTC/USDT": D("70.01")})
row(
    "R17: the smaller of both counts",
    "R17",
    limits={**IN_SHARES, "position_usd": D(90)},
    **HELD,
    position_usd={"BTC/USDT": D("60.01")},
)
row("R17: at all of the exposure", limits=IN_ALL, positions={"ETH/USDT": D(1)}, position_usd={"ETH/USDT": D(220)})
row(
    "R17: above all of the exposure",
    "R17",
    limits=IN_ALL,
    positions={"ETH/USDT": D(1)},
    position_usd={"ETH/USDT": D("220.01")},
)
row("R17: shorts add up with longs", "R17", limits=IN_ALL, position_usd={"ETH/USDT": D(-120), "SOL/USDT": D("100.01")})
row("R17: exposure with what is reserved", "R17", limits=IN_ALL, reserved_usd=D("220.01"))
row(
    "R17: exposure with what rests elsewhere",
    "R17",
    limits=IN_ALL,
    open_orders=(rest("sell", "2000", "0.12", "ETH/USDT"),),
)
row("R17: exposure at what rests elsewhere", limits=IN_ALL, open_orders=(rest("sell", "2000", "0.11", "ETH/USDT"),))
row(
    "R17: a resting order in another dollar",
    "R17",
    limits=IN_ALL,
    open_orders=(rest("sell", "2000", "0.12", "ETH/USDC"),),
)
row(
    "R17: a resting order in an unknown currency",
    "R17",
    limits=IN_ALL,
    open_orders=(rest("sell", "1", "1", "ETH/BTC"),),
)
row("R17: a resting order of an unreadable symbol", "R17", limits=IN_ALL, open_orders=(rest("sell", "1", "1", "?"),))
row(
    "R17: a resting order elsewhere without a price",
    "R17",
    limits=IN_ALL,
    open_orders=(rest("sell", None, "1", "ETH/USDT"),),
)
row(
    "R17: no equity",
    "R17 R18 R19",
    limits={**IN_SHARES, "daily_loss_usd": None, "daily_loss_share": None, "drawdown_share": None},
    equity_usd=None,
)

OUT: Final[dict[str, Any]] = {
    "free": {"BTC": D("0.002")},
    "positions": {"BTC/USDT": D("0.0005")},
    "position_usd": {"BTC/USDT": D(3_000)},
}
row("R17: selling what is held passes", "", SELL, **OUT)
row("R17: selling more than is held", "R17", SELL, change={"amount": D("0.00050001")}, **OUT)
row("R17: buying more of what is held", "R17 R25", **OUT)
row(
    "R17: selling what rests to be sold already", "R17", SELL, **OUT, open_orders=(rest("sell", "70000", "0.00000001"),)
)
row("R17: buys that rest do not hinder selling", "", SELL, **OUT, open_orders=(rest("buy", "50000", "0.001"),))
row(
    "R17: sells of others that rest do not hinder selling",
    "",
    SELL,
    **OUT,
    open_orders=(rest("sell", "50000", "1", "ETH/USDT"),),
)
row("R17: selling while something is reserved", "R17", SELL, **OUT, reserved_symbol_usd=D("0.01"))
row("R17: selling while something is on its way", "R17", SELL, **OUT, in_flight_here=1)
row("R17: selling while something is unknown", "R17 R24", SELL, **OUT, unknown_here=1)
row(
    "R17: buying back a short passes",
    "",
    PERPETUAL,
    positions={"BTC/USDT:USDT": D("-0.0005")},
    position_usd={"BTC/USDT:USDT": D(3_000)},
)
row(
    "R17: selling into a short",
    "R17",
    PERPETUAL,
    change={"side": "sell"},
    positions={"BTC/USDT:USDT": D("-0.0005")},
    position_usd={"BTC/USDT:USDT": D(3_000)},
)

row("R18: a loss just short of the limit", equity_usd=D("950.01"))
row("R18: at the limit", "R18", equity_usd=D(950))
row("R18: as a share, just short", limits={"daily_loss_usd": None}, equity_usd=D("950.01"))
row("R18: as a share", "R18", limits={"daily_loss_usd": None}, equity_usd=D(950))
row("R18: the smaller of both", "R18", limits={"daily_loss_usd": D(40)}, equity_usd=D(960))
row("R18: a gain", equity_usd=D(2_000), high_water_equity=D(2_000))
row(
    "R18: half of the day's equity whatever is signed",
    "R17 R18 R19",
    limits={"daily_loss_usd": None, "daily_loss_share": None},
    equity_usd=D(250),
    day_start_equity=D(500),
)
row("R18: the start of the day is not known", "R18", day_start_equity=None)
row("R18: no loss limit in USD", limits={"daily_loss_usd": None, "daily_loss_share": D("0.5")}, equity_usd=D(900))

LOSS: Final[dict[str, Any]] = {"daily_loss_usd": None, "daily_loss_share": D("0.5")}
row("R19: just short of the drawdown", limits=LOSS, equity_usd=D("850.01"))
row("R19: at the drawdown", "R19", limits=LOSS, equity_usd=D(850))
row("R19: at the drawdown, selling what is held", "", SELL, limits=LOSS, equity_usd=D(850), **OUT)
row("R19: the highest equity is not known", "R19", high_water_equity=None)

row("R20: halted", "R20", switch="HALTED")
row("R20: halted, selling what is held", "R20", SELL, **OUT, switch="HALTED")
row("R20: halted, a strategy", "R20 R30?", DEPLOYMENT, switch="HALTED")
row("R20: halted, a post", "R20 R32?", POST, switch="HALTED")
row("R20: reducing, and buying", "R20", switch="REDUCING")
row("R20: reducing, selling what is held", "", SELL, **OUT, switch="REDUCING")
row("R20: reducing, selling nothing", "R20", SELL, switch="REDUCING")
row("R20: reducing, a strategy", "R20 R30?", DEPLOYMENT, switch="REDUCING")
row("R20: reducing, a post", "R32?", POST, switch="REDUCING")

row("R21: below an own sell", open_orders=(rest("sell", "60000.01"),))
row("R21: at an own sell", "R21", open_orders=(rest("sell", "60000"),))
row("R21: above an own sell", "R21", open_orders=(rest("sell", "59999"),))
row("R21: own buys are not met by buys", open_orders=(rest("buy", "60000"),))
row("R21: selling above an own buy", "", SELL, open_orders=(rest("buy", "59999.99"),))
row("R21: selling at an own buy", "R21", SELL, open_orders=(rest("buy", "60000"),))
row("R21: selling below an own buy", "R21", SELL, open_orders=(rest("buy", "60001"),))
row("R21: a market order meets any", "R21", MARKET, limits=ANY_TYPE, open_orders=(rest("sell", "90000"),))
row("R21: a resting order without a price", "R21", open_orders=(rest("sell", None),))
row("R21: another symbol", open_orders=(rest("sell", "1", "0.1", "ETH/USDT"),))
row("R21: the symbol written otherwise", "R21", open_orders=(rest("sell", "60000", "0.0001", "BTCUSDT"),))
row("R21: a stop is not in the order book", open_orders=(replace(rest("sell", "60000"), role="stop_loss"),))
row("R21: at an own target", "R21", open_orders=(replace(rest("sell", "60000"), role="take_profit"),))
row("R21: below an own target", open_orders=(replace(rest("sell", "60000.01"), role="take_profit"),))
row(
    "R21: a target is out of reach of a market order",
    "",
    MARKET,
    limits=ANY_TYPE,
    open_orders=(replace(rest("sell", "90000"), role="take_profit"),),
)
row("R21: allowed to", "", limits={"no_self_trade": False}, open_orders=(rest("sell", "60000"),))

row("R22: four without a human", automatic_in_a_row=4)
row("R22: five without a human", "R22?", automatic_in_a_row=5)

row("R23: two failures", failures_in_a_row=2, last_failure_age=1.0)
row("R23: three failures", "R23", failures_in_a_row=3, last_failure_age=599.9)
row("R23: three failures ten minutes ago", failures_in_a_row=3, last_failure_age=600.0)
row("R23: three failures at an unknown time", "R23", failures_in_a_row=3)
row("R23: five failures long ago", failures_in_a_row=5, last_failure_age=6_000.0)
row("R23: six failures long ago", "R23", failures_in_a_row=6, last_failure_age=6_000.0)

row("R24: an unknown outcome here", "R24", unknown_here=1, unknown_anywhere=1)
row("R24: two unknown outcomes elsewhere", unknown_anywhere=2)
row("R24: three unknown outcomes elsewhere", "R24", unknown_anywhere=3)
row("R24: one on its way, told apart by label", in_flight_here=1)
row("R24: one on its way, and labels do not come back", "R24", in_flight_here=1, labels_echoed=False)
row("R24: one on its way, and nobody knows whether labels come back", "R24", in_flight_here=1, labels_echoed=None)

row("R25: the balance just covers it", free={"USDT": D(30)})
row("R25: the balance does not cover it", "R25", free={"USDT": D("29.99")})
row("R25: no balance of the quote currency", "R25", free={"BTC": D(1)})
row("R25: less what is reserved", "R25", free={"USDT": D(50)}, reserved_usd=D("20.01"))
row("R25: at it, less what is reserved", free={"USDT": D(50)}, reserved_usd=D(20))
row(
    "R25: reserved USD in another currency",
    "R25",
    change={"exchange": "upbit", "symbol": "XRP/KRW", "price": D(1_000), "amount": D(10)},
    limits={"max_amount": None},
    quote=Quote(D(1_000), 1.0),
    usd_rate=D("0.001"),
    free={"KRW": D(20_000)},
    reserved_usd=D("10.001"),
)
row(
    "R25: at it, reserved USD in another currency",
    "",
    change={"exchange": "upbit", "symbol": "XRP/KRW", "price": D(1_000), "amount": D(10)},
    limits={"max_amount": None},
    quote=Quote(D(1_000), 1.0),
    usd_rate=D("0.001"),
    free={"KRW": D(20_000)},
    reserved_usd=D(10),
)
row("R25: more is reserved than there is", "R25", free={"USDT": D(50)}, reserved_usd=D(60))
WON: Final[dict[str, Any]] = {
    "exchange": "upbit",
    "symbol": "XRP/KRW",
    "side": "sell",
    "price": D(2_000),
    "amount": D(10),
}
WON_KNOWN: Final[dict[str, Any]] = {"quote": Quote(D(2_000), 1.0), "usd_rate": D("0.001"), "free": {"XRP": D(20)}}
row(
    "R25: selling for won, less what is reserved",
    "R25",
    change=WON,
    limits={"max_amount": None},
    **WON_KNOWN,
    reserved_symbol_usd=D("20.01"),
)
row(
    "R09: won whose worth in USD is not known",
    "R08 R09 R12 R17 R25 R28 R29",
    change={**WON, "side": "buy"},
    limits={"max_amount": None},
    quote=WON_KNOWN["quote"],
    usd_rate=None,
    free=WON_KNOWN["free"],
)
row("R25: at it, selling for won", "", change=WON, limits={"max_amount": None}, **WON_KNOWN, reserved_symbol_usd=D(20))
row("R25: selling all of it", "", SELL, free={"BTC": D("0.0005")})
row("R25: selling more", "R25", SELL, free={"BTC": D("0.00049999")})
row(
    "R25: selling, less what is reserved",
    "R25",
    SELL,
    free={"BTC": D("0.001")},
    reserved_symbol_usd=D("30.01"),
    reserved_usd=D("30.01"),
)
row(
    "R25: at it, selling, less what is reserved",
    "",
    SELL,
    free={"BTC": D("0.001")},
    reserved_symbol_usd=D(30),
    reserved_usd=D(30),
)
HELD_BY_EXITS: Final = (
    replace(rest("sell", "50000", "0.0003"), role="stop_loss", parent="entry-1"),
    replace(rest("sell", "70000", "0.0003"), role="take_profit", parent="entry-1"),
    replace(rest("sell", "50000", "0.0001"), role="stop_loss", parent="entry-2"),
)
CLOSING: Final[dict[str, Any]] = {"change": {"reduce_only": True}, "open_orders": HELD_BY_EXITS}
row("R25: closing takes what exits hold, once for a plan", "", SELL, **CLOSING, free={"BTC": D("0.0001")})
row("R25: closing more", "R25", SELL, **CLOSING, free={"BTC": D("0.00009999")})
row("R25: what exits hold is not for other sales", "R25", SELL, open_orders=HELD_BY_EXITS, free={"BTC": D("0.0001")})
row(
    "R25: nor is what exits of another symbol hold",
    "R25",
    SELL,
    change={"reduce_only": True},
    open_orders=tuple(replace(one, symbol="ETH/USDT") for one in HELD_BY_EXITS),
    free={"BTC": D("0.0001")},
)
row(
    "R25: nor is what entries hold",
    "R25",
    SELL,
    change={"reduce_only": True},
    open_orders=(rest("sell", "70000", "0.0003"),),
    free={"BTC": D("0.0002")},
)
row("R25: margin of a perpetual", "", PERPETUAL, free={"USDT": D(30)})
row("R25: not enough margin", "R25", PERPETUAL, free={"USDT": D("29.99")})
row(
    "R25: leverage needs less margin",
    "",
    PERPETUAL,
    change={"leverage": 2, "amount": D("0.0004")},
    limits={"max_leverage": 2},
    free={"USDT": D(12)},
)
row(
    "R25: but some",
    "R25",
    PERPETUAL,
    change={"leverage": 2, "amount": D("0.0004")},
    limits={"max_leverage": 2},
    free={"USDT": D("11.99")},
)
row(
    "R25: closing a perpetual needs none",
    "",
    PERPETUAL,
    free={},
    positions={"BTC/USDT:USDT": D("-0.0005")},
    position_usd={"BTC/USDT:USDT": D(30)},
)
row("R25: tokens", "", PREDICTION, quote=Quote(D("0.6"), 1.0), free={"USDC": D(30)})
row("R25: not enough for tokens", "R25", PREDICTION, quote=Quote(D("0.6"), 1.0), free={"USDC": D("29.99")})
row(
    "R25: selling tokens that are held",
    "",
    PREDICTION,
    change={"side": "sell"},
    quote=Quote(D("0.6"), 1.0),
    positions={TOKEN: D(50)},
    position_usd={TOKEN: D(30)},
)
row(
    "R25: selling more tokens than are held",
    "R25",
    PREDICTION,
    change={"side": "sell"},
    quote=Quote(D("0.6"), 1.0),
    positions={TOKEN: D(49)},
    position_usd={TOKEN: D(30)},
)
row("R25: unchecked", limits={"check_funds": False}, free={})

row("R26: at the skew", clock_skew=5.0)
row("R26: beyond it", "R26", clock_skew=5.001)
row("R26: behind", "R26", clock_skew=-5.001)
row("R26: not known", "R26", clock_skew=None)
row("R26: the clock went back", "R26", clock_went_back=True)
row("R26: for a strategy too", "R26 R30?", DEPLOYMENT, clock_skew=None)

row("R27: a snapshot of 15 s", age=15.0)
row("R27: an older one", "R27", age=15.001)
row("R27: the service does not answer", "R27", upstream_healthy=False)

row("R28: at what needs no human", limits={"automatic_up_to": D(30)})
row("R28: above it", "R28?", limits={"automatic_up_to": D("29.99")})
row("R28: every order", "R28?", limits={"automatic_up_to": D(0)})
row("R28: every order, whatever is signed", "R28?", limits={"automatic_up_to": D(0), "ask_a_human": False})

row("R29: no channel", "R29", assurance="none")
row("R29: no channel carries nothing, however small", "R29", change={"amount": D("0.00001")}, assurance="none")
row("R29: the dialog carries 25", "R29", assurance="elicitation")
row("R29: the dialog carries this", "", change={"amount": D("0.0004")}, assurance="elicitation", notional_24h=D(26))
row(
    "R29: but no more than 50 a day",
    "R29",
    change={"amount": D("0.0004")},
    assurance="elicitation",
    notional_24h=D("26.01"),
)
row("R29: nor since midnight", "R29", change={"amount": D("0.0004")}, assurance="elicitation", notional_day=D("26.01"))
BIG: Final[dict[str, Any]] = {
    "max_notional": None,
    "max_amount": None,
    "position_usd": None,
    "position_share": None,
    "exposure_share": None,
    "daily_notional": None,
    "automatic_up_to": D(250),
}
row(
    "R29: a passphrase carries 250",
    "",
    change={"amount": D("0.005"), "price": D(50_000)},
    limits=BIG,
    quote=Quote(D(50_000), 1.0),
)
row(
    "R29: and no more",
    "R28? R29",
    change={"amount": D("0.0050001"), "price": D(50_000)},
    limits=BIG,
    quote=Quote(D(50_000), 1.0),
)
row(
    "R29: another host carries more",
    "R28?",
    change={"amount": D("0.0050001"), "price": D(50_000)},
    limits=BIG,
    quote=Quote(D(50_000), 1.0),
    assurance="separate",
)
row("R29: a passphrase carries 1,000 a day", "", limits=BIG, notional_24h=D(970))
row("R29: and no more a day", "R29", limits=BIG, notional_24h=D("970.01"))
row("R29: another host carries 5,000 a day", "", limits=BIG, notional_24h=D(4_970), assurance="separate")
row(
    "R29: half without labels",
    "R29",
    change={"amount": D("0.0025001"), "price": D(50_000)},
    limits=BIG,
    quote=Quote(D(50_000), 1.0),
    labels_echoed=False,
)
row(
    "R29: at half without labels",
    "",
    change={"amount": D("0.0025"), "price": D(50_000)},
    limits=BIG,
    quote=Quote(D(50_000), 1.0),
    labels_echoed=False,
)
row("R29: half a day without labels", "R29", limits=BIG, notional_24h=D("470.01"), labels_echoed=False)
row("R29: a strategy without a passphrase", "R29 R30?", DEPLOYMENT, assurance="elicitation")
row("R29: a post without a passphrase", "R29 R32?", POST, assurance="none")
row("R29: a post with one", "R32?", POST, assurance="separate")

row("R30: one already", "R30", DEPLOYMENT, standing_active=1)
row("R30: the second of two", "R30?", DEPLOYMENT, limits={"max_standing": 2}, standing_active=1)
row("R30: five at most whatever is signed", "R30", DEPLOYMENT, limits={"max_standing": None}, standing_active=5)

HOOK: Final[dict[str, Any]] = {"webhook_url": "https://hooks.example.com/x"}
row("R31: no host is allowed", "R30? R31", DEPLOYMENT, change=HOOK)
row(
    "R31: this host is allowed",
    "R30?",
    DEPLOYMENT,
    change=HOOK,
    limits={"webhook_hosts": frozenset({"hooks.example.com"})},
)
row(
    "R31: a parent of this host is allowed",
    "R30? R31",
    DEPLOYMENT,
    change=HOOK,
    limits={"webhook_hosts": frozenset({"example.com"})},
)

row("fatigue: two questions wait", "R28?", limits={"automatic_up_to": D(0)}, pending=2)
row("fatigue: three questions wait", "R28? R28F", limits={"automatic_up_to": D(0)}, pending=3)
row("fatigue: three wait, and nobody has to be asked", pending=3)
row("fatigue: nine questions in an hour", "R28?", limits={"automatic_up_to": D(0)}, prompts_last_hour=9)
row("fatigue: ten questions in an hour", "R28? R28F", limits={"automatic_up_to": D(0)}, prompts_last_hour=10)
row("fatigue: one refusal", "R28?", limits={"automatic_up_to": D(0)}, declined_ages=(1.0,))
row(
    "fatigue: two refusals in ten minutes",
    "R28? R28F",
    limits={"automatic_up_to": D(0)},
    declined_ages=(1_799.0, 2_399.0),
)
row("fatigue: two refusals further apart", "R28?", limits={"automatic_up_to": D(0)}, declined_ages=(1_700.0, 2_300.1))
row(
    "fatigue: two refusals half an hour ago", "R28?", limits={"automatic_up_to": D(0)}, declined_ages=(1_800.0, 1_900.0)
)
row(
    "fatigue: two refusals before a third",
    "R28? R28F",
    limits={"automatic_up_to": D(0)},
    declined_ages=(10.0, 1_000.0, 1_500.0),
)
row("fatigue: a strategy", "R28F R30?", DEPLOYMENT, pending=3)
row("fatigue: a post", "R28F R32?", POST, pending=3)
