"""The moderation service behind the local rules."""

import asyncio

import httpx

from actors.artifacts import Artifacts
from actors.audit.http import HttpAudit
from actors.contracts import AuditVerdict, Failure, Picture
from configs.audit import HttpAuditSettings
from configs.http import HttpSettings
from tests.fake_service import FakeService, moderation_json, png

ARTIFACTS = Artifacts("memory://http-audit")
PICTURE = Picture(
    sha256=ARTIFACTS.put(png()), width=64, height=64, prompt_id="p", seed=0, generator_version="g"
)


def check(
    fake: FakeService, *items: str | Picture, send_pictures: bool = True
) -> list[AuditVerdict | Failure]:
    http = HttpSettings(base_url="http://fake/v1", max_in_flight=1, retries=0)
    settings = HttpAuditSettings(http=http, send_pictures=send_pictures)
    return asyncio.run(HttpAudit(settings, ARTIFACTS, transport=fake.transport).check(items))


def test_the_service_decides_over_what_the_rules_let_pass():
    fake = FakeService(script=[moderation_json(hate=False), moderation_json(violence=True)])
    lake, refused, picture = check(fake, "a lake", "hentai", PICTURE)
    assert isinstance(lake, AuditVerdict) and lake.allowed
    assert isinstance(refused, AuditVerdict) and refused.reasons == ("sexual",)
    assert isinstance(picture, AuditVerdict) and picture.reasons == ("violence",)
    assert len(fake.requests) == 2


def test_a_service_that_is_down_allows_nothing():
    verdicts = check(FakeService(script=[httpx.Response(500)] * 2), "a lake", PICTURE)
    assert [v.kind for v in verdicts if isinstance(v, Failure)] == ["ServiceFailed"] * 2


def test_a_flag_without_a_category_still_refuses():
    fake = FakeService(script=[httpx.Response(200, json={"results": [{"flagged": True}]})])
    verdict = check(fake, "a lake")[0]
    assert isinstance(verdict, AuditVerdict) and verdict.reasons == ("flagged",)


def test_pictures_stay_here_when_the_service_takes_none():
    fake = FakeService()
    verdict = check(fake, PICTURE, send_pictures=False)[0]
    assert isinstance(verdict, AuditVerdict) and verdict.allowed and fake.requests == []
