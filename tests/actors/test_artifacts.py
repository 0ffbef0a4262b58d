"""The blob store: atomic, verified, clear when the disk is full."""

from __future__ import annotations

import errno
import hashlib
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.artifacts import ArtifactCorrupt, ArtifactMissing, Artifacts
from actors.errors import StageFailed


@given(st.binary(max_size=200))
def test_what_is_put_is_got_under_its_hash(data: bytes) -> None:
    store = Artifacts("memory://blobs")
    digest = store.put(data)
    assert digest == hashlib.sha256(data).hexdigest() == store.put(data)
    assert store.has(digest) and store.get(digest) == data


def test_missing_and_malformed_hashes(tmp_path: Path) -> None:
    store = Artifacts(str(tmp_path))
    assert not store.has("0" * 64)
    with pytest.raises(ArtifactMissing, match="no artifact 000"):
        store.get("0" * 64)
    for wrong in ("", "../../etc/passwd", "A" * 64, "0" * 63 + "\n"):
        with pytest.raises(ArtifactMissing, match="64 hex digits"):
            store.get(wrong)


def test_a_damaged_blob_is_noticed_and_a_cut_one_is_mended_by_putting_it_again(tmp_path: Path) -> None:
    store = Artifacts(str(tmp_path))
    digest = store.put(b"a picture")
    [path] = (p for p in tmp_path.rglob("*") if p.is_file())
    path.write_bytes(b"a pict")
    with pytest.raises(ArtifactCorrupt, match=digest):
        store.get(digest)
    store.put(b"a picture")
    assert store.get(digest) == b"a picture"


def test_a_full_disk_leaves_no_file_and_one_clear_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Artifacts(str(tmp_path))

    def full(path: str, data: bytes, **options: Any) -> None:
        Path(path).write_bytes(data[:3])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(store._fs, "pipe_file", full)
    with pytest.raises(StageFailed, match=r"cannot store 9 bytes in .*: No space left on device; free space"):
        store.put(b"a picture")
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []
    monkeypatch.undo()
    assert store.get(store.put(b"a picture")) == b"a picture"


def test_a_store_finds_its_folder_from_any_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = Artifacts("blobs")
    digest = store.put(b"x")
    data = pickle.dumps(store)
    monkeypatch.chdir("/")
    assert pickle.loads(data).get(digest) == b"x"
