"""Our weight transfer backend of vLLM: every worker reads safetensors files that its node can see.

NCCL and CUDA IPC, which vLLM brings, need GPUs on both sides. Files need none, serve any number of workers,
and are what a restarted engine is given again.
"""

from __future__ import annotations

from dataclasses import dataclass

from safetensors import safe_open
from vllm.distributed.weight_transfer.base import (
    WeightTransferEngine,
    WeightTransferInitInfo,
    WeightTransferUpdateInfo,
)
from vllm.model_executor.layers.vocab_parallel_embedding import ParallelLMHead
from vllm.model_executor.model_loader.reload import finalize_layerwise_reload, initialize_layerwise_reload


@dataclass
class NoInit(WeightTransferInitInfo):  # type: ignore[misc]
    """Nothing has to be agreed on beforehand."""


@dataclass
class FileUpdate(WeightTransferUpdateInfo):  # type: ignore[misc]
    """One chunk of an update."""

    path: str
    """A safetensors file with tensors under their names in the model's own checkpoint."""


class FileWeights(WeightTransferEngine[NoInit, FileUpdate]):  # type: ignore[misc]
    """The worker's side of a transfer: tensors go through the model's own loader, layer by layer."""

    init_info_cls = NoInit
    update_info_cls = FileUpdate

    def init_transfer_engine(self, init_info: NoInit) -> None:
        """Nothing to do."""

    def start_weight_update(self) -> None:
        """Make the layers ready to be loaded again."""
        initialize_layerwise_reload(self.model)

    def receive_weights(self, update_info: FileUpdate) -> None:
        """Load one file."""
        with safe_open(update_info.path, framework="pt", device="cpu") as file:
            self.model.load_weights((name, file.get_tensor(name)) for name in file.keys())  # noqa: SIM118

    def finish_weight_update(self) -> None:
        """Put what was loaded into use."""
        finalize_layerwise_reload(self.model, self.model_config)
        for layer in self.model.modules():
            # On a CPU a head computes with a packed copy. One that is tied to the embeddings is given no
            # weights of its own, so vLLM would leave it with the copy of the old ones.
            if isinstance(layer, ParallelLMHead) and hasattr(layer, "cpu_linear"):
                layer.quant_method.process_weights_after_loading(layer)

    def shutdown(self) -> None:
        """Nothing to release."""
