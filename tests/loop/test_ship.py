import json
from pathlib import Path

import pytest

from actors.errors import BadInput
from actors.policy.tiny.checkpoint import load, save
from actors.policy.tiny.tokens import Tokens
from train_jobs.loop.ship import ship
from train_jobs.ppo.start import new

FAMILIAR = ("lighthouse",)


def test_a_measured_policy_ships_with_what_it_reached_and_another_does_not(tmp_path: Path) -> None:
    run, shipped = tmp_path / "run", tmp_path / "shipped"
    (run / "policy").mkdir(parents=True)
    made = save(run / "policy", new(Tokens(FAMILIAR), 0), FAMILIAR, {"steps": 3})
    with pytest.raises(BadInput, match="a finished `atelier loop`"):
        ship(run, shipped)
    arms = {"raw": {"admission": 0.1, "seconds": 3.0}, "policy_after": {"admission": 0.9, "tails": 60}}
    (run / "summary.json").write_text(json.dumps({"budget": "full", **arms}), "utf-8")
    assert ship(run, shipped) == made
    card = load(shipped).card
    assert (card["steps"], card["budget"]) == (3, "full")
    assert card["reached"] == {"raw": {"admission": 0.1}, "policy_after": {"admission": 0.9, "tails": 60}}
