"""Detection: by name and first line; what is not known is named, with what is known."""

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from connectors.feeds.adjusted_bars import AdjustedBars
from connectors.feeds.columns import Columns
from connectors.feeds.conditions import VENDOR
from connectors.feeds.detect import find
from connectors.feeds.lobster import Lobster
from connectors.feeds.mapping import parse_mapping
from connectors.feeds.source import BrokenFileError, FeedError
from connectors.feeds.taq import Taq

FORMATS = [Taq(VENDOR), Lobster(), Columns(None)]
MESSAGES = "GOOG_2012-06-21_34200000_57600000_message_10.csv.gz"
BOOK = "GOOG_2012-06-21_34200000_57600000_orderbook_10.csv.gz"


def test_files_of_a_folder_are_found_and_documents_and_orderbooks_are_left_out(
    tmp_path: Path, taq_file: Callable[..., Path]
) -> None:
    taq_file("aig", "20131007", "trade", ["1,491800,300,P,1,0"])
    taq_file("aig", "20131007", "quote", ["1,491800,300,0,0,P,1,0"])
    folder = tmp_path / "taq"
    (folder / MESSAGES).write_bytes(gzip.compress(b"34200.01,1,5,100,5800000,1\n"))
    (folder / BOOK).write_bytes(gzip.compress(b"1,2,3,4\n"))
    (folder / "README.txt").write_text("words")
    (folder / ".hidden").write_text("words")
    found = find([folder], FORMATS)
    assert [(seen.path.name, known.name) for seen, known in found.files] == [
        (MESSAGES, "lobster"),
        ("20131007_quote.zip", "taq"),
        ("20131007_trade.zip", "taq"),
    ]
    assert [(path.name, why.split(":")[0]) for path, why in found.skipped] == [
        (BOOK, "LOBSTER orderbook file"),
        ("README.txt", "a document, not data"),
    ]


def test_an_unknown_file_is_an_error_that_says_what_is_known_and_what_was_seen(
    tmp_path: Path, taq_file: Callable[..., Path]
) -> None:
    taq_file("aig", "20131007", "trade", ["1,491800,300,P,1,0"])
    (tmp_path / "taq" / "odd.csv").write_text("a,b\n1,2\n")
    with pytest.raises(FeedError) as caught:
        find([tmp_path / "taq" / "odd.csv"], FORMATS)
    for words in ("odd.csv", "b'a,b'", "taq (", "lobster (", "columns (", "--format"):
        assert words in str(caught.value)


def test_a_taq_name_with_other_content_is_not_taken_for_taq(taq_file: Callable[..., Path]) -> None:
    path = taq_file("aig", "20131007", "trade", ["14400000,491800,491800,491800,491800,300"])
    with pytest.raises(FeedError, match="the format is not known"):
        find([path], FORMATS)


@pytest.mark.parametrize(
    ("first", "words"),
    [
        ("sym;time;px", r"not known: the mapping's columns are there with delimiter=';': say so"),
        ("sym\ttime\tpx", r"not known: the mapping's columns are there with delimiter='\\t'"),
        ("sym,when,px", "not known: the mapping names column time, which its first line does not"),
        ("\ufeffsym,when,px", "not known: the mapping names column time"),
    ],
)
def test_what_a_mapping_misses_in_a_file_is_told(tmp_path: Path, first: str, words: str) -> None:
    mapping = parse_mapping(
        "topic=trades,symbol=sym,ts_event=time:s,price=px,size=px,venue=const:X"
    )
    (tmp_path / "a.csv").write_text(f"{first}\nA,1,2\n")
    with pytest.raises(FeedError, match=words):
        find([tmp_path / "a.csv"], [Lobster(), Columns(mapping)])


def test_a_byte_order_mark_before_a_format_without_a_header_is_told(tmp_path: Path) -> None:
    path = tmp_path / MESSAGES.removesuffix(".gz")
    path.write_bytes(b"\xef\xbb\xbf34200.01,1,5,100,5800000,1\n")
    with pytest.raises(FeedError, match="it begins with a byte-order mark: save it without one"):
        find([path], FORMATS)


def test_a_mapping_makes_files_with_its_columns_known(tmp_path: Path) -> None:
    path = tmp_path / "odd.csv"
    path.write_text("a,b,c,d\n1,2,3,4\n")
    mapping = parse_mapping("topic=trades,symbol=a,ts_event=b:s,price=c,size=d,venue=const:X")
    [(_, known)] = find([path], [Taq(VENDOR), Lobster(), Columns(mapping)]).files
    assert known.name == "columns"


def test_format_overrides_what_is_detected(tmp_path: Path) -> None:
    path = tmp_path / "odd.csv"
    path.write_text("a,b\n")
    [(_, known)] = find([path], FORMATS, "lobster").files
    assert known.name == "lobster"
    with pytest.raises(FeedError, match="there are taq, lobster, columns"):
        find([path], FORMATS, "itch")


def test_a_path_that_is_not_there_and_a_folder_without_files_are_errors(tmp_path: Path) -> None:
    with pytest.raises(FeedError, match="no such file or folder"):
        find([tmp_path / "absent"], FORMATS)
    with pytest.raises(FeedError, match="nothing to feed"):
        find([tmp_path], FORMATS)


def test_what_lies_beside_known_files_in_a_folder_is_told_and_left_out(
    tmp_path: Path, taq_file: Callable[..., Path]
) -> None:
    known = taq_file("aig", "20131007", "trade", ["1,491800,300,P,1,0"])
    folder = tmp_path / "taq"
    (folder / "odd.csv").write_text("a,b\n1,2\n")
    (folder / "map_files").mkdir()
    (folder / "map_files" / "aig.csv").write_text("19980102,aig,N\n")
    found = find([folder], FORMATS)
    assert [seen.path for seen, _ in found.files] == [known]
    assert {path.name: why.split(":")[0] for path, why in found.skipped} == {
        "odd.csv": "the format is not known, first line 'a,b'",
        "aig.csv": "symbol changes",
    }
    known.unlink()
    with pytest.raises(FeedError, match=r"nothing to feed; not fed: .*odd\.csv: the format"):
        find([folder], FORMATS)


def test_a_broken_parquet_file_in_a_folder_is_an_error_and_not_left_out(tmp_path: Path) -> None:
    (tmp_path / "bars.parquet").write_bytes(b"PAR1 and no more")
    [(seen, known)] = find([tmp_path], [Columns(None), AdjustedBars()]).files
    with pytest.raises(BrokenFileError, match="not a whole Parquet file"):
        known.open(seen, 1 << 16)
