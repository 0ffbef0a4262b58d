"""All rooms' settings, composed."""

from __future__ import annotations

from pydantic import Field

from configs.audit import AuditSettings
from configs.bank import BankSettings
from configs.base import RoomSettings
from configs.calibration import CalibrationSettings
from configs.cluster import ClusterSettings
from configs.crawl import CrawlSettings
from configs.generator import GeneratorSettings
from configs.gepa import GepaSettings
from configs.judge import JudgeSettings
from configs.ledger import LedgerSettings
from configs.loop import LoopSettings
from configs.paths import PathSettings
from configs.policy import PolicySettings
from configs.pool import PoolSettings
from configs.ppo import PpoSettings
from configs.ranking import RankingSettings
from configs.reward import RewardSettings
from configs.scorer import NoScorerSettings, ScorerSettings
from configs.serve import ServeSettings
from configs.synthesis import SynthesisSettings


class PoolsSettings(RoomSettings):
    """A pool a role; a role whose pool has no workers runs inside the driver."""

    policy: PoolSettings
    generator: PoolSettings
    judge: PoolSettings
    audit: PoolSettings
    scorer: PoolSettings = PoolSettings(workers=0)


class Settings(RoomSettings):
    """Everything a run is made of."""

    profile: str
    policy: PolicySettings = Field(discriminator="type")
    generator: GeneratorSettings = Field(discriminator="type")
    judge: JudgeSettings = Field(discriminator="type")
    audit: AuditSettings = Field(discriminator="type")
    scorer: ScorerSettings = Field(default=NoScorerSettings(), discriminator="type")
    reward: RewardSettings = RewardSettings()
    bank: BankSettings = BankSettings()
    pools: PoolsSettings
    ledger: LedgerSettings = LedgerSettings()
    paths: PathSettings = PathSettings()
    cluster: ClusterSettings = ClusterSettings()
    serve: ServeSettings = ServeSettings()
    loop: LoopSettings = LoopSettings()
    synthesis: SynthesisSettings = SynthesisSettings()
    calibration: CalibrationSettings = CalibrationSettings()
    crawl: CrawlSettings = CrawlSettings()
    ranking: RankingSettings = RankingSettings()
    gepa: GepaSettings = GepaSettings()
    ppo: PpoSettings = PpoSettings()
