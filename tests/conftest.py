"""The one place where tests start Ray."""

from __future__ import annotations

import logging
import secrets
import shutil
import tempfile
from collections.abc import Iterator

import pytest

from configs import environment


def pytest_configure() -> None:
    """Ray reads these when it is first imported, which any test module may do."""
    environment.export(
        RAY_AUTH_MODE="token",
        RAY_AUTH_TOKEN=secrets.token_hex(32),
        RAY_USAGE_STATS_ENABLED="0",
        RAY_ENABLE_UV_RUN_RUNTIME_ENV="0",
        RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO="0",
    )


@pytest.fixture(scope="session")
def ray_session() -> Iterator[str]:
    """A local Ray cluster of 4 logical CPUs for all tests marked `ray`; yields its address."""
    import ray

    folder = tempfile.mkdtemp(prefix="at-", dir="/tmp")
    ray.init(
        address="local",
        namespace="atelier",
        num_cpus=4,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
        object_store_memory=256 * 1024 * 1024,
        _temp_dir=folder,
    )
    try:
        yield str(ray.get_runtime_context().gcs_address)
    finally:
        ray.shutdown()
        shutil.rmtree(folder, ignore_errors=True)
