"""The crypto assets that the simulation knows, largest first, each with the price it is anchored at.

Names, sectors and scales are those of well-known assets, so that a script written for the real market runs here; every
bar is invented.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final

_TABLE: Final = """
BTC L1 105000 | ETH L1 2600 | XRP Payments 2.2 | BNB Exchange 655 | SOL L1 155
DOGE Meme 0.19 | TRX L1 0.27 | ADA L1 0.68 | HYPE DeFi 33 | SUI L1 3.3
LINK Infrastructure 14 | AVAX L1 21 | XLM Payments 0.27 | BCH Payments 410 | TON L1 3.1
SHIB Meme 0.0000127 | HBAR L1 0.17 | LTC Payments 87 | DOT L1 4.1 | XMR Privacy 330
BGB Exchange 4.7 | PEPE Meme 0.0000119 | UNI DeFi 6.3 | AAVE DeFi 250 | TAO AI 400
NEAR L1 2.5 | APT L1 4.9 | ICP Infrastructure 5 | ONDO RWA 0.83 | ETC L1 17
CRO Exchange 0.1 | KAS L1 0.086 | OKB Exchange 50 | MNT L2 0.65 | POL L2 0.21
TRUMP Meme 11 | RENDER AI 3.7 | VET Infrastructure 0.024 | ENA DeFi 0.31 | FET AI 0.75
ALGO L1 0.19 | WLD AI 1.15 | ARB L2 0.34 | FIL Infrastructure 2.5 | ATOM L1 4.3
GT Exchange 19.5 | JUP DeFi 0.5 | KCS Exchange 11 | SEI L1 0.19 | QNT Infrastructure 110
TIA L2 2.2 | BONK Meme 0.000016 | INJ DeFi 12.3 | FARTCOIN Meme 1 | STX L2 0.75
FLR Infrastructure 0.018 | OP L2 0.62 | VIRTUAL AI 1.9 | IMX Gaming 0.54 | S L1 0.38
GRT Infrastructure 0.094 | MKR DeFi 1800 | WIF Meme 0.86 | CRV DeFi 0.67 | FLOKI Meme 0.000085
XDC L1 0.064 | PAXG RWA 3350 | JASMY AI 0.0155 | ENS Infrastructure 21 | LDO DeFi 0.86
CAKE DeFi 2.4 | THETA Infrastructure 0.74 | IOTA Infrastructure 0.185 | SAND Gaming 0.27 | GALA Gaming 0.0165
PYTH Infrastructure 0.125 | RAY DeFi 2.4 | ZEC Privacy 51 | HNT Infrastructure 3.4 | PENDLE DeFi 4
NEXO DeFi 1.25 | XTZ L1 0.58 | CORE L1 0.68 | FLOW Gaming 0.37 | MANA Gaming 0.29
KAIA L1 0.11 | RUNE DeFi 1.55 | BSV Payments 34 | EOS L1 0.69 | AXS Gaming 2.5
AERO DeFi 0.52 | STRK L2 0.13 | CFX L1 0.076 | COMP DeFi 41 | EGLD L1 15.5
DEXE DeFi 13.5 | APE Gaming 0.65 | AR Infrastructure 6.1 | NEO L1 5.9 | DYDX DeFi 0.56
CHZ Gaming 0.04 | PENGU Meme 0.0105 | AKT AI 1.2 | MORPHO DeFi 1.35 | GRASS AI 1.75
W Infrastructure 0.077 | ZRO Infrastructure 2.2 | ETHFI DeFi 1.15 | JTO DeFi 1.75 | EIGEN Infrastructure 1.3
MOVE L2 0.145 | SUPER Gaming 0.68 | BRETT Meme 0.056 | POPCAT Meme 0.38 | MEW Meme 0.0031
RON Gaming 0.56 | AIOZ AI 0.35 | ARKM AI 0.55 | GNO DeFi 120 | SNX DeFi 0.68
TWT Infrastructure 0.78 | AXL Infrastructure 0.37 | KSM L1 16.5 | MINA L1 0.21 | ZK L2 0.054
1INCH DeFi 0.2 | KAVA DeFi 0.41 | ROSE L1 0.029 | BLUR DeFi 0.1 | LPT AI 7.5
BEAM Gaming 0.0068 | CVX DeFi 3 | SAFE Infrastructure 0.47 | GMX DeFi 15.5 | ASTR L2 0.026
TFUEL Infrastructure 0.037 | ZIL L1 0.0115 | BAT Infrastructure 0.135 | QTUM L1 2.1 | CELO L2 0.31
DASH Privacy 22 | TURBO Meme 0.0045 | NOT Gaming 0.0022 | MOG Meme 0.0000011 | SUSHI DeFi 0.68
ZRX DeFi 0.24 | LRC L2 0.093 | ANKR Infrastructure 0.0165 | YFI DeFi 5400 | WOO DeFi 0.073
HOT Infrastructure 0.00105 | GLM AI 0.25 | IOTX Infrastructure 0.021 | SKL L2 0.022 | RVN L1 0.0165
ENJ Gaming 0.078 | MASK Infrastructure 2.4 | ICX L1 0.15 | ID Infrastructure 0.17 | BICO Infrastructure 0.11
CKB L1 0.0045 | SC Infrastructure 0.0036 | ONT L1 0.14 | WAVES L1 1.15 | ELF AI 0.24
MAGIC Gaming 0.16 | YGG Gaming 0.18 | PIXEL Gaming 0.043 | PORTAL Gaming 0.065 | ILV Gaming 13.5
GMT Gaming 0.052 | DYM L2 0.27 | MANTA L2 0.23 | METIS L2 17.5 | ALT L2 0.029
BLAST L2 0.0024 | SCR L2 0.29 | TAIKO L2 0.58 | ARPA AI 0.021 | NMR AI 8.5
PHB AI 0.48 | CTXC AI 0.07 | AGLD Gaming 0.85 | HIGH Gaming 0.55 | ALICE Gaming 0.42
C98 DeFi 0.055 | BAND Infrastructure 0.65 | API3 Infrastructure 0.72 | TRB Infrastructure 45 | UMA DeFi 1.2
BNT DeFi 0.65 | BAL DeFi 1.1 | KNC DeFi 0.32 | RPL DeFi 5.2 | SSV Infrastructure 9.5
LQTY DeFi 1 | COW DeFi 0.38 | OSMO DeFi 0.21 | ORCA DeFi 2.6 | DRIFT DeFi 0.52
STORJ Infrastructure 0.27 | CELR Infrastructure 0.0078 | CTSI L2 0.069 | CHR Gaming 0.087 | DENT Payments 0.00075
ACH Payments 0.021 | XVS DeFi 6.2 | COTI L2 0.06 | REQ Payments 0.14 | DUSK Privacy 0.068
SCRT Privacy 0.17 | PEOPLE Meme 0.021 | BOME Meme 0.0019 | NEIRO Meme 0.00042 | DOGS Meme 0.00015
MEME Meme 0.0019 | ORDI Meme 8.3 | SATS Meme 0.000000045 | RATS Meme 0.00003 | GOAT AI 0.12
"""


@dataclass(frozen=True, slots=True)
class Asset:
    """A crypto asset. `rank` is by market capitalisation from 1; `price` in US dollars is reached at the anchor day."""

    base: str
    sector: str
    price: float
    rank: int

    @property
    def daily_turnover(self) -> float:
        """Typical turnover in US dollars a day over all venues: falls with rank as it does in the real market."""
        return 4.0e10 * self.rank**-1.25


@cache
def assets() -> dict[str, Asset]:
    """All assets by name, largest first."""
    cells = [cell.split() for line in _TABLE.strip().splitlines() for cell in line.split("|")]
    return {
        base: Asset(base=base, sector=sector, price=float(price), rank=rank)
        for rank, (base, sector, price) in enumerate(cells, 1)
    }
