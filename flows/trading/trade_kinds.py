"""What a trade's sale conditions say of it: whether it met the book, and whether it was an auction's print."""

import numpy as np
import pyarrow as pa

from flows.columns import codes_or_end
from schemas.arrays import Int32s

PLAIN, OFF_BOOK, OPENING, CLOSING, UNCODED = range(5)
"""A usual trade; one that met no book; an auction's print; one whose source tells no sale conditions."""

OFF_EXCHANGE = frozenset(("D", "TRF", "FINRA"))
"""Venues that report trades made off exchanges: no exchange's queue was met."""

# Bits of QuantConnect/Lean TradeConditionFlags (Apache-2.0), as `connectors.feeds.conditions` has them.
_OPENING_BITS, _CLOSING_BITS = 1 << 6, 1 << 7

# Cash, next-day and seller's trades, derivatively priced, out of sequence, stock-option, average price, price
# variation, official close, prior reference price, official open.
_OFF_BOOK_BITS = sum(1 << bit for bit in (1, 2, 3, 9, 14, 18, 20, 22, 24, 25, 26))

# The two US tapes' letters for the same (CTA "CTS output specification", UTP "UTDF output specification").
_OPENING_LETTERS, _CLOSING_LETTERS = frozenset("O"), frozenset("6")
_OFF_BOOK_LETTERS = frozenset("BCGHLMNPQRUVWZ479")


class TradeKinds:
    """Says of each row of a conditions column what kind of trade it is."""

    def __init__(self) -> None:
        self._dictionary: pa.Array | None = None
        self._of_code: Int32s = np.empty(0, dtype=np.int32)

    def of(self, column: pa.DictionaryArray) -> Int32s:
        """The kind of each row, shape (n,)."""
        dictionary = column.dictionary
        if self._dictionary is None or not dictionary.equals(self._dictionary):
            self._dictionary = dictionary
            kinds = [kind_of(text) for text in dictionary.to_pylist()]
            # The place behind the dictionary is null's.
            self._of_code = np.array([*kinds, UNCODED], dtype=np.int32)
        found: Int32s = self._of_code[codes_or_end(column)]
        return found


def kind_of(conditions: str | None) -> int:
    """The kind of a trade with these conditions.

    Examples
    --------
    >>> kind_of("40") == OPENING, kind_of("@ 6 X") == CLOSING, kind_of("20000020") == PLAIN, kind_of("W") == OFF_BOOK
    (True, True, True, True)
    """
    code = (conditions or "").split(";")[0]
    bits = _bits(code)
    letters = frozenset() if bits is not None else frozenset(code)
    if (bits or 0) & _OFF_BOOK_BITS or letters & _OFF_BOOK_LETTERS:
        return OFF_BOOK
    if (bits or 0) & _OPENING_BITS or letters & _OPENING_LETTERS:
        return OPENING
    if (bits or 0) & _CLOSING_BITS or letters & _CLOSING_LETTERS:
        return CLOSING
    return PLAIN


def _bits(code: str) -> int | None:
    # A single sign but 1 (a regular trade there) is a letter of the tapes.
    if len(code) == 1 and code != "1":
        return None
    try:
        return int(code, 16)
    except ValueError:
        return None
