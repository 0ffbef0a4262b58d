"""`atelier serve`: the HTTP apps, in the foreground until Ctrl-C."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import typer

from cluster.console import Shell, command

if TYPE_CHECKING:
    from configs.schema import Settings

app = typer.Typer()


@command(app)
def serve(shell: Shell) -> None:
    """Serve the apps over HTTP until Ctrl-C."""
    from cluster import state

    settings = shell.settings
    state_file = settings.cluster.state_file
    with shell.progress() as progress:
        progress("starting Ray", 0, 1)
        refuse_taken_port(settings)
        from cluster.needs import refuse_incomplete
        from cluster.session import session

        refuse_incomplete(settings)
        with session(settings, verbose=shell.verbose):
            progress("starting Ray", 1, 1)
            progress("starting the apps", 0, 1)
            from cluster.deploy import deployed

            with deployed(settings, verbose=shell.verbose) as url:
                progress("starting the apps", 1, 1)
                state.record(state_file, "serve", state.started(os.getpid(), url))
                try:
                    _announce(shell, url)
                    threading.Event().wait()
                finally:
                    state.record(state_file, "serve", None)


def refuse_taken_port(settings: Settings) -> None:
    """Say at once that the port is taken, rather than after a minute of Serve trying."""
    import socket

    from actors.errors import BadInput

    host, port = settings.serve.host, settings.serve.port
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise BadInput(
                f"serve.port {port} on {host}: {error.strerror}; "
                f"accepted: a free port, e.g. --set serve.port={port + 1}"
            ) from None


def _announce(shell: Shell, url: str) -> None:
    settings = shell.settings.serve
    shell.say(f"serving at {url}   {url}/openapi.json   Ctrl-C stops")
    if settings.require_key:
        shell.say("make a key with  atelier keys create   and send it as  Authorization: Bearer <key>")
    shell.result({"url": url, "pid": os.getpid(), "require_key": settings.require_key})
