"""The models of venues that the router has in its table."""

from decimal import Decimal

from flows.trading.interfaces import CONSOLIDATED
from flows.trading.routing import venue_model
from flows.trading.routing.venues import EXCHANGES, MODELS


def test_there_are_fifteen_venues_of_us_equities_and_each_names_its_source() -> None:
    assert len(EXCHANGES) >= 15
    assert len({one.venue for one in MODELS}) == len(MODELS)
    names = [name for one in MODELS for name in (one.venue, *one.tape)]
    assert len(set(names)) == len(names)
    for model in MODELS:
        assert model.source
        assert 0 <= model.hidden_share < 1
        assert 0 < model.volume_share <= 1
        assert model.latency_ns >= 0


def test_no_fee_for_taking_is_above_what_the_rule_allowed() -> None:
    """17 CFR 242.610(c) as it stood when the schedules held: 0.003 dollars a share, 0.3 percent below a dollar."""
    for model in EXCHANGES:
        assert model.taking_fee(Decimal(50)) <= Decimal("0.003")
        assert model.taking_fee(Decimal("0.5")) == Decimal("0.0015")
        assert model.adding_fee(Decimal("0.5")) == 0


def test_venues_of_other_markets_have_their_own_default() -> None:
    assert venue_model("FXCM", "currency").taking_fee(Decimal("1.1")) == 0
    assert venue_model("BITSTAMP", "crypto").taking_fee(Decimal(200)) == Decimal("0.2")
    assert venue_model("SIM").venue == "OTHER"
    assert venue_model(CONSOLIDATED).latency_ns == 0
