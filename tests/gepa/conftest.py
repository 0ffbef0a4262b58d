"""Fixtures of the search's tests."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from train_jobs.gepa import engine


@pytest.fixture
def looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """What ends a run from outside is looked at at once."""
    monkeypatch.setattr(engine, "LOOK_S", 0.005)


@pytest.fixture
def never() -> Iterator[threading.Event]:
    """What a call that hangs waits for; it comes when the test is over, so that no thread is left."""
    event = threading.Event()
    yield event
    event.set()
