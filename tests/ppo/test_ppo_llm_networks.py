"""Networks over a Hugging Face model against the model itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.ppo import llm_kit as kit
from train_jobs.ppo.llm.model import load_words
from train_jobs.ppo.networks import Texts


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return kit.write_model(tmp_path_factory.mktemp("models") / "llama")


def oracle(folder: Path, texts: Texts) -> Tensor:
    """Each answer alone behind its query, without padding."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    found = torch.zeros(texts.answers.shape)
    for row, (of, answer, mask) in enumerate(zip(texts.of, texts.answers, texts.mask, strict=True)):
        query, said = texts.queries[of][texts.seen[of]], answer[mask]
        with torch.no_grad():
            logits = model(torch.cat([query, said])[None]).logits[0].float()
        every = logits.log_softmax(-1)[len(query) - 1 : -1]
        found[row, : len(said)] = every.gather(1, said[:, None])[:, 0]
    return found


def close(found: Tensor, expected: Tensor, mask: Tensor) -> None:
    torch.testing.assert_close(found[mask], expected[mask], atol=1e-5, rtol=0)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("kind", ["llama", "qwen3"])
@pytest.mark.parametrize("lora", [kit.LORA, None], ids=["lora", "full"])
def test_log_probs_are_those_of_the_model(tmp_path: Path, kind: str, tied: bool, lora: Any) -> None:
    folder = kit.write_model(tmp_path / kind, kind=kind, tied=tied)
    found, texts = kit.networks(kit.policy(folder, lora=lora)), kit.texts()
    expected = oracle(folder, texts)
    close(found.log_probs(texts).log_probs.detach(), expected, texts.mask)
    close(found.reference(texts), expected, texts.mask)
    assert found.values(texts).shape == texts.mask.shape and not found.values(texts).detach().any()
    assert found.log_probs(texts).log_probs.requires_grad and not found.reference(texts).requires_grad


@pytest.mark.parametrize("lora", [kit.LORA, None], ids=["lora", "full"])
def test_the_reference_stays_the_base_and_the_merged_weights_are_the_actor(
    tmp_path: Path, model: Path, lora: Any
) -> None:
    from train_jobs.ppo.llm.checkpoint import save_model

    found, texts = kit.networks(kit.policy(model, lora=lora)), kit.texts()
    before = found.reference(texts)
    _learn(found, texts)
    assert torch.equal(found.reference(texts), before)
    moved = found.log_probs(texts).log_probs.detach()
    assert (moved - before)[texts.mask].abs().max() > 0.01
    saved = save_model(tmp_path / "policy", found.whole(), model, {"steps": 1})
    close(oracle(saved, texts), moved, texts.mask)
    assert load_words(saved).ends == load_words(model).ends


@pytest.mark.parametrize("lora", [kit.LORA, None], ids=["lora", "full"])
def test_actor_and_critic_learn_apart(model: Path, lora: Any) -> None:
    found, texts = kit.networks(kit.policy(model, lora=lora)), kit.texts()
    trained = found.trained
    assert not set(map(id, trained["actor"].values())) & set(map(id, trained["critic"].values()))
    assert all(parameter.requires_grad for each in trained.values() for parameter in each.values())
    said = found.log_probs(texts).log_probs.detach()
    optimiser = torch.optim.SGD(list(trained["critic"].values()), lr=0.1)
    for _ in range(3):
        optimiser.zero_grad()
        (found.values(texts)[texts.mask] - 1).square().mean().backward()
        optimiser.step()
    assert found.values(texts)[texts.mask].mean() > 0.3
    assert torch.equal(found.log_probs(texts).log_probs.detach(), said)


def test_weights_that_were_taken_are_put_back(model: Path) -> None:
    found, texts = kit.networks(kit.policy(model)), kit.texts()
    _learn(found, texts)
    other = kit.networks(kit.policy(model))
    other.restore(found.tensors())
    said = found.log_probs(texts).log_probs.detach()
    assert torch.equal(other.log_probs(texts).log_probs.detach(), said)


def test_parts_say_what_all_say_together(model: Path) -> None:
    found, texts = kit.networks(kit.policy(model)), kit.texts()
    every = found.log_probs(texts).log_probs.detach()
    apart, counted = torch.zeros_like(every), 0
    for part, answers in found.parts(texts, 20):
        apart[answers] = found.log_probs(part).log_probs.detach()
        counted += 1
    assert counted >= 3
    close(apart, every, texts.mask)


def test_layers_that_compute_again_say_the_same(model: Path) -> None:
    from train_jobs.ppo.llm.model import load_causal
    from train_jobs.ppo.llm.networks import LlmNetworks

    def gradient(recompute: bool) -> list[Tensor]:
        settings = kit.policy(model, recompute=recompute)
        torch.manual_seed(0)
        causal = load_causal(model, torch.float32, load_words(model), recompute=settings.recompute)
        found = LlmNetworks(causal, settings)
        texts = kit.texts()
        found.log_probs(texts).log_probs[texts.mask].sum().backward()
        return [p.grad for p in found.trained["actor"].values() if p.grad is not None]

    for once, again in zip(gradient(False), gradient(True), strict=True):
        torch.testing.assert_close(again, once)


def _learn(found: Any, texts: Texts) -> None:
    parameters = list(found.trained["actor"].values())
    optimiser = torch.optim.Adam(parameters, lr=0.02)
    for _ in range(3):
        optimiser.zero_grad()
        (-found.log_probs(texts).log_probs[texts.mask].mean()).backward()
        optimiser.step()
