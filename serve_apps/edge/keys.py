"""API keys `id.secret`. The file keeps a hash of the secret only; every replica sees a change at once."""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import json
import os
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from actors.errors import AtelierError, BadInput

Scope = Literal["imagine", "score", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
_NOBODY = hashlib.sha256(b"").hexdigest()


class KeysUnreadable(AtelierError):
    """The key file is damaged. Example: edited by hand into something that is not JSON."""


class ApiKey(BaseModel):
    """What is kept of a key. The secret has 256 random bits, so a plain hash of it cannot be searched."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    secret_sha256: str
    scopes: tuple[Scope, ...]
    note: str = ""
    created: float
    """Seconds since the epoch."""
    expires: float | None = None
    revoked: float | None = None

    def allows(self, scope: str) -> bool:
        """Whether the key may do what needs a scope; `admin` may do all."""
        return scope in self.scopes or "admin" in self.scopes

    def valid_at(self, now: float) -> bool:
        """Whether the key is neither revoked nor expired."""
        return self.revoked is None and (self.expires is None or now < self.expires)


class KeyStore:
    """The keys in one JSON file."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._clock = clock
        self._seen: tuple[int, int, int] | None = None
        self._keys: dict[str, ApiKey] = {}

    def create(
        self, scopes: Sequence[str], *, days: float | None = None, note: str = ""
    ) -> tuple[ApiKey, str]:
        """Make a key. Returns its record and the token `id.secret`, which is shown this once only.

        Raises:
            BadInput: a scope is unknown, or the key would be expired from the start.
        """
        unknown = [scope for scope in scopes if scope not in SCOPES]
        if unknown or not scopes:
            raise BadInput(f"scopes {list(scopes)} are not all known; accepted: {', '.join(SCOPES)}")
        if days is not None and days <= 0:
            raise BadInput(f"a key of {days} days is of no use; accepted: more than 0 days, or none")
        now = self._clock()
        secret = secrets.token_urlsafe(32)
        key = ApiKey(
            id=f"ak{secrets.token_hex(6)}",
            secret_sha256=_digest(secret),
            scopes=tuple(scope for scope in SCOPES if scope in scopes),
            note=note,
            created=now,
            expires=None if days is None else now + days * 86_400,
        )
        with self._locked():
            self._write([*self.list(), key])
        return key, f"{key.id}.{secret}"

    def list(self) -> list[ApiKey]:
        """All keys, oldest first."""
        self._load()
        return list(self._keys.values())

    def revoke(self, key_id: str) -> ApiKey:
        """End a key now. Revoking again changes nothing.

        Raises:
            BadInput: no key has the id.
        """
        with self._locked():
            keys = {key.id: key for key in self.list()}
            if key_id not in keys:
                raise BadInput(f"no key {key_id!r}; accepted: {', '.join(keys) or 'none, as no key exists'}")
            if keys[key_id].revoked is None:
                keys[key_id] = keys[key_id].model_copy(update={"revoked": self._clock()})
                self._write(list(keys.values()))
        return keys[key_id]

    def verify(self, token: str) -> ApiKey | None:
        """The key that a token proves, or None. Takes as long for an unknown id as for a wrong secret."""
        self._load()
        key_id, _, secret = token.partition(".")
        key = self._keys.get(key_id)
        matches = hmac.compare_digest(_digest(secret), key.secret_sha256 if key else _NOBODY)
        return key if key and matches and key.valid_at(self._clock()) else None

    def _load(self) -> None:
        try:
            stat = self._path.stat()
        except FileNotFoundError:
            self._seen, self._keys = None, {}
            return
        seen = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
        if seen == self._seen:
            return
        try:
            rows = json.loads(self._path.read_text("utf-8"))["keys"]
            self._keys = {row["id"]: ApiKey.model_validate(row) for row in rows}
        except (ValueError, KeyError, TypeError, ValidationError):
            raise KeysUnreadable(
                f"the key file {self._path} is damaged; accepted: what `atelier keys` wrote; "
                "restore it, or delete it and make new keys"
            ) from None
        self._seen = seen

    def _write(self, keys: Sequence[ApiKey]) -> None:
        text = json.dumps({"keys": [key.model_dump() for key in keys]}, indent=2, ensure_ascii=False)
        temporary = self._path.with_name(f".{self._path.name}.{secrets.token_hex(4)}")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, self._path)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with open(self._path.with_name(f".{self._path.name}.lock"), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()
