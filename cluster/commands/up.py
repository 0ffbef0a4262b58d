"""`atelier up`, `down` and `status`: a cluster that outlives the command."""

from __future__ import annotations

import time
from typing import Any

import typer

from cluster.console import Shell, command

app = typer.Typer()
KINDS = ("cluster", "serve")


@command(app)
def up(shell: Shell) -> None:
    """Start a Ray cluster with a token, which only this machine can reach unless the settings say else."""
    with shell.progress() as progress:
        progress("starting Ray", 0, 1)
        from cluster.up import up as start

        service = start(shell.settings)
        progress("starting Ray", 1, 1)
    shell.say(f"cluster at {service.address}; join it with  --set cluster.address=auto")
    shell.say("stop it with  atelier down")
    shell.result({"address": service.address, "pid": service.pid, "folder": service.folder})


@command(app)
def down(shell: Shell) -> None:
    """Stop what `up` and `serve` started here, and nothing else."""
    from cluster.up import down as stop

    stopped = {}
    with shell.progress() as progress:
        for kind in ("serve", "cluster"):
            progress(f"stopping {kind}", 0, 1)
            service = stop(shell.settings, kind)
            progress(f"stopping {kind}", 1, 1)
            if service is not None:
                stopped[kind] = service.address
    for kind, address in stopped.items():
        shell.say(f"stopped {kind} at {address}")
    if not stopped:
        shell.say("nothing was running")
    shell.result({"stopped": stopped})


@command(app)
def status(shell: Shell) -> None:
    """Show what runs."""
    from cluster import state

    recorded = state.read(shell.settings.cluster.state_file)
    found = [_described(kind, recorded[kind]) for kind in KINDS if kind in recorded]
    rows = [[f["kind"], f["state"], f["address"], str(f["pid"]), f["since"], f["memory"]] for f in found]
    if rows:
        shell.table("", ["", "state", "address", ">pid", "since", ">memory"], rows)
    else:
        shell.say("nothing was started by `atelier up` or `atelier serve`")
    shell.result({"services": found})


def _described(kind: str, service: Any) -> dict[str, Any]:
    process = service.process
    memory = 0
    if process is not None:
        memory = sum(_resident(member) for member in (process, *process.children(recursive=True)))
    return {
        "kind": kind,
        "state": "running" if process is not None else "ended",
        "address": service.address,
        "pid": service.pid,
        "since": time.strftime("%Y-%m-%d %H:%M", time.localtime(service.created)),
        "memory": f"{memory / 2**30:.1f} GiB",
    }


def _resident(process: Any) -> int:
    import psutil

    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0
