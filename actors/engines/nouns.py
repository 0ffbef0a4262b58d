"""What is asked of an engine and what it answers: models that cross environments as JSON."""

from __future__ import annotations

from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

BASE = "base"
"""Version of the weights in the model's folder."""
BACKEND = "atelier_files"
"""Name of our weight transfer at vLLM."""


class Noun(BaseModel):
    """Base: immutable, strict about names, so that two versions of the code cannot pass one another."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Adapter(Noun):
    """A LoRA adapter. Other weights want another name: what is loaded under a name stays."""

    name: str = Field(min_length=1)
    folder: str
    """Folder in PEFT's form, as the engine's node sees it."""


class Ask(Noun):
    """One request: chat messages or token ids, never both."""

    messages: tuple[dict[str, Any], ...] = ()
    """Turns in OpenAI's form; pictures are `image_url` parts with data URIs."""
    token_ids: tuple[int, ...] = ()
    n: int = Field(default=1, ge=1, le=1024)
    """Samples."""
    temperature: float = Field(default=1.0, ge=0)
    """0 = the likeliest token each time."""
    top_p: float = Field(default=1.0, gt=0, le=1)
    max_tokens: int = Field(default=256, ge=1)
    seed: int | None = None
    stop: tuple[str, ...] = ()
    json_schema: dict[str, Any] | None = None
    """Every sample is JSON of this schema, unless it is cut off at `max_tokens`."""
    json_object: bool = False
    """Every sample is some JSON object."""
    logprobs: bool = False
    adapter: Adapter | None = None

    @model_validator(mode="after")
    def _one_prompt(self) -> Self:
        if bool(self.messages) == bool(self.token_ids):
            raise ValueError("accepted: messages or token_ids, exactly one of them")
        return self


class Update(Noun):
    """New weights: safetensors that together hold every tensor of the model."""

    version: str = Field(min_length=1)
    files: tuple[str, ...] = ()
    """Those that the engine's node can read; others travel as bytes beside this."""


class Span(Noun):
    """Tokens `start` to `end` (excluded) of a sample, and the version of the weights that they come from."""

    version: str
    start: int
    end: int


class Sample(Noun):
    """One answer."""

    text: str
    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...] | None = None
    """Logarithm of each token's probability under the model at temperature 1; None if not asked for."""
    finish_reason: str
    """`stop` or `length`."""
    weight_version: str
    """Weights of the last token, with `+name` behind it where an adapter was used."""
    spans: tuple[Span, ...] = ()
    """One for each version, in order; more than one where weights changed while the sample was made."""


class Samples(Noun):
    """The answer to an `Ask`."""

    samples: tuple[Sample, ...]
    prompt_token_ids: tuple[int, ...]
    cached_tokens: int = 0
    """Tokens of the prompt that came from the prefix cache."""

    @property
    def output_tokens(self) -> int:
        """Tokens of all samples together."""
        return sum(len(sample.token_ids) for sample in self.samples)


class Health(Noun):
    """A sign of life."""

    pid: int
    children: tuple[int, ...]
    """Processes of the engine under the actor's own."""
    weight_version: str
    paused: bool
    running: int
    """Requests at the engine."""


class Answer(Noun):
    """What the actor returns: a value, or an error that is no exception."""

    value: dict[str, Any] = Field(default_factory=dict)
    error: str = ""
    """Class of `actors.engines.errors`; empty = none."""
    message: str = ""
