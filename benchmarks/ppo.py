"""One step of PPO, ours against TRL's `PPOTrainer`: CPU seconds of one thread, and memory.

    .venv/bin/uv pip install --python .venv/bin/python --no-deps --target .venv/trl \\
      trl==1.12.0 datasets==5.2.0 dill==0.4.1 multiprocess==0.70.19
    python -m benchmarks.ppo [--steps 30] [--repeats 5] [--minibatches 1] [--json]

prints a table and one JSON object. TRL lies apart, on the product's own torch and transformers. Both train
the same random Llama (tied head, float32, a critic of its own, a frozen reference) from responses of one
length: sampling, log-probabilities, values, rewards, GAE, then epochs of minibatches. Each run is a process
of its own, and the sides take turns. TRL is measured as it comes, and without the garbage collections and
cache clearings that it asks for in each step. It shows overhead, not a GPU's speed.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_post_hook

TRL = Path(sys.prefix) / "trl"
WARM_UP = 5
"""Steps of a run that do not count."""
LR, KL, CLIP, LAMBDA = 1e-4, 0.05, 0.2, 0.95


@dataclass(frozen=True)
class Case:
    """What both sides work on."""

    steps: int = 30
    batch: int = 32
    query: int = 16
    response: int = 32
    epochs: int = 4
    minibatches: int = 1
    vocabulary: int = 256
    width: int = 64
    hidden: int = 176
    layers: int = 2
    heads: int = 4


class Meter:
    """CPU seconds of each step, the optimisers' steps, and the memory above that of now."""

    def __init__(self) -> None:
        self._marks: list[float] = []
        self._updates = 0
        # Optimisers import it at their first step: it is none of the step's memory.
        importlib.import_module("torch._dynamo")
        Path("/proc/self/clear_refs").write_text("5")
        self._before = _status("VmRSS")
        register_optimizer_step_post_hook(self._updated)

    def mark(self) -> None:
        """A step begins, or the last one has ended."""
        self._marks.append(time.process_time())

    def read(self, case: Case, models: Sequence[nn.Module], optimisers: int) -> dict[str, float]:
        """What was measured; `models` are what is trained."""
        steps = len(self._marks) - 1
        counted = self._marks[WARM_UP:]
        return {
            "cpu_s": (counted[-1] - counted[0]) / (len(counted) - 1),
            "memory_mib": (_status("VmHWM") - self._before) / 1024,
            "updates": self._updates / steps / optimisers,
            "parameters": sum(each.numel() for model in models for each in model.parameters()),
        }

    def _updated(self, *given: Any) -> None:
        self._updates += 1


def _status(name: str) -> int:
    """A figure of this process, KiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


class Free:
    """A grammar to sample one batch: any token but the end, which stands in the last place and only there."""

    def __init__(self, case: Case, end: int) -> None:
        allowed = torch.ones(case.response, case.vocabulary, dtype=torch.bool)
        allowed[:, end] = False
        allowed[-1] = ~allowed[-1]
        self._places = iter(allowed)

    def after(self, last: Tensor) -> Tensor:
        """See `Grammar.after`; asked once a place."""
        return next(self._places).expand(len(last), -1)


def ours(case: Case) -> dict[str, float]:
    """Steps of the product's sampler and learner."""
    from actors.policy.tiny.model import Architecture, CausalLm
    from actors.policy.tiny.sampling import sample
    from configs.ppo import ClipSettings, KlSettings, PpoSettings
    from train_jobs.ppo.networks import Texts
    from train_jobs.ppo.update import Batch, Learner

    meter = Meter()
    settings = PpoSettings(
        batch=case.batch,
        epochs=case.epochs,
        minibatches=case.minibatches,
        lr=LR,
        critic_lr=LR,
        warm_up=0,
        clip=ClipSettings(low=CLIP, high=CLIP, value=CLIP),
        kl=KlSettings(coefficient=KL),
        advantages="gae",
        group=1,
        entropy=0,
        smoothing=0,
        admitted=0,
        credit=0,
        decay=LAMBDA,
    )
    shape = Architecture(case.vocabulary, case.width, case.hidden, case.layers, case.heads)
    actor, pad, end = CausalLm(shape), 0, 1
    learner = Learner(actor, settings, pad)
    of, seen = torch.arange(case.batch), torch.ones(case.batch, case.query, dtype=torch.bool)
    meter.mark()
    for step in range(WARM_UP + case.steps):
        queries = torch.randint(case.vocabulary, (case.batch, case.query))
        grammar: Any = Free(case, end)
        dice = [random.Random(step * case.batch + place) for place in range(case.batch)]
        answers = sample(actor, queries, seen, grammar, pad=pad, end=end, dice=dice)
        assert bool(answers.mask.all()) and answers.ids.shape == (case.batch, case.response)
        texts = Texts(queries, seen, of, answers.ids, answers.mask)
        learner.learn(Batch(texts, answers.logprobs, worth(answers.ids, case)), step)
        meter.mark()
    return meter.read(case, [actor, learner.critic], len(learner.optimisers))


