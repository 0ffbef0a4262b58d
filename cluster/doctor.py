"""What this machine has and lacks. Every check answers; none of them changes anything."""

from __future__ import annotations

import importlib
import platform
import shutil
import socket
import stat
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from cluster import state
from configs import environment
from configs.cluster import ClusterSettings, is_loopback
from configs.schema import Settings

Level = Literal["ok", "note", "warning", "error"]


@dataclass(frozen=True)
class Check:
    """One finding. `fix` says what to do where the level is a warning or an error."""

    name: str
    level: Level
    detail: str
    fix: str = ""


def examine(settings: Settings, progress: Callable[[str, int, int], None] | None = None) -> list[Check]:
    """All checks of the machine for these settings."""
    checks: tuple[Callable[[Settings], Iterator[Check]], ...] = (
        _python,
        _libraries,
        _torch_pair,
        _engine,
        _fonts,
        _space,
        _memory,
        _gpu,
        _ports,
        _ray_token,
        _exposure,
        _keys,
    )
    found: list[Check] = []
    for number, check in enumerate(checks):
        if progress:
            progress("checking", number, len(checks))
        found += check(settings)
    return found


def _python(_: Settings) -> Iterator[Check]:
    right = sys.version_info >= (3, 11)
    yield Check(
        "python",
        "ok" if right else "error",
        platform.python_version(),
        "" if right else "use Python 3.11 or newer",
    )


def _libraries(_: Settings) -> Iterator[Check]:
    for name in ("atelier-ray", "ray", "opencv-python-headless", "pydantic"):
        try:
            yield Check(name, "ok", metadata.version(name))
        except metadata.PackageNotFoundError:
            yield Check(name, "error", "not installed", "run `make setup`")
    rivals = [n for n in ("opencv-python", "opencv-contrib-python") if _installed(n)]
    if rivals:
        yield Check(
            "opencv rivals",
            "warning",
            f"{', '.join(rivals)} writes over the headless files",
            f"uninstall {rivals[0]}",
        )


def _torch_pair(_: Settings) -> Iterator[Check]:
    """torch and torchvision by name say little: the compiled operators have to load together."""
    names = [
        f"{name} {metadata.version(name)}" if _installed(name) else f"{name} missing"
        for name in ("torch", "torchvision")
    ]
    try:
        torch = importlib.import_module("torch")
        operators = importlib.import_module("torchvision.ops")
        kept = operators.nms(torch.tensor([[0.0, 0.0, 1.0, 1.0]]), torch.tensor([1.0]), 0.5)
        if kept.tolist() != [0]:
            raise RuntimeError("nms gives a wrong answer")
    except (ImportError, RuntimeError, AttributeError, OSError) as error:
        reason = str(error).splitlines()[0][:120]
        fix = "install a matching pair, both from the same index: run `make setup`"
        yield Check("torch pair", "error", f"{' + '.join(names)}: {reason}", fix)
    else:
        yield Check("torch pair", "ok", " + ".join(names))


def _engine(_: Settings) -> Iterator[Check]:
    """The engine's environment, which only profiles with an engine need."""
    python = Path(".venv-vllm/bin/python")
    if not python.exists():
        yield Check("vllm", "note", f"no environment in {python.parents[1]}; `make setup-vllm` makes one")
        return
    found = sorted(path.name for path in python.parents[1].glob("lib/*/site-packages/vllm*.dist-info"))
    detail = (
        found[0].removesuffix(".dist-info").replace("-", " ").replace("_", "-") if found else "incomplete"
    )
    yield Check("vllm", "ok" if found else "warning", detail, "" if found else "run `make setup-vllm`")


def _fonts(_: Settings) -> Iterator[Check]:
    try:
        from actors.fonts import font, font_path

        box = font(32).getbbox("永A")
    except (ImportError, OSError) as error:
        yield Check(
            "font", "error", str(error), "run `make setup`; the package justmytype-intl-cjk holds the font"
        )
    else:
        drawn = box[2] - box[0] > 32
        yield Check(
            "font",
            "ok" if drawn else "error",
            font_path().name,
            "" if drawn else "reinstall justmytype-intl-cjk",
        )


def _space(settings: Settings) -> Iterator[Check]:
    folder = settings.paths.runs.resolve()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free / 2**30
    level: Level = "error" if free < 0.5 else "warning" if free < 5 else "ok"
    yield Check(
        "disk",
        level,
        f"{free:.1f} GiB free at {folder}",
        "" if level == "ok" else "free space, or set paths.runs",
    )
    shared = Path("/dev/shm")
    if shared.is_dir():
        size = shutil.disk_usage(shared).free / 2**30
        level = "warning" if size < 0.5 else "ok"
        fix = (
            ""
            if level == "ok"
            else "enlarge it (docker: --shm-size=2g); Ray's object store falls back to disk"
        )
        yield Check("shared memory", level, f"{size:.1f} GiB free in /dev/shm", fix)


