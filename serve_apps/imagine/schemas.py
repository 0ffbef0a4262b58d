"""What goes over the wire: requests, and views of what the ledger holds."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from actors.contracts import Aspect, CleanText, Draw, Query, nearest_aspect
from serve_apps.imagine.jobs import ImagineJob, Status

Seed = Annotated[int, Field(ge=0, le=2**31 - 1)]


class Body(BaseModel):
    """Base of requests: an unknown field is an error."""

    model_config = ConfigDict(extra="forbid")


class ImagineRequest(Body):
    """A wish for pictures."""

    query: CleanText = Field(examples=["a paper boat on a calm lake at dawn"])
    n: int = Field(default=4, ge=1)
    """Draws to make; the app's settings hold the most."""
    aspect: Aspect = "1:1"
    title: CleanText | None = None
    seed: Seed = 0

    def to_query(self) -> Query:
        """The query in Atelier's own terms."""
        return Query.of(self.query, aspect=self.aspect, title=self.title, seed=self.seed)


class Accepted(BaseModel):
    """A job that was taken on."""

    id: str
    status: Status
    url: str
    events: str


class PictureView(BaseModel):
    """A stored picture. `url` is relative to the server."""

    sha256: str
    url: str
    width: int
    height: int
    notes: list[str]


class DrawView(BaseModel):
    """One draw; `error` says why it has no reward."""

    index: int
    prompt: str | None
    seed: int | None
    picture: PictureView | None
    admitted: bool
    reward: float | None
    gates: dict[str, bool]
    scores: dict[str, float | None]
    error: str | None

    @classmethod
    def of(cls, draw: Draw) -> DrawView:
        """The view of a draw."""
        return cls(
            index=draw.index,
            prompt=draw.prompt.text if draw.prompt else None,
            seed=draw.picture.seed if draw.picture else None,
            picture=picture_view(draw) if draw.picture else None,
            admitted=draw.admitted,
            reward=draw.reward.value if draw.reward else None,
            gates=draw.reward.gates if draw.reward else {},
            scores={str(k): v for k, v in draw.judgement.scores.items()} if draw.judgement else {},
            error=draw.failure.message if draw.failure else None,
        )


class JobView(BaseModel):
    """A job as it stands."""

    id: str
    status: Status
    query: Query
    n: int
    draws: list[DrawView]
    best: int | None
    """Index of the draw to use."""
    error: str | None

    @classmethod
    def of(cls, job: ImagineJob) -> JobView:
        """The view of a job."""
        best = job.best
        return cls(
            id=job.id,
            status=job.status,
            query=job.query,
            n=job.n,
            draws=[DrawView.of(job.draws[index]) for index in sorted(job.draws)],
            best=best.index if best else None,
            error=job.failure.message if job.failure else None,
        )


def picture_view(draw: Draw) -> PictureView:
    """The view of a draw's picture."""
    picture = draw.picture
    assert picture is not None
    return PictureView(
        sha256=picture.sha256,
        url=picture_url(picture.sha256),
        width=picture.width,
        height=picture.height,
        notes=list(picture.notes),
    )


def picture_url(sha256: str) -> str:
    """Where a picture is served."""
    return f"/v1/pictures/{sha256}"


def aspect_of_size(size: str) -> str:
    """`WIDTHxHEIGHT`, checked.

    Raises:
        ValueError: the text is neither `auto` nor a size in pixels.
    """
    if size == "auto":
        return size
    width, _, height = size.partition("x")
    if not (width.isascii() and width.isdecimal() and height.isascii() and height.isdecimal()):
        raise ValueError("accepted: auto, or WIDTHxHEIGHT such as 1024x1024")
    if not (1 <= len(width) <= 5 and 1 <= len(height) <= 5 and int(width) and int(height)):
        raise ValueError("accepted: sides of 1 to 99999 px")
    return size


class ImagesRequest(BaseModel):
    """`POST /v1/images/generations` of the OpenAI API. Fields that Atelier has no use for are ignored."""

    model_config = ConfigDict(extra="ignore")

    prompt: CleanText
    n: int = Field(default=1, ge=1)
    size: Annotated[str, AfterValidator(aspect_of_size)] = "auto"
    """Decides the aspect ratio; the size in pixels is the generator's."""
    response_format: Literal["b64_json", "url"] = "b64_json"
    model: str | None = None

    def to_query(self) -> Query:
        """The query in Atelier's own terms."""
        if self.size == "auto":
            return Query.of(self.prompt)
        width, _, height = self.size.partition("x")
        return Query.of(self.prompt, aspect=nearest_aspect(int(width), int(height)))


class ImageItem(BaseModel):
    """One picture in the shape of the OpenAI API."""

    b64_json: str | None = None
    url: str | None = None
    revised_prompt: str | None = None


class ImagesResponse(BaseModel):
    """Pictures in the shape of the OpenAI API, the best first."""

    created: int
    data: list[ImageItem]
    size: str
    output_format: str = "png"


class GivenPicture(Body):
    """A picture to score: its bytes in base64, or the hash of one that is stored."""

    b64_json: str | None = None
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")

    @model_validator(mode="after")
    def _one(self) -> GivenPicture:
        if (self.b64_json is None) == (self.sha256 is None):
            raise ValueError("accepted: exactly one of b64_json and sha256")
        return self


class ScoreItem(Body):
    """One picture, and the query it is to serve. With `prompt`, the engineering is evaluated too."""

    picture: GivenPicture
    query: CleanText
    title: CleanText | None = None
    aspect: Aspect | None = None
    """Default: the ratio nearest to the picture's."""
    prompt: CleanText | None = None


class ScoresRequest(Body):
    """Pictures to judge."""

    items: list[ScoreItem] = Field(min_length=1)


class ScoreView(BaseModel):
    """The report of one picture; null is what was not measured."""

    index: int
    sha256: str
    scores: dict[str, float | None]
    learned: dict[str, float] | None
    """Scores of the scorer, where one is installed."""
    gates: dict[str, bool]
    picture_value: float | None
    prompt_parts: dict[str, float] | None
    reward: float | None
    admitted: bool
    rationale: str
    judge_version: str | None
    error: str | None = None


class ScoresResponse(BaseModel):
    """Reports in the order asked, and their indices from best to worst; what failed is not ranked."""

    reports: list[ScoreView]
    ranking: list[int]
