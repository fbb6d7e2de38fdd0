"""Torn and corrupted copies of recordings made by others: whatever is intact must come out, and nothing unsaid.

What is intact is found out here, from the original's chunks, without the project's code.
"""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from mcap.data_stream import ReadDataStream
from mcap.reader import make_reader
from mcap.records import Chunk, ChunkIndex, Message
from mcap.stream_reader import breakup_chunk

import mcaps
import sagwan
import wire

SOURCES = {
    # Several chunks and many channels; one large zstd chunk; without compression.
    "auv": "02_mcap_recordings/auv_cougars/SO_bag_0.mcap",
    "nav2": "02_mcap_recordings/nav2_turtlebot/nav2_turtlebot.mcap",
    "sensors": "02_mcap_recordings/rerun_sensor_msgs/rosbag2_2025_09_10-13_03_56_0.mcap",
    "camera": "02_mcap_recordings/foxglove_camera_json/custom-camera-model.mcap",
    "services": "04_rosbags/ros2_rosbag2_suite/rosbag2_cpp/test/rosbag2_cpp/bags/topics_and_services.mcap",
}


def source(name: str) -> Path:
    """One of the shared recordings."""
    path = sagwan.SHARED / "data" / SOURCES[name]
    return path if path.is_file() else pytest.skip(f"no {path}: set SAGWAN_SHARED to run this")


def chunks(path: Path) -> list[ChunkIndex]:
    """The chunks of a whole file."""
    with path.open("rb") as stream:
        summary = make_reader(stream).get_summary()
    assert summary is not None
    return sorted(summary.chunk_indexes, key=lambda index: index.chunk_start_offset)


def content_of(path: Path, selected: list[ChunkIndex]) -> mcaps.Content:
    """The messages of some chunks; channels by the whole file's summary."""
    content = mcaps.Content()
    with path.open("rb") as stream:
        summary = make_reader(stream).get_summary()
        assert summary is not None
        for index in selected:
            stream.seek(index.chunk_start_offset + 1 + 8)
            for record in breakup_chunk(Chunk.read(ReadDataStream(stream)), validate_crc=True):
                if isinstance(record, Message):
                    channel = summary.channels[record.channel_id]
                    key = mcaps.key_of(summary.schemas.get(channel.schema_id), channel)
                    entry = mcaps.Entry(record.log_time, record.publish_time, record.data)
                    content.channels.setdefault(key, []).append(entry)
    for entries in content.channels.values():
        entries.sort(key=lambda entry: entry.log_time)
    return content


def has_crc(path: Path, index: ChunkIndex) -> bool:
    """Whether a chunk says what its bytes sum up to."""
    with path.open("rb") as stream:
        stream.seek(index.chunk_start_offset + 1 + 8)
        return Chunk.read(ReadDataStream(stream)).uncompressed_crc != 0


def assert_recovers(original: Path, damaged: Path, intact: mcaps.Content, unnoticed: int = 0) -> mcaps.Content:
    """Everything intact comes out, in order, and nothing else but what the report calls unverified.

    `unnoticed` messages lie in damage that nobody can notice: chunks may go without a CRC.
    """
    before = damaged.read_bytes()
    out = damaged.with_name("recovered.mcap")
    done = sagwan.run("recover", damaged, "--out", out, "--json")
    assert done.code in (0, 3), str(done)
    assert damaged.read_bytes() == before, "the damaged file was changed"
    report = done.json()
    recovered, whole = mcaps.read(out), mcaps.read(original)
    assert report["messages"] == recovered.count == mcaps.summary(out).messages
    for key, entries in intact.channels.items():
        have = recovered.channels.get(key, [])
        assert mcaps.is_subsequence(entries, have), f"{key.topic}: {len(entries)} messages are intact, {len(have)} came out"
    foreign = sum((Counter(e) - Counter(whole.channels.get(k, []))).total() for k, e in recovered.channels.items())
    allowed = report["unverified"] + unnoticed
    assert foreign <= allowed, f"{foreign} messages are not in the original, {report['unverified']} are told as unverified"
    new_errors = sagwan.check_errors(out) - sagwan.check_errors(original)
    # Payloads and schemas of a damaged chunk need not be usable any more.
    assert not {e for e in new_errors if not (allowed and e[0].startswith("message."))}, f"`sagwan check` finds {new_errors}"
    sagwan.run_ok("info", out, "--json")
    return recovered


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("name", SOURCES)
def test_a_torn_file_gives_every_message_before_the_tear(name: str, share: float, tmp_path: Path):
    original = source(name)
    size = original.stat().st_size
    # Never less than magic and header.
    cut = max(int(size * share), 200)
    damaged = tmp_path / "torn.mcap"
    damaged.write_bytes(original.read_bytes()[:cut])
    whole_chunks = [c for c in chunks(original) if c.chunk_start_offset + c.chunk_length <= cut]
    assert sagwan.check_errors(damaged), "`sagwan check` finds nothing wrong"
    recovered = assert_recovers(original, damaged, content_of(original, whole_chunks))
    if len(whole_chunks) == len(chunks(original)):
        assert recovered.count == mcaps.read(original).count


