"""A moderation service behind the local rules. When the service does not answer, nothing is allowed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import httpx

from actors.artifacts import Artifacts
from actors.audit.rules import Rules
from actors.clients.moderation import ModerationClient
from actors.contracts import AuditVerdict, Failure, Picture
from actors.errors import AtelierError, failure_of
from configs.audit import HttpAuditSettings


class HttpAudit:
    """Audit worker over a moderation service."""

    def __init__(
        self,
        settings: HttpAuditSettings,
        artifacts: Artifacts,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._rules = Rules(settings.rules, artifacts)
        self._artifacts = artifacts
        self._client = ModerationClient(settings.http, transport=transport)
        self._send_pictures = settings.send_pictures
        self.version = f"http-1:{settings.http.model}+{self._rules.version}"

    async def check(self, items: Sequence[str | Picture]) -> list[AuditVerdict | Failure]:
        """Whether each text or picture may be used. A service that fails leaves a `Failure`, never a pass."""
        local = await asyncio.to_thread(self._rules.check, items)
        return list(await asyncio.gather(*map(self._one, items, local)))

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _one(self, item: str | Picture, local: AuditVerdict | Failure) -> AuditVerdict | Failure:
        if isinstance(local, Failure) or not local.allowed:
            return local
        if isinstance(item, Picture) and not self._send_pictures:
            return local
        try:
            if isinstance(item, str):
                verdict = await self._client.text(item)
            else:
                data = await asyncio.to_thread(self._artifacts.get, item.sha256)
                verdict = await self._client.picture(item.media_type, data)
        except AtelierError as error:
            item_id = item.sha256 if isinstance(item, Picture) else ""
            return failure_of(error, stage="audit", item_id=item_id)
        reasons = (verdict.reasons or ("flagged",)) if verdict.flagged else ()
        return AuditVerdict(allowed=not reasons, reasons=reasons, audit_version=self.version)
