"""The recorded wire, where the disk does not take it."""

from pathlib import Path

import pytest

from connectors.feeds.source import BrokenFileError, FeedError
from connectors.live.adapter import Message
from connectors.live.capture import CaptureWriter, read_capture
from tests.full_disk import room_of


def _message(number: int) -> Message:
    return Message(number=number, recv_ns=10**18 + number, payload=b'{"price": %d}' % number)


@pytest.mark.parametrize("name", ["wire", "wire.gz"])
def test_a_wire_for_which_there_is_no_room_ends_with_the_file_and_what_to_do(
    tmp_path: Path, name: str
) -> None:
    """It ended with "[Errno 28] No space left on device" alone; what was recorded before can be read."""
    writer = CaptureWriter(tmp_path / name)
    writer.write([_message(1)])
    size_bytes = (tmp_path / name).stat().st_size
    with room_of(size_bytes + 4):
        with pytest.raises(FeedError, match=rf"{name}: the wire cannot be recorded.*another file"):
            writer.write([_message(2)])
        writer.close()
    found: list[Message] = []
    try:
        for messages in read_capture(tmp_path / name):
            found += messages
    except BrokenFileError:
        assert name == "wire.gz"
    assert found[0] == _message(1)
    assert all(message.fault for message in found[1:])
