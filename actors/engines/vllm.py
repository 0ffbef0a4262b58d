"""The engine actor: vLLM's `AsyncLLM`, for text and pictures, with adapters and weights that change under it.

It runs in the engine's own environment, so it takes and gives JSON and bytes alone.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import threading
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from actors.engines.checks import Shapes, check_adapter, check_model, check_weights, shapes_in, shapes_of
from actors.engines.errors import EngineDied, EngineRefused
from actors.engines.nouns import (
    BACKEND,
    BASE,
    Adapter,
    Answer,
    Ask,
    Health,
    Noun,
    Sample,
    Samples,
    Span,
    Update,
)
from actors.errors import AtelierError, StageFailed
from configs.engine import VllmSettings

_GPU_MEMORY = 0.9
"""Share of its part of a GPU that an engine takes; the rest is for what CUDA itself needs."""
_SHUTDOWN_S = 5.0


class Engine:
    """One engine. vLLM lives on one event loop, in a thread of its own that lasts as long as the process.

    Ray runs each concurrency group on another loop, and the kernel ends children with the thread that
    started them, so neither may be left to Ray.

    Args:
        settings: `VllmSettings` as JSON.
        build: makes the `AsyncLLM`; called once, on the engine's loop.
    """

    def __init__(self, settings: str, build: Callable[[VllmSettings], Any] | None = None) -> None:
        self._settings = VllmSettings.model_validate_json(settings)
        self._build = build or build_llm
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="engine", daemon=True).start()
        self._llm: Any = None
        self._starting = asyncio.Lock()
        self._updating = asyncio.Lock()
        self._shapes: Shapes = {}
        self._adapters: dict[str, tuple[str, Any]] = {}
        self._version = BASE
        self._paused = False
        self._running = 0
        self._broken = ""

    async def call(self, method: str, argument: str, *blobs: bytes) -> str:
        """Do one of: start, generate, update, reset_prefix_cache, pause, resume, health, shutdown.

        Args:
            method: its name.
            argument: what it takes, a noun as JSON.
            blobs: bytes beside that.

        Returns:
            An `Answer` as JSON, errors included.
        """
        work: Coroutine[Any, Any, Noun | None] = getattr(self, f"_{method}")(argument, *blobs)
        try:
            value = await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop))
        except Exception as error:  # whatever vLLM raises: exceptions of its own do not cross environments
            told = self._translate(error)
            return Answer(error=type(told).__name__, message=str(told)).model_dump_json()
        return Answer(value=value.model_dump(mode="json") if value else {}).model_dump_json()

    async def _start(self, argument: str) -> Noun:
        """Load the model, once; everybody who asks meanwhile waits for the same."""
        async with self._starting:
            if self._llm is None:
                from vllm.distributed.weight_transfer.base import WeightTransferInitRequest

                check_model(self._settings.model, self._settings.tokenizer or self._settings.model)
                self._shapes = shapes_in(self._settings.model)
                llm = self._build(self._settings)
                await llm.init_weight_transfer_engine(WeightTransferInitRequest(init_info={}))
                await llm.update_weight_version(BASE)
                self._llm = llm
            self._alive()
        return self._life()

    async def _generate(self, argument: str) -> Noun:
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind, StructuredOutputsParams

        ask = Ask.model_validate_json(argument)
        llm = self._alive()
        form = None
        if ask.json_schema is not None or ask.json_object:
            form = StructuredOutputsParams(json=ask.json_schema, json_object=ask.json_object or None)
        sampling = SamplingParams(
            n=ask.n,
            temperature=ask.temperature,
            top_p=ask.top_p,
            max_tokens=ask.max_tokens,
            seed=ask.seed,
            stop=list(ask.stop),
            logprobs=0 if ask.logprobs else None,
            structured_outputs=form,
            output_kind=RequestOutputKind.FINAL_ONLY,
        )
        adapter = await self._adapter(ask.adapter)
        prompt = await self._render(ask)
        self._running += 1
        try:
            last = None
            async for output in llm.generate(prompt, sampling, uuid.uuid4().hex, lora_request=adapter):
                last = output
        finally:
            self._running -= 1
        if last is None:
            raise StageFailed("vLLM ended a request without an answer")
        return Samples(
            samples=tuple(self._sample(output, ask) for output in last.outputs),
            prompt_token_ids=tuple(last.prompt_token_ids or ()),
            cached_tokens=last.num_cached_tokens or 0,
        )

    async def _update(self, argument: str, *blobs: bytes) -> Noun:
        """Pause, change all weights, forget what was computed with the old ones, go on.

        Requests under way are frozen meanwhile; their next token comes from the new weights.
        """
        from vllm.distributed.weight_transfer.base import WeightTransferUpdateRequest

        update = Update.model_validate_json(argument)
        async with self._updating, _files(update.files, blobs) as files:
            found = {name: shape for file in files for name, shape in shapes_of(file).items()}
            check_weights(found, self._shapes)
            llm = self._alive()
            await llm.pause_generation(mode="keep", clear_cache=True)
            try:
                await llm.start_weight_update()
                for file in files:
                    await llm.update_weights(WeightTransferUpdateRequest(update_info={"path": str(file)}))
                await llm.finish_weight_update(update.version)
            except BaseException as error:
                self._broken = f"the update to weights {update.version!r} failed half-way: {_line(error)}"
                raise
            self._version = update.version
            if not self._paused:
                await llm.resume_generation()
        return self._life()

    async def _reset_prefix_cache(self, argument: str) -> None:
        await self._alive().reset_prefix_cache(reset_running_requests=True)

    async def _pause(self, argument: str) -> None:
        """Freeze requests, those to come too, until `resume`."""
        await self._alive().pause_generation(mode="keep", clear_cache=False)
        self._paused = True

    async def _resume(self, argument: str) -> None:
        await self._alive().resume_generation()
        self._paused = False

    async def _health(self, argument: str) -> Noun:
        """A sign of life: one token is made, unless nothing may be."""
        llm = self._alive()
        if not self._paused and not self._updating.locked():
            from vllm import SamplingParams
            from vllm.sampling_params import RequestOutputKind

            probe = SamplingParams(max_tokens=1, temperature=0.0, output_kind=RequestOutputKind.FINAL_ONLY)
            prompt = await self._render(Ask(token_ids=(0,)))
            async for _ in llm.generate(prompt, probe, f"health-{uuid.uuid4().hex}"):
                pass
        return self._life()

    async def _shutdown(self, argument: str) -> None:
        llm, self._llm, self._broken = self._llm, None, "it was shut down"
        if llm is not None:
            llm.shutdown(timeout=_SHUTDOWN_S)

    def _alive(self) -> Any:
        if self._llm is None and not self._broken:
            raise StageFailed("the engine is not started")
        if self._broken or self._llm.errored:
            raise EngineDied(self._broken or "vLLM's engine process is gone")
        return self._llm

    def _life(self) -> Health:
        import psutil

        children = psutil.Process().children(recursive=True)
        return Health(
            pid=os.getpid(),
            children=tuple(child.pid for child in children),
            weight_version=self._version,
            paused=self._paused,
            running=self._running,
        )

    async def _render(self, ask: Ask) -> Any:
        """The prompt in vLLM's form: tokens, and pictures as the model takes them."""
        renderer = self._llm.renderer
        if ask.token_ids:
            tokens = {"prompt_token_ids": list(ask.token_ids)}
            (prompt,) = await renderer.render_cmpl_async([tokens])
            return prompt
        from vllm.renderers.params import ChatParams

        params = ChatParams(chat_template_kwargs={"add_generation_prompt": True})
        _, (prompt,) = await renderer.render_chat_async([list(ask.messages)], params)
        return prompt

    async def _adapter(self, adapter: Adapter | None) -> Any:
        """vLLM's request for an adapter, which is loaded when it is new."""
        if adapter is None:
            return None
        known = self._adapters.get(adapter.name)
        if known is not None and known[0] != adapter.folder:
            raise EngineRefused(
                f"the adapter name {adapter.name!r} stands for {known[0]} and cannot stand for "
                f"{adapter.folder} as well; give each version a name of its own"
            )
        if known is None:
            from vllm.lora.request import LoRARequest

            check_adapter(Path(adapter.folder), self._shapes, self._settings.lora_rank)
            request = LoRARequest(adapter.name, len(self._adapters) + 1, adapter.folder)
            # Here a file that vLLM cannot use is this request's error; found in a batch, it ends the engine.
            await self._alive().add_lora(request)
            self._adapters[adapter.name] = known = (adapter.folder, request)
        return known[1]

    def _sample(self, output: Any, ask: Ask) -> Sample:
        if output.finish_reason == "abort":
            raise EngineDied("vLLM gave the request up")
        suffix = f"+{ask.adapter.name}" if ask.adapter else ""
        spans = tuple(
            Span(version=span.version + suffix, start=span.start, end=span.end)
            for span in output.weight_versions or ()
        )
        tokens = tuple(output.token_ids)
        logprobs = None
        if output.logprobs is not None:
            chosen = zip(tokens, output.logprobs, strict=True)
            logprobs = tuple(float(at[token].logprob) for token, at in chosen)
        return Sample(
            text=output.text,
            token_ids=tokens,
            logprobs=logprobs,
            finish_reason=output.finish_reason or "stop",
            weight_version=spans[-1].version if spans else self._version + suffix,
            spans=spans,
        )

    def _translate(self, error: Exception) -> AtelierError:
        if isinstance(error, AtelierError):
            return error
        if self._broken or (self._llm is not None and self._llm.errored):
            return EngineDied(self._broken or f"vLLM's engine process is gone: {_line(error)}")
        if isinstance(error, ValueError):
            return EngineRefused(_line(error))
        from vllm.exceptions import VLLMClientError

        if isinstance(error, VLLMClientError):
            return EngineRefused(_line(error))
        return StageFailed(f"{_line(error)} (process {os.getpid()}; its log says more)")


