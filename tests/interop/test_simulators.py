"""The simulated platforms as a robot, a car and a ship would be seen by somebody with other tools.

The simulator's report is the truth about what was sent; the recording's ledger must say exactly the same.
"""

from __future__ import annotations

import io
import json
import os
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from mcap.reader import make_reader
from mcap_protobuf.decoder import DecoderFactory
from PIL import Image

import mcaps
import sagwan

SECONDS = 5
# Share of the contracted samples that a debug build on a busy machine still has to send.
LEAST_RATE = float(os.environ.get("SAGWAN_INTEROP_LEAST_RATE", "0.8"))
IMAGE_SIZES = {"humanoid": (640, 480), "vehicle": (1280, 720), "vessel": (1280, 720)}

# Rerun 0.41 converts a foxglove.LocationFix without the optional colour to something that it refuses itself.
RERUN_BREAKS = {"/gnss:GeoPoints:colors"}


@dataclass(frozen=True)
class Truth:
    """What one stream sent."""

    sent: int
    dropped: int
    corrupted: int
    instances: int
    last_sequence: int
    bytes: int


@dataclass(frozen=True)
class Run:
    """A simulation and the recording of it."""

    kind: str
    profile: dict[str, Any]
    truth: dict[str, Truth]
    recording: sagwan.Recording


def truth_of(path: Path) -> dict[str, Truth]:
    """Streams of the report's last line, by topic; those that sent nothing are left out."""
    *_, last = path.read_text().splitlines()
    streams = json.loads(last)["end"]["streams"]
    told = {}
    for stream in streams:
        instances = stream["instances"]
        if instances:
            sums = [sum(i[field] for i in instances) for field in ("sent", "dropped", "corrupted")]
            last_sequence, size = instances[-1]["last_sequence"], sum(i["bytes"] for i in instances)
            told[f"/{stream['stream']}"] = Truth(*sums, len(instances), last_sequence, size)
    return told


def record(recorder, tmp_path: Path, kind: str, *arguments: str) -> Run:
    """Simulates a platform for some seconds and records it under its example profile."""
    profile = tomllib.loads(sagwan.run_ok("profile", "example", kind).out)
    running = recorder("--profile", f"example:{kind}")
    report = tmp_path / "truth.jsonl"
    # A machine that is too slow gets every sample nevertheless, later.
    wire = ("--connect", running.endpoint)
    sagwan.run_ok("simulate", kind, "--duration", SECONDS, "--report", report, *wire, *arguments, timeout=240)
    return Run(kind, profile, truth_of(report), running.stop())


def decoded(run: Run) -> Iterator[tuple[str, Any]]:
    """Every data message, decoded by the schema that the part itself carries."""
    for part in run.recording.parts:
        with part.open("rb") as stream:
            reader = make_reader(stream, validate_crcs=True, decoder_factories=[DecoderFactory()])
            for _, channel, _, message in reader.iter_decoded_messages():
                if not channel.topic.startswith(mcaps.OWN):
                    yield channel.topic, message


def assert_ledger_is_the_truth(run: Run) -> None:
    """For every stream: sent = recorded + lost, as the simulator tells it."""
    accounts = {source["topic"]: source for source in run.recording.loss["sources"]}
    assert accounts.keys() == run.truth.keys()
    for topic, truth in run.truth.items():
        account = accounts[topic]
        assert account["sent"] == truth.sent + truth.dropped, f"{topic}: {account} but {truth}"
        assert account["recorded"] == truth.sent, f"{topic}: {account} but {truth}"
        assert account["lost"]["transport"] == truth.dropped, f"{topic}: {account} but {truth}"
        assert (account["lost"]["queue"], account["lost"]["disk"]) == (0, 0), f"{topic}: {account}"
        assert account["instances"] == truth.instances, f"{topic}: {account} but {truth}"
        assert account["last_sequence"] == truth.last_sequence, f"{topic}: {account} but {truth}"


