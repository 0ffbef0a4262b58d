"""Profile file + environment + `--set` -> validated `Settings`; every mistake named with what is accepted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from configs import environment
from configs.schema import Settings


class SettingsError(ValueError):
    """A setting is unknown or wrong. The message names the field, the value and what is accepted."""


def profiles() -> tuple[str, ...]:
    """Names of the shipped profiles."""
    return _shipped("profiles")


def budgets() -> tuple[str, ...]:
    """Names of the shipped budgets of the double loop."""
    return _shipped("budgets")


def load(
    profile: str | None = None,
    assignments: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
    *,
    budget: str | None = None,
) -> Settings:
    """Resolve settings. Later layers win: profile, budget, environment, `room.field=value` assignments.

    Raises:
        SettingsError: a profile is missing, or a field is unknown, wrong, or a secret where none may stand.
    """
    name = profile or environment.profile_name(environ)
    base = _read("profile", "profiles", name)
    if budget is not None:
        base = _merge(base, _read("budget", "budgets", budget))
    assigned: dict[str, Any] = {}
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        if not equals or not path.strip():
            raise SettingsError(f"--set {assignment!r}: accepted: room.field=value, e.g. policy.type=llm")
        environment.plant(assigned, path.strip().split("."), text)
    _refuse_secrets(base, f"profile {name}")
    _refuse_secrets(assigned, "--set")
    tree = _merge(_merge(base, environment.overrides(environ)), assigned)
    try:
        return Settings.model_validate({"profile": name, **tree})
    except ValidationError as error:
        raise SettingsError("\n".join(_explain(problem) for problem in error.errors())) from None


def _shipped(folder: str) -> tuple[str, ...]:
    names = (path.name for path in files("configs").joinpath(folder).iterdir())
    return tuple(sorted(name.removesuffix(".yaml") for name in names if name.endswith(".yaml")))


def _read(kind: str, folder: str, name: str) -> dict[str, Any]:
    """The tree of a shipped file, or of one's own."""
    if name.endswith((".yaml", ".yml")):
        path = Path(name)
        if not path.is_file():
            raise SettingsError(
                f"{kind} file {name!r} does not exist; accepted: a YAML file, or {_shipped(folder)}"
            )
        text = path.read_text("utf-8")
    elif name in _shipped(folder):
        text = files("configs").joinpath(folder, f"{name}.yaml").read_text("utf-8")
    else:
        raise SettingsError(
            f"{kind} {name!r} is not known; accepted: {', '.join(_shipped(folder))}, or a .yaml path"
        )
    try:
        tree = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise SettingsError(f"{kind} {name}: not YAML: {error}") from None
    if not isinstance(tree, dict):
        raise SettingsError(f"{kind} {name}: accepted: a mapping of rooms, found {type(tree).__name__}")
    return tree


def _merge(base: dict[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """Deep merge; naming another backend `type` drops the fields of the backend it replaces."""
    if "type" in change and "type" in base and change["type"] != base["type"]:
        return dict(change)
    merged = dict(base)
    for key, value in change.items():
        inner = merged.get(key)
        merged[key] = _merge(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
    return merged


def _refuse_secrets(tree: Mapping[str, Any], where: str) -> None:
    for key, value in tree.items():
        if key in environment.SECRETS:
            raise SettingsError(
                f"{where} sets {key}; accepted: secrets only from the environment "
                f"(ATELIER_<ROOM>__HTTP__{key.upper()}) or from a file ({key}_file)"
            )
        if isinstance(value, Mapping):
            _refuse_secrets(value, where)


def _explain(problem: Any) -> str:
    path = [str(part) for part in problem["loc"]]
    fields = _accepted_fields(path[:-1]) if problem["type"] == "extra_forbidden" else ()
    shown = ".".join(_without_tags(path))
    if fields:
        return f"{shown}: unknown setting; accepted: {', '.join(fields)}"
    value = "(hidden)" if environment.SECRETS & set(path) else repr(problem["input"])[:120]
    return f"{shown}: {value} is not accepted: {problem['msg'].removeprefix('Value error, ')}"


def _walk(path: list[str]) -> tuple[list[str], type[BaseModel] | None]:
    """Follow a pydantic error path; discriminator tags are steps that are no field."""
    model: type[BaseModel] | None = Settings
    members: tuple[Any, ...] = ()
    kept: list[str] = []
    for part in path:
        if model is None and members:
            model = next((m for m in members if m.model_fields["type"].default == part), None)
            if model is not None:
                continue
        kept.append(part)
        field = model.model_fields.get(part) if model is not None else None
        kind = field.annotation if field is not None else None
        model = kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None
        members = tuple(m for m in get_args(kind) if isinstance(m, type) and issubclass(m, BaseModel))
        if model is None and len(members) == 1:
            model = members[0]
    return kept, model


def _without_tags(path: list[str]) -> list[str]:
    return _walk(path)[0]


def _accepted_fields(path: list[str]) -> tuple[str, ...]:
    model = _walk(path)[1]
    return tuple(sorted(model.model_fields)) if model is not None else ()
