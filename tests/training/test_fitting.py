from __future__ import annotations

from pathlib import Path

import pytest

from train_jobs.training.fitting import replace, settle


class Number:
    """A state."""

    def __init__(self, number: int) -> None:
        self.number = number

    def save(self, folder: Path) -> None:
        folder.mkdir()
        (folder / "number").write_text(str(self.number))


@pytest.mark.parametrize("kill", [1, 2, None])
def test_a_kill_at_any_rename_loses_no_whole_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kill: int | None
) -> None:
    kept, real, renamed = tmp_path / "checkpoint", Path.rename, list[Path]()
    replace(Number(1), kept)

    def rename(path: Path, target: Path) -> Path:
        renamed.append(path)
        if len(renamed) == kill:
            raise KeyboardInterrupt
        return real(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", rename)
        if kill is None:
            replace(Number(2), kept)
        else:
            with pytest.raises(KeyboardInterrupt):
                replace(Number(2), kept)
    settle(kept)
    assert (kept / "number").read_text() == ("1" if kill == 1 else "2")
    replace(Number(3), kept)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"]
    assert (kept / "number").read_text() == "3"


def test_there_is_nothing_to_settle_before_the_first(tmp_path: Path) -> None:
    (tmp_path / "checkpoint.new").mkdir()  # a first one, killed while it was written
    settle(tmp_path / "checkpoint")
    assert not (tmp_path / "checkpoint").exists()
