"""Start-up of the command: `python -m benchmarks.command`. Prints JSON."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

ATELIER = Path(sys.executable).with_name("atelier")


def seconds(*arguments: str, runs: int = 5) -> float:
    """Median wall time of `atelier <arguments>`."""
    times = []
    for _ in range(runs):
        began = time.perf_counter()
        subprocess.run([ATELIER, *arguments], check=True, capture_output=True)
        times.append(time.perf_counter() - began)
    return sorted(times)[runs // 2]


if __name__ == "__main__":
    print(
        json.dumps({"help_seconds": seconds("--help"), "imagine_help_seconds": seconds("imagine", "--help")})
    )
