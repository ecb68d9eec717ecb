"""Instruments: what a symbol stands for, from when on, and what it was called before."""

from dataclasses import replace

from schemas.field import BOOL, CATEGORY, FLOAT, TEXT, Field
from schemas.market import SYMBOL, TS_EVENT, TS_RECV, VENUE
from schemas.topic import Kind, Landing, Partition, Topic

INSTRUMENTS = Topic(
    name="instruments",
    version=1,
    kind=Kind.RAW,
    meaning="What a symbol stands for from a time on; a later row of the same time replaces an earlier.",
    fields=(
        SYMBOL,
        replace(TS_EVENT, meaning="From when on the row holds."),
        TS_RECV,
        replace(
            VENUE,
            nullable=True,
            meaning="Where it is listed or traded first; null where not known.",
        ),
        Field(
            name="type",
            type=CATEGORY,
            unit="none",
            nullable=False,
            allowed=("stock", "fund", "index", "future", "option", "currency", "crypto", "bond"),
            default="stock",
            meaning="Kind of instrument; a fund is an ETF or another traded fund.",
        ),
        Field(
            name="name",
            type=TEXT,
            unit="none",
            nullable=True,
            meaning="Name of the issuer or contract.",
        ),
        Field(
            name="currency",
            type=CATEGORY,
            unit="none",
            nullable=False,
            meaning="Currency that prices are in, ISO 4217 or a coin's code.",
        ),
        Field(
            name="tick_size",
            type=FLOAT,
            unit="quote currency",
            nullable=True,
            above=0,
            meaning="Smallest step of a price.",
        ),
        Field(
            name="lot_size",
            type=FLOAT,
            unit="shares, contracts or coins",
            nullable=True,
            above=0,
            meaning="Size of a round lot.",
        ),
        Field(
            name="sector",
            type=CATEGORY,
            unit="none",
            nullable=True,
            meaning="Sector of the issuer, as the list says it (such as GICS).",
        ),
        Field(
            name="calendar",
            type=CATEGORY,
            unit="none",
            nullable=False,
            default="XNYS",
            meaning="Calendar of its sessions in exchange_calendars.",
        ),
        Field(
            name="previous_symbol",
            type=CATEGORY,
            unit="none",
            nullable=True,
            meaning="Symbol of the same instrument until ts_event, where it was another.",
        ),
        Field(
            name="is_active",
            type=BOOL,
            unit="none",
            nullable=False,
            default=True,
            meaning="Whether it is listed from ts_event on; false ends it.",
        ),
    ),
    key="symbol",
    event_time="ts_event",
    identity=(),
    landing=Landing(order_by=("symbol", "ts_event"), partition_by=Partition.YEAR),
    inbox=True,
    watermarked=False,
)
