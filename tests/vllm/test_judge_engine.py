"""The VLM judge over vLLM: a tiny random Idefics3, one of the few whose processor needs no torchvision."""

from collections.abc import Iterator
from typing import Any

import pytest

from actors.artifacts import Artifacts
from actors.clients.chat import Message
from actors.contracts import Comparison, Judgement, Picture, Query
from actors.engines.chat import EngineChat
from actors.judge.vlm.worker import Vlm
from configs.http import ChatSettings
from configs.judge import VlmSettings
from tests.fake_service import png
from tests.vllm import tiny
from tests.vllm.conftest import Kit, kit

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(300)]
ARTIFACTS = Artifacts("memory://vllm")
QUERY = Query.of("the moon over a lake")


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory, ray_session: str) -> Iterator[Kit]:
    folder = tiny.write_idefics(tmp_path_factory.mktemp("models") / "idefics")
    yield from kit(folder, max_model_len=4096)


def picture(seed: int) -> Picture:
    sha = ARTIFACTS.put(png(64, 48, seed))
    return Picture(sha256=sha, width=64, height=48, prompt_id="p", seed=seed, generator_version="g")


def test_the_model_sees_the_pictures(engine: Kit):
    """Prompts alike but for their pixels have other answers."""
    chat = EngineChat(engine.settings, ChatSettings(), engine.host)

    def seen(*seeds: int) -> Any:
        message = Message("user", "what is it?", tuple(("image/png", png(64, 48, seed)) for seed in seeds))
        return engine.sample(messages=(message.json(),), temperature=0, max_tokens=16).token_ids

    assert chat.name == "engine idefics"
    assert seen(1) == seen(1) != seen(2)
    assert seen(1, 2) != seen(2, 1)


def test_it_judges_and_compares(engine: Kit):
    """What a random model says is noise; that it is a judgement is what the schema enforces."""
    settings = VlmSettings(
        engine=engine.settings,
        chat=ChatSettings(temperature=1.0, max_tokens=1200, repairs=5),
        picture_side_px=64,
    )
    judge = Vlm(settings, ARTIFACTS)
    (judgement,) = engine.run(judge.judge([picture(1)], [QUERY]))
    assert isinstance(judgement, Judgement), judgement
    assert judgement.judge_version.startswith("vlm-1:idefics:") and judgement.judge_version.endswith("@base")
    assert set(judgement.gates) >= {"subject:moon", "subject:lake"}
    (comparison,) = engine.run(judge.compare([(picture(1), picture(2))], [QUERY]))
    assert isinstance(comparison, Comparison), comparison
    assert comparison.judge_version.endswith("@base")
    engine.run(judge.close())
    assert engine.run(engine.host.health()).weight_version == "base"
