"""The nouns that every room speaks. Frozen pydantic models: they cross Ray, HTTP and disk as JSON."""

from __future__ import annotations

import hashlib
import json
import math
import re
import unicodedata
from enum import StrEnum
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

ASPECTS: dict[str, tuple[int, int]] = {
    "1:1": (1, 1),
    "3:4": (3, 4),
    "9:16": (9, 16),
    "4:3": (4, 3),
    "16:9": (16, 9),
}
Aspect = Literal["1:1", "3:4", "9:16", "4:3", "16:9"]
Lang = Literal["en", "zh"]
PairKind = Literal["two_seeds", "raw_engineered", "mismatched_query", "imported"]
MAX_QUERY_CHARS = 2000
MAX_SIDE_PX = 2048
UnitFloat = Annotated[float, Field(ge=0.0, le=1.0)]

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_CJK = re.compile(r"[\u3400-\u9fff\uf900-\ufaff]")


class Contract(BaseModel):
    """Base of all nouns: immutable, and an unknown field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def content_id(*parts: object) -> str:
    """First 16 hex digits of sha256 over the parts: the same parts give the same id on any machine."""
    joined = "\x1f".join(str(part) for part in parts)
    return hashlib.sha256(joined.encode("utf-8")).hexdigest()[:16]


def derive_seed(*parts: object) -> int:
    """A 31-bit seed from the parts: streams that differ in any part are independent."""
    return int(content_id(*parts)[:8], 16) & 0x7FFFFFFF


def nearest_aspect(width: int, height: int) -> Aspect:
    """The aspect ratio whose shape is nearest to a picture's."""

    def distance(aspect: Aspect) -> float:
        w, h = ASPECTS[aspect]
        return abs(math.log(width / height * h / w))

    return min(get_args(Aspect), key=distance)


def detect_lang(text: str) -> Lang:
    """`zh` when the text holds any CJK ideograph, else `en`."""
    return "zh" if _CJK.search(text) else "en"


def clean_text(text: str) -> str:
    """NFC-normalise and strip; refuse what no query, title or prompt may hold.

    Raises:
        ValueError: the text is empty, longer than `MAX_QUERY_CHARS` or holds control characters.
    """
    text = unicodedata.normalize("NFC", text).strip()
    if not text:
        raise ValueError(f"the text is empty; accepted: 1 to {MAX_QUERY_CHARS} characters")
    if len(text) > MAX_QUERY_CHARS:
        raise ValueError(f"the text has {len(text)} characters; accepted: 1 to {MAX_QUERY_CHARS}")
    if found := _CONTROL.search(text):
        raise ValueError(
            f"the text holds the control character U+{ord(found[0]):04X} at position {found.start()}; "
            "accepted: printable text, tabs and line breaks"
        )
    return text


CleanText = Annotated[str, AfterValidator(clean_text)]


class Dimension(StrEnum):
    """What a judge scores, each 0..1, higher is better."""

    TOTAL = "total"
    COMPOSITION = "composition"
    COLOR = "color"
    LIGHTING = "lighting"
    STYLE_FIT = "style_fit"
    INTENT_MATCH = "intent_match"
    LEGIBILITY = "legibility"
    TECHNICAL = "technical"


class Query(Contract):
    """What the user typed, and the frame it is for."""

    id: str
    text: CleanText
    lang: Lang
    aspect: Aspect = "1:1"
    title: CleanText | None = None
    seed: int = Field(default=0, ge=0, le=2**31 - 1)

    @classmethod
    def of(
        cls,
        text: str,
        *,
        aspect: str = "1:1",
        title: str | None = None,
        seed: int = 0,
        id: str = "",
        lang: str | None = None,
    ) -> Query:
        """Build a query; the id defaults to a hash of its content.

        Raises:
            pydantic.ValidationError: the text, aspect, title or seed is not acceptable.
        """
        fields: dict[str, Any] = {
            "id": id or f"q-{content_id(text, aspect, title, seed)}",
            "text": text,
            "lang": lang or detect_lang(text),
            "aspect": aspect,
            "title": title,
            "seed": seed,
        }
        return cls.model_validate(fields)

    @property
    def words(self) -> str:
        """All that the user wrote: the text, and the title given apart."""
        return f"{self.text}\n{self.title}" if self.title else self.text


class Strategy(Contract):
    """The texts that tell a policy how to engineer. Components a policy does not know are ignored.

    Components in use: `instruction` (for an LLM), `clauses` (added to every prompt), `rules` (lines
    `when <conditions>: <clauses>`), `avoid` (words never written).
    """

    id: str
    components: dict[str, str]

    @classmethod
    def of(cls, components: dict[str, str]) -> Strategy:
        """Build a strategy whose id is a hash of its texts."""
        return cls(id=f"s-{content_id(*sorted(components.items()))}", components=components)


class Prompt(Contract):
    """The engineered text given to an image model."""

    id: str
    text: CleanText
    negative: str = ""
    aspect: Aspect
    query_id: str
    strategy_id: str
    policy_version: str

    @classmethod
    def of(
        cls, text: str, *, query: Query, strategy_id: str, policy_version: str, negative: str = ""
    ) -> Prompt:
        """Build a prompt for a query; the id is a hash of what the image model will see."""
        return cls(
            id=f"p-{content_id(text, negative, query.aspect, query.id)}",
            text=text,
            negative=negative,
            aspect=query.aspect,
            query_id=query.id,
            strategy_id=strategy_id,
            policy_version=policy_version,
        )


