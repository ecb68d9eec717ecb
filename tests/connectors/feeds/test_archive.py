"""Bytes of plain, gzip and zip files; what a broken archive holds before its fault is given."""

import gzip
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from connectors.feeds.archive import ByteStream, line_blocks, probe
from connectors.feeds.source import BrokenFileError, FeedError

LINES = [f"{at},{at * 7919 % 10007},x{at * at}" for at in range(20_000)]
TEXT = "".join(f"{line}\n" for line in LINES).encode()


def zipped(path: Path, text: bytes = TEXT, method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("inner.csv", text)
    return path


def given(path: Path, block_bytes: int = 10_000) -> tuple[list[bytes], str]:
    """Lines that were given, and the error behind them."""
    lines: list[bytes] = []
    try:
        for block, first_line in line_blocks(ByteStream(path), block_bytes):
            assert first_line == len(lines) + 1
            assert block.endswith(b"\n")
            lines += block[:-1].split(b"\n")
    except BrokenFileError as error:
        return lines, str(error)
    return lines, ""


@pytest.mark.parametrize(
    "kind",
    ["plain", "gzip", "gzip of two members", "zstd", "zstd of two frames", "zip", "stored zip"],
)
@pytest.mark.parametrize("block_bytes", [1, 1000, 1 << 20])
def test_all_lines_are_given_once_in_order(tmp_path: Path, kind: str, block_bytes: int) -> None:
    path = tmp_path / "file"
    if kind == "plain":
        path.write_bytes(TEXT)
    elif kind == "gzip":
        path.write_bytes(gzip.compress(TEXT))
    elif kind == "gzip of two members":
        path.write_bytes(gzip.compress(TEXT[:1234]) + gzip.compress(TEXT[1234:]) + b"\0" * 7)
    elif kind == "zstd":
        path.write_bytes(zstandard.compress(TEXT))
    elif kind == "zstd of two frames":
        path.write_bytes(zstandard.compress(TEXT[:1234]) + zstandard.compress(TEXT[1234:]))
    else:
        zipped(path, method=zipfile.ZIP_DEFLATED if kind == "zip" else zipfile.ZIP_STORED)
    lines, error = given(path, block_bytes)
    assert error == ""
    assert [line.decode() for line in lines] == LINES


def test_a_last_line_without_an_end_is_a_line(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"a\nb")
    assert given(path) == ([b"a", b"b"], "")


@pytest.mark.parametrize("kind", ["gzip", "zip", "stored zip"])
@pytest.mark.parametrize("share", [0.3, 0.7, 0.99])
def test_a_truncated_archive_gives_its_whole_lines_and_then_the_error(
    tmp_path: Path, kind: str, share: float
) -> None:
    path = tmp_path / "file"
    if kind == "gzip":
        path.write_bytes(gzip.compress(TEXT))
    else:
        zipped(path, method=zipfile.ZIP_DEFLATED if kind == "zip" else zipfile.ZIP_STORED)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    lines, error = given(path)
    assert [line.decode() for line in lines] == LINES[: len(lines)]
    assert len(lines) >= 0.8 * share * len(LINES)
    assert len(lines) < len(LINES)
    assert "truncated" in error
    assert f"behind line {len(lines)}" in error
    assert str(path) in error


def test_a_zip_without_its_directory_gives_all_lines_and_then_the_error(tmp_path: Path) -> None:
    path = zipped(tmp_path / "file.zip")
    whole = path.read_bytes()
    path.write_bytes(whole[: whole.index(b"PK\x01\x02")])
    lines, error = given(path)
    assert [line.decode() for line in lines] == LINES
    assert "no central directory" in error


@pytest.mark.parametrize("share", [0.3, 0.7, 0.99])
def test_a_truncated_zstd_file_gives_whole_lines_and_then_the_error(
    tmp_path: Path, share: float
) -> None:
    path = tmp_path / "file"
    whole = zstandard.compress(TEXT)
    path.write_bytes(whole[: int(len(whole) * share)])
    lines, error = given(path)
    # It unpacks block by block, of up to 128 KiB.
    assert lines == [line.encode() for line in LINES[: len(lines)]]
    assert len(TEXT) * share - (1 << 18) < sum(map(len, lines)) + len(lines) < len(TEXT)
    assert "truncated" in error
    assert f"behind line {len(lines)}" in error


@pytest.mark.parametrize("kind", ["gzip", "zip", "zstd"])
def test_a_damaged_archive_is_an_error(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "file"
    if kind == "gzip":
        path.write_bytes(gzip.compress(TEXT))
    elif kind == "zstd":
        path.write_bytes(zstandard.ZstdCompressor(write_checksum=True).compress(TEXT))
    else:
        zipped(path)
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 0xFF
    path.write_bytes(whole)
    lines, error = given(path)
    # What follows the flipped byte may decode to something before the damage shows.
    good = len(LINES) // 3
    assert lines[:good] == [line.encode() for line in LINES[:good]]
    assert "damaged" in error or "checksum" in error


def test_a_changed_byte_in_a_stored_zip_is_found_by_its_checksum(tmp_path: Path) -> None:
    path = zipped(tmp_path / "file.zip", method=zipfile.ZIP_STORED)
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 0x01
    path.write_bytes(whole)
    assert "checksum" in given(path)[1]


def test_an_empty_file_and_an_empty_member_are_errors(tmp_path: Path) -> None:
    path = tmp_path / "nothing.csv"
    path.write_bytes(b"")
    with pytest.raises(FeedError, match=r"nothing\.csv is empty"):
        probe(path)
    with pytest.raises(FeedError, match="no bytes unpacked"):
        probe(zipped(tmp_path / "hollow.zip", b""))
    zipfile.ZipFile(tmp_path / "bare.zip", "w").close()
    with pytest.raises(FeedError, match="a zip without a file in it"):
        probe(tmp_path / "bare.zip")
    (tmp_path / "hollow.gz").write_bytes(gzip.compress(b""))
    with pytest.raises(FeedError, match="no bytes unpacked"):
        probe(tmp_path / "hollow.gz")


def test_a_zip_with_two_files_is_an_error_that_names_them(tmp_path: Path) -> None:
    path = tmp_path / "two.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("one.csv", "1\n")
        archive.writestr("two.csv", "2\n")
    with pytest.raises(FeedError, match=r"this has 2: one\.csv, two\.csv"):
        ByteStream(path)


@pytest.mark.parametrize("compress", [gzip.compress, zstandard.compress])
def test_progress_ends_at_the_files_size(
    tmp_path: Path, compress: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / "file"
    path.write_bytes(compress(TEXT))
    stream = ByteStream(path)
    seen = [stream.bytes_done for _ in stream]
    assert seen == sorted(seen)
    assert stream.bytes_done == stream.bytes_total == path.stat().st_size


def test_a_zip_whose_directory_points_anywhere_is_an_error(tmp_path: Path) -> None:
    path = zipped(tmp_path / "x.zip")
    whole = path.read_bytes()
    entry = whole.index(b"PK\x01\x02")
    for place in (b"\x07\0\0\0", b"\xff\xff\xff\x7f"):
        path.write_bytes(whole[: entry + 42] + place + whole[entry + 46 :])
        with pytest.raises(FeedError):
            list(ByteStream(path, probe(path).member))
    # A version of the format that is not known, and no name: the member itself is whole.
    for at in (entry + 6, entry + 28):
        path.write_bytes(
            whole[:at] + (b"\xff\xff" if at == entry + 6 else b"\0\0") + whole[at + 2 :]
        )
        assert b"".join(ByteStream(path)) == TEXT


def test_a_file_without_line_ends_does_not_fill_the_memory(tmp_path: Path) -> None:
    path = tmp_path / "x.gz"
    path.write_bytes(gzip.compress(b"one\n" + bytes(1 << 27), 1))
    blocks = line_blocks(ByteStream(path), 1 << 21)
    assert next(blocks) == (b"one\n", 1)
    with pytest.raises(BrokenFileError, match="a line of more than 64 MiB behind line 1"):
        next(blocks)
