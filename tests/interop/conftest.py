"""What every interop test gets: the binary, the shared data, a directory of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

import sagwan


@pytest.fixture(scope="session", autouse=True)
def binary() -> Path:
    """The binary under test."""
    if not sagwan.BINARY.is_file():
        pytest.exit(f"no sagwan at {sagwan.BINARY}: set SAGWAN_BIN", returncode=2)
    return sagwan.BINARY


@pytest.fixture
def recorder(tmp_path: Path):
    """Starts recorders below the test's directory; those left over are stopped at the end."""
    started: list[sagwan.Recorder] = []

    def start(*arguments: str) -> sagwan.Recorder:
        running = sagwan.Recorder(tmp_path / f"recordings-{len(started)}", *arguments)
        started.append(running)
        return running

    yield start
    for running in started:
        running.kill()
