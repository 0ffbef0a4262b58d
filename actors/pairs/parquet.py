"""Self-contained Parquet files: pictures inside, the record as JSON, and columns to filter by.

Opens in pandas (`read_parquet`), in HF datasets and in DuckDB without Atelier.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from actors.contracts import Dimension
from actors.errors import BadInput
from actors.pairs.dataset import Sample, checked, record_of
from actors.pairs.folder import Folder
from actors.pairs.jsonl import line_of, parse_object
from actors.pairs.sizes import by_size

SUFFIX = ".parquet"
FILE_BYTES = 512 * 1024 * 1024
GROUP_BYTES = 16 * 1024 * 1024
"""Of pictures in a row group: what is in memory at a time, here and in who reads it."""
MAX_GROUP_BYTES = 1024 * 1024 * 1024
COLUMNS = ("id", "kind", "prompt", "lang", "label_total", "image_a", "image_b", "record")
_BATCH_ROWS = 16


def to_row(sample: Sample) -> dict[str, Any]:
    """The row of a pair. `label_total` is the probability that `a` wins, null where it was not judged."""
    record = sample.record
    return {
        "id": record.id,
        "kind": record.kind,
        "prompt": record.query.text,
        "lang": record.query.lang,
        "label_total": record.labels.get(Dimension.TOTAL),
        "image_a": sample.a,
        "image_b": sample.b,
        "record": line_of(record.model_dump(mode="json")).decode().rstrip("\n"),
    }


def of_row(row: dict[str, Any], where: str) -> Sample:
    """The pair of a row.

    Raises:
        BadInput: the row is no pair, or its pictures are not what the record says.
    """
    values = [row.get(name) for name in ("record", "image_a", "image_b")]
    if not (isinstance(values[0], str) and isinstance(values[1], bytes) and isinstance(values[2], bytes)):
        raise BadInput(f"{where} lacks a value; accepted: text in `record`, bytes in `image_a` and `image_b`")
    record = record_of(parse_object(values[0].encode(), f"{where}, `record`"))
    return checked(Sample(record, values[1], values[2]))


def write(samples: Iterable[Sample], folder: Folder) -> None:
    """Write `pairs-00000.parquet` and following, each of about `FILE_BYTES` of pictures."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    texts = {name: pa.string() for name in COLUMNS}
    schema = pa.schema({**texts, "label_total": pa.float64(), "image_a": pa.binary(), "image_b": pa.binary()})
    plain = {name: "zstd" for name in COLUMNS} | {"image_a": "none", "image_b": "none"}
    for number, file_samples in by_size(samples, FILE_BYTES):
        with (
            folder.writing(f"pairs-{number:05d}.parquet") as file,
            pq.ParquetWriter(
                file, schema, compression=plain, use_dictionary=["kind", "lang"], write_statistics=["id"]
            ) as writer,
        ):
            for _, group in by_size(file_samples, GROUP_BYTES):
                writer.write_table(pa.Table.from_pylist([to_row(sample) for sample in group], schema))


def read(folder: Folder, name: str, pictures: Folder) -> Iterator[Sample]:
    """The pairs of one file; raises BadInput as `of_row` does, and for a file that is no such Parquet."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    del pictures
    number = 0
    with folder.opened(name) as file:
        try:
            parquet = pq.ParquetFile(file)
            # Iterating over the whole file would keep the bytes of all row groups until its end.
            for group in range(parquet.num_row_groups):
                if (held := parquet.metadata.row_group(group).total_byte_size) > MAX_GROUP_BYTES:
                    raise BadInput(
                        f"{name}, row group {group} has {held} bytes; accepted: at most {MAX_GROUP_BYTES}, "
                        "since a group is in memory at once"
                    )
                table = parquet.read_row_group(group, columns=["record", "image_a", "image_b"])
                for batch in table.to_batches(_BATCH_ROWS):
                    for row in batch.to_pylist():
                        number += 1
                        yield of_row(row, f"{name}, row {number}")
        except (pa.ArrowException, OSError) as error:
            raise BadInput(
                f"{name} is no Parquet file that can be read ({str(error)[:200]}); export it again"
            ) from None
