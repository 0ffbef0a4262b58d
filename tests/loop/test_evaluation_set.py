from pathlib import Path

import pytest

from actors.errors import BadInput
from actors.queries import load, parse
from train_jobs.loop.evaluation_set import packaged


def test_what_is_measured_is_never_learnt_from() -> None:
    data = packaged(64, 16)
    assert (len(data.covers), len(data.real)) == (64, 16)
    assert not {q.id for q in data.covers} & {q.id for q in data.learn}
    assert {q.lang for q in data.covers} == {"en", "zh"}
    assert len({q.aspect for q in data.covers}) == 5


def test_the_set_is_frozen() -> None:
    assert [q.id for q in packaged(3, 0).covers] == [q.id for q in packaged(64, 0).covers[:3]]


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("not json", "line 2: not JSON"),
        ('{"text": "a"}', "no text field `query`"),
        ('{"query": ""}', "empty"),
        ('{"query": "a", "aspect": "2:1"}', "aspect"),
        ('{"query": "a\\u0000b"}', "U+0000"),
        ('{"query": "a", "colour": 1}', "unknown field 'colour'"),
        ('{"query": "%s"}' % ("x" * 10_000), "10000 characters"),
        ("[1]", "no text field"),
    ],
)
def test_a_bad_line_is_named(line: str, part: str) -> None:
    with pytest.raises(BadInput, match="file, line 2") as caught:
        parse('{"query": "fine"}\n' + line, "file")
    assert part in str(caught.value)


def test_the_same_id_twice() -> None:
    with pytest.raises(BadInput, match="twice: a"):
        parse('{"query": "x", "id": "a"}\n{"query": "y", "id": "a"}', "file")


def test_missing_and_empty_files(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot be read"):
        load(tmp_path / "none.jsonl")
    with pytest.raises(BadInput, match="no queries"):
        parse("\n", "file")
