"""What a page shows of a draw."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from actors.artifacts import Artifacts
from actors.contracts import Dimension, Draw, Query
from actors.errors import AtelierError
from actors.pixels import decode
from actors.reporting.page import thumbnail
from actors.reward import causes
from configs.reward import RewardSettings


@dataclass(frozen=True)
class DrawView:
    """One draw, ready to be shown."""

    query: Query
    number: int
    prompt: str
    image: str | None
    """Address of the picture: relative link or data URI; None when there is none."""
    admitted: bool
    value: float | None
    seed: int | None = None
    scores: Mapping[str, float] = field(default_factory=dict)
    causes: tuple[str, ...] = ()
    failure: str = ""
    notes: tuple[str, ...] = ()
    width: int = 1
    height: int = 1
    link: str = ""


def view(query: Query, draw: Draw, settings: RewardSettings, image: str | None, link: str = "") -> DrawView:
    """A draw as a page shows it; `image` is the address of its picture, `link` of the full-size file."""
    picture, reward = draw.picture, draw.reward
    return DrawView(
        query=query,
        number=draw.index + 1,
        prompt=draw.prompt.text if draw.prompt else "",
        image=image,
        admitted=draw.admitted,
        value=reward.value if reward else None,
        seed=picture.seed if picture else None,
        scores=scores_of(draw),
        causes=causes(reward, settings) if reward else (),
        failure=draw.failure.message if draw.failure else "",
        notes=picture.notes if picture else (),
        width=picture.width if picture else 1,
        height=picture.height if picture else 1,
        link=link,
    )


def embedded(artifacts: Artifacts, draw: Draw, side: int = 320) -> str | None:
    """The draw's picture as a data URI; None when it has none or the picture cannot be read."""
    if draw.picture is None:
        return None
    try:
        return thumbnail(decode(artifacts.get(draw.picture.sha256)), side)
    except AtelierError:
        return None


def scores_of(draw: Draw) -> dict[str, float]:
    """The judge's scores that are present, total first."""
    if draw.judgement is None:
        return {}
    return {str(d): s for d in Dimension if (s := draw.judgement.score(d)) is not None}