def _memory(_: Settings) -> Iterator[Check]:
    import psutil

    memory = psutil.virtual_memory()
    free = memory.available / 2**30
    level: Level = "error" if free < 1 else "warning" if free < 3 else "ok"
    fix = (
        ""
        if level == "ok"
        else "close something, or lower cluster.num_cpus; Ray needs 0.6 GiB, each worker about 0.3"
    )
    detail = f"{free:.1f} of {memory.total / 2**30:.1f} GiB available, {psutil.cpu_count()} CPUs"
    yield Check("memory", level, detail, fix)


def _gpu(_: Settings) -> Iterator[Check]:
    try:
        cuda = importlib.import_module("torch").cuda
        names = [cuda.get_device_name(i) for i in range(cuda.device_count())] if cuda.is_available() else []
    except (ImportError, RuntimeError, OSError) as error:
        yield Check("gpu", "warning", f"torch cannot say: {error}", "see `torch pair`")
        return
    yield Check("gpu", "ok" if names else "note", ", ".join(names) or "none; the embedded profile needs none")


def _ports(settings: Settings) -> Iterator[Check]:
    host, port = settings.serve.host, settings.serve.port
    if service := state.running(settings.cluster.state_file, "serve"):
        yield Check("serve port", "ok", f"in use by `atelier serve` at {service.address}")
        return
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            fix = "stop what listens there, or choose another: --set serve.port=8001"
            yield Check("serve port", "warning", f"{host}:{port}: {error.strerror}", fix)
        else:
            yield Check("serve port", "ok", f"{host}:{port} is free")


def _ray_token(settings: Settings) -> Iterator[Check]:
    cluster = settings.cluster
    if cluster.auth == "disabled":
        fix = "any user of this machine can run code in the cluster; use cluster.auth=token"
        yield Check("ray token", "warning", "disabled", fix)
    elif environment.ray_token_given():
        yield Check("ray token", "ok", "from the environment")
    elif not cluster.token_file.exists():
        yield Check("ray token", "ok", f"made in {cluster.token_file} when the first cluster starts")
    else:
        yield _private("ray token", cluster.token_file)


def _exposure(settings: Settings) -> Iterator[Check]:
    """What the settings open, and what running services really listen on."""
    yield from exposure_of_settings(settings.cluster)
    for kind in ("cluster", "serve"):
        service = state.running(settings.cluster.state_file, kind)
        if service is None or service.process is None:
            continue
        opened = sorted(_listening(service.process))
        outside = [address for address in opened if not is_loopback(address.rpartition(":")[0])]
        guarded = settings.cluster.auth == "token" if kind == "cluster" else settings.serve.require_key
        level: Level = "ok" if not outside else "warning" if guarded else "error"
        detail = f"{kind} listens on {', '.join(outside)}" if outside else f"{kind} listens on loopback only"
        fix = "" if not outside else "keep it behind a firewall, or restart it with a loopback host"
        yield Check("exposure", level, detail, fix)


def exposure_of_settings(cluster: ClusterSettings) -> Iterator[Check]:
    """Whether a cluster of these settings can be reached from other machines, and with what guard."""
    if is_loopback(cluster.host):
        yield Check("cluster host", "ok", f"{cluster.host}, this machine only")
    elif cluster.auth == "token":
        fix = "Ray's token is no encryption: keep the port behind a firewall"
        yield Check(
            "cluster host", "warning", f"{cluster.host} can be reached from outside, with a token", fix
        )
    else:
        fix = "use cluster.auth=token or cluster.host=127.0.0.1"
        yield Check(
            "cluster host", "error", f"{cluster.host} can be reached from outside without a token", fix
        )


def _listening(process: Any) -> set[str]:
    import psutil

    found: set[str] = set()
    for member in (process, *process.children(recursive=True)):
        try:
            found |= {
                f"{c.laddr.ip}:{c.laddr.port}" for c in member.net_connections("tcp") if c.status == "LISTEN"
            }
        except psutil.Error:
            continue
    return found


def _keys(settings: Settings) -> Iterator[Check]:
    path = settings.serve.keys_file
    if path.exists():
        yield _private("api keys", path)
    elif settings.serve.require_key:
        yield Check("api keys", "note", "none yet; `atelier keys create` makes one")
    else:
        yield Check("api keys", "warning", "not asked for", "use serve.require_key=true")


def _private(name: str, path: Path) -> Check:
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        return Check(name, "error", f"others may read {path} (mode {mode:03o})", f"chmod 600 {path}")
    return Check(name, "ok", f"{path}, readable by its owner only")


def _installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True