@pytest.mark.parametrize("kind", ["humanoid", "vehicle", "vessel"])
def test_a_platform_is_recorded_completely_and_decodes(kind: str, recorder, tmp_path: Path):
    run = record(recorder, tmp_path, kind)
    run.recording.assert_complete()
    assert_ledger_is_the_truth(run)
    assert_contract(run)
    counts: dict[str, int] = {}
    size = 0
    for topic, message in decoded(run):
        counts[topic] = counts.get(topic, 0) + 1
        match message.DESCRIPTOR.full_name:
            case "foxglove.CompressedImage":
                # Every picture's frame, and every tenth one's pixels, which take most of the time here.
                size += assert_is_picture(topic, message, IMAGE_SIZES[kind], whole=counts[topic] % 10 == 1)
            case "foxglove.PointCloud":
                assert_is_point_cloud(topic, message)
    # A latched value may be in the recording once more: as it was sent, and as it was asked for.
    latched = {f"/{stream['name']}" for stream in run.profile["stream"] if stream.get("latched")}
    for topic, truth in run.truth.items():
        assert counts[topic] >= truth.sent if topic in latched else counts[topic] == truth.sent, topic
    assert size > 0, "no pictures"
    sagwan.run_ok("check", run.recording.path)
    for part in run.recording.parts:
        view = mcaps.rerun_view(part, tmp_path)
        assert view.broken <= RERUN_BREAKS, f"Rerun cannot load {view.broken - RERUN_BREAKS}"
        assert not view.problems, f"Rerun finds problems in {view.problems}"
        assert run.truth.keys() <= view.entities, f"Rerun misses {run.truth.keys() - view.entities}"


def assert_contract(run: Run) -> None:
    """Every stream of the profile is there, with its schema, near its rate."""
    content = mcaps.read(*run.recording.parts)
    for stream in run.profile["stream"]:
        topic = f"/{stream['name']}"
        # More than one where the machine is so slow that a stream's description comes late.
        channels = {key: entries for key, entries in content.channels.items() if key.topic == topic}
        assert channels or not stream.get("required"), f"{topic} is required and missing"
        for key in channels:
            assert key.schema is not None and key.schema[:2] == (stream["schema"], "protobuf"), str(key)
        if channels and (rate := stream.get("rate_hz")):
            expected, count = rate * SECONDS, sum(map(len, channels.values()))
            assert LEAST_RATE * expected <= count <= 1.1 * expected + 1, f"{topic}: {count} of {expected}"


def assert_is_picture(topic: str, message: Any, size: tuple[int, int], whole: bool) -> int:
    """A complete JPEG of the right size; with `whole`, also that it decodes and is no plain surface."""
    assert message.data.endswith(b"\xff\xd9"), f"{topic}: the JPEG has no end"
    with Image.open(io.BytesIO(message.data)) as image:
        assert (image.format, image.size) == ("JPEG", size), f"{topic}: {image.format} {image.size}"
        if whole:
            image.load()
            assert len(image.resize((16, 12)).getcolors(192) or []) != 1, f"{topic}: all of one colour"
    return len(message.data)


def assert_is_point_cloud(topic: str, message: Any) -> None:
    """Whole points, with all fields inside of the stride."""
    assert message.point_stride > 0 and len(message.data) % message.point_stride == 0, topic
    assert len(message.data) > 100 * message.point_stride, f"{topic}: hardly any point"
    widths = {1: 1, 2: 1, 3: 2, 4: 2, 5: 4, 6: 4, 7: 4, 8: 8}
    for field in message.fields:
        assert field.offset + widths[field.type] <= message.point_stride, f"{topic}: {field.name} is outside"


def test_faults_are_in_the_ledger_exactly_as_the_simulator_tells_them(recorder, tmp_path: Path):
    faults = {
        "drop:imu:0.05": "/imu",
        "drop:head_color:0.2": "/head_color",
        "corrupt:left_wrist_color:0.3": "/left_wrist_color",
        "restart:joint_states:at=2s": "/joint_states",
        "stall:left_wrench:at=1s,for=2s": "/left_wrench",
        "jitter:right_wrench:20ms": "/right_wrench",
    }
    arguments = [argument for fault in faults for argument in ("--fault", fault)]
    run = record(recorder, tmp_path, "humanoid", *arguments)
    assert run.truth["/imu"].dropped and run.truth["/head_color"].dropped, run.truth
    assert run.truth["/left_wrist_color"].corrupted, run.truth
    assert run.truth["/joint_states"].instances == 2, run.truth
    assert_ledger_is_the_truth(run)
    assert run.recording.code == 3, run.recording.log
    told: dict[str, int] = {}
    for part in run.recording.parts:
        for loss in mcaps.decode_own(part, "/sagwan/loss"):
            if loss.cause == loss.DESCRIPTOR.fields_by_name["cause"].enum_type.values_by_name["LOSS_CAUSE_TRANSPORT"].number:
                told[loss.topic] = told.get(loss.topic, 0) + loss.count
    assert told == {topic: truth.dropped for topic, truth in run.truth.items() if truth.dropped}
    # Corrupt payloads are recorded as they came.
    content = mcaps.read(*run.recording.parts)
    entries = [e for key, all_of_it in content.channels.items() if key.topic == "/left_wrist_color" for e in all_of_it]
    truth = run.truth["/left_wrist_color"]
    assert (len(entries), sum(len(entry.data) for entry in entries)) == (truth.sent, truth.bytes)
