"""Where heroes sit: centres and sizes that suit the layout, the frame and one another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from actors.generator.procedural.art import Hero
from actors.generator.procedural.layouts import Arrangement


@dataclass(frozen=True)
class Place:
    """Centre and scale of a hero, in units of the short side."""

    x: float
    y: float
    size: float
    flip: bool = False


def seat(heroes: Sequence[Hero], a: Arrangement, landed: bool) -> list[Place]:
    """A place for each hero, in order. `landed` says that a landscape lies behind them."""
    if not heroes:
        return []
    if a.mirrored:
        places = _mirrored(heroes, a, landed)
    elif len(heroes) == 1:
        places = [
            _placed(heroes[0], a, a.focus[0], a.focus[1], a.reach * (1.05 if a.quiet else 1.14), landed)
        ]
    elif len(heroes) == 2:
        places = _pair(heroes, a, landed)
    else:
        places = _row(heroes, a, landed)
    return _untangled(
        [_inside(place, hero, a) for place, hero in zip(places, heroes, strict=True)], heroes, a
    )


def _untangled(places: list[Place], heroes: Sequence[Hero], a: Arrangement) -> list[Place]:
    """Heroes that hide one another are made smaller and, unless mirrored, moved apart."""
    for _ in range(5):
        clash = False
        for i in range(len(places)):
            for j in range(i):
                p, q = places[i], places[j]
                over_x = (heroes[i].width * p.size + heroes[j].width * q.size) / 2 * 0.9 - abs(p.x - q.x)
                over_y = (heroes[i].height * p.size + heroes[j].height * q.size) / 2 * 0.9 - abs(p.y - q.y)
                if over_x <= 0 or over_y <= 0:
                    continue
                clash = True
                step = 0.0 if a.mirrored else min(0.05, over_x / 2) * (1 if p.x >= q.x else -1)
                places[i] = _smaller(replace(p, x=p.x + step), heroes[i], a)
                places[j] = _smaller(replace(q, x=q.x - step), heroes[j], a)
        if not clash:
            break
    return places


def _smaller(place: Place, hero: Hero, a: Arrangement) -> Place:
    """Nine tenths as large, its foot (in the air: its centre) where it was; never under 0.3 of the side."""
    size = max(place.size * 0.91, 0.31 / max(hero.width, hero.height))
    shift = 0.0 if _airy(hero) else hero.height * (place.size - size) / 2
    x0, x1 = (a.panel[0], a.panel[2]) if a.panel else (0.0, a.width)
    half = hero.width * size / 2 + 0.02
    x = min(max(place.x, x0 + half), x1 - half) if 2 * half < x1 - x0 else place.x
    return replace(place, size=size, x=x, y=place.y + shift)


def _placed(
    hero: Hero,
    a: Arrangement,
    x: float,
    y: float,
    reach: float,
    landed: bool,
    room: float = 0.92,
    foot: float | None = None,
) -> Place:
    """A hero of about `reach` at (x, y), set down on what its seat asks for."""
    low, high = (a.panel[1], a.panel[3]) if a.panel else (0.0, a.height)
    wide = (a.panel[2] - a.panel[0]) if a.panel else a.width
    if hero.height > hero.width and a.height > a.width and not a.mirrored:
        reach *= (a.height / a.width) ** 0.45
    size = min(
        reach / max(hero.width, hero.height), wide * room / hero.width, (high - low) * 0.66 / hero.height
    )
    tall = hero.height * size
    ground = a.horizon + 0.3 * (high - a.horizon) if foot is None else foot
    if hero.seat in ("ground", "table"):
        base = max(ground, y + tall * 0.42) if foot is None else foot
        y = min(base, high - 0.03 * a.height) - tall / 2
    elif hero.seat == "water":
        base = ground + 0.06 * a.height if foot is None else foot
        y = min(max(base, y + tall * 0.36), high - 0.03 * a.height) - tall / 2
    elif hero.seat == "sky":
        lift = 0.05 if not landed else 0.2 if not a.quiet else 0.26
        y = max(low + tall / 2 + 0.05, y - lift * a.height)
    else:
        y = max(y - 0.06 * a.height, low + tall / 2 - 0.05)
    return Place(x, y, size, a.side > 0)


def _inside(place: Place, hero: Hero, a: Arrangement) -> Place:
    """Kept in the frame, and moved along a diagonal's slope."""
    x0, x1 = (a.panel[0], a.panel[2]) if a.panel else (0.0, a.width)
    half = hero.width * place.size / 2 + 0.025
    x = (x0 + x1) / 2 if 2 * half > x1 - x0 else min(max(place.x, x0 + half), x1 - half)
    y = place.y
    if a.slope:
        y += a.slope * (x - a.width / 2) * (0.45 if hero.seat in ("sky", "hang") else 0.85)
    tall = hero.height * place.size / 2
    return replace(place, x=x, y=min(max(y, tall + 0.02), a.height - tall - 0.01))


