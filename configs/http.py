"""How an OpenAI-compatible service is reached, paid and protected."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, model_validator

from configs.base import RoomSettings


class HttpSettings(RoomSettings):
    """One service. The key comes from the environment or a file, never from a profile."""

    base_url: str = Field(default="http://127.0.0.1:8000/v1", pattern=r"^https?://")
    model: str = "default"
    api_key: SecretStr | None = None
    api_key_file: Path | None = None
    timeout_s: float = Field(default=60.0, gt=0)
    """Longest silence of the service within one attempt."""
    connect_timeout_s: float = Field(default=5.0, gt=0)
    deadline_s: float = Field(default=180.0, gt=0)
    """Longest time for one call with all its attempts and waits."""
    retries: int = Field(default=4, ge=0, le=20)
    """Further attempts after 502, 503, 504 and lost connections; 429 is waited out until the deadline."""
    backoff_s: float = Field(default=0.5, gt=0)
    """Longest wait before the first retry; it doubles with each, up to `max_backoff_s`."""
    max_backoff_s: float = Field(default=20.0, gt=0)
    max_in_flight: int = Field(default=8, ge=1)
    max_answer_bytes: int = Field(default=64 * 1024 * 1024, ge=1024)
    proxy: str | None = None
    cache_dir: Path | None = None
    """Where answers are kept by content; none = no cache."""
    spend_cap: float | None = Field(default=None, ge=0)
    """Money one worker may spend on the service, in the currency of the prices; none = no cap."""
    purse: str | None = None
    """Name of the purse that holds a job's cap for all its workers; jobs with a cap set it themselves."""
    price_per_1k_input_tokens: float = Field(default=0.0, ge=0)
    price_per_1k_output_tokens: float = Field(default=0.0, ge=0)
    price_per_picture: float = Field(default=0.0, ge=0)

    @model_validator(mode="after")
    def _one_key(self) -> HttpSettings:
        if self.api_key is not None and self.api_key_file is not None:
            raise ValueError("api_key and api_key_file are both set; accepted: one of them")
        return self

    def read_key(self) -> str | None:
        """The key, read from where the settings say.

        Raises:
            OSError: the key file cannot be read.
        """
        if self.api_key is not None:
            return self.api_key.get_secret_value()
        if self.api_key_file is not None:
            return self.api_key_file.read_text("utf-8").strip()
        return None


class ChatSettings(RoomSettings):
    """How a chat model is asked."""

    temperature: float | None = Field(default=0.7, ge=0, le=2)
    """None leaves it to the service; some models accept no other value than their own."""
    max_tokens: int = Field(default=2048, ge=16)
    token_limit_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    answer_format: Literal["json_schema", "json_object", "none"] = "json_schema"
    """What the service is told about the form of the answer; the answer is checked in any case."""
    max_tokens_per_picture: int = Field(default=4096, ge=1)
    """What one picture in a question can cost at most, for the money reserved before a call."""
    repairs: int = Field(default=1, ge=0, le=5)
    """How often a malformed answer is sent back with what is wrong in it."""
