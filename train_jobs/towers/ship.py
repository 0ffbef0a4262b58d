"""Keep taught towers in the package: `python -m train_jobs.towers.ship FOLDER`.

Only what the shipped scorer does not hold already is kept: its picture tower is the taught one, which no pair
has changed. Train the scorer from the same folder and ship both together.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

from actors.scorer.checkpoint import TOKENIZER, WEIGHTS, read_card
from actors.scorer.model import OF_PAIRS
from actors.tensors import read_tensors

FOLDER = Path(__file__).parent / "small"
TAUGHT, CARD = "towers.safetensors", "towers.json"


def ship(taught: Path, folder: Path = FOLDER) -> None:
    """Write the text tower, both projections, the tokenizer and the towers' card."""
    from safetensors.torch import save_file

    card = read_card(taught)
    folder.mkdir(parents=True, exist_ok=True)
    tensors = read_tensors(taught / WEIGHTS)
    kept = {name: value for name, value in tensors.items() if not name.startswith(("image.", *OF_PAIRS))}
    save_file(kept, folder / TAUGHT)
    shutil.copyfile(taught / TOKENIZER, folder / TOKENIZER)
    text = json.dumps({"version": card.version, **card.card}, indent=1)
    (folder / CARD).write_text(text + "\n", "utf-8")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("taught", type=Path, help="folder that `train_jobs.towers.train` wrote")
    ship(parser.parse_args().taught)


if __name__ == "__main__":
    main()
