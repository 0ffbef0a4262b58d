"""Curves reach TensorBoard and, without a network, Weights & Biases."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from tensorboardX.proto.event_pb2 import Event

from configs.ranking import RankingSettings
from train_jobs.training.loggers import flat, loggers

ROW = {"step": 7, "loss": 0.5, "losses": {"color": 0.25}, "accuracies": {"color": 0.75}}


def test_names_are_of_one_level() -> None:
    assert flat(ROW) == {"loss": 0.5, "losses/color": 0.25, "accuracies/color": 0.75}


@pytest.mark.timeout(120)
def test_weights_and_biases_writes_offline_and_leaves_no_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    folder = tmp_path / "run-1"
    folder.mkdir()
    with loggers(RankingSettings(loggers=("wandb",)), folder) as send:
        send(7, flat(ROW))
        send(8, flat(ROW))
    (written,) = folder.rglob("*.wandb")
    content = written.read_bytes()
    assert b"losses/color" in content and b"atelier-ranking" in content
    assert not [child for child in psutil.Process().children(recursive=True) if "wandb" in child.name()]


def test_tensorboard_has_every_value(tmp_path: Path) -> None:
    with loggers(RankingSettings(loggers=("tensorboard",)), tmp_path) as send:
        send(7, flat(ROW))
        send(8, flat(ROW))
    (written,) = (tmp_path / "tensorboard").iterdir()
    scalars = [
        (event.step, value.tag, value.simple_value)
        for event in events(written.read_bytes())
        for value in event.summary.value
    ]
    expected = [("loss", 0.5), ("losses/color", 0.25), ("accuracies/color", 0.75)]
    assert scalars == [(step, *value) for step in (7, 8) for value in expected]


def events(records: bytes) -> Iterator[Event]:
    """The events of a file of TFRecords: length, checksum, event, checksum."""
    while records:
        (length,) = struct.unpack("<Q", records[:8])
        yield Event.FromString(records[12 : 12 + length])
        records = records[16 + length :]
