"""`atelier train`: judged pairs -> a scorer; a search's winners -> a policy."""

from __future__ import annotations

import asyncio
import json
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cluster.console import Progress, Shell, command

if TYPE_CHECKING:
    from actors.contracts import Dimension, PairRecord
    from actors.runs import Run
    from configs.ranking import RankingSettings
    from configs.schema import Settings
    from train_jobs.ppo.state import PolicyState
    from train_jobs.ranking.data import Examined
    from train_jobs.ranking.evaluate import Evaluation
    from train_jobs.ranking.finish import Finished
    from train_jobs.ranking.quality import Accuracy
    from train_jobs.ranking.state import TrainingState

app = typer.Typer()
trainings = typer.Typer(help="Train a model.", no_args_is_help=True)
app.add_typer(trainings, name="train")
POLL_S = 0.5


@trainings.callback()
def _group() -> None:
    """Train a model."""


@command(trainings)
def ranking(
    shell: Shell,
    dataset: Annotated[str, typer.Argument(help="Folder or URI of judged pairs.")],
    resume: Annotated[Path | None, typer.Option(help="Folder of a run to go on with.")] = None,
) -> None:
    """Train the scorer on judged pairs, on Ray Train; test it on combinations that it never saw.

    The run's folder gets `scorer/` (use it with --set scorer.folder=...), `curves.png` and `MODEL_CARD.md`.
    Example: atelier train ranking runs/pairs
    """
    with shell.progress() as progress:
        finished, run = _train(shell, dataset, resume, progress)
    show(shell, finished.evaluation)
    shell.result(
        {
            "run": run.id,
            "path": str(run.path),
            "scorer": str(finished.folder),
            "version": finished.version,
            **finished.card,
        }
    )
    shell.say(f"scorer  {finished.folder}")
    shell.say(f"card    {run.path}/MODEL_CARD.md")
    shell.say(str(run.path))


@command(trainings)
def policy(
    shell: Shell,
    records: Annotated[
        Path | None, typer.Argument(help="A run of evolve or loop, or a file of records.")
    ] = None,
    resume: Annotated[Path | None, typer.Option(help="Folder of a run to go on with.")] = None,
) -> None:
    """Train a policy: first on what a search or a practice has found, then by reinforcement (PPO).

    The run's folder gets `policy/` and `curves.png`. Use a tiny policy with --set policy.type=tiny
    --set policy.weights=RUN/policy, a language model with --set policy.type=llm --set policy.engine.model=...
    Examples: atelier train policy runs/evolve-20260101-120000;
    atelier train policy RUN --set ppo.policy.type=llm --set ppo.policy.model=FOLDER
    """
    from actors.errors import BadInput
    from train_jobs.ppo.curves import draw_curves, ends
    from train_jobs.ppo.job import POLICY, begin, finish
    from train_jobs.ppo.lessons import read_records

    with shell.progress() as progress:
        run, settings = _run(shell, resume, "policy")
        if records is None and not (run.path / "start").exists():
            raise BadInput("no records to start from; accepted: a run of `atelier evolve`, or --resume RUN")
        winners = [] if records is None else read_records(records)
        start = begin(settings.ppo, winners, run.path.absolute(), progress)
        state = _fit_policy(shell, settings, start, run, progress)
    folder = finish(settings.ppo, start, state, run.path)
    draw_curves(state.progress.curve, run.path / "curves.png")
    met = ends(state.progress.curve)
    first, last = met["first"], met["last"]
    answers = state.progress.step * settings.ppo.batch
    counts = {"steps": state.progress.step, "answers": answers, "draws": state.progress.draws}
    summary = {**counts, "first": first, "last": last}
    run.write_json("summary.json", summary)
    shell.table(
        f"{POLICY} after {answers} answers, {state.progress.draws} of them drawn",
        ["", ">admitted", ">reward", ">entropy", ">KL"],
        [
            [
                name,
                f"{row['admission']:.1%}",
                f"{row['reward']:.3f}",
                f"{row['entropy']:.2f}",
                f"{row['kl']:.1f}",
            ]
            for name, row in (("first steps", first), ("last steps", last))
        ],
    )
    shell.result({"run": run.id, "path": str(run.path), "policy": str(folder), **summary})
    shell.say(f"policy  {folder}")
    shell.say(str(run.path))


def _fit_policy(shell: Shell, settings: Settings, start: Path, run: Run, progress: Progress) -> PolicyState:
    from train_jobs.ppo.job import train_here, train_on_ray

    folder = run.path.absolute()
    engine = getattr(settings.ppo.policy, "engine", None)
    if settings.ppo.workers == 0 and settings.ppo.raters.workers == 0 and engine is None:
        with followed(run.path, progress):
            return train_here(settings, start, folder)
    progress("starting Ray", 0, 1)
    from cluster.session import session

    with session(shell.settings, verbose=shell.verbose):
        progress("starting Ray", 1, 1)
        with followed(run.path, progress):
            on_ray = settings.ppo.workers > 0
            return train_on_ray(settings, start, folder) if on_ray else train_here(settings, start, folder)


