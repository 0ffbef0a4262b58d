"""Keep a loop's policy in the package: `python -m train_jobs.loop.ship RUN`.

It becomes what `policy.type=tiny` uses, and its card tells how it was made and what it reached.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from actors.errors import BadInput
from actors.policy.tiny import checkpoint
from train_jobs.ppo.job import POLICY

FOLDER = Path(checkpoint.__file__).parent / "weights"
ARMS = ("raw", "search", "best_of_k", "policy_before", "sft", "policy_after")
KEPT = ("admission", "admission_interval", "familiar", "strange", "copied", "tails")


def ship(run: Path, folder: Path = FOLDER) -> str:
    """Copy the policy with the run's figures in its card; the answer is its version.

    Raises:
        BadInput: the run has no policy that can be loaded, or was not measured.
    """
    made = run / POLICY
    loaded = checkpoint.load(made)
    try:
        summary = json.loads((run / "summary.json").read_text("utf-8"))
    except OSError as error:
        raise BadInput(
            f"{run} has no summary.json ({error.strerror}); accepted: a finished `atelier loop`"
        ) from None
    reached = {
        arm: {name: summary[arm][name] for name in KEPT if name in summary[arm]}
        for arm in ARMS
        if arm in summary
    }
    card = {**loaded.card, "reached": reached, "budget": summary.get("budget")}
    folder.mkdir(parents=True, exist_ok=True)
    return checkpoint.save(folder, loaded.model, loaded.familiar, card)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="folder of a finished `atelier loop`")
    print(ship(parser.parse_args().run))


if __name__ == "__main__":
    main()
