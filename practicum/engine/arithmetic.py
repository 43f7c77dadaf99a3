"""What decides the bits of a trial; written into the protocol."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal


@dataclass(frozen=True, kw_only=True)
class Arithmetic:
    """How numbers are computed. The same arithmetic gives the same bits.

    Attributes:
        path: `loop` trains seed after seed and is the reference; `lanes` trains a group at once.
        lane_group: seeds per program on the lanes path.
        threads: intra-op threads of each worker.
        precision: `float32`, `float64`, or `bfloat16` (autocast).
        fused: whether the optimizer updates everything in one pass (rounds differently).
        compile: whether torch.compile is used.
        device: `cpu` or `cuda`.
    """

    path: Literal["loop", "lanes"] = "loop"
    lane_group: int = 1
    threads: int = 1
    precision: Literal["float32", "float64", "bfloat16"] = "float32"
    fused: bool = True
    compile: bool = False
    device: str = "cpu"

    def spec(self) -> dict[str, Any]:
        """Return everything that decides the bits, this machine's part included."""
        import torch

        return {
            **asdict(self),
            "torch": torch.__version__,
            "capability": torch.backends.cpu.get_cpu_capability(),
        }
