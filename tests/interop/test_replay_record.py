"""Recordings made by others go onto the wire and into a recording; nothing may change on the way.

Compared by the reference reader for Python, by its ROS 2 and protobuf decoders, and by Rerun.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

import mcaps
import sagwan

FOLDERS = ("02_mcap_recordings", "04_rosbags")
NO_DATA = f"no recordings below {sagwan.SHARED}/data: set SAGWAN_SHARED to run this"


def recordings() -> list[Path]:
    """The MCAP files among the shared data."""
    return sorted(path for folder in FOLDERS for path in (sagwan.SHARED / "data" / folder).rglob("*.mcap"))


def each_recording():
    """One test for each; a single skipped one where there are none."""
    found = recordings()
    if not found:
        return [pytest.param(None, marks=pytest.mark.skip(reason=NO_DATA))]
    return [pytest.param(path, id=f"{path.parent.name}/{path.stem}") for path in found]


def replay(recorder, *paths: Path, rate: str = "max", code: int = 0) -> tuple[sagwan.Recording, sagwan.Finished]:
    """Records what a replay of `paths` publishes."""
    running = recorder("--key", "sagwan/v1/**")
    sent = sagwan.run("replay", *paths, "--rate", rate, "--json", "--connect", running.endpoint, timeout=120)
    assert sent.code == code, f"replay of {[p.name for p in paths]}: {sent}"
    return running.stop(), sent


@pytest.mark.parametrize("source", each_recording())
def test_a_replayed_recording_is_recorded_unchanged(source: Path, recorder, tmp_path: Path):
    recording, _ = replay(recorder, source)
    recording.assert_complete()
    expected, found = mcaps.read(source), mcaps.read(*recording.parts)
    differences = mcaps.differences(expected, found)
    assert not differences, "\n".join(differences)
    assert recording.loss["recorded"] == expected.count
    assert_decodes_alike(source, recording)
    # What is wrong in the original, schemas that nobody can read, comes along; nothing else may be found.
    new_errors = sagwan.check_errors(recording.path) - sagwan.check_errors(source)
    assert not new_errors, f"`sagwan check` finds {new_errors}"
    assert_overview_agrees(recording)
    assert_rerun_agrees(source, recording, tmp_path)


def assert_decodes_alike(source: Path, recording: sagwan.Recording) -> None:
    """Wherever the original decodes, the recording decodes to the same values; else it is refused the same way."""
    expected, found = mcaps.decoded_by_topic(source), mcaps.decoded_by_topic(*recording.parts)
    assert expected.keys() == found.keys()
    for topic, values in expected.items():
        unequal = [i for i, (want, have) in enumerate(zip(values, found[topic], strict=True)) if want != have]
        assert not unequal, f"{topic}: message {unequal[0]} decodes to {found[topic][unequal[0]]}, not {values[unequal[0]]}"


def assert_overview_agrees(recording: sagwan.Recording) -> None:
    """`sagwan info` says what the summaries say."""
    overview = sagwan.run_ok("info", recording.path, "--json").json()
    facts = [mcaps.summary(part) for part in recording.parts]
    counted: Counter[tuple[str, str, str]] = Counter()
    for channel in overview["channels"]:
        counted[channel["topic"], channel["schema"], channel["message_encoding"]] += channel["messages"]
    in_files = sum((fact.counts for fact in facts), Counter())
    assert +counted == +in_files
    assert overview["messages"] == sum(fact.messages for fact in facts)
    assert overview["start"] == min(fact.start for fact in facts)
    assert overview["end"] == max(fact.end for fact in facts)
    assert all("sagwan.recording" in fact.metadata for fact in facts)


def assert_rerun_agrees(source: Path, recording: sagwan.Recording, scratch: Path) -> None:
    """Rerun reads each part, sees what it sees in the original, and finds nothing wrong that was not wrong there."""
    original = mcaps.rerun_view(source, scratch)
    for part in recording.parts:
        view = mcaps.rerun_view(part, scratch)
        assert view.broken <= original.broken, f"Rerun cannot load {view.broken - original.broken}, but did so before"
        assert original.entities <= view.entities, f"Rerun misses {original.entities - view.entities}"
        assert view.problems <= original.problems, f"Rerun finds new problems in {view.problems - original.problems}"


def conformance(variant: str) -> list[Path]:
    """Files of MCAP's conformance suite."""
    found = sorted((sagwan.SHARED / "data/01_mcap_conformance" / variant).glob("*.mcap"))
    return found or pytest.skip(NO_DATA)


def test_every_layout_of_the_conformance_suite_is_replayed(recorder):
    sources = conformance("OneMessage")
    recording, _ = replay(recorder, *sources)
    recording.assert_complete()
    assert not (lines := mcaps.differences(mcaps.read(*sources), mcaps.read(*recording.parts))), "\n".join(lines)
    assert_overview_agrees(recording)


@pytest.mark.parametrize("variant", ["NoData", "OneAttachment", "OneMetadata"])
def test_files_without_messages_are_refused_with_the_reason(variant: str):
    for source in conformance(variant)[:3]:
        refused = sagwan.run("replay", source, "--rate", "max", "--wait", "0", "--listen", sagwan.free_endpoint())
        assert refused.code == 1, f"{source.name}: {refused}"
        assert "no topic to send" in refused.err, f"{source.name}: {refused}"
        sagwan.run_ok("info", source)


def test_what_is_readable_of_a_damaged_file_is_replayed(recorder):
    folder = sagwan.SHARED / "data/03_damaged"
    if not folder.is_dir():
        pytest.skip(NO_DATA)
    whole, torn = folder / "test_sample.mcap", folder / "test_sample_truncated.mcap"
    assert sagwan.run("check", torn).code == 3
    recording, sent = replay(recorder, torn, code=3)
    recording.assert_complete()
    assert torn.name in sent.err + sent.out
    expected, found = mcaps.read(whole), mcaps.read(*recording.parts)
    for key, entries in found.channels.items():
        want = [(e.publish_time, e.data) for e in expected.channels[key]]
        have = [(e.publish_time, e.data) for e in entries]
        assert have == want[: len(have)], f"{key.topic}: no prefix of the original"


def test_replay_keeps_the_relative_timing(recorder):
    sources = [path for path in recordings() if path.name == "talker.mcap"]
    if not sources:
        pytest.skip(NO_DATA)
    source, rate = sources[0], 2.0
    recording, _ = replay(recorder, source, rate=str(rate))
    recording.assert_complete()
    key, want = mcaps.read(source).of_topic("/topic")
    have = mcaps.read(*recording.parts).channels[key]
    for index, (w, h) in enumerate(zip(want, have, strict=True)):
        due = (w.log_time - want[0].log_time) / rate
        late = (h.log_time - have[0].log_time) - due
        assert abs(late) < 0.15e9, f"message {index} was {late / 1e9:.3f} s off"
