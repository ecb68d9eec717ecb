"""Order identifiers: many at once are those of one at a time."""

from hypothesis import given
from hypothesis import strategies as st

from schemas.order_ids import order_id_of, order_ids_of

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@given(st.lists(st.tuples(TEXTS, TEXTS), max_size=20))
def test_many_identifiers_are_those_of_one_at_a_time(pairs: list[tuple[str, str]]) -> None:
    many = order_ids_of([pair[0] for pair in pairs], [pair[1] for pair in pairs])
    assert many == [order_id_of(*pair) for pair in pairs]


def test_an_identifier_never_changes() -> None:
    assert order_id_of("A1", "first") == order_ids_of(["A1"], ["first"])[0]
    assert len(order_id_of("A1", "first")) == 20
