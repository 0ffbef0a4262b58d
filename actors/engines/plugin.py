"""What vLLM runs in each of its processes, by the entry point `vllm.general_plugins`."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal

from actors.engines.nouns import BACKEND

_PR_SET_PDEATHSIG = 1


def register() -> None:
    """Make our weight transfer known, and let no engine process outlive the one that started it."""
    from vllm.distributed.weight_transfer import WeightTransferEngineFactory

    # A process may load its plugins again, and vLLM refuses a second registration.
    if BACKEND not in WeightTransferEngineFactory._registry:
        WeightTransferEngineFactory.register_engine(BACKEND, "actors.engines.weights", "FileWeights")
    die_with_parent()


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent ends, by SIGKILL too; not in a main process."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent.pid:  # it ended before the kernel was asked
        os._exit(1)
