import pytest

from configs.load import SettingsError, budgets, load


@pytest.mark.parametrize("name", budgets())
def test_every_budget_fits_every_profile(name: str) -> None:
    for profile in ("embedded", "gpu"):
        assert load(profile, environ={}, budget=name).loop.unseen >= 96


def test_a_budget_stands_between_profile_and_environment(tmp_path) -> None:  # type: ignore[no-untyped-def]
    own = tmp_path / "own.yaml"
    own.write_text("ppo: {steps: 7, batch: 16}\nloop: {unseen: 9}")
    environ = {"ATELIER_PPO__BATCH": "32"}
    found = load("embedded", ["loop.unseen=11"], environ, budget=str(own))
    assert (found.ppo.steps, found.ppo.batch, found.loop.unseen) == (7, 32, 11)
    assert found.gepa == load("embedded", environ={}).gepa


def test_an_unknown_budget_is_named() -> None:
    with pytest.raises(
        SettingsError, match=r"budget 'weekend' is not known; accepted: demo, full, or a \.yaml"
    ):
        load("embedded", environ={}, budget="weekend")
