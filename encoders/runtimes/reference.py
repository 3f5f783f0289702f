"""In: a torch module and named arrays. Out: what it computes, eagerly: the reference of every other engine.

Stops at running: the module's weights are in place when it arrives.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from encoders.runtime import Inputs


class TorchEngine:
    """One tower in eager torch on the CPU, fp32.

    Args:
        tower: module whose arguments are the inputs, in order.
        threads: threads for one batch, which torch keeps for the whole process; ``None``: leave them.
    """

    def __init__(self, tower: nn.Module, threads: int | None = None) -> None:
        self._tower = tower.eval()
        if threads is not None:
            torch.set_num_threads(threads)

    @property
    def name(self) -> str:
        """Runtime, version, precision, threads."""
        return f"torch {torch.__version__}, fp32, {torch.get_num_threads()} threads"

    def run(self, inputs: Inputs) -> NDArray[np.float32]:
        """The module's output."""
        with torch.inference_mode():
            output = self._tower(*(torch.from_numpy(each) for each in inputs.values()))
        array: NDArray[np.float32] = output.numpy()
        return array
