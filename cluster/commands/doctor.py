"""`atelier doctor`: what this machine has and lacks."""

from __future__ import annotations

import typer

from cluster.console import FAILED, Cell, Shell, command

app = typer.Typer()
COLOURS = {"ok": "green", "note": "cyan", "warning": "yellow", "error": "bold red"}


@command(app)
def doctor(shell: Shell) -> None:
    """Check versions, the torch pair, fonts, disk, memory, ports, GPU, tokens and what each profile lacks."""
    from cluster.doctor import examine
    from cluster.needs import lacks
    from configs.load import SettingsError, load, profiles

    settings = shell.settings
    with shell.progress() as progress:
        checks = examine(settings, progress)
    missing: dict[str, list[str]] = {}
    for name in dict.fromkeys((settings.profile, *profiles())):
        try:
            missing[name] = lacks(settings if name == settings.profile else load(name))
        except SettingsError as error:
            missing[name] = [str(error)]
    rows: list[list[Cell]] = [
        [(check.level, COLOURS[check.level]), check.name, check.detail, check.fix] for check in checks
    ]
    shell.table("", ["", "check", "found", "what to do"], rows)
    for name, sentences in missing.items():
        chosen = " (chosen)" if name == settings.profile else ""
        shell.say(f"profile {name}{chosen}: {'lacks' if sentences else 'can run'}")
        for sentence in sentences:
            shell.say(f"  - {sentence}")
    healthy = not missing[settings.profile] and all(check.level != "error" for check in checks)
    shell.result(
        {
            "profile": settings.profile,
            "healthy": healthy,
            "checks": [vars(check) for check in checks],
            "profiles": {name: {"can_run": not found, "lacks": found} for name, found in missing.items()},
        }
    )
    if not healthy:
        raise typer.Exit(FAILED)