class Picture(Contract):
    """A reference to one generated picture. Pixels live in artifacts under `sha256`, never here."""

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    width: int = Field(ge=1, le=MAX_SIDE_PX * 8)
    height: int = Field(ge=1, le=MAX_SIDE_PX * 8)
    media_type: Literal["image/png", "image/jpeg", "image/webp"] = "image/png"
    prompt_id: str
    seed: int
    generator_version: str
    notes: tuple[str, ...] = ()
    """What the generator could not do as asked, e.g. `unknown subject: giraffe`."""
    phash: str = Field(default="", pattern=r"^([0-9a-f]{16})?$")
    """Perceptual hash of the pixels, see `actors.pixels.perceptual_hash`; empty when not known."""


class Judgement(Contract):
    """Scores of one picture against one query. A dimension that does not apply is null, never 0 or 1."""

    scores: dict[Dimension, UnitFloat | None]
    confidence: UnitFloat = 1.0
    rationale: str = ""
    gates: dict[str, bool] = Field(default_factory=dict)
    """Named checks of intent, e.g. `subject:moon`, `title`, `palette`."""
    raw: str = ""
    """The judge's verdict as it came, for audit."""
    judge_version: str

    def score(self, dimension: Dimension) -> float | None:
        """The score of a dimension, or None when absent."""
        return self.scores.get(dimension)


class Comparison(Contract):
    """Which of two pictures serves the query better: probability that the first does, a dimension."""

    first_wins: dict[Dimension, UnitFloat]
    consistent: bool
    """Whether both presentation orders agree on the total."""
    raw: tuple[str, ...] = ()
    judge_version: str


class AuditVerdict(Contract):
    """Whether an item may be used at all."""

    allowed: bool
    reasons: tuple[str, ...] = ()
    audit_version: str


class Reward(Contract):
    """The value that search and learning climb, 0..1, and what it was made of."""

    value: UnitFloat
    admitted: bool
    gates: dict[str, bool]
    picture: UnitFloat
    prompt: UnitFloat
    parts: dict[str, float]
    versions: dict[str, str] = Field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether every gate passed."""
        return all(self.gates.values())


class Failure(Contract):
    """What happened to an item that has no result. Travels in place of the result."""

    stage: str
    kind: str
    """Error class name, e.g. `TimeoutError`."""
    message: str
    item_id: str = ""
    attempts: int = 1
    retryable: bool = False


class Recall(Contract):
    """What the bank remembers that helps a query: good priors first, then failures to avoid."""

    good: tuple[Memory, ...] = ()
    bad: tuple[Memory, ...] = ()


class Memory(Contract):
    """One remembered outcome: a query, the prompt tried, and what it earned."""

    id: str
    query: str
    lang: Lang
    aspect: Aspect
    prompt: str
    reward: UnitFloat
    admitted: bool
    causes: tuple[str, ...] = ()
    """Failed gates and weak dimensions."""
    scores: dict[str, float] = Field(default_factory=dict)
    """The judge's score of each dimension it gave."""
    time: float
    """Seconds since the epoch."""
    provenance: dict[str, str] = Field(default_factory=dict)


class Draw(Contract):
    """One trip through the loop: prompt, picture, judgement, reward; or the failure that ended it."""

    query_id: str
    index: int
    prompt: Prompt | None = None
    picture: Picture | None = None
    judgement: Judgement | None = None
    reward: Reward | None = None
    failure: Failure | None = None

    @property
    def admitted(self) -> bool:
        """Whether the draw passed every gate and the bar."""
        return self.reward is not None and self.reward.admitted


class DistillRecord(Contract):
    """A winner to learn from: written to `runs/<id>/distill/`."""

    query: Query
    prompt: Prompt
    reward: Reward
    strategy: Strategy
    seed: int


class PairSide(Contract):
    """One picture of a pair."""

    prompt: Prompt
    sha256: str
    path: str
    """Relative to the dataset's root, e.g. `pictures/3f/3f2a....png`."""
    width: int = Field(ge=1)
    height: int = Field(ge=1)
    seed: int = 0
    phash: str = Field(default="", pattern=r"^([0-9a-f]{16})?$")


class PairRecord(Contract):
    """Two pictures of one query and who wins, a dimension. No clock and no absolute path."""

    id: str
    kind: PairKind
    query: Query
    a: PairSide
    b: PairSide
    scores: dict[Dimension, dict[Literal["winner", "loser"], float]]
    """A dimension's winner and loser by that dimension alone, whoever wins the total."""
    labels: dict[Dimension, UnitFloat]
    """Probability that `a` wins. A dimension that was not judged is absent."""
    consistent: bool | None = None
    """Whether the judge said the same in both orders; if not, the labels are softened. None: it scored the
    pictures one by one, where there is no order."""
    labelled_by: Literal["judge", "human"] = "judge"
    raw: tuple[str, ...] = ()
    """The judge's verdicts as they came."""
    versions: dict[str, str] = Field(default_factory=dict)


class Event(Contract):
    """One entry of the ledger. The id is made by the client, so a retry is harmless."""

    id: str
    kind: str
    payload: dict[str, Any]
    payload_hash: str = ""
    actor: str = ""
    time: float
    """Seconds since the epoch, UTC."""

    @model_validator(mode="after")
    def _hash(self) -> Event:
        digest = payload_hash(self.payload)
        if self.payload_hash and self.payload_hash != digest:
            raise ValueError(
                f"event {self.id}: payload_hash {self.payload_hash} is not the payload's {digest}"
            )
        object.__setattr__(self, "payload_hash", digest)
        return self


def payload_hash(payload: dict[str, Any]) -> str:
    """sha256 of the canonical JSON of a payload."""
    canonical = json.dumps(payload, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(canonical.encode("utf-8")).hexdigest()


Recall.model_rebuild()