def _airy(hero: Hero) -> bool:
    return hero.seat in ("sky", "hang")


def _pair(heroes: Sequence[Hero], a: Arrangement, landed: bool) -> list[Place]:
    first, second = heroes
    left = -1 if a.focus[0] < a.width / 2 or (a.focus[0] == a.width / 2 and a.side < 0) else 1
    tall = a.height > 1.2 * a.width
    if a.quiet:
        gap = min(0.25 * a.width, 0.42)
        x = a.focus[0]
        xs = (x, x - left * 2 * gap)
        reach = (0.4, 0.36)
    elif tall:
        xs = (a.width / 2 + left * 0.13, a.width / 2 - left * 0.16)
        reach = (0.62, 0.5)
    else:
        gap = min(0.25 * a.width, 0.43)
        xs = (a.width / 2 + left * gap, a.width / 2 - left * gap)
        reach = (0.58, 0.5)
    room = 0.8 if tall and not a.quiet else 0.47
    spots = []
    for i, hero in enumerate((first, second)):
        y, foot = a.focus[1], None
        if _airy(hero) and not a.quiet:
            y = a.height * (0.43 if tall else 0.47)
        elif tall and not a.quiet:
            near = i == 0 or _airy(first)
            foot = a.height * (0.9 if near else 0.62)
        spots.append(_placed(hero, a, xs[i], y, reach[i], landed, room, foot))
    if all(_airy(hero) for hero in heroes) and not a.quiet:
        drop = 0.16 * a.height if tall else 0.08 * a.height
        spots = [replace(spots[0], y=a.height * 0.56 + drop), replace(spots[1], y=a.height * 0.42 - drop)]
    return spots


def _row(heroes: Sequence[Hero], a: Arrangement, landed: bool) -> list[Place]:
    n = len(heroes)
    places = []
    for i, hero in enumerate(heroes):
        x = a.width * (i + 0.5) / n
        y = a.height * 0.34 if _airy(hero) else a.focus[1]
        foot = None if _airy(hero) else min(a.height * 0.95, a.horizon + (0.06 + 0.1 * (i % 2)) * a.height)
        places.append(_placed(hero, a, x, y, 0.42, landed, 1.1 / n, foot))
    return places


def _mirrored(heroes: Sequence[Hero], a: Arrangement, landed: bool) -> list[Place]:
    """One hero on the axis, the others whole in the left half, which the mirror repeats."""
    axis = next((i for i, hero in enumerate(heroes) if hero.symmetric), None)
    n = len(heroes)
    places = []
    flank = 0
    for i, hero in enumerate(heroes):
        if i == axis:
            y = a.focus[1] if n == 1 else a.height * (0.42 if _airy(hero) else 0.56)
            place = _placed(
                hero, a, a.width / 2, y, a.reach * (1.14 if n == 1 else 0.92), landed, 0.9 if n == 1 else 0.44
            )
            places.append(replace(place, flip=False))
            continue
        beside = axis is not None
        x = a.width * (0.25 if not beside else 0.2)
        y, foot = a.focus[1], None
        if flank:
            y = a.height * 0.33
            foot = None if _airy(hero) else a.height * 0.52
        elif beside and axis is not None and _airy(heroes[axis]) == _airy(hero):
            foot = None if _airy(hero) else a.height * 0.93
        reach = 0.48 if not beside and n == 1 else 0.4
        places.append(
            replace(_placed(hero, a, x, y, reach, landed, 0.46 if not beside else 0.38, foot), flip=True)
        )
        flank += 1
    return places
