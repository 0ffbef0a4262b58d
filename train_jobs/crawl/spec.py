"""What one gallery looks like: where it starts, how its pages are read, and under which terms it stands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import httpx
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from actors.contracts import content_id
from actors.errors import BadInput
from train_jobs.crawl.reading import check_path, check_select

JsonPath = Annotated[str, Field(min_length=1, max_length=200)]
"""Keys and positions joined by dots; `*` is every element: `data.items`, `images.*.url`, `urls.0`."""
Select = Annotated[str, Field(min_length=1, max_length=300)]
"""A CSS selector, with `@name` at its end for an attribute: `h2`, `a.next@href`."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class JsonFields(_Model):
    """Where an item's fields are, by JSON path within the item."""

    type: Literal["json"] = "json"
    picture: JsonPath | None = None
    """Picture URLs: one, or several variants of one item."""
    page: JsonPath | None = None
    """The page that shows the item."""
    text: JsonPath | None = None
    author: JsonPath | None = None
    licence: JsonPath | None = None

    @model_validator(mode="after")
    def _paths(self) -> JsonFields:
        for name in ("picture", "page", "text", "author", "licence"):
            check_path(name, getattr(self, name))
        return self


class HtmlFields(_Model):
    """Where an item's fields are, by CSS selector within the item."""

    type: Literal["html"]
    picture: Select | None = None
    page: Select | None = None
    text: Select | None = None
    author: Select | None = None
    licence: Select | None = None

    @model_validator(mode="after")
    def _selectors(self) -> HtmlFields:
        for name in ("picture", "page", "text", "author", "licence"):
            check_select(name, getattr(self, name))
        return self


class Paging(_Model):
    """How a JSON feed goes on: by `link`, `parameter` with `cursor`, or `parameter` alone, a page number."""

    parameter: str | None = None
    """Query parameter that is set for the next page."""
    first: int = 1
    """Number of the first page, where pages are numbered."""
    cursor: JsonPath | None = None
    """The value of the parameter for the next page; nothing there = the last page."""
    link: JsonPath | None = None
    """The next page's URL; nothing there = the last page."""
    more: JsonPath | None = None
    """Whether there is a next page; a page without items is the last one in any case."""

    @model_validator(mode="after")
    def _one_way(self) -> Paging:
        if (self.link is None) == (self.parameter is None) or (self.link and self.cursor):
            raise ValueError("accepted: `link`, or `parameter`, or `parameter` with `cursor`")
        for name in ("cursor", "link", "more"):
            check_path(name, getattr(self, name))
        return self


class JsonList(JsonFields):
    """A JSON feed."""

    items: JsonPath = "*"
    """The items of a page; `*` where the answer itself is the list."""
    next: Paging | None = None

    @field_validator("items")
    @classmethod
    def _path(cls, value: str) -> str:
        check_path("items", value)
        return value


class HtmlList(HtmlFields):
    """A page of links or cards."""

    items: Select
    next: Select | None = None
    """The next page's link within the page, e.g. `a[rel=next]@href`."""

    @model_validator(mode="after")
    def _more_selectors(self) -> HtmlList:
        check_select("items", self.items)
        check_select("next", self.next)
        return self


class Licence(_Model):
    """The terms of the pictures: one text for the whole gallery, or a field of each item."""

    text: str | None = Field(default=None, min_length=1, max_length=200)
    field: bool = False
    """Whether each item names its own, in the adapter's `licence` field; items without one are refused."""
    accepted: tuple[str, ...] = ()
    """Where items name their own: the texts that are taken, in any case of letters; empty = every one."""

    @model_validator(mode="after")
    def _one_source(self) -> Licence:
        if (self.text is None) == (not self.field):
            raise ValueError("accepted: `text: <the terms>`, or `field: true`, and not both")
        return self


class Spec(_Model):
    """One gallery."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")
    """Goes into every row as its source."""
    start: tuple[str, ...] = Field(min_length=1)
    """First pages, in the order in which they are walked."""
    hosts: tuple[str, ...] = ()
    """Hosts that may be visited, `*.` before one for its subdomains; those of `start` always may."""
    licence: Licence
    list: Annotated[JsonList | HtmlList, Field(discriminator="type")]
    detail: Annotated[JsonFields | HtmlFields, Field(discriminator="type")] | None = None
    """Reads more fields from each item's page; what it finds replaces what the list says."""
    min_side: int = Field(default=64, ge=1)
    """Pictures whose shorter side has fewer pixels are refused."""
    max_pages: int = Field(default=10_000, ge=1)
    """List pages a start URL leads to at most."""
    allow_private: bool = False
    """Loopback and private addresses and any port: for a gallery of your own, never for one of others."""

    @model_validator(mode="before")
    @classmethod
    def _has_terms(cls, value: object) -> object:
        if isinstance(value, dict) and not value.get("licence"):
            raise ValueError(
                "no licence; nobody may train on pictures whose terms are not known; accepted: "
                "`licence: {text: ...}`, or `licence: {field: true}` with the adapter's `licence` field"
            )
        return value

    @model_validator(mode="after")
    def _whole(self) -> Spec:
        for url in self.start:
            if httpx.URL(url).scheme not in ("http", "https") or not httpx.URL(url).host:
                raise ValueError(f"start URL {url!r}; accepted: http://... or https://...")
        sources = [self.list, *([self.detail] if self.detail else [])]
        if not any(source.picture for source in sources):
            raise ValueError("no `picture` in `list` or `detail`; accepted: where the picture's URL is")
        if self.detail and not self.list.page:
            raise ValueError("`detail` needs the item's page; accepted: a `page` in `list`")
        if self.licence.field and not any(source.licence for source in sources):
            raise ValueError("`licence.field` needs a `licence` in `list` or `detail`")
        return self

    @property
    def id(self) -> str:
        """A hash of the whole spec."""
        return content_id(self.model_dump_json())

    @property
    def allowed_hosts(self) -> tuple[str, ...]:
        """Every host that may be visited."""
        return (*self.hosts, *(httpx.URL(url).host for url in self.start))


def load_spec(path: Path) -> Spec:
    """Read a spec from YAML.

    Raises:
        BadInput: there is no such file, or it is no spec; the message names the first wrong field.
    """
    try:
        tree = yaml.safe_load(path.read_text("utf-8"))
        return Spec.model_validate(tree)
    except OSError as error:
        raise BadInput(f"the spec {path} cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadInput(f"the spec {path} is not YAML: {error}") from None
    except httpx.InvalidURL as error:
        raise BadInput(f"the spec {path} has a start URL that is none: {error}") from None
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(str(part) for part in problem["loc"])
        message = problem["msg"].removeprefix("Value error, ")
        raise BadInput(f"the spec {path}: {where + ': ' if where else ''}{message}") from None
