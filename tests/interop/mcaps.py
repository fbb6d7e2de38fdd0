"""Reads MCAP files with the reference implementation in Python and says where two of them differ."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message as ProtobufMessage
from mcap.reader import NonSeekingReader, make_reader
from mcap.records import Channel, Message, Schema
from mcap_protobuf.decoder import DecoderFactory as ProtobufDecoderFactory
from mcap_ros2.decoder import DecoderFactory as Ros2DecoderFactory

# Topics of the recorder itself.
OWN = "/sagwan/"


class Key(NamedTuple):
    """All that tells one channel from another."""

    topic: str
    message_encoding: str
    metadata: tuple[tuple[str, str], ...]
    schema: tuple[str, str, bytes] | None

    def __str__(self) -> str:
        schema = "no schema" if self.schema is None else f"{self.schema[0]} ({self.schema[1]}, {len(self.schema[2])} B)"
        return f"{self.topic} [{self.message_encoding}, {schema}, {dict(self.metadata)}]"


class Entry(NamedTuple):
    """One message."""

    log_time: int
    publish_time: int
    data: bytes


@dataclass
class Content:
    """The messages of some files by channel, each channel in order of log time and then of the files."""

    channels: dict[Key, list[Entry]] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """Messages of all channels."""
        return sum(map(len, self.channels.values()))

    def of_topic(self, topic: str) -> tuple[Key, list[Entry]]:
        """The only channel of a topic."""
        found = [(key, entries) for key, entries in self.channels.items() if key.topic == topic]
        assert len(found) == 1, f"{len(found)} channels of {topic}; there are {sorted(k.topic for k in self.channels)}"
        return found[0]


def key_of(schema: Schema | None, channel: Channel) -> Key:
    """The key of a channel as read."""
    described = None if schema is None else (schema.name, schema.encoding, schema.data)
    return Key(channel.topic, channel.message_encoding, tuple(sorted(channel.metadata.items())), described)


def messages(path: Path) -> Iterator[tuple[Schema | None, Channel, Message]]:
    """Every message in the order of the file, every CRC checked; needs no summary."""
    with path.open("rb") as stream:
        yield from NonSeekingReader(stream, validate_crcs=True).iter_messages(log_time_order=False)


def read(*paths: Path, own: bool = False) -> Content:
    """Reads files from front to back; the recorder's own topics only with `own`."""
    content = Content()
    for path in paths:
        for schema, channel, message in messages(path):
            if own or not channel.topic.startswith(OWN):
                entry = Entry(message.log_time, message.publish_time, message.data)
                content.channels.setdefault(key_of(schema, channel), []).append(entry)
    for entries in content.channels.values():
        entries.sort(key=lambda entry: entry.log_time)
    return content


def differences(expected: Content, found: Content, log_times: bool = False) -> list[str]:
    """Where two contents differ, one line for each channel; empty when they are the same."""
    lines = [f"missing channel {key}, {len(e)} messages" for key, e in expected.channels.items() if key not in found.channels]
    lines += [f"unexpected channel {key}, {len(e)} messages" for key, e in found.channels.items() if key not in expected.channels]
    for key, entries in expected.channels.items():
        line = _difference(entries, found.channels.get(key, entries), log_times)
        if line:
            lines.append(f"{key.topic}: {line}")
    return lines


def _difference(expected: list[Entry], found: list[Entry], log_times: bool) -> str | None:
    for index, (want, have) in enumerate(zip(expected, found)):
        if want.data != have.data:
            return f"message {index}: {first_difference(want.data, have.data)}"
        if want.publish_time != have.publish_time:
            return f"message {index}: publish_time {have.publish_time} instead of {want.publish_time}"
        if log_times and want.log_time != have.log_time:
            return f"message {index}: log_time {have.log_time} instead of {want.log_time}"
    return None if len(expected) == len(found) else f"{len(found)} messages instead of {len(expected)}"


def first_difference(expected: bytes, found: bytes) -> str:
    """The first byte at which two payloads differ."""
    at = next((i for i, (a, b) in enumerate(zip(expected, found)) if a != b), min(len(expected), len(found)))
    around = f"{found[at:at + 8].hex(' ')} instead of {expected[at:at + 8].hex(' ')}"
    return f"first differing byte {at} ({len(found)} bytes, expected {len(expected)}): {around}"


