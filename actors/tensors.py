"""Weights from safetensors files into modules: nothing is unpickled, nothing is fitted to make it go in."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from actors.errors import BadInput

PICKLED = frozenset({".pt", ".pth", ".bin", ".ckpt", ".pkl", ".pickle"})
"""Suffixes under which weights are pickled."""
_MAGIC = (b"\x80", b"PK")
"""First bytes of a pickle, and of the zip that torch.save puts it in."""
_FLOATS = (torch.float32, torch.float16, torch.bfloat16)


def refuse_pickle(path: Path) -> None:
    """Check that a file can be nothing but safetensors.

    Raises:
        BadInput: the file is missing or unreadable, or it is a pickle by its name or its first bytes.
    """
    try:
        with path.open("rb") as stream:
            start = stream.read(9)
    except OSError as error:
        raise BadInput(
            f"{path}: cannot be read ({error.strerror}); accepted: a local safetensors file"
        ) from None
    # A safetensors file begins with its header's length, eight bytes that may be anything, and a brace.
    if path.suffix.lower() in PICKLED or (start.startswith(_MAGIC) and start[8:] != b"{"):
        raise BadInput(
            f"{path}: pickled weights, which can run any code when they are read; accepted: safetensors, "
            "which safetensors.torch.save_file writes on a machine that trusts the pickle"
        )


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a safetensors file, by name.

    Raises:
        BadInput: the file is missing, pickled, damaged, or holds numbers that are no floats.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    refuse_pickle(path)
    try:
        tensors: dict[str, Tensor] = load_file(path)
    except SafetensorError as error:
        raise BadInput(f"{path}: damaged ({error}); accepted: a whole safetensors file") from None
    for name, tensor in tensors.items():
        if tensor.dtype not in _FLOATS:
            raise BadInput(f"{path}: {name} is {tensor.dtype}; accepted: float32, float16, bfloat16")
    return tensors


def fill(module: nn.Module, tensors: Mapping[str, Tensor], source: Path) -> None:
    """Copy tensors into a module of exactly these names and shapes.

    Raises:
        BadInput: tensors are missing, unexpected or of another shape; the module is left as it was.
    """
    wanted = {name: list(value.shape) for name, value in module.state_dict().items()}
    missing = [name for name in wanted if name not in tensors]
    unexpected = [name for name in tensors if name not in wanted]
    wrong = [name for name in wanted if name in tensors and list(tensors[name].shape) != wanted[name]]
    problems = []
    if missing:
        problems.append(f"{len(missing)} tensors are missing, first {missing[0]} {wanted[missing[0]]}")
    if unexpected:
        found = list(tensors[unexpected[0]].shape)
        problems.append(f"{len(unexpected)} tensors are unexpected, first {unexpected[0]} {found}")
    if wrong:
        found = list(tensors[wrong[0]].shape)
        problems.append(
            f"{len(wrong)} tensors have another shape, first {wrong[0]} {found}, expected {wanted[wrong[0]]}"
        )
    if problems:
        raise BadInput(f"{source}: {'; '.join(problems)}; accepted: weights of this very architecture")
    module.load_state_dict(dict(tensors), strict=True)
