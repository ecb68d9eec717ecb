"""ClickHouse's own JDBC driver with a password against the embedded store, as DBeaver uses it; and its compression."""

import shutil
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import lz4.block
import pytest

from connectors.chdb_engine import Engine
from connectors.city_hash import city_hash_128
from tests.conftest import skip_or_fail
from tests.connectors.store.guarded import KEYS, GuardedStore, guarded_store

FOLDER = Path(__file__).resolve().parent / "jdbc"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardedStore]:
    with guarded_store(tmp_path_factory.mktemp("jdbc")) as store:
        yield store


@pytest.fixture(autouse=True)
def no_tables_are_left() -> None:
    """The folder's fixture of this name is for stores that are the owner's."""


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the driver's archives, from Maven's own store or a repository."""
    for program in ("java", "mvn"):
        if shutil.which(program) is None:
            skip_or_fail("jdbc", f"no {program}: install openjdk-17-jdk-headless and maven")
    folder = tmp_path_factory.mktemp("driver")
    done = subprocess.run(
        [
            "mvn",
            "-q",
            "-B",
            "-f",
            str(FOLDER / "pom.xml"),
            "dependency:copy-dependencies",
            f"-DoutputDirectory={folder}",
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    if done.returncode:
        skip_or_fail("jdbc", f"Maven cannot get the driver: {(done.stdout + done.stderr)[-500:]}")
    return folder


@pytest.mark.slow
def test_the_jdbc_driver_connects_shows_the_schema_asks_and_is_refused(
    store: GuardedStore, driver: Path
) -> None:
    url = f"jdbc:clickhouse://127.0.0.1:{store.address.port}/default"
    done = subprocess.run(
        ["java", "-cp", f"{driver}/*", str(FOLDER / "Ask.java"), url, "quinn", KEYS["quinn"]],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("version 2")
    assert lines[1:6] == [
        "row IBM 100.0",
        "sum 4999950000",
        "rows 300000",
        "tables trades true orders false",
        "column price",
    ]
    assert "orders may not be read by this user" in lines[6]
    refused = subprocess.run(
        ["java", "-cp", f"{driver}/*", str(FOLDER / "Ask.java"), url, "quinn", "wrong"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert refused.returncode != 0
    assert "password is incorrect" in refused.stderr


def _unpacked(body: bytes) -> bytes:
    """The plain bytes of a body in ClickHouse's own compression; its checksums are looked at."""
    plain, at = b"", 0
    while at < len(body):
        method, size, before = struct.unpack_from("<BII", body, at + 16)
        block = body[at + 16 : at + 16 + size]
        assert method == 0x82
        assert city_hash_128(block) == body[at : at + 16]
        plain += lz4.block.decompress(block[9:], uncompressed_size=before)
        at += 16 + size
    return plain


@pytest.mark.parametrize("waits", ["0", "1"])
@pytest.mark.parametrize("rows", [1, 1_000_000])
def test_answers_come_in_clickhouses_own_compression(
    store: GuardedStore, rows: int, waits: str
) -> None:
    statement = f"SELECT number FROM numbers({rows})"
    asked = {"default_format": "RowBinary", "wait_end_of_query": waits}
    packed = store.ask(statement, "quinn", compress="1", **asked)
    assert packed.status == 200
    assert len(packed.body) != rows * 8
    assert _unpacked(packed.body) == store.ask(statement, "quinn", **asked).body


@pytest.mark.own_process
def test_our_checksums_are_those_that_clickhouse_writes(tmp_path: Path) -> None:
    """ClickHouse guards the blocks of its tables' files in the same way: of each length, it is the reference."""
    engine = Engine(tmp_path / "store")
    with engine.session() as session:
        for rows, block in ((1, 37), (2, 37), (300, 37), (20_000, 4_096), (200_000, 100_000)):
            session.run(
                f"CREATE TABLE t{rows} (a UInt64, b String, c UInt8) ENGINE = MergeTree ORDER BY a SETTINGS "
                f"min_bytes_for_wide_part = 0, min_compress_block_size = 1, max_compress_block_size = {block}".encode(),
                "TSV",
            )
            filled = f"INSERT INTO t{rows} SELECT number, repeat(toString(rand64()), rand() % 40), 7 FROM numbers({rows})"
            session.run(filled.encode(), "TSV")
    engine.close()
    sizes = set()
    for file in (tmp_path / "store").rglob("*.bin"):
        body, at = file.read_bytes(), 0
        while at < len(body):
            (size,) = struct.unpack_from("<I", body, at + 17)
            assert city_hash_128(body[at + 16 : at + 16 + size]) == body[at : at + 16]
            sizes.add(size)
            at += 16 + size
    assert min(sizes) < 16
    assert max(sizes) > 10_000
    assert len(sizes) > 100


def test_the_hash_of_few_bytes_is_that_of_the_release() -> None:
    """Release 1.0.2 of nothing, and of what differs in one bit."""
    assert city_hash_128(b"") == bytes.fromhex("2b9ac064fc9df03d291ee592c340b53c")
    seen = {city_hash_128(b"x" * count) for count in range(300)}
    assert len(seen) == 300