def _train(shell: Shell, dataset: str, resume: Path | None, progress: Progress) -> tuple[Finished, Run]:
    from train_jobs.ranking.curves import draw_curves
    from train_jobs.ranking.data import examine
    from train_jobs.ranking.finish import Trained, finish
    from train_jobs.ranking.job import split_of
    from train_jobs.ranking.start import architecture_of, start

    run, settings = _run(shell, resume, "ranking")
    room = settings.ranking
    architecture = architecture_of(room)
    start(room)
    examined = examine(dataset, architecture.dimensions, progress)
    for row in examined.bad[:3]:
        shell.err.print(
            f"set aside: pair {row.id}: {row.reason}", markup=False, style="yellow", soft_wrap=True
        )
    parts = split_of(examined.records, room)
    run.write_json("set_aside.json", [row.model_dump() for row in examined.bad])
    began = time.perf_counter()
    state = _fit(shell, room, dataset, examined, run, progress)
    seconds = time.perf_counter() - began
    draw_curves(state.progress.curve, run.path / "curves.png")
    test = [examined.records[i] for i in parts.test]
    own: dict[Dimension, Accuracy] = ceiling_of(settings, dataset, test, progress)
    trained = Trained(state, dataset, examined.records, examined.bad, seconds)
    finished = finish(room, trained, run.path / "scorer", ceiling=own, tell=progress)
    _write(run, finished)
    return finished, run


def _run(shell: Shell, resume: Path | None, kind: str) -> tuple[Run, Settings]:
    """A new run with the command's settings, or an old one with its own."""
    from actors.errors import BadInput
    from actors.runs import Run
    from configs.schema import Settings

    if resume is None:
        return Run.create(shell.settings, kind), shell.settings
    if shell.assignments:
        raise BadInput("--resume goes on as the run began; accepted: without --set")
    try:
        stored = json.loads((resume / "settings.json").read_text("utf-8"))["settings"]
    except (OSError, ValueError, KeyError) as error:
        raise BadInput(
            f"--resume {resume}: no run ({error}); accepted: the folder of a training run"
        ) from None
    return Run(resume.name, resume), Settings.model_validate(stored)


def _fit(
    shell: Shell, room: RankingSettings, dataset: str, examined: Examined, run: Run, progress: Progress
) -> TrainingState:
    from train_jobs.ranking.job import train_here, train_on_ray

    bad = frozenset(row.id for row in examined.bad)
    place = dataset if "://" in dataset else str(Path(dataset).absolute())
    folder = run.path.absolute()
    if room.workers == 0:
        with followed(run.path, progress):
            return train_here(room, place, bad, folder)
    progress("starting Ray", 0, 1)
    from cluster.session import session

    with session(shell.settings, verbose=shell.verbose):
        progress("starting Ray", 1, 1)
        with followed(run.path, progress):
            return train_on_ray(room, place, bad, folder)


@contextmanager
def followed(folder: Path, progress: Progress) -> Iterator[None]:
    """Tell how far the run in a folder is, while training goes on elsewhere."""
    from train_jobs.training.publishing import PROGRESS

    done = threading.Event()

    def follow() -> None:
        while not done.wait(POLL_S):
            with suppress(OSError, ValueError):
                stage, told, total = json.loads((folder / PROGRESS).read_text("utf-8"))
                progress(stage, told, total)

    (folder / PROGRESS).unlink(missing_ok=True)
    progress("training, steps", 0, 0)
    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def ceiling_of(
    settings: Settings, dataset: str, records: list[PairRecord], progress: Progress
) -> dict[Dimension, Accuracy]:
    """The judge's agreement with itself, where asking it costs nothing."""
    from actors.artifacts import Artifacts
    from actors.hosts import HostedJudge, LocalWorker
    from configs.judge import MeasuredSettings
    from train_jobs.ranking.ceiling import ceiling

    if not isinstance(settings.judge, MeasuredSettings):
        return {}

    async def ask(folder: str) -> dict[Dimension, Accuracy]:
        artifacts = Artifacts(folder)
        worker = LocalWorker(settings.judge, artifacts)
        try:
            return await ceiling(
                HostedJudge(worker),
                artifacts,
                dataset,
                records,
                tell=lambda done: progress("asking the judge again", done, len(records)),
            )
        finally:
            await worker.close()

    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(ask(folder))


def _write(run: Run, finished: Finished) -> None:
    from train_jobs.ranking.card import model_card

    text = model_card(finished.version, finished.card, finished.evaluation)
    (run.path / "MODEL_CARD.md").write_text(text, "utf-8")
    run.write_json("summary.json", {"version": finished.version, **finished.card})


def show(shell: Shell, evaluation: Evaluation) -> None:
    """The tables of an evaluation, one for each kind of labeller."""
    for source, found in evaluation.sets.items():
        rows = []
        for name, each in found.quality.dimensions.items():
            own = evaluation.ceiling.get(name) if source == "judge" else None
            low, high = each.decided.interval
            ece = "-" if each.ece is None or each.temperature is None else f"{each.ece:.3f}"
            cells = [str(name), str(each.decided.n), _share(each.decided), f"{low:.0%} - {high:.0%}"]
            rows.append([*cells, _share(own), ece])
        title = f"{evaluation.scorer} on {found.quality.pairs} pairs labelled by {source} ({evaluation.part})"
        columns = ["dimension", ">winners", ">accuracy", ">95% interval", ">judge's own", ">ECE"]
        shell.table(title, columns, rows)
        thirds = {f"{name} third": each for name, each in found.quality.terciles.items()}
        more = {**thirds, "wholly unseen": found.wholly_unseen, **found.by_generator, **found.baselines}
        shell.table(
            "The total",
            ["", ">winners", ">accuracy"],
            [[label, str(each.n), _share(each)] for label, each in more.items() if each is not None],
        )


def _share(found: Accuracy | None) -> str:
    return "-" if found is None or found.accuracy is None else f"{found.accuracy:.1%}"
