"""One version stamp over Atelier's packages, so that a worker of another version is found out at once."""

from __future__ import annotations

import hashlib
from importlib.util import find_spec
from pathlib import Path

PACKAGES = ("configs", "actors", "serve_apps", "train_jobs", "cluster")
_SUFFIXES = {".py", ".yaml", ".j2", ".css", ".safetensors"}


def stamps() -> dict[str, str]:
    """Package -> first 12 hex digits of sha256 over its files; `missing` where it cannot be imported."""
    return {package: _stamp(package) for package in PACKAGES}


def differing(here: dict[str, str], there: dict[str, str]) -> list[str]:
    """Packages whose stamps are not the same."""
    return [package for package in PACKAGES if here.get(package) != there.get(package)]


def _stamp(package: str) -> str:
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        return "missing"
    root = Path(spec.origin).parent
    digest = hashlib.sha256()
    for path in sorted(p for p in root.rglob("*") if p.suffix in _SUFFIXES and p.is_file()):
        digest.update(f"{path.relative_to(root)}\x00".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:12]
