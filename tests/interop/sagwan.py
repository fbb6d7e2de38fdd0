"""Runs the `sagwan` binary as a script outside of the project would: command line, exit codes, files."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zenoh

ROOT = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ.get("SAGWAN_BIN", ROOT / "target/debug/sagwan")).resolve()
SHARED = Path(os.environ.get("SAGWAN_SHARED", ROOT / "../shared")).resolve()
# A slow, busy machine and a debug build: nothing here should ever come near it.
PATIENCE = 60.0


@dataclass(frozen=True)
class Finished:
    """A command that has ended."""

    code: int
    out: str
    err: str
    seconds: float

    def json(self) -> Any:
        """Its standard output as JSON."""
        return json.loads(self.out)

    def __str__(self) -> str:
        return f"exit code {self.code} after {self.seconds:.1f} s\nstdout: {self.out[-3000:]}\nstderr: {self.err[-3000:]}"


def run(*arguments: object, timeout: float = PATIENCE) -> Finished:
    """Runs `sagwan` to its end, without a terminal and without input. A panic fails the test whatever the exit code."""
    begun = time.monotonic()
    done = subprocess.run(
        [BINARY, *map(str, arguments)], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout
    )
    finished = Finished(done.returncode, done.stdout, done.stderr, time.monotonic() - begun)
    assert "panicked" not in finished.err, f"sagwan {' '.join(map(str, arguments))} panicked\n{finished}"
    return finished


def run_ok(*arguments: object, timeout: float = PATIENCE) -> Finished:
    """Runs `sagwan`, which must end with 0."""
    finished = run(*arguments, timeout=timeout)
    assert finished.code == 0, f"sagwan {' '.join(map(str, arguments))}: {finished}"
    return finished


def check_errors(path: Path) -> set[tuple[str, str | None]]:
    """Findings of severity error of the project's own checker: rule and topic."""
    done = run("check", path, "--json")
    report = done.json()
    assert not report["not_listed"], f"more findings than are listed: {report['not_listed']}"
    errors = {(f["id"], f["place"].get("topic")) for f in report["findings"] if f["severity"] == "error"}
    assert done.code == (3 if errors else 0), str(done)
    return errors


def free_endpoint() -> str:
    """A TCP endpoint on loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"tcp/127.0.0.1:{probe.getsockname()[1]}"


def open_session(endpoint: str) -> zenoh.Session:
    """A zenoh session of an independent client, connected to `endpoint` and to nothing else."""
    config = zenoh.Config()
    config.insert_json5("mode", '"client"')
    config.insert_json5("connect/endpoints", json.dumps([endpoint]))
    config.insert_json5("scouting/multicast/enabled", "false")
    return zenoh.open(config)


def ask(session: zenoh.Session, command: str, payload: Any = None, timeout: float = 10.0) -> list[dict[str, Any]]:
    """What all recorders answer to a control query."""
    body = None if payload is None else json.dumps(payload, ensure_ascii=False).encode()
    replies = session.get(
        f"@sagwan/*/recorder/{command}", payload=body, target=zenoh.QueryTarget.ALL, timeout=timeout
    )
    return [json.loads(reply.ok.payload.to_bytes()) for reply in replies if reply.ok is not None]


class Recorder:
    """A `sagwan record` that runs."""

    def __init__(self, out: Path, *arguments: str) -> None:
        self.out = out
        self.endpoint = free_endpoint()
        command = [BINARY, "record", "--out", out, "--listen", self.endpoint, "--no-tui", "--json", *arguments]
        self._process = subprocess.Popen(
            list(map(str, command)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        # Read all the time, so that a chatty recorder never waits for us.
        self._output: dict[str, list[str]] = {"out": [], "err": []}
        self._readers = [
            threading.Thread(target=lambda p=pipe, n=name: self._output[n].extend(p), daemon=True)
            for name, pipe in (("out", self._process.stdout), ("err", self._process.stderr))
        ]
        for reader in self._readers:
            reader.start()
        self._wait_until_recording()

    def _wait_until_recording(self) -> None:
        deadline = time.monotonic() + PATIENCE
        host, port = self.endpoint.removeprefix("tcp/").split(":")
        while True:
            assert self._process.poll() is None, f"the recorder did not start\n{self.log()}"
            assert time.monotonic() < deadline, f"the recorder does not listen\n{self.log()}"
            try:
                socket.create_connection((host, int(port)), timeout=1).close()
                break
            except OSError:
                time.sleep(0.02)
        with open_session(self.endpoint) as session:
            while not any(r["ok"] and r["result"].get("recording") for r in ask(session, "status")):
                assert self._process.poll() is None, f"the recorder ended\n{self.log()}"
                assert time.monotonic() < deadline, f"the recorder is not recording\n{self.log()}"
                time.sleep(0.05)

    def log(self) -> str:
        """What it has said so far."""
        return f"stdout: {''.join(self._output['out'])[-2000:]}\nstderr: {''.join(self._output['err'])[-4000:]}"

    def stop(self, signal_number: int | None = signal.SIGINT) -> "Recording":
        """Ends it by a signal, or waits for its end, and returns what it left behind."""
        if signal_number is not None:
            self._process.send_signal(signal_number)
        try:
            code = self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"the recorder does not end\n{self.log()}") from None
        for reader in self._readers:
            reader.join()
        log = self.log()
        assert "panicked" not in log, f"the recorder panicked\n{log}"
        found = sorted(self.out.glob("*/recording.json"))
        assert len(found) == 1, f"one recording was expected below {self.out}, not {found}\n{log}"
        return Recording(found[0].parent, code, log)

    def kill(self) -> None:
        """Ends it at once, if it still runs."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()


class Recording:
    """A recording that has ended, and how its recorder did."""

    def __init__(self, path: Path, code: int, log: str) -> None:
        self.path = path
        self.code = code
        self.log = log
        self.manifest: dict[str, Any] = json.loads((path / "recording.json").read_text())
        self.parts = [path / "parts" / part["file"] for part in self.manifest["parts"]]
        on_disk = sorted((path / "parts").iterdir())
        assert on_disk == sorted(self.parts), f"parts on disk {on_disk} and in the manifest {self.parts} differ"

    @property
    def loss(self) -> dict[str, Any]:
        """The manifest's account of losses."""
        return self.manifest["loss"]

    def source(self, topic: str) -> dict[str, Any]:
        """The ledger's only account of a topic."""
        found = [s for s in self.loss["sources"] if s["topic"] == topic]
        assert len(found) == 1, f"{len(found)} accounts of {topic} in {self.loss['sources']}"
        return found[0]

    def assert_complete(self) -> None:
        """Exit code, state and ledger say that nothing is missing."""
        lost = {cause: self.loss["lost"][cause] for cause in ("transport", "queue", "disk")}
        state = (self.code, self.manifest["state"], lost)
        assert state == (0, "finished", dict.fromkeys(lost, 0)), f"{state}\n{self.log}"
        assert self.loss["sent"] == self.loss["recorded"], self.loss
