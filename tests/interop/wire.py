"""The native wire dialect, written anew from its description: what a client without the project's code needs."""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Iterable
from typing import Any

import zenoh
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, timestamp_pb2
from google.protobuf.message import Message

_DOUBLE, _STRING, _ENUM, _MESSAGE = 1, 9, 14, 11


def _file(name: str, package: str, *dependencies: str) -> descriptor_pb2.FileDescriptorProto:
    return descriptor_pb2.FileDescriptorProto(name=name, package=package, syntax="proto3", dependency=dependencies)


def _reading_file() -> descriptor_pb2.FileDescriptorProto:
    file = _file("lab/reading.proto", "lab")
    message = file.message_type.add(name="Reading")
    message.field.add(name="value", number=1, type=_DOUBLE, label=1)
    message.field.add(name="unit", number=2, type=_STRING, label=1)
    return file


def _log_file() -> descriptor_pb2.FileDescriptorProto:
    """As far as it is needed of foxglove.Log; the recorder brings its own schema for it."""
    file = _file("lab/log.proto", "foxglove", "google/protobuf/timestamp.proto")
    message = file.message_type.add(name="Log")
    stamp = ".google.protobuf.Timestamp"
    message.field.add(name="timestamp", number=1, type=_MESSAGE, type_name=stamp, label=1)
    message.field.add(name="message", number=3, type=_STRING, label=1)
    message.field.add(name="name", number=4, type=_STRING, label=1)
    return file


READING_FILES = descriptor_pb2.FileDescriptorSet(file=[_reading_file()])
_pool = descriptor_pool.DescriptorPool()
_pool.AddSerializedFile(timestamp_pb2.DESCRIPTOR.serialized_pb)
_pool.Add(_reading_file())
_pool.Add(_log_file())
Reading: type[Message] = message_factory.GetMessageClass(_pool.FindMessageTypeByName("lab.Reading"))
Log: type[Message] = message_factory.GetMessageClass(_pool.FindMessageTypeByName("foxglove.Log"))


def reading(value: float) -> bytes:
    """An encoded lab.Reading."""
    return Reading(value=value, unit="°C").SerializeToString()


def attachment(sequence: int, capture_time: int, instance: int | None = None) -> bytes:
    """Number and capture time, and when the publisher's instance began; little-endian."""
    return struct.pack("<Qq", sequence, capture_time) + (b"" if instance is None else struct.pack("<q", instance))


class Stream:
    """One native stream of an independent publisher."""

    def __init__(self, session: zenoh.Session, key: str, schema: str = "lab.Reading", numbers_instance: bool = True):
        self.session = session
        self.key = key
        self.schema = schema
        self.instance = time.time_ns() if numbers_instance else None
        self.sent: list[tuple[int, bytes, int]] = []
        self._publisher = session.declare_publisher(
            key,
            encoding=zenoh.Encoding(f"application/protobuf;schema={schema}"),
            congestion_control=zenoh.CongestionControl.BLOCK,
        )
        self._declared: list[Any] = []

    def describe(self, topic: str, metadata: dict[str, str], latched: bool = False) -> None:
        """Answers schema queries, and announces the stream."""
        header = {"topic": topic, "message_encoding": "protobuf", "latched": latched, "metadata": metadata}
        schema_key = f"{self.key}/@schema"

        def answer(query: zenoh.Query) -> None:
            query.reply(
                schema_key,
                READING_FILES.SerializeToString(),
                encoding=zenoh.Encoding("protobuf;schema=lab.Reading"),
                attachment=json.dumps(header, ensure_ascii=False).encode(),
            )

        self._declared.append(self.session.declare_queryable(schema_key, answer))
        token = f"{self.key}/@live/{(self.instance or 1):x}"
        self._declared.append(self.session.liveliness().declare_token(token))

    def latch(self) -> None:
        """Answers queries for the last value."""

        def answer(query: zenoh.Query) -> None:
            number, payload, captured = self.sent[-1]
            query.reply(
                self.key,
                payload,
                encoding=zenoh.Encoding(f"application/protobuf;schema={self.schema}"),
                attachment=attachment(number, captured, self.instance),
            )

        self._declared.append(self.session.declare_queryable(self.key, answer))

    def wait_for_subscriber(self) -> None:
        """Until the recorder listens to this key."""
        deadline = time.monotonic() + 20
        while not self._publisher.matching_status.matching:
            assert time.monotonic() < deadline, f"nobody subscribes to {self.key}"
            time.sleep(0.02)

    def send(self, numbers: Iterable[int], payload=reading) -> None:
        """Sends one sample for each number."""
        for number in numbers:
            captured, data = time.time_ns(), payload(number)
            self._publisher.put(data, attachment=attachment(number, captured, self.instance))
            self.sent.append((number, data, captured))

    def restart(self) -> None:
        """Begins anew, as another instance where instances are told."""
        if self.instance is not None:
            self.instance = time.time_ns()

    def payloads(self) -> list[tuple[int, bytes]]:
        """Publish time and payload of everything sent: without a stamp of zenoh's, publish time is capture time."""
        return [(captured, data) for _, data, captured in self.sent]


def flush(session: zenoh.Session) -> None:
    """Returns when the recorder has everything that was sent before: it answers in the order of the link."""
    replies = list(session.get("sagwan/v1/@flush/*", target=zenoh.QueryTarget.ALL, timeout=10.0))
    assert [r for r in replies if r.ok is not None], "the recorder does not answer on sagwan/v1/@flush/*"
