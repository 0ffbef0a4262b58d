"""Several files that belong together, written into a folder."""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from actors.errors import StageFailed


def replace_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files by name. They change places one after the other, in their order, when all are written.

    Raises:
        StageFailed: the disk refused them. None of those that were there is changed.
    """
    temporary = {name: folder / f".{name}.{uuid.uuid4().hex}.tmp" for name in files}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, path in temporary.items():
            path.write_bytes(files[name])
        for name, path in temporary.items():
            os.replace(path, folder / name)
    except OSError as error:
        raise StageFailed(f"cannot save {', '.join(files)} in {folder}: {error.strerror or error}") from None
    finally:
        for path in temporary.values():
            with suppress(OSError):
                path.unlink(missing_ok=True)
