"""Venue models: what trading at a venue costs, how far away it is, and how much lies hidden there.

A table as data. Fees are facts of published schedules: the standard rate of a member that reaches no volume tier,
for shares at or above one dollar, in dollars a share; a rebate is negative. `VenueModel.source` names the schedule
and its date. Where it says "approximate", the figure is the schedule's order of magnitude as commonly reported, and
was not checked against the schedule's own text.

Below one dollar Rule 610(c) of Regulation NMS (17 CFR 242.610) caps the fee for taking a protected quote at 0.3
percent of its price, which is what nearly all schedules charge; adding is free there.

Latency is one way from a router in Secaucus, where most matching engines are: distance to the data centre at the
speed of light in fibre, as Tivnan et al. (2020), "Fragmentation and inefficiencies in US equity markets: Evidence
from the Dow 30", PLOS ONE 15(1), e0226968, reckon between Mahwah, Secaucus and Carteret, and 50 microseconds for
gateways and matching; IEX has its coil of 350 microseconds on top.

Hidden liquidity is the share of a venue's executed volume that met orders nobody was shown: about one sixth at
displayed exchanges (Hautsch and Huang, 2012, "On the dark side of the market: identifying and analyzing hidden order
placements", SSRN 2004231, find 14 percent of Nasdaq's volume; the SEC's MIDAS metrics have 10 to 25 percent for
stocks), most of it at IEX, and all of it in a pool.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from flows.trading.interfaces import CONSOLIDATED

_ONE = Decimal(1)
_SUB_DOLLAR_RATE = Decimal("0.003")

_SECAUCUS = 50_000
_CARTERET = 190_000
_MAHWAH = 220_000
_IEX = _SECAUCUS + 350_000


class Fees(NamedTuple):
    """What a venue charges: dollars a share, as its schedule prints them; a rebate is negative.

    Parameters
    ----------
    taker, maker : str
        For taking and for adding displayed liquidity.
    opening, closing : str or None
        In its auctions; None where it has none.
    """

    taker: str
    maker: str
    opening: str | None = None
    closing: str | None = None


NO_FEES = Fees("0", "0")


@dataclass(frozen=True, kw_only=True)
class VenueModel:
    """What is known of a venue.

    Parameters
    ----------
    venue : str
        Market identifier code (ISO 10383), or the name of a model.
    title : str
        In words.
    tape : tuple of str
        How market data names it: letters of the consolidated tapes, other names.
    fees : Fees
        A share.
    taker_rate, maker_rate : str
        What it charges as a share of the trade's value on top of that.
    latency_ns : int
        One way.
    hidden_share : float
        Share of its executed volume that was hidden, 0 to below 1.
    volume_share : float
        Its part of all venues' volume, roughly.
    is_displayed : bool
        Whether it displays orders.
    is_protected : bool
        Whether its displayed quotes may not be traded through (Rule 611 of Regulation NMS).
    source : str
        Where the fees are from, and when they held.
    """

    venue: str
    title: str
    tape: tuple[str, ...] = ()
    fees: Fees = NO_FEES
    taker_rate: str = "0"
    maker_rate: str = "0"
    latency_ns: int
    hidden_share: float = 0.0
    volume_share: float
    is_displayed: bool = True
    is_protected: bool = True
    source: str

    def taking_fee(self, price: Decimal) -> Decimal:
        """Fee a share for taking at a price, not rounded; negative is a rebate."""
        if self.is_protected and price < _ONE:
            return max(price, Decimal(0)) * _SUB_DOLLAR_RATE
        return Decimal(self.fees.taker) + price * Decimal(self.taker_rate)

    def adding_fee(self, price: Decimal) -> Decimal:
        """Fee a share for adding displayed liquidity at a price, not rounded; negative is a rebate."""
        if self.is_protected and price < _ONE:
            return Decimal(0)
        return Decimal(self.fees.maker) + price * Decimal(self.maker_rate)

    def auction_fee(self, *, at_open: bool) -> Decimal:
        """Fee a share in an auction, not rounded; that for taking where it has no auction."""
        fee = self.fees.opening if at_open else self.fees.closing
        return Decimal(fee or self.fees.taker)


def _exchange(
    venue: str, title: str, tape: str, fees: Fees, latency_ns: int, volume_share: float, source: str
) -> VenueModel:
    return VenueModel(
        venue=venue,
        title=title,
        tape=tuple(tape.split()),
        fees=fees,
        latency_ns=latency_ns,
        hidden_share=0.16,
        volume_share=volume_share,
        source=source,
    )


# Volume shares are rounded from the exchanges' parts of consolidated volume in 2024, of which about 44 percent was
# reported off exchange. The last two are exchanges of the past, which data of the past has.
EXCHANGES = (
    _exchange(
        "XNYS",
        "New York Stock Exchange",
        "N",
        Fees("0.0030", "-0.0012", "0.0010", "0.0010"),
        _MAHWAH,
        0.1,
        "NYSE Price List 2023, non-tier; removing and closing approximate",
    ),
    _exchange(
        "ARCX",
        "NYSE Arca",
        "P",
        Fees("0.0030", "-0.0020", "0.0015", "0.0012"),
        _MAHWAH,
        0.09,
        "NYSE Arca Equities Fees and Charges 2024, standard rates; approximate",
    ),
    _exchange(
        "XASE",
        "NYSE American",
        "A",
        Fees("0.0030", "-0.0016", "0.0005", "0.0005"),
        _MAHWAH,
        0.003,
        "NYSE American Equities Price List, January 3, 2024, non-tier",
    ),
    _exchange(
        "XCIS",
        "NYSE National",
        "C",
        Fees("-0.0005", "0.0029"),
        _MAHWAH,
        0.008,
        "NYSE National Schedule of Fees and Rebates, March 2024; approximate",
    ),
    _exchange(
        "XCHI",
        "NYSE Texas, until 2025 NYSE Chicago",
        "M",
        Fees("0.0010", "0.0010"),
        _MAHWAH,
        0.002,
        "NYSE Chicago Fee Schedule 2024; approximate",
    ),
    _exchange(
        "XNAS",
        "Nasdaq",
        "Q T NASDAQ",
        Fees("0.0030", "-0.0015", "0.0015", "0.0016"),
        _CARTERET,
        0.15,
        "Nasdaq Equity 7, Section 118, 2024, approximate; rebate as Cboe BZX passes it on, November 20, 2024",
    ),
    _exchange(
        "XBOS",
        "Nasdaq BX",
        "B",
        Fees("0.0007", "0.0030"),
        _CARTERET,
        0.004,
        "Nasdaq BX price list 2024, all other firms",
    ),
    _exchange(
        "XPSX",
        "Nasdaq PSX",
        "X",
        Fees("0.0030", "-0.0020"),
        _CARTERET,
        0.005,
        "Nasdaq PSX price list 2024, all others",
    ),
    _exchange(
        "BATS",
        "Cboe BZX",
        "Z",
        Fees("0.0030", "-0.0016", "0.00075", "0.0010"),
        _SECAUCUS,
        0.04,
        "Cboe BZX Equities Fee Schedule, November 20, 2024, standard rates",
    ),
    _exchange(
        "BATY",
        "Cboe BYX",
        "Y",
        Fees("-0.0002", "0.0020"),
        _SECAUCUS,
        0.01,
        "Cboe BYX Equities Fee Schedule, December 4, 2024, standard rates",
    ),
    _exchange(
        "EDGX",
        "Cboe EDGX",
        "K",
        Fees("0.0030", "-0.0016"),
        _SECAUCUS,
        0.06,
        "Cboe EDGX Equities Fee Schedule, November 12, 2024, standard rates",
    ),
    _exchange(
        "EDGA",
        "Cboe EDGA",
        "J",
        Fees("0.0030", "-0.0027"),
        _SECAUCUS,
        0.01,
        "Cboe EDGA Equities Fee Schedule, March 13, 2025, standard rates",
    ),
    _exchange(
        "MEMX",
        "MEMX",
        "U",
        Fees("0.0030", "-0.0018"),
        _SECAUCUS,
        0.025,
        "MEMX Fee Schedule, June 1, 2023; approximate for 2024",
    ),
    _exchange(
        "EPRL",
        "MIAX Pearl Equities",
        "H",
        Fees("0.0030", "-0.0016"),
        _SECAUCUS,
        0.015,
        "MIAX Pearl Equities fee change alert, October 1, 2025, standard rates",
    ),
    _exchange(
        "LTSE",
        "Long-Term Stock Exchange",
        "L",
        Fees("0", "0"),
        _SECAUCUS,
        0.0005,
        "No transaction fees until its new platform (SR-LTSE-2024-06, September 2024)",
    ),
    _exchange(
        "XCBO",
        "CBOE Stock Exchange, until 2014",
        "W",
        Fees("0.0030", "0"),
        _CARTERET,
        0.002,
        "The cap of Rule 610(c) of Regulation NMS, no rebate; approximate",
    ),
    _exchange(
        "XISX",
        "ISE Stock Exchange, until 2014",
        "I",
        Fees("0.0030", "0"),
        _CARTERET,
        0.001,
        "The cap of Rule 610(c) of Regulation NMS, no rebate; approximate",
    ),
    VenueModel(
        venue="IEXG",
        title="Investors Exchange",
        tape=("V", "IEX"),
        fees=Fees("0.0010", "-0.0004"),
        latency_ns=_IEX,
        hidden_share=0.75,
        volume_share=0.025,
        source="IEX Exchange Fee Schedule 2024; approximate",
    ),
)

POOL = VenueModel(
    venue="POOL",
    title="Off exchange: a pool that trades at the mid and displays nothing",
    tape=("D", "TRF", "FINRA"),
    fees=Fees("0.0010", "0.0010"),
    latency_ns=_SECAUCUS,
    hidden_share=0.99,
    volume_share=0.10,
    is_displayed=False,
    is_protected=False,
    source="A model: fees of a broker's alternative trading system, approximate",
)

OTHER_EXCHANGE = VenueModel(
    venue="OTHER",
    title="An exchange that is not in the table",
    fees=Fees("0.0030", "0"),
    latency_ns=_MAHWAH,
    volume_share=0.001,
    source="The cap of Rule 610(c) of Regulation NMS, no rebate",
)

DEALER = VenueModel(
    venue="DEALER",
    title="A dealer of currencies: its fee is in its spread",
    latency_ns=1_000_000,
    volume_share=0.5,
    is_protected=False,
    source="A model: no commission",
)

COIN_EXCHANGE = VenueModel(
    venue="COINS",
    title="An exchange of coins",
    taker_rate="0.0010",
    maker_rate="0.0010",
    latency_ns=5_000_000,
    volume_share=0.5,
    is_protected=False,
    source="Binance spot fees, regular user, 2024: 0.1 percent of the value",
)

CONSOLIDATED_MARKET = VenueModel(
    venue=CONSOLIDATED,
    title="All venues as one market, without latency and fees",
    latency_ns=0,
    volume_share=1.0,
    is_protected=False,
    source="A model for paper trading",
)

MODELS = (*EXCHANGES, POOL, OTHER_EXCHANGE, DEALER, COIN_EXCHANGE, CONSOLIDATED_MARKET)

_BY_NAME = {name: model for model in MODELS for name in (model.venue, *model.tape)}

_OF_TYPE = {"currency": DEALER, "crypto": COIN_EXCHANGE}


def venue_model(name: str, instrument_type: str = "stock") -> VenueModel:
    """The model of a venue.

    Parameters
    ----------
    name : str
        As market data or an order names it: code, tape letter or another name, in any case.
    instrument_type : str
        As in ``instruments``: what a venue is taken for that is not in the table.

    Examples
    --------
    >>> venue_model("N").venue, venue_model("xnas").venue, venue_model("KRAKEN", "crypto").venue
    ('XNYS', 'XNAS', 'COINS')
    """
    found = _BY_NAME.get(name) or _BY_NAME.get(name.upper())
    return found or default_model(instrument_type)


def default_model(instrument_type: str) -> VenueModel:
    """What a venue is taken for that is not in the table."""
    return _OF_TYPE.get(instrument_type, OTHER_EXCHANGE)
