"""What can go wrong in a search that its user can mend."""

from __future__ import annotations

from actors.errors import BadInput


class MissingObjectives(BadInput):
    """Fronts over objectives were asked for and the adapter tells none.

    Example: `frontier_type="objective"` with an adapter whose evaluations have no `objective_scores`.
    """

    def __init__(self, kind: str) -> None:
        super().__init__(
            f"frontier {kind!r} stands on objective scores and the adapter gave none; accepted: an adapter "
            "that returns objective_scores, or the frontier 'instance'"
        )
        self.kind = kind

    def __reduce__(self) -> tuple[type[MissingObjectives], tuple[str]]:
        return MissingObjectives, (self.kind,)


class RunDiffers(BadInput):
    """A run folder holds another search than the one that shall go on in it. Example: another seed."""