def build_llm(settings: VllmSettings) -> Any:
    """vLLM's engine for settings. It starts processes, which load the model."""
    from vllm.config import StructuredOutputsConfig, WeightTransferConfig
    from vllm.engine.arg_utils import AsyncEngineArgs
    from vllm.v1.engine.async_llm import AsyncLLM

    on_cpu = settings.device == "cpu"
    # vLLM's own choice would be Ray's executor, since this is an actor.
    executor = "mp" if on_cpu or settings.tensor_parallel > 1 else "uni"
    return AsyncLLM.from_engine_args(
        AsyncEngineArgs(
            model=str(settings.model),
            tokenizer=str(settings.tokenizer or settings.model),
            dtype=settings.dtype,
            max_model_len=settings.max_model_len,
            max_num_seqs=settings.concurrency,
            enforce_eager=settings.enforce_eager,
            seed=settings.seed,
            tensor_parallel_size=settings.tensor_parallel,
            gpu_memory_utilization=_GPU_MEMORY / settings.share_gpu,
            kv_cache_memory_bytes=settings.cpu_cache_gib * 2**30 if on_cpu else None,
            distributed_executor_backend=executor,
            enable_lora=settings.lora_rank > 0,
            max_lora_rank=settings.lora_rank or 1,
            max_loras=settings.lora_count,
            enable_prefix_caching=True,
            limit_mm_per_prompt={"image": settings.pictures},
            weight_transfer_config=WeightTransferConfig(backend=BACKEND),
            # Compact, since some models fill an answer with spaces to its end when they may.
            structured_outputs_config=StructuredOutputsConfig(
                backend="guidance", disable_any_whitespace=True
            ),
            disable_log_stats=True,
        )
    )


@asynccontextmanager
async def _files(files: Sequence[str], blobs: Sequence[bytes]) -> AsyncIterator[list[Path]]:
    """All chunks as files, for as long as they are read."""
    with tempfile.TemporaryDirectory(prefix="atelier-weights-") as folder:
        paths = [Path(folder) / f"{number}.safetensors" for number in range(len(blobs))]
        for path, blob in zip(paths, blobs, strict=True):
            await asyncio.to_thread(path.write_bytes, blob)
        yield [*(Path(file) for file in files), *paths]


def _line(error: BaseException) -> str:
    text = " ".join(str(error).split()) or repr(error)
    return f"{type(error).__name__}: {text}"[:600]
