"""Which quotes count towards the best bid and offer: what a quote's condition says of its row.

A condition is a code and flags, with semicolons between them: ``1``, ``1;best``, ``800;best;suspicious``. A code is
a letter of the tapes, a hexadecimal bit field, or words (``halted;extended``), as the source has it. The flag ``best`` says that the tape's processor names the row the national best of its side, ``suspicious``
that the vendor doubts it.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from flows.columns import codes_or_end
from flows.kernels.nbbo import COUNTS, IS_BEST, SAYS_NOTHING, TAKES_OUT
from schemas.arrays import Int32s

BEST = "best"
SUSPICIOUS = "suspicious"

# Bits of QuantConnect/Lean QuoteConditionFlags (Apache-2.0): all but regular, slow and opening quotes.
_LEAN = "0x7ff7fc"

NOT_COUNTED = (_LEAN, "halted", "C", "D", "G", "I", "J", "K", "L", "N", "P", "V", "X", "Z")
"""Conditions that keep a quote out of the best, where nothing else is asked for.

Quotes of a halted symbol (IEX), but not those before or after the session, which are firm like others; hexadecimal
bit fields with one of the bits (closing, halts and pauses, indications, non-firm and manual quotes);
and the two US tapes' letters for the same, but those that mean something else on one of them. Holden and Jacobsen
(2014), "Liquidity Measurement Problems in Fast, Competitive Markets", Journal of Finance 69, 1747-1785, are
stricter: their code keeps A, B, H, O, R and W only.
"""


def checked(not_counted: tuple[str, ...]) -> tuple[str, ...]:
    """The same; ValueError where one that begins with ``0x`` is no hexadecimal number."""
    for code in not_counted:
        if code.startswith("0x") and not _as_bits(code[2:] + "0"):
            raise ValueError(f"{code!r} was to be bits as a hexadecimal number, such as 0x8")
    return not_counted


class QuoteKinds:
    """Says of each row of a condition column whether its quote counts.

    Parameters
    ----------
    not_counted : sequence of str
        Codes that do not count, such as ``C``; ``0x8`` for bits of codes that are hexadecimal bit fields. A
        single letter is never read as a bit field: the tapes' own codes are letters.
    suspicious : bool
        Whether suspicious rows count like others; if not, they say nothing.
    """

    def __init__(self, not_counted: Sequence[str], *, suspicious: bool) -> None:
        self._codes = {code for code in not_counted if not code.startswith("0x")}
        self._bits = 0
        for code in not_counted:
            self._bits |= int(code, 16) if code.startswith("0x") else 0
        self._suspicious = suspicious
        self._dictionary: pa.Array | None = None
        self._of_code: Int32s = np.empty(0, dtype=np.int32)

    def of(self, column: pa.DictionaryArray) -> Int32s:
        """The kind (see `flows.kernels.nbbo.add_quotes`) of each row, shape (n,)."""
        dictionary = column.dictionary
        if self._dictionary is None or not dictionary.equals(self._dictionary):
            self._dictionary = dictionary
            kinds = [self._kind(text) for text in dictionary.to_pylist()]
            # The place behind the dictionary is null's.
            self._of_code = np.array([*kinds, COUNTS], dtype=np.int32)
        kinds_of_rows: Int32s = self._of_code[codes_or_end(column)]
        return kinds_of_rows

    def _kind(self, condition: str | None) -> int:
        said = (condition or "").split(";")
        best = IS_BEST if BEST in said else 0
        if SUSPICIOUS in said and not self._suspicious:
            return SAYS_NOTHING
        if not self._codes.isdisjoint(said) or _as_bits(said[0]) & self._bits:
            return TAKES_OUT + best
        return COUNTS + best


def _as_bits(code: str) -> int:
    if len(code) == 1 and code.isalpha():
        return 0
    try:
        return int(code, 16)
    except ValueError:
        return 0