def decoded(path: Path) -> Iterator[tuple[str, int, Any]]:
    """Topic, log time and value of each data message; the value is the error where a decoder refuses it."""
    factories = [ProtobufDecoderFactory(), Ros2DecoderFactory()]
    decoders: dict[int, Any] = {}
    for schema, channel, message in messages(path):
        if channel.topic.startswith(OWN):
            continue
        try:
            if channel.id not in decoders:
                found = (f.decoder_for(channel.message_encoding, schema) for f in factories)
                decoders[channel.id] = next((decoder for decoder in found if decoder), None)
            decoder = decoders[channel.id]
            value = f"no decoder for {channel.message_encoding}" if decoder is None else plain(decoder(message.data))
        except Exception as error:  # noqa: BLE001 - the decoders raise anything; the same is expected of both files
            value = f"refused: {type(error).__name__}"
        yield channel.topic, message.log_time, value


def decoded_by_topic(*paths: Path) -> dict[str, list[Any]]:
    """Decoded values by topic, in order of log time and then of the files."""
    values: dict[str, list[tuple[int, Any]]] = {}
    for path in paths:
        for topic, log_time, value in decoded(path):
            values.setdefault(topic, []).append((log_time, value))
    return {topic: [v for _, v in sorted(pairs, key=lambda pair: pair[0])] for topic, pairs in values.items()}


def plain(value: Any) -> Any:
    """A decoded message as comparable values; NaN equals NaN."""
    if isinstance(value, ProtobufMessage):
        return MessageToDict(value, preserving_proto_field_name=True)
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if hasattr(value, "__slots__"):
        return {name: plain(getattr(value, name)) for name in value.__slots__}
    return value


def decode_own(path: Path, topic: str) -> list[Any]:
    """The recorder's own messages of one topic, decoded by the schema in the file."""
    with path.open("rb") as stream:
        reader = make_reader(stream, decoder_factories=[ProtobufDecoderFactory()])
        return [item.decoded_message for item in reader.iter_decoded_messages(topics=topic)]


@dataclass(frozen=True)
class Facts:
    """What a summary section says."""

    messages: int
    start: int
    end: int
    counts: Counter[tuple[str, str, str]]
    attachments: int
    metadata: list[str]


def summary(path: Path) -> Facts:
    """The summary section, which every part must have, checked against the messages."""
    with path.open("rb") as stream:
        reader = make_reader(stream, validate_crcs=True)
        found = reader.get_summary()
        assert found is not None and found.statistics is not None, f"{path.name} has no summary with statistics"
        indexed = sum(1 for _ in reader.iter_messages())
        metadata = [record.name for record in reader.iter_metadata()]
    statistics = found.statistics
    assert indexed == statistics.message_count, f"{path.name}: index gives {indexed}, statistics {statistics.message_count}"
    counts: Counter[tuple[str, str, str]] = Counter()
    for channel_id, count in statistics.channel_message_counts.items():
        channel = found.channels[channel_id]
        schema = found.schemas[channel.schema_id].name if channel.schema_id else ""
        counts[channel.topic, schema, channel.message_encoding] += count
    return Facts(
        statistics.message_count,
        statistics.message_start_time,
        statistics.message_end_time,
        counts,
        statistics.attachment_count,
        metadata,
    )


@dataclass(frozen=True)
class RerunView:
    """What Rerun makes of a file."""

    problems: set[str]
    entities: set[str]
    # What it converted, but cannot read back: columns, or the whole file where it cannot parse a schema.
    broken: set[str]


def rerun_view(path: Path, scratch: Path) -> RerunView:
    """Checks and converts a file with Rerun's command line, and verifies the result."""
    # `check` ends with 0 whatever it finds.
    check = _rerun("mcap", "check", path)
    problems = {line.split()[3] for line in check.splitlines() if line.startswith("PROBLEM")}
    converted = scratch / f"{path.stem}.rrd"
    text = _rerun("mcap", "convert", path, "--application-id", "interop", "--output", converted)
    verified = _rerun("rrd", "verify", converted, codes=(0, 1))
    broken = set(re.findall(r"Failed to deserialize column ([^ ]+): ", verified))
    if not broken and "verified without error" not in verified:
        broken = {"file"}
    converted.unlink()
    entities = {line.strip().rstrip(",") for line in text.splitlines() if line.startswith("    /")}
    return RerunView(problems, entities, broken)


def _rerun(*arguments: object, codes: tuple[int, ...] = (0,)) -> str:
    command = [sys.executable, "-m", "rerun", *map(str, arguments)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
    assert done.returncode in codes, f"rerun {' '.join(map(str, arguments))}: {done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    return done.stdout + done.stderr


def is_subsequence(part: Iterable[Entry], whole: Iterable[Entry]) -> bool:
    """Whether all of `part` stands in `whole` in the same order."""
    rest = iter(whole)
    return all(any(entry == other for other in rest) for entry in part)
