"""`atelier keys`: who may call the served apps."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cluster.console import Shell, command

if TYPE_CHECKING:
    from serve_apps.edge.keys import ApiKey, KeyStore

app = typer.Typer()
keys = typer.Typer(help="API keys of the served apps.", no_args_is_help=True)
app.add_typer(keys, name="keys")


@keys.callback()
def _group() -> None:
    """API keys of the served apps."""


@command(keys)
def create(
    shell: Shell,
    scope: Annotated[list[str] | None, typer.Option(help="What it may do; may be repeated.")] = None,
    days: Annotated[float | None, typer.Option(help="Days until it expires; none = never.")] = None,
    note: Annotated[str, typer.Option(help="Whose it is.")] = "",
) -> None:
    """Make a key. Its secret is shown this once only."""
    key, token = _store(shell).create(scope or ["imagine", "score"], days=days, note=note)
    shell.say(f"key  {token}")
    shell.say("It is not shown again. Use it as the header  Authorization: Bearer <key>")
    shell.result({**_public(key), "key": token})


@command(keys, "list")
def list_keys(shell: Shell) -> None:
    """Show all keys, without their secrets."""
    found = [_public(key) for key in _store(shell).list()]
    rows = [
        [
            key["id"],
            ", ".join(key["scopes"]),
            key["state"],
            _day(key["created"]),
            _day(key["expires"]),
            key["note"],
        ]
        for key in found
    ]
    shell.table("", ["id", "scopes", "state", "created", "expires", "note"], rows)
    shell.result({"keys": found})


@command(keys)
def revoke(shell: Shell, key_id: Annotated[str, typer.Argument(help="The part before the dot.")]) -> None:
    """End a key now."""
    key = _public(_store(shell).revoke(key_id))
    shell.say(f"{key['id']} is revoked")
    shell.result(key)


def _store(shell: Shell) -> KeyStore:
    from serve_apps.edge.keys import KeyStore

    return KeyStore(shell.settings.serve.keys_file)


def _public(key: ApiKey) -> dict[str, Any]:
    state = "valid" if key.valid_at(time.time()) else ("revoked" if key.revoked is not None else "expired")
    return {**key.model_dump(mode="json", exclude={"secret_sha256"}), "state": state}


def _day(seconds: float | None) -> str:
    return "-" if seconds is None else time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
