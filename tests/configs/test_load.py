import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from configs.load import SettingsError, load, profiles
from configs.schema import Settings

REPOSITORY = Path(__file__).parents[2]


@pytest.mark.parametrize("name", profiles())
def test_every_shipped_profile_parses(name: str) -> None:
    assert load(name, environ={}).profile == name


def test_layers_in_order() -> None:
    environ = {"ATELIER_REWARD__BAR": "0.5", "ATELIER_LOOP__COVERS": "3"}
    settings = load("embedded", ["reward.bar=0.6"], environ)
    assert settings.reward.bar == 0.6
    assert settings.loop.covers == 3


def test_another_backend_drops_the_fields_of_the_old_one() -> None:
    settings = load("gpu", ["generator.type=procedural"], {})
    assert settings.generator.type == "procedural"


def test_profile_from_the_environment() -> None:
    assert load(environ={"ATELIER_PROFILE": "gpu"}).profile == "gpu"


@pytest.mark.parametrize(
    ("assignment", "parts"),
    [
        ("reward.barr=0.5", ["reward.barr", "unknown setting", "bar"]),
        ("reward.bar=3", ["reward.bar", "3", "less than or equal to 1"]),
        ("policy.type=oracle", ["policy", "oracle", "expander"]),
        ("generator.sharpness=1", ["generator.sharpness", "unknown setting", "long_side"]),
        ("nonsense", ["nonsense", "room.field=value"]),
        ("kitchen.sink=1", ["kitchen", "unknown setting", "generator"]),
    ],
)
def test_mistakes_name_field_value_and_what_is_accepted(assignment: str, parts: list[str]) -> None:
    with pytest.raises(SettingsError) as caught:
        load("embedded", [assignment], {})
    for part in parts:
        assert part in str(caught.value)


def test_unknown_environment_variable_is_an_error() -> None:
    with pytest.raises(SettingsError, match=r"reward\.barr: unknown setting"):
        load("embedded", environ={"ATELIER_REWARD__BARR": "0.5"})


def test_unknown_profile() -> None:
    with pytest.raises(SettingsError, match="embedded, gpu"):
        load("laptop", environ={})


def test_secrets_only_from_environment_or_file(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="environment"):
        load("embedded", ["policy.type=llm", "policy.http.api_key=sk-1"], {})
    environ = {"ATELIER_POLICY__TYPE": "llm", "ATELIER_POLICY__HTTP__API_KEY": "sk-very-secret"}
    settings = load("embedded", environ=environ)
    assert settings.policy.http.read_key() == "sk-very-secret"  # type: ignore[union-attr]
    assert "sk-very-secret" not in repr(settings) + str(settings.model_dump(mode="json"))


@pytest.mark.parametrize("secret", ["123456", "[sk-1, sk-2]", "yes"])
def test_a_secret_stays_as_it_is_written(secret: str) -> None:
    environ = {"ATELIER_POLICY__TYPE": "llm", "ATELIER_POLICY__HTTP__API_KEY": secret}
    assert load("embedded", environ=environ).policy.http.read_key() == secret  # type: ignore[union-attr]


def test_every_field_is_read_by_some_code() -> None:
    """A profile holds only what exists: a field that nothing reads is a promise nobody keeps."""
    code = "\n".join(
        path.read_text("utf-8")
        for room in ("actors", "serve_apps", "train_jobs", "cluster", "configs")
        for path in (REPOSITORY / room).rglob("*.py")
    )
    unread = [name for name in sorted(_fields(Settings)) if not re.search(rf"\.{name}\b", code)]
    assert unread == []


def _fields(model: type[BaseModel]) -> set[str]:
    names: set[str] = set()
    for name, field in model.model_fields.items():
        names.add(name)
        for inner in (field.annotation, *getattr(field.annotation, "__args__", ())):
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                names |= _fields(inner)
    return names - {"type"}
