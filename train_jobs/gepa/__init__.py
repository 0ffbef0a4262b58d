"""GEPA on the cluster: an asynchronous, exact, resumable search of texts."""

from train_jobs.gepa.evolve import evolve
from train_jobs.gepa.result import EvolutionResult

__all__ = ["EvolutionResult", "evolve"]