def worth(answers: Tensor, case: Case) -> Tensor:
    """What answers earn: their share of tokens from the vocabulary's first half."""
    return (answers < case.vocabulary // 2).float().mean(1)


class Reward(nn.Module):
    """`worth` in the shape of a Llama with a score, as TRL wants it."""

    base_model_prefix = "model"

    def __init__(self, case: Case) -> None:
        super().__init__()
        self.model, self.score = Reward.Trunk(case), nn.Identity()

    class Trunk(nn.Module):
        """Its hidden states are the score, at every token."""

        def __init__(self, case: Case) -> None:
            super().__init__()
            self._case = case

        def forward(self, input_ids: Tensor, **given: Any) -> Any:
            """The hidden states."""
            from transformers.modeling_outputs import BaseModelOutput

            scores = worth(input_ids[:, -self._case.response :], self._case)
            return BaseModelOutput(hidden_states=(scores[:, None, None].expand(*input_ids.shape, 1),))


def arguments(case: Case, folder: str) -> Any:
    """TRL's defaults, but for what makes both sides do the same."""
    from trl.experimental.ppo import PPOConfig

    return PPOConfig(
        output_dir=folder,
        per_device_train_batch_size=case.batch,
        num_mini_batches=case.minibatches,
        num_ppo_epochs=case.epochs,
        total_episodes=(WARM_UP + case.steps) * case.batch,
        response_length=case.response,
        temperature=1.0,
        learning_rate=LR,
        kl_coef=KL,
        cliprange=CLIP,
        cliprange_value=CLIP,
        lam=LAMBDA,
        num_sample_generations=0,
        bf16=False,
        gradient_checkpointing=False,
        use_cpu=True,
        save_strategy="no",
        report_to="none",
    )


def trl(case: Case) -> dict[str, float]:
    """Steps of TRL's trainer."""
    from datasets import Dataset
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from transformers import (
        LlamaConfig,
        LlamaForCausalLM,
        LlamaForSequenceClassification,
        PreTrainedTokenizerFast,
        TrainerCallback,
    )
    from trl.experimental.ppo import PPOTrainer

    meter = Meter()

    class Watch(TrainerCallback):
        def on_train_begin(self, *given: Any, **named: Any) -> None:
            meter.mark()

        def on_step_end(self, *given: Any, **named: Any) -> None:
            meter.mark()

    # Neither the padding nor the end is a token of the model, so no response ends early.
    names = {f"t{number}": number for number in range(case.vocabulary + 2)}
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(WordLevel(names, unk_token="t0")),
        pad_token=f"t{case.vocabulary}",
        eos_token=f"t{case.vocabulary + 1}",
    )
    rows = torch.randint(case.vocabulary, (8 * case.batch, case.query)).tolist()
    data = Dataset.from_dict({"input_ids": rows})
    config = LlamaConfig(
        vocab_size=case.vocabulary,
        hidden_size=case.width,
        intermediate_size=case.hidden,
        num_hidden_layers=case.layers,
        num_attention_heads=case.heads,
        tie_word_embeddings=True,
        num_labels=1,
        bos_token_id=None,
        eos_token_id=None,
    )
    policy, critic = LlamaForCausalLM(config), LlamaForSequenceClassification(config)
    with tempfile.TemporaryDirectory() as folder:
        PPOTrainer(
            args=arguments(case, folder),
            processing_class=tokenizer,
            model=policy,
            ref_model=None,
            reward_model=Reward(case),
            value_model=critic,
            train_dataset=data,
            eval_dataset=data,
            callbacks=[Watch()],
        ).train()
    return meter.read(case, [policy, critic], optimisers=1)


def trl_uncollected(case: Case) -> dict[str, float]:
    """The same without the collections and clearings that the trainer asks for."""
    import gc

    import trl.experimental.ppo.ppo_trainer as trainer

    gc.collect = lambda *given: 0
    trainer.empty_cache = lambda: None
    return trl(case)


SIDES: dict[str, Callable[[Case], dict[str, float]]] = {
    "ours": ours,
    "trl": trl,
    "trl_uncollected": trl_uncollected,
}
TITLES = {"ours": "Atelier", "trl": "TRL as it comes", "trl_uncollected": "TRL, no collections"}


