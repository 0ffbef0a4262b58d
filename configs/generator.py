"""Backends of the generator role."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field, JsonValue

from configs.base import BackendSettings
from configs.http import HttpSettings


class ProceduralSettings(BackendSettings):
    """Covers drawn from the prompt text alone, on the CPU."""

    type: Literal["procedural"] = "procedural"
    worker: ClassVar[str] = "actors.generator.procedural.worker:ProceduralGenerator"
    long_side: int = Field(default=512, ge=64, le=2048)
    """Longer side of a picture, px."""
    compression: int = Field(default=1, ge=0, le=9)
    """Of the PNG files; 0 is fastest, for pictures that nobody keeps."""


class HttpGeneratorSettings(BackendSettings):
    """An image model behind an OpenAI-compatible `images/generations`."""

    type: Literal["http"] = "http"
    worker: ClassVar[str] = "actors.generator.http:HttpGenerator"
    http: HttpSettings = HttpSettings(timeout_s=180.0, deadline_s=600.0)
    long_side: int = Field(default=1024, ge=64, le=2048)
    """Longer side of a picture, px, where `sizes` does not say otherwise."""
    sizes: dict[str, tuple[int, int]] = Field(default_factory=dict)
    """Aspect -> (width, height) px, for services that accept certain sizes only."""
    seed_field: str | None = "seed"
    """Name of the request's field for the seed; none = the service takes no seed."""
    negative_field: str | None = "negative_prompt"
    """Name of the request's field for the negative prompt; none = the service takes none."""
    extra: dict[str, JsonValue] = Field(default={"response_format": "b64_json"})
    """Further fields of the request."""


class DiffusersSettings(BackendSettings):
    """A diffusers text-to-image pipeline in a local folder (safetensors); nothing is downloaded."""

    type: Literal["diffusers"] = "diffusers"
    worker: ClassVar[str] = "actors.generator.diffusers:DiffusersGenerator"
    path: Path = Path("models/text-to-image")
    """The folder that holds `model_index.json`."""
    device: str = Field(default="cpu", pattern=r"^(cpu|cuda(:\d+)?|mps|xpu)$")
    dtype: Literal["float32", "bfloat16", "float16"] = "bfloat16"
    steps: int = Field(default=28, ge=1, le=1000)
    guidance: float | None = Field(default=None, ge=0)
    """None leaves it to the pipeline."""
    long_side: int = Field(default=1024, ge=64, le=2048)
    """Longer side of a picture, px, before rounding to what the pipeline can draw."""
    batch: int = Field(default=4, ge=1, le=256)
    """Pictures drawn at once."""


GeneratorSettings = ProceduralSettings | HttpGeneratorSettings | DiffusersSettings
