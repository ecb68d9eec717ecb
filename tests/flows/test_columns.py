"""Arrow columns as numbers: by a list of known values, whatever their dictionaries are, and who else asks."""

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.columns import Codes, codes_or_end

KNOWN = ["buy", "sell", "sell_short"]
WORDS = st.lists(st.none() | st.sampled_from([*KNOWN, "", "cross"]), max_size=12)


def encoded(words: list[str | None]) -> pa.DictionaryArray:
    return pa.array(words, pa.string()).dictionary_encode()


@given(st.lists(WORDS, max_size=4), st.integers(0, 3))
def test_values_have_the_numbers_of_the_list_and_others_none(
    batches: list[list[str | None]], begin: int
) -> None:
    codes = Codes(KNOWN)
    for words in batches:
        wanted = [KNOWN.index(word) if word in KNOWN else -1 for word in words]
        assert codes.of(encoded(words).slice(begin)).tolist() == wanted[begin:]


@given(WORDS, st.integers(0, 3))
def test_places_lead_to_the_words_and_behind_them_where_there_is_none(
    words: list[str | None], begin: int
) -> None:
    column = encoded(words).slice(begin)
    told = [*column.dictionary.to_pylist(), None]
    assert [told[code] for code in codes_or_end(column).tolist()] == words[begin:]


@pytest.mark.parametrize("others", [["sell", "buy"], ["sell_short", "cross", "buy"]])
def test_shards_that_number_columns_at_once_do_not_get_each_others_numbers(
    others: list[str | None],
) -> None:
    """Threads of one engine share the lists that modules have: one comes in while another reads its words."""
    codes = Codes(KNOWN)
    wanted = [KNOWN.index(word) if word in KNOWN else -1 for word in others]
    between: list[list[int]] = []

    class Interrupted(dict[str, int]):
        def get(self, *word: Any) -> Any:
            if not between:
                between.append([])
                between[0] = codes.of(encoded(others)).tolist()
            return super().get(*word)

    codes._numbers = Interrupted(codes._numbers)
    assert codes.of(encoded(["sell", "buy"])).tolist() == [1, 0]
    assert between == [wanted]
    assert codes.of(encoded(others)).tolist() == wanted