def launch(side: str, case: Case) -> dict[str, float]:
    """One run in a process of its own."""
    from actors.pool.host import thread_variables

    given = [sys.executable, "-m", "benchmarks.ppo", "--side", side, "--case", json.dumps(asdict(case))]
    quiet = {"TRL_EXPERIMENTAL_SILENCE": "1", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    paths = os.pathsep.join(
        filter(None, [os.environ.get("PYTHONPATH"), *([] if side == "ours" else [str(TRL)])])
    )
    variables = {**os.environ, **thread_variables(1), **quiet, "PYTHONPATH": paths}
    done = subprocess.run(given, env=variables, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{side} failed:\n{done.stderr[-3000:]}")
    answer: dict[str, float] = json.loads(done.stdout)
    return answer


def compare(case: Case, repeats: int) -> dict[str, Any]:
    """All sides in turns; medians, and ratios within each turn."""
    load, order = os.getloadavg(), list(SIDES)
    found: dict[str, list[dict[str, float]]] = {side: [] for side in order}
    for turn in range(repeats):
        for side in order[turn % len(order) :] + order[: turn % len(order)]:
            found[side].append(launch(side, case))
            print(f"{turn + 1}/{repeats} {side}: {found[side][-1]}", file=sys.stderr, flush=True)
    for name, tolerance in (("updates", 0), ("parameters", 1)):  # our critic's head has a bias
        seen = [run[name] for runs in found.values() for run in runs]
        assert max(seen) - min(seen) <= tolerance, f"the sides did not do the same: {found}"
    return {
        "case": asdict(case),
        "torch": torch.__version__,
        "load_before": load,
        "load_after": os.getloadavg(),
        **{side: _summed(runs, case) for side, runs in found.items()},
        **{
            f"{side}_over_ours": _ratios(runs, found["ours"])
            for side, runs in found.items()
            if side != "ours"
        },
    }


def _summed(runs: list[dict[str, float]], case: Case) -> dict[str, Any]:
    seconds = [run["cpu_s"] for run in runs]
    return {
        "cpu_s_per_step": round(statistics.median(seconds), 4),
        "lowest_and_highest": [round(min(seconds), 4), round(max(seconds), 4)],
        "response_tokens_per_cpu_s": round(case.batch * case.response / statistics.median(seconds)),
        "memory_mib": round(statistics.median(run["memory_mib"] for run in runs), 1),
        "updates_per_step": runs[0]["updates"],
        "parameters": runs[0]["parameters"],
    }


def _ratios(theirs: list[dict[str, float]], mine: list[dict[str, float]]) -> dict[str, Any]:
    pairs = list(zip(theirs, mine, strict=True))
    cpu = [one["cpu_s"] / other["cpu_s"] for one, other in pairs]
    return {
        "cpu": round(statistics.median(cpu), 2),
        "cpu_lowest_and_highest": [round(min(cpu), 2), round(max(cpu), 2)],
        "memory": round(
            statistics.median(one["memory_mib"] / other["memory_mib"] for one, other in pairs), 2
        ),
    }


def table(found: dict[str, Any]) -> str:
    """The comparison in Markdown."""
    rows = [
        "| | CPU s a step | lowest to highest | response tokens/CPU s | MiB above imports | over ours |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for side, title in TITLES.items():
        row = found[side]
        low, high = row["lowest_and_highest"]
        ratio = found[f"{side}_over_ours"]["cpu"] if side != "ours" else 1.0
        rows.append(
            f"| {title} | {row['cpu_s_per_step']:.3f} | {low:.3f} to {high:.3f} | "
            f"{row['response_tokens_per_cpu_s']:,} | {row['memory_mib']:.0f} | {ratio:.2f} |"
        )
    return "\n".join([*rows, f"load {found['load_before'][0]:.1f} to {found['load_after'][0]:.1f}"])


def run_side(side: str, case: Case) -> None:
    """What a child process does: prints its measurements as JSON, and all else to stderr."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    with contextlib.redirect_stdout(sys.stderr):
        measured = SIDES[side](case)
    print(json.dumps(measured))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    sizes = asdict(Case())
    for name, size in sizes.items():
        parser.add_argument(f"--{name}", type=int, default=size)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="no table")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--case", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.side:
        return run_side(given.side, Case(**json.loads(given.case)))
    if not (TRL / "trl").exists():
        parser.error(f"TRL is not installed in {TRL}; the command is in the help above")
    found = compare(Case(**{name: getattr(given, name) for name in sizes}), given.repeats)
    if not given.json:
        print(table(found))
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
