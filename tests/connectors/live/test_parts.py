"""The small parts of live adapters: waits, rates, sequence numbers, times, and the recording of a wire."""

import doctest
import gzip
import random
from pathlib import Path

import pytest

from connectors.feeds import sequence
from connectors.feeds.sequence import Found, Numbers
from connectors.feeds.source import FeedError
from connectors.live import paths, rates, values
from connectors.live.adapter import Message
from connectors.live.capture import CaptureWriter, read_capture
from connectors.live.rates import Rate, RateLimit
from connectors.live.values import time_ns


@pytest.mark.parametrize("module", [paths, rates, sequence, values])
def test_the_examples_in_the_documentation_are_true(module: object) -> None:
    results = doctest.testmod(module)
    assert results.attempted > 0
    assert results.failed == 0


def test_a_rate_is_kept_in_every_window_however_it_is_asked() -> None:
    dice = random.Random(5)
    limit = RateLimit(Rate(count=7, seconds=2.0))
    now, done = 0.0, []
    for _ in range(500):
        now += dice.expovariate(6)
        now += limit.take(now)
        done.append(now)
    for first, eighth in zip(done, done[7:], strict=False):
        assert eighth - first >= 2.0 - 1e-9
    # And nothing waits that need not: over the long run it is as fast as is allowed.
    assert done[-1] < 500 / 7 * 2.0 * 1.5


def test_a_cost_beyond_the_whole_rate_waits_for_all_of_it() -> None:
    limit = RateLimit(Rate(count=10, seconds=60.0))
    assert limit.take(0.0, cost=8) == 0.0
    assert limit.take(1.0, cost=3) == 59.0
    assert limit.take(100.0, cost=50) == pytest.approx(20.0)


def test_numbers_in_any_order_are_each_new_once() -> None:
    dice = random.Random(11)
    sent = list(range(400))
    lost = set(dice.sample(sent[1:-1], 60))
    came = [number for number in sent if number not in lost]
    for _ in range(50):
        at = dice.randrange(1, len(came) - 6)
        came.insert(at + dice.randrange(1, 5), came.pop(at))
    came += dice.sample(came, 40)
    numbers, new, missing = Numbers(), [], 0
    for number in came:
        expected = numbers.expected
        found = numbers.take(number)
        if found is not Found.TWICE:
            new.append(number)
        if found is Found.AHEAD:
            missing += number - expected
        elif found is Found.LATE:
            missing -= 1
    assert sorted(new) == sorted(set(sent) - lost)
    assert missing == len(lost)


def test_more_gaps_than_are_remembered_take_no_more_memory() -> None:
    numbers = Numbers()
    for number in range(0, 10_000, 2):
        numbers.take(number)
    assert numbers.take(9_997) is Found.LATE
    assert numbers.take(1) is Found.TWICE
    assert len(numbers._gaps) <= 1024


@pytest.mark.parametrize(
    ("value", "unit", "ns"),
    [
        (1, "s", 1_000_000_000),
        (1.1, "s", 1_100_000_000),
        ("1723161255.123456789", "s", 1_723_161_255_123_456_789),
        (1723161255343, "ms", 1_723_161_255_343_000_000),
        (0.5, "us", 500),
        ("1970-01-01T00:00:00.1Z", "iso", 100_000_000),
        ("1969-12-31T23:59:59.999999999Z", "iso", -1),
        ("1970-01-01T01:00:00.000000001+01:00", "iso", 1),
    ],
)
def test_times_are_exact(value: object, unit: str, ns: int) -> None:
    assert time_ns(value, unit) == ns


@pytest.mark.parametrize(
    ("value", "unit"),
    [
        ("1970-01-01T00:00:00", "iso"),
        (None, "s"),
        (True, "s"),
        ("", "ms"),
        ("NaN", "s"),
        ("x", "iso"),
        (2**63, "ns"),
        (5, "iso"),
    ],
)
def test_what_is_no_time_is_an_error(value: object, unit: str) -> None:
    with pytest.raises(ValueError, match=r"time .* was needed, not "):
        time_ns(value, unit)


@pytest.mark.parametrize("name", ["wire.jsonl", "wire.jsonl.gz"])
def test_a_recording_gives_the_messages_back_and_is_never_written_over(
    tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    messages = [
        Message(number=at, recv_ns=1_700_000_000_000_000_000 + at, payload=payload)
        for at, payload in enumerate(
            [b'{"a": 1}', b"", b'{"text": "\xc3\xbc b"}', b'{\r\n "b": 2\n}'], 1
        )
    ]
    writer = CaptureWriter(path)
    writer.write(messages[:3])
    writer.write([])
    # What was written is there for whoever reads, even if the process is killed now.
    with gzip.open(path) if name.endswith(".gz") else path.open("rb") as file:
        assert file.readline() == b'1700000000000000001 {"a": 1}\n'
    writer.write(messages[3:])
    writer.close()
    back = [message for block in read_capture(path) for message in block]
    assert back[:3] == messages[:3]
    assert back[3].payload == b'{   "b": 2 }'
    with pytest.raises(FeedError, match="is there already"):
        CaptureWriter(path)


def test_a_line_that_is_no_line_of_a_recording_is_a_fault_and_no_end(tmp_path: Path) -> None:
    path = tmp_path / "wire.jsonl"
    path.write_bytes(b'1 {"a": 1}\nnonsense\n%d {"a": 2}\n\n3 {"a": 3}\n' % 10**30)
    [found] = read_capture(path)
    assert [one.number for one in found] == [1, 2, 3, 4, 5]
    assert [bool(one.fault) for one in found] == [False, True, True, True, False]
    assert found[1].payload == b"nonsense"
