"""A client without the project's code: it publishes on plain and native keys and drives the recorder."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import zenoh

import mcaps
import sagwan
import wire

KO, EN = "빨간 컵을 집어 선반에 놓기", "put the red cup on the shelf"


def found(recording: sagwan.Recording, topic: str) -> tuple[mcaps.Key, list[mcaps.Entry]]:
    """The only channel of a topic over all parts."""
    return mcaps.read(*recording.parts).of_topic(topic)


def test_plain_keys_keep_their_payload_and_encoding(recorder):
    log = wire.Log(message="젖은 노면", name="lab")
    log.timestamp.FromNanoseconds(1_700_000_000_123_456_789)
    cases = {
        "lab/json": ("application/json", [json.dumps({"n": n}).encode() for n in range(20)]),
        "lab/protobuf": ("application/protobuf;schema=foxglove.Log", [log.SerializeToString()] * 3),
        "lab/unknown": ("application/protobuf;schema=lab.NobodyKnows", [b"\x08\x01", b""]),
        "lab/odd": ("x-lab/frame;v=2;한글", [bytes(range(256)), b"", b"\0" * 100_000]),
        "lab/text": ("text/plain", ["온도 21.5".encode(), b"ok"]),
        "lab/bytes": ("zenoh/bytes", [b"\xff\xfe", b"1"]),
        "lab/excluded": ("text/plain", [b"not to be seen"]),
    }
    running = recorder("--key", "lab/**", "--exclude", "lab/excluded")
    with sagwan.open_session(running.endpoint) as session:
        for key, (encoding, payloads) in cases.items():
            for payload in payloads:
                session.put(
                    key,
                    payload,
                    encoding=zenoh.Encoding(encoding),
                    congestion_control=zenoh.CongestionControl.BLOCK,
                )
        wire.flush(session)
    recording = running.stop()
    recording.assert_complete()
    content = mcaps.read(*recording.parts)
    expected = {
        "/lab/json": ("json", None, None),
        "/lab/protobuf": ("protobuf", "foxglove.Log", None),
        "/lab/unknown": ("protobuf", None, "application/protobuf;schema=lab.NobodyKnows"),
        "/lab/odd": ("x-lab/frame;v=2;한글", None, "x-lab/frame;v=2;한글"),
        "/lab/text": ("text/plain", None, "text/plain"),
        "/lab/bytes": ("zenoh/bytes", None, "zenoh/bytes"),
    }
    channels = {
        key.topic: (key.message_encoding, key.schema and key.schema[0], dict(key.metadata).get("zenoh_encoding"))
        for key in content.channels
    }
    assert channels == expected
    for key, entries in content.channels.items():
        sent = cases[key.topic.removeprefix("/")][1]
        assert [entry.data for entry in entries] == sent, f"{key.topic} differs"
        assert all(not source["numbered"] for source in recording.loss["sources"] if source["topic"] == key.topic)
    [value, *_] = mcaps.decoded_by_topic(*recording.parts)["/lab/protobuf"]
    assert (value["message"], value["timestamp"]) == ("젖은 노면", "2023-11-14T22:13:20.123456789Z")
    sagwan.run_ok("check", recording.path)


def test_native_streams_are_described_by_their_publisher(recorder):
    running = recorder("--key", "sagwan/v1/**")
    with sagwan.open_session(running.endpoint) as session:
        stream = wire.Stream(session, "sagwan/v1/lab/reading")
        stream.describe("/온도/실험실", {"unit": "degC", "위치": "3층"})
        stream.wait_for_subscriber()
        stream.send(range(50))
        wire.flush(session)
    recording = running.stop()
    recording.assert_complete()
    key, entries = found(recording, "/온도/실험실")
    schema = ("lab.Reading", "protobuf", wire.READING_FILES.SerializeToString())
    assert (key.message_encoding, key.schema) == ("protobuf", schema)
    assert dict(key.metadata) == {"unit": "degC", "위치": "3층"}
    assert [(entry.publish_time, entry.data) for entry in entries] == stream.payloads()
    values = mcaps.decoded_by_topic(*recording.parts)["/온도/실험실"]
    assert values[7] == {"value": 7.0, "unit": "°C"}


def test_gaps_and_restarts_of_an_instance_numbering_publisher_are_told_exactly(recorder):
    running = recorder("--key", "sagwan/v1/**")
    with sagwan.open_session(running.endpoint) as session:
        stream = wire.Stream(session, "sagwan/v1/lab/reading")
        stream.describe("/reading", {})
        stream.wait_for_subscriber()
        # 2 missing before the first: this instance began after the recording did. Then 5 and 1.
        stream.send([*range(2, 10), *range(15, 50), *range(51, 80)])
        stream.restart()
        stream.send([*range(40), *range(47, 100)])
        # Out of order and twice is neither a gap nor a restart.
        stream.send([102, 101, 100, 103, 103])
        wire.flush(session)
    recording = running.stop()
    source = recording.source("/reading")
    lost = 2 + 5 + 1 + 7
    assert source["lost"] == {"transport": lost, "queue": 0, "disk": 0, "source": 0}
    assert (source["numbered"], source["instances"], source["duplicates"]) == (True, 2, 1)
    assert (source["sent"], source["recorded"]) == (80 + 104, 80 + 104 - lost)
    assert source["last_sequence"] == 103
    assert recording.code == 3, recording.log
    assert_ledger_in_parts(recording, "/reading", {(0, 1), (10, 14), (50, 50), (40, 46)})
    # The loss is a finding, but not an error of the file: everything that arrived is there.
    assert mcaps.read(*recording.parts).count == len(stream.sent)


def test_gaps_and_restarts_of_a_publisher_without_instances_are_told_exactly(recorder):
    running = recorder("--key", "sagwan/v1/**")
    with sagwan.open_session(running.endpoint) as session:
        stream = wire.Stream(session, "sagwan/v1/lab/plain", numbers_instance=False)
        stream.wait_for_subscriber()
        # Was sending already: 5 is where the recorder joined.
        stream.send([*range(5, 20), *range(30, 200)])
        stream.restart()
        stream.send([*range(100), *range(103, 300)])
        wire.flush(session)
    recording = running.stop()
    source = recording.source("/plain")
    assert source["lost"] == {"transport": 13, "queue": 0, "disk": 0, "source": 0}
    assert (source["joined_at"], source["last_sequence"], source["instances"]) == (5, 299, 2)
    assert (source["sent"], source["recorded"]) == (195 + 300, 195 + 300 - 13)
    assert recording.code == 3, recording.log
    assert_ledger_in_parts(recording, "/plain", {(20, 29), (100, 102)})


def assert_ledger_in_parts(recording: sagwan.Recording, topic: str, spans: set[tuple[int, int]]) -> None:
    """The parts alone tell the same gaps as the manifest."""
    losses = [loss for part in recording.parts for loss in mcaps.decode_own(part, "/sagwan/loss")]
    told = {(loss.first_sequence, loss.last_sequence) for loss in losses if loss.topic == topic}
    assert told == spans
    assert sum(loss.count for loss in losses) == recording.loss["lost"]["transport"]


def test_a_value_published_before_the_recording_is_in_every_part(recorder):
    endpoint = sagwan.free_endpoint()
    config = zenoh.Config()
    config.insert_json5("listen/endpoints", json.dumps([endpoint]))
    config.insert_json5("scouting/multicast/enabled", "false")
    with zenoh.open(config) as session:
        latched = wire.Stream(session, "sagwan/v1/lab/calibration")
        latched.describe("/calibration", {}, latched=True)
        latched.latch()
        latched.send([0])
        running = recorder("--key", "sagwan/v1/**", "--part-duration", "1s", "--connect", endpoint)
        ticker = wire.Stream(session, "sagwan/v1/lab/ticker")
        ticker.wait_for_subscriber()
        for number in range(30):
            ticker.send([number])
            time.sleep(0.1)
        wire.flush(session)
        recording = running.stop()
    assert len(recording.parts) >= 2, recording.manifest["parts"]
    [(_, payload, captured)] = latched.sent
    for part in recording.parts:
        _, entries = mcaps.read(part).of_topic("/calibration")
        assert entries[0].data == payload, f"{part.name}: another value"
        assert entries[0].publish_time == captured
    _, ticks = found(recording, "/ticker")
    assert [tick.data for tick in ticks] == [data for _, data, _ in ticker.sent]
    recording.assert_complete()


def test_the_recorder_is_driven_over_zenoh_alone(recorder):
    running = recorder("--key", "lab/**", "--name", "edge-1", "--operator", "op-07")
    with sagwan.open_session(running.endpoint) as session:
        [status] = sagwan.ask(session, "status")
        assert (status["ok"], status["host"], status["format_version"]) == (True, "edge-1", 1)
        begin = {"instruction_ko": KO, "instruction_en": EN, "site": "lab-2", "notes": "첫 시도"}
        assert all(reply["ok"] for reply in sagwan.ask(session, "episode/begin", begin))
        session.put("lab/a", b"1", encoding=zenoh.Encoding("text/plain"))
        [twice] = sagwan.ask(session, "episode/begin", begin)
        assert not twice["ok"] and twice["error"]["message"]
        [marked] = sagwan.ask(session, "mark", {"name": "near_miss", "detail": "오른쪽에서 보행자"})
        assert marked["ok"], marked
        [ended] = sagwan.ask(session, "episode/end", {"outcome": "success"})
        assert ended["ok"], ended
        # Parameters instead of a payload.
        assert all(r["ok"] for r in sagwan.ask(session, "episode/begin?instruction_en=again"))
        [discarded] = sagwan.ask(session, "episode/discard", {"notes": "camera was covered"})
        assert discarded["ok"], discarded
        for command, payload, code in [
            ("fly", None, "unknown_command"),
            ("mark", {"nmae": "x"}, "bad_arguments"),
            ("mark", ["x"], "not_json"),
            ("episode/end", {"outcome": "great"}, "bad_arguments"),
            ("status", {"format_version": 99}, "version"),
        ]:
            [refused] = sagwan.ask(session, command, payload)
            assert (refused["ok"], refused["error"]["code"]) == (False, code), refused
        [stopped] = sagwan.ask(session, "stop")
        assert stopped["ok"], stopped
    recording = running.stop(signal_number=None)
    recording.assert_complete()
    first, second = recording.manifest["episodes"]
    assert (first["instruction_ko"], first["instruction_en"], first["outcome"]) == (KO, EN, "success")
    assert (first["site"], first["notes"], first["index"], first["discarded"]) == ("lab-2", "첫 시도", 0, False)
    assert first["start"]["ns"] < first["end"]["ns"] <= second["start"]["ns"]
    assert (second["instruction_en"], second["discarded"]) == ("again", True)
    assert recording.manifest["operator"] == "op-07"
    [part] = recording.parts
    states = [(e.index, e.state) for e in mcaps.decode_own(part, "/sagwan/episode")]
    assert states == [(0, 1), (0, 2), (1, 1), (1, 3)]
    assert mcaps.decode_own(part, "/sagwan/episode")[0].instruction_ko == KO
    marks = [(e.name, e.detail) for e in mcaps.decode_own(part, "/sagwan/event") if e.kind == "mark"]
    assert marks == [("near_miss", "오른쪽에서 보행자")]


def test_the_recorder_is_driven_by_the_command_line(recorder):
    running = recorder("--key", "lab/**", "--name", "edge-2")

    def ctl(*arguments: str, code: int = 0) -> dict:
        done = sagwan.run("ctl", *arguments, "--json", "--connect", running.endpoint)
        assert done.code == code, f"ctl {arguments}: {done}"
        return done.json()

    status = ctl("status")
    [reply] = status["replies"]
    assert reply["host"] == "edge-2" and reply["result"]["recording"], status
    ctl("--host", "edge-2", "episode", "begin", "--ko", KO, "--en", EN)
    ctl("--host", "*", "mark", "near_miss", "--detail", "보행자")
    ctl("episode", "end", "--outcome", "failure", "--notes", "미끄러짐")
    ctl("preserve", "--detail", "wanted")
    ctl("episode", "end", code=1)
    assert sagwan.run("ctl", "mark", "--connect", running.endpoint).code == 2
    ctl("--host", "elsewhere", "--timeout", "1s", "status", code=1)
    ctl("stop")
    recording = running.stop(signal_number=None)
    recording.assert_complete()
    [episode] = recording.manifest["episodes"]
    assert (episode["instruction_ko"], episode["outcome"], episode["notes"]) == (KO, "failure", "미끄러짐")
    assert recording.manifest["preserved"]


def test_sigterm_and_duration_end_cleanly(recorder):
    recorder("--key", "lab/**").stop(signal.SIGTERM).assert_complete()
    begun = time.monotonic()
    recorder("--key", "lab/**", "--duration", "2").stop(signal_number=None).assert_complete()
    assert time.monotonic() - begun < 15


def test_several_recorders_do_not_disturb_each_other(recorder, tmp_path: Path):
    first, second = recorder("--key", "lab/a/**"), recorder("--key", "lab/b/**")
    for running, key in ((first, "lab/a/x"), (second, "lab/b/x")):
        with sagwan.open_session(running.endpoint) as session:
            session.put(key, b"1", congestion_control=zenoh.CongestionControl.BLOCK)
            wire.flush(session)
    for running, topic in ((first, "/lab/a/x"), (second, "/lab/b/x")):
        recording = running.stop()
        recording.assert_complete()
        assert [key.topic for key in mcaps.read(*recording.parts).channels] == [topic]
