"""The local audit: term lists for texts, plain checks for pictures. No service, no weights."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from importlib.resources import as_file, files

from actors.artifacts import Artifacts
from actors.audit.terms import Terms
from actors.contracts import AuditVerdict, Failure, Picture
from actors.errors import AtelierError, BadInput, failure_of
from actors.pixels import Pixels, decode
from configs.audit import RulesSettings


class Rules:
    """Audit worker without a service."""

    def __init__(self, settings: RulesSettings, artifacts: Artifacts) -> None:
        self._settings = settings
        self._artifacts = artifacts
        if settings.terms_file:
            self._terms = Terms(settings.terms_file)
        else:
            with as_file(files("actors.audit").joinpath("terms.yaml")) as path:
                self._terms = Terms(path)
        self._reasons = lru_cache(maxsize=4096)(self._terms.reasons)
        self.version = f"rules-1+{self._terms.version}"

    def check(self, items: Sequence[str | Picture]) -> list[AuditVerdict | Failure]:
        """Whether each text or picture may be used; a refusal names its categories."""
        return [self._text(item) if isinstance(item, str) else self._picture(item) for item in items]

    def _text(self, text: str) -> AuditVerdict:
        return self._verdict(self._reasons(text))

    def _picture(self, picture: Picture) -> AuditVerdict | Failure:
        try:
            data = self._artifacts.get(picture.sha256)
        except AtelierError as error:
            return failure_of(error, stage="audit", item_id=picture.sha256)
        try:
            pixels = decode(data)
        except BadInput as error:
            return self._verdict((f"unreadable: {error}",))
        return self._verdict(self._flaws(pixels, picture))

    def _flaws(self, pixels: Pixels, picture: Picture) -> tuple[str, ...]:
        settings = self._settings
        height, width = pixels.shape[:2]
        flaws: list[str] = []
        if (width, height) != (picture.width, picture.height):
            flaws.append(f"size: {width} x {height} px, recorded as {picture.width} x {picture.height}")
        if min(width, height) < settings.min_side_px or max(width, height) > settings.max_side_px:
            flaws.append(
                f"size: {width} x {height} px; accepted: {settings.min_side_px} to {settings.max_side_px} px "
                "a side"
            )
        # Every fourth pixel tells blank from drawn as well as all of them, at a sixteenth of the cost.
        if float(pixels[::4, ::4].mean(axis=2).std()) < settings.blank_spread:
            flaws.append("blank")
        return tuple(flaws)

    def _verdict(self, reasons: tuple[str, ...]) -> AuditVerdict:
        return AuditVerdict(allowed=not reasons, reasons=reasons, audit_version=self.version)
