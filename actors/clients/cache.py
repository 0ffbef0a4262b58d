"""Answers kept on disk by the content of their request, so that a repeated run pays once."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import uuid
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)


class AnswerCache:
    """One JSON file an answer. Only what the caller accepted is put here; failures never are."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @staticmethod
    def key(url: str, body: Any, files: dict[str, bytes]) -> str:
        """sha256 of the canonical request. Headers, and so the API key, take no part."""
        digests = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
        canonical = json.dumps(
            [url, body, digests], sort_keys=True, ensure_ascii=False, separators=(",", ":")
        )
        return hashlib.sha256(canonical.encode("utf-8")).hexdigest()

    def get(self, key: str) -> dict[str, Any] | None:
        """The answer kept under a key; None when there is none or its file is damaged."""
        try:
            answer = json.loads(self._path(key).read_bytes())
        except (OSError, ValueError):
            return None
        return answer if isinstance(answer, dict) else None

    def put(self, key: str, answer: dict[str, Any]) -> None:
        """Keep an answer. A disk that cannot take it costs a warning, not the paid answer."""
        path = self._path(key)
        temporary = path.with_suffix(f".{uuid.uuid4().hex}.tmp")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_text(json.dumps(answer, ensure_ascii=False), "utf-8")
            os.replace(temporary, path)
        except OSError as error:
            with contextlib.suppress(OSError):
                temporary.unlink()
            logger.warning("the answer cache %s takes no more: %s", self._folder, error)

    def _path(self, key: str) -> Path:
        return self._folder / key[:2] / f"{key}.json"
