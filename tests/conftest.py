"""The one place where tests start Ray."""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from configs import environment


@pytest.fixture(scope="session")
def ray_session() -> Iterator[str]:
    """A local Ray cluster of 4 logical CPUs for all tests marked `ray`; yields its address."""
    folder = Path(tempfile.mkdtemp(prefix="at-", dir="/tmp"))
    token = folder / "token"
    token.write_text("0123456789abcdef" * 4, "utf-8")
    environment.export(
        RAY_AUTH_MODE="token",
        RAY_AUTH_TOKEN_PATH=str(token),
        RAY_USAGE_STATS_ENABLED="0",
        RAY_ENABLE_UV_RUN_RUNTIME_ENV="0",
        RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO="0",
    )
    import ray

    ray.init(
        address="local",
        namespace="atelier",
        num_cpus=4,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
        object_store_memory=256 * 1024 * 1024,
        _temp_dir=str(folder),
    )
    try:
        yield str(ray.get_runtime_context().gcs_address)
    finally:
        ray.shutdown()
        shutil.rmtree(folder, ignore_errors=True)
