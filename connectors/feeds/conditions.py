"""Which sale conditions let a US equity trade set a bar's prices and volume: declared tables.

The bits are those of QuantConnect/Lean ``Common/Data/Auxiliary/TradeConditionFlags.cs`` (Apache-2.0), in
which AlgoSeek's trade files are written.

``SIP`` follows the consolidated processing guidelines of the two US tapes (CTA "CTS output
specification", UTP "UTDF output specification", sale-condition matrix, as of October 2013: stock-option
trades still set prices, see UTP vendor alert 2015-4). Their note 1 ("last only if it is the first
qualifying one of the day") is read as no.

``VENDOR`` is what the vendor's own minute bars of the same days show. It differs in two ways. Trades of
intermarket sweep orders set no price in regular hours: of the trades outside a bar's high and low, all
but some average-price ones are such. And in extended hours every trade sets prices: by the tapes' rule
(Form T sets none) those minutes would have no price at all, where the vendor has bars. Derivatively
priced, stock-option, average-price and prior-reference trades set none in regular hours; cash,
next-day and seller's ones do. Of what three days do not hold (price variation, odd lots), the tapes' rule stands.

Share of the vendor's minutes of 7 to 9 October 2013 whose open, high, low, close and volume are all
equal, measured by ``tests/connectors/feeds/test_taq.py``:

======  =======  ========  =====  ============
symbol  minutes  VENDOR    SIP    every trade
======  =======  ========  =====  ============
AIG       1,289    99.0 %  58.9 %       65.9 %
BAC       1,709    99.4 %  62.0 %       91.5 %
IBM       1,300    99.2 %  42.6 %       50.5 %
SPY       2,469    99.6 %  33.8 %       81.7 %
======  =======  ========  =====  ============

(SIP's share is low because it leaves the minutes of extended hours without prices.) What differs still
is not in the conditions: the vendor dates the closing auction into the minute before, counts some of
the opening and closing prints in another minute, and leaves some out.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from schemas.arrays import Bools, Int64s

CASH = 1 << 1
NEXT_DAY = 1 << 2
SELLER = 1 << 3
INTERMARKET_SWEEP = 1 << 5
DERIVATIVELY_PRICED = 1 << 9
FORM_T = 1 << 10
EXTENDED_HOURS = 1 << 13
OUT_OF_SEQUENCE = 1 << 14
STOCK_OPTION = 1 << 18
AVERAGE_PRICE = 1 << 20
PRICE_VARIATION = 1 << 22
OFFICIAL_CLOSE = 1 << 24
PRIOR_REFERENCE_PRICE = 1 << 25
OFFICIAL_OPEN = 1 << 26
ODD_LOT = 1 << 31

# A market centre's official prices repeat trades that were printed before: they are no trades.
_OFFICIAL = OFFICIAL_OPEN | OFFICIAL_CLOSE


@dataclass(frozen=True, kw_only=True)
class SaleConditions:
    """Sale-condition bits that keep a trade from setting a bar's high and low, last, or volume.

    Parameters
    ----------
    no_high_low, no_last, no_volume : int
        Bits of which one is enough.
    lifted_by : int
        Bits of which one lets the trade set prices whatever the others are.
    """

    no_high_low: int
    no_last: int
    no_volume: int
    lifted_by: int = 0

    def updates(self, codes: Int64s) -> tuple[Bools, Bools, Bools]:
        """Whether trades set high and low, last, and volume.

        Parameters
        ----------
        codes : numpy.ndarray of int64, shape (n,)
            Sale conditions as bits.
        """
        lifted = (codes & self.lifted_by) != 0
        return (
            lifted | ((codes & self.no_high_low) == 0),
            lifted | ((codes & self.no_last) == 0),
            (codes & self.no_volume) == 0,
        )


_SIP_NO_PRICE = (
    CASH
    | NEXT_DAY
    | FORM_T
    | EXTENDED_HOURS
    | AVERAGE_PRICE
    | PRICE_VARIATION
    | ODD_LOT
    | _OFFICIAL
)

SIP = SaleConditions(
    no_high_low=_SIP_NO_PRICE,
    no_last=_SIP_NO_PRICE | SELLER | DERIVATIVELY_PRICED | OUT_OF_SEQUENCE | PRIOR_REFERENCE_PRICE,
    no_volume=_OFFICIAL,
)

_VENDOR_NO_PRICE = (
    INTERMARKET_SWEEP
    | DERIVATIVELY_PRICED
    | STOCK_OPTION
    | AVERAGE_PRICE
    | PRICE_VARIATION
    | PRIOR_REFERENCE_PRICE
    | ODD_LOT
    | _OFFICIAL
)

VENDOR = SaleConditions(
    no_high_low=_VENDOR_NO_PRICE,
    no_last=_VENDOR_NO_PRICE,
    no_volume=_OFFICIAL,
    lifted_by=EXTENDED_HOURS,
)

TABLES: dict[str, SaleConditions] = {"vendor": VENDOR, "sip": SIP}

# What is printed live, by the tapes' present rules: contingent trades set no price any more (UTP vendor alert 2015-4).
# Trades of extended hours do here, as in `VENDOR`: else those hours would have bars without prices.
_EXTENDED = FORM_T | EXTENDED_HOURS
LIVE = SaleConditions(
    no_high_low=(SIP.no_high_low & ~_EXTENDED) | STOCK_OPTION,
    no_last=(SIP.no_last & ~_EXTENDED) | STOCK_OPTION,
    no_volume=SIP.no_volume,
)

# The tapes' letters; those that are not here keep nothing from being set.
_LETTERS = {
    "4": DERIVATIVELY_PRICED,
    "7": STOCK_OPTION,  # a qualified contingent trade
    "C": CASH,
    "H": PRICE_VARIATION,
    "I": ODD_LOT,
    "M": OFFICIAL_CLOSE,
    "N": NEXT_DAY,
    "P": PRIOR_REFERENCE_PRICE,
    "Q": OFFICIAL_OPEN,
    "R": SELLER,
    "T": FORM_T,
    "U": EXTENDED_HOURS | OUT_OF_SEQUENCE,
    "V": STOCK_OPTION,
    "Z": OUT_OF_SEQUENCE,
}
# One letter is two things: B is an average-price trade on tapes A and B, a bunched one on tape C.
_CTA = _LETTERS | {"B": AVERAGE_PRICE}
_UTP = _LETTERS | {"W": AVERAGE_PRICE, "G": OUT_OF_SEQUENCE}


# Of the combinations that the tapes use some hundred occur; others may write anything.
@lru_cache(maxsize=1024)
def live_updates(letters: str, tape: str) -> tuple[bool, bool, bool]:
    """Whether a trade sets high and low, last, and volume, by its letters and its tape (A, B or C).

    Examples
    --------
    >>> live_updates("@I", "C")
    (False, False, True)
    """
    known = _UTP if tape == "C" else _CTA
    bits = 0
    for letter in letters:
        bits |= known.get(letter, 0)
    high_low, last, volume = LIVE.updates(np.array([bits], np.int64))
    return bool(high_low[0]), bool(last[0]), bool(volume[0])
