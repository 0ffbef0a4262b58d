from __future__ import annotations

import torch

from actors.policy.tiny.model import Architecture, Trunk
from actors.policy.tiny.sampling import pad_left
from train_jobs.ppo.networks import Texts

torch.set_num_threads(1)


def test_a_reading_that_answers_share_is_that_of_each_answer_alone() -> None:
    torch.manual_seed(0)
    trunk = Trunk(Architecture(vocabulary=20, width=16, hidden=24, layers=2, heads=2))
    with torch.no_grad():
        for parameter in trunk.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    queries, seen = pad_left([[3, 4, 5, 6], [7], [8, 9]], 0)
    answers = torch.randint(1, 20, (5, 3))
    mask = torch.tensor([[True] * length + [False] * (3 - length) for length in (3, 1, 2, 3, 3)])
    together = Texts(queries, seen, torch.tensor([2, 0, 0, 1, 2]), answers, mask)
    shared = together.before(trunk)
    assert shared.shape == (5, 3, 16)
    for row in range(5):
        alone = together.of_answers(torch.tensor([row]))
        assert len(alone.queries) == len(alone.of) == 1
        torch.testing.assert_close(alone.before(trunk)[mask[[row]]], shared[row, mask[row]])
    some = together.of_answers(torch.tensor([3, 0, 1]))
    torch.testing.assert_close(some.before(trunk)[some.mask], shared[[3, 0, 1]][some.mask])
