"""The one place that reads environment variables.

| variable | meaning |
| --- | --- |
| `ATELIER_PROFILE` | profile to start from, a name or a YAML path; default `embedded` |
| `ATELIER_<ROOM>__<FIELD>` | one setting, e.g. `ATELIER_POLICY__TYPE=llm`; deeper fields by more `__` |
| `RAY_ADDRESS` | cluster to join when `cluster.address` is not set |
| `RAY_AUTH_TOKEN`, `RAY_AUTH_TOKEN_PATH` | Ray's token; without them `cluster.token_file` |
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import yaml

PREFIX = "ATELIER_"
PROFILE = "ATELIER_PROFILE"
SECRETS = frozenset({"api_key"})
"""Fields that hold secrets: never in a profile, kept as they are written, never shown."""


def profile_name(environ: Mapping[str, str] | None = None) -> str:
    """The profile that the environment asks for."""
    return (os.environ if environ is None else environ).get(PROFILE, "embedded")


def ray_address() -> str | None:
    """The Ray cluster that the environment names, if any."""
    return os.environ.get("RAY_ADDRESS") or None


def overrides(environ: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The settings tree that `ATELIER_<ROOM>__<FIELD>` variables spell."""
    tree: dict[str, Any] = {}
    for name, text in sorted((os.environ if environ is None else environ).items()):
        if name.startswith(PREFIX) and name != PROFILE:
            plant(tree, name.removeprefix(PREFIX).lower().split("__"), text)
    return tree


def plant(tree: dict[str, Any], path: list[str], text: str) -> None:
    """Set `tree[path[0]][path[1]]...` to a text read as YAML, so that numbers and lists keep their type."""
    for part in path[:-1]:
        inner = tree.setdefault(part, {})
        if not isinstance(inner, dict):
            inner = tree[part] = {}
        tree = inner
    try:
        tree[path[-1]] = text if path[-1] in SECRETS else yaml.safe_load(text)
    except yaml.YAMLError:
        tree[path[-1]] = text


def child_environment(**changes: str) -> dict[str, str]:
    """A copy of this process's environment with changes, for a child process."""
    return {**os.environ, **changes}


def ray_token_given() -> bool:
    """Whether the environment names Ray's token or the file that holds it."""
    return bool(os.environ.get("RAY_AUTH_TOKEN") or os.environ.get("RAY_AUTH_TOKEN_PATH"))


def export(**variables: str) -> None:
    """Set variables that libraries of this process and its children read when they are imported."""
    os.environ.update(variables)