@dataclass(frozen=True)
class Damage:
    """Something done to the bytes of a chunk."""

    name: str
    apply: Callable[[bytearray, int, int], None]


def _flip(data: bytearray, start: int, length: int) -> None:
    data[start + length // 2] ^= 0xFF


def _zero(data: bytearray, start: int, length: int) -> None:
    data[start + length // 3 : start + length // 2] = bytes(length // 2 - length // 3)


def _forget_length(data: bytearray, start: int, _length: int) -> None:
    data[start + 1 : start + 9] = b"\xff" * 8


@pytest.mark.parametrize(
    "damage", [Damage("flip", _flip), Damage("zero", _zero), Damage("length", _forget_length)], ids=lambda d: d.name
)
@pytest.mark.parametrize("name", ["auv", "sensors", "camera"])
def test_a_damaged_chunk_costs_only_itself(name: str, damage: Damage, tmp_path: Path):
    original = source(name)
    found = chunks(original)
    victim = found[len(found) // 2]
    data = bytearray(original.read_bytes())
    damage.apply(data, victim.chunk_start_offset, victim.chunk_length)
    damaged = tmp_path / "damaged.mcap"
    damaged.write_bytes(data)
    intact = content_of(original, [c for c in found if c is not victim])
    unnoticed = 0 if has_crc(original, victim) else content_of(original, [victim]).count
    assert_recovers(original, damaged, intact, unnoticed)


def test_without_a_summary_nothing_is_lost(tmp_path: Path):
    original = source("nav2")
    data = original.read_bytes()
    end = max(c.chunk_start_offset + c.chunk_length + c.message_index_length for c in chunks(original))
    damaged = tmp_path / "no-summary.mcap"
    damaged.write_bytes(data[:end] + b"\0" * 4096)
    recovered = assert_recovers(original, damaged, content_of(original, chunks(original)))
    lines = mcaps.differences(mcaps.read(original), recovered, log_times=True)
    assert not lines, "\n".join(lines)


def test_a_whole_file_stays_as_it_is(tmp_path: Path):
    original = source("auv")
    copy = tmp_path / "whole.mcap"
    shutil.copyfile(original, copy)
    out = tmp_path / "out.mcap"
    sagwan.run_ok("recover", copy, "--out", out)
    assert not (lines := mcaps.differences(mcaps.read(original), mcaps.read(out), log_times=True)), "\n".join(lines)


@pytest.mark.parametrize("content", [b"", b"\x89MCAP0\r\n", b"not an MCAP at all" * 100, bytes(100_000)])
def test_what_holds_nothing_is_told_with_the_reason(content: bytes, tmp_path: Path):
    path = tmp_path / "nothing.mcap"
    path.write_bytes(content)
    assert sagwan.run("check", path).code in (1, 3)
    for command in ("check", "info", "recover"):
        done = sagwan.run(command, path)
        assert done.code in (0, 1, 3), f"{command}: {done}"
        assert path.name in done.out + done.err, f"{command} does not name the file: {done}"
    out = path.with_name("nothing.recovered.mcap")
    assert not out.exists() or mcaps.read(out).count == 0


def test_a_recording_whose_recorder_was_killed_is_finished_in_place(recorder):
    running = recorder("--key", "sagwan/v1/**", "--sync-interval", "200ms")
    with sagwan.open_session(running.endpoint) as session:
        stream = wire.Stream(session, "sagwan/v1/lab/reading")
        stream.describe("/reading", {})
        stream.wait_for_subscriber()
        stream.send(range(100))
        wire.flush(session)
        # What was told to be on the disk must be there after the kill; the last sync is at most this long ago.
        time.sleep(2.0)
        stream.send(range(100, 120))
        running.kill()
    [path] = running.out.iterdir()
    done = sagwan.run("recover", path, "--json")
    assert done.code in (0, 3), str(done)
    left = [p for p in (path / "parts").iterdir() if p.suffix != ".mcap"]
    assert not left, f"{left} are left over"
    [part] = (path / "parts").glob("*.mcap")
    _, entries = mcaps.read(part).of_topic("/reading")
    have = [entry.data for entry in entries]
    assert len(have) >= 100, f"{len(have)} of the 100 messages that were on the disk"
    assert have == [data for _, data, _ in stream.sent][: len(have)]
    mcaps.summary(part)
