"""All benchmarks one after another: `python -m benchmarks.run [NAME ...]`. Prints one JSON object.

Figures of one run share one machine and its load; compare ratios within a run, not seconds between runs.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from typing import Any

BENCHMARKS = (
    *("command", "generator", "judge", "pool", "world"),
    *(
        "calibration",
        "synthesis",
        "against_ray_data",
        "scorer",
        "search",
        "strategies",
        "overlap",
        "audit_judge",
    ),
)


def run(name: str) -> dict[str, Any]:
    """Run one benchmark in a process of its own."""
    began, load = time.monotonic(), os.getloadavg()
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{name}"], capture_output=True, text=True, check=False
    )
    if done.returncode:
        return {"error": done.stderr[-2000:]}
    result: dict[str, Any] = json.loads(done.stdout[done.stdout.index("{") :])
    return {**result, "load_before": load, "wall_seconds": time.monotonic() - began}


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    return {"cores": os.cpu_count(), "machine": platform.machine(), "python": platform.python_version()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="default: all")
    names = parser.parse_args().names or BENCHMARKS
    report: dict[str, Any] = {"machine": machine()}
    for name in names:
        print(f"{name} ...", file=sys.stderr, flush=True)
        report[name] = run(name)
    print(json.dumps(report, ensure_ascii=False, indent=2))
    return int(any("error" in result for result in report.values()))


if __name__ == "__main__":
    raise SystemExit(main())
