import json
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from actors.errors import BadInput
from serve_apps.edge.keys import KeyStore, KeysUnreadable


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "keys.json"


def test_a_key_opens_and_its_secret_is_not_kept(path: Path) -> None:
    key, token = KeyStore(path).create(["imagine"], note="team")
    assert KeyStore(path).verify(token) == key
    assert token.partition(".")[2] not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_wrong_tokens_do_not_open(path: Path) -> None:
    store = KeyStore(path)
    key, token = store.create(["imagine"])
    for wrong in (
        "",
        ".",
        key.id,
        f"{key.id}.",
        f"{key.id}.x",
        f"x.{token.partition('.')[2]}",
        token + "x",
        "\udc80.é",
    ):
        assert store.verify(wrong) is None


def test_revocation_is_seen_by_another_store_at_once(path: Path) -> None:
    first, second = KeyStore(path), KeyStore(path)
    key, token = first.create(["imagine"])
    assert second.verify(token)
    first.revoke(key.id)
    assert second.verify(token) is None
    revoked = first.list()[0].revoked
    assert first.revoke(key.id).revoked == revoked


def test_expiry(path: Path) -> None:
    now = 1000.0
    store = KeyStore(path, clock=lambda: now)
    _, token = store.create(["imagine"], days=1)
    assert store.verify(token)
    now += 86_400
    assert store.verify(token) is None


def test_scopes() -> None:
    store = KeyStore(Path("/nowhere/keys.json"))
    with pytest.raises(BadInput, match="accepted: imagine, score, admin"):
        store.create(["root"])
    with pytest.raises(BadInput):
        store.create([])
    with pytest.raises(BadInput, match="more than 0 days"):
        store.create(["score"], days=-1)


def test_admin_may_all_and_others_their_own(path: Path) -> None:
    admin, _ = KeyStore(path).create(["admin"])
    score, _ = KeyStore(path).create(["score"])
    assert admin.allows("imagine")
    assert score.allows("score") and not score.allows("imagine")


def test_unknown_key_to_revoke(path: Path) -> None:
    with pytest.raises(BadInput, match="no key 'ak1'"):
        KeyStore(path).revoke("ak1")


def test_keys_made_at_once_are_all_kept(path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        tokens = list(threads.map(lambda _: KeyStore(path).create(["imagine"])[1], range(16)))
    assert all(KeyStore(path).verify(token) for token in tokens)


@pytest.mark.parametrize("text", ["", "[]", '{"keys": 1}', json.dumps({"keys": [{"id": "a"}]})])
def test_a_damaged_file_is_named(path: Path, text: str) -> None:
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(KeysUnreadable, match=r"keys\.json is damaged"):
        KeyStore(path).list()
