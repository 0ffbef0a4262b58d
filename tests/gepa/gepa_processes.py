"""Python in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def start(code: str, *arguments: str) -> subprocess.Popen[str]:
    """Start it; its standard output can be read."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.Popen(command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def child(code: str, *arguments: str) -> str:
    """What it printed; it must end well."""
    process = start(code, *arguments)
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    return printed.strip()
