"""Slots of keys: each key's place in a flow's state arrays, in order of first appearance."""

import numpy as np
import pyarrow as pa

from flows.columns import dictionary_codes
from flows.flow import FlowError
from schemas.arrays import Int64s

# Keys a row from which on a dictionary of all keys would weigh more than the rows it serves.
_CUT_FROM = 8


class KeySlots:
    """Numbers keys from 0 in order of first appearance.

    Parameters
    ----------
    keys : list of str
        Keys known already, in order of slot.
    maximum : int
        Bound of the state; one key more is an error.
    bound : str
        The flow's parameter that sets it, for the error.
    advice : str
        What to do about one key more, where the bound cannot be raised.
    """

    def __init__(
        self, keys: list[str], maximum: int, bound: str = "max_keys", advice: str = ""
    ) -> None:
        self.keys = list(keys)
        self.maximum = maximum
        self._bound = bound
        self._advice = advice or f"raise the flow's {bound}"
        self._slots = {key: slot for slot, key in enumerate(self.keys)}
        self._names: pa.Array = pa.array([], pa.string())
        self._dictionary: pa.Array | None = None
        self._of_code: Int64s = np.empty(0, dtype=np.int64)
        self._complete = False

    def __len__(self) -> int:
        return len(self.keys)

    def slot(self, key: str) -> int:
        """The slot of a key, new where the key is new."""
        found = self._slots.get(key)
        if found is None:
            if len(self.keys) >= self.maximum:
                raise FlowError(
                    f"key {key!r} is one more than {self._bound} = {self.maximum}; {self._advice}"
                )
            found = self._slots[key] = len(self.keys)
            self.keys.append(key)
        return found

    def of(self, column: pa.DictionaryArray, rows: Int64s | None = None) -> Int64s:
        """The slot of each row (or of the rows named) of a dictionary-encoded key column.

        Only keys that a row uses get a slot: a dictionary may hold more than its batch does.
        """
        codes = dictionary_codes(column)
        if rows is not None:
            codes = codes[rows]
        dictionary = column.dictionary
        if self._dictionary is None or not dictionary.equals(self._dictionary):
            self._dictionary = dictionary
            self._of_code = np.full(len(dictionary), -1, dtype=np.int64)
            self._complete = False
        slots: Int64s = self._of_code[codes]
        if not self._complete and len(slots) and slots.min() < 0:
            used, first = np.unique(codes, return_index=True)
            for code in used[np.argsort(first)]:
                if self._of_code[code] < 0:
                    self._of_code[code] = self.slot(dictionary[int(code)].as_py())
            self._complete = bool(self._of_code.min() >= 0)
            slots = self._of_code[codes]
        return slots

    def column(self, slots: pa.Array) -> pa.DictionaryArray:
        """The keys of int32 slots as a dictionary-encoded column; a dictionary much too long is cut."""
        if len(self._names) != len(self.keys):
            self._names = pa.array(self.keys, pa.string())
        if len(self.keys) <= _CUT_FROM * len(slots):
            return pa.DictionaryArray.from_arrays(slots, self._names, safe=False)
        used, codes = np.unique(slots.to_numpy(), return_inverse=True)
        names = self._names.take(pa.array(used))
        return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32)), names, safe=False)
