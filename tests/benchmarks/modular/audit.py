"""Memory of local losses, interlocking and checkpointing: no clock, the same always.

    python -m tests.benchmarks.modular.audit [--quick]

Most bytes that autograd holds for the backward pass of a step, depth 32, against
torch's checkpointing: the part "memory" of ``results/modular.json``.
"""

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from modular import DGL, Backprop, Interlocking, Partition, Trainer, audit
from modular.meter import SavedTensors
from tests.benchmarks.modular.parts import WIDTH, adam, layer, measure


class Checkpointed(nn.Module):
    """Layers that keep only their input and run forward again when asked."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        return checkpoint(self.layers, h, use_reentrant=True)


def checkpointed_peak(layers: list[nn.Module], x: torch.Tensor, parts: int) -> int:
    """Return the most bytes held when training end to end with ``parts`` segments."""
    size = len(layers) // parts
    segments = [
        Checkpointed(*layers[i : i + size]) for i in range(0, len(layers), size)
    ]
    net = nn.Sequential(*segments)
    own = [*net.parameters(), *net.buffers()]
    with SavedTensors(exclude=own) as meter:
        net(x.clone().requires_grad_()).square().mean().backward()
    return meter.peak


def memory(quick: bool) -> dict[str, object]:
    """Return peaks of 32 blocks of width 96, batch 128."""
    torch.manual_seed(0)
    x, y = torch.randn(128, WIDTH), torch.arange(128) % 10
    found: dict[str, object] = {}

    def blocks() -> list[nn.Module]:
        made = [nn.Sequential(*layer(WIDTH, WIDTH)) for _ in range(32)]
        made[-1].append(nn.Linear(WIDTH, 10))
        return made

    def peak(method, modules: int) -> audit.Memory:
        partition = Partition(blocks(), modules, sample=x[:2], head="mlp")
        return audit.memory(Trainer(partition, method, optimizer=adam), (x, y))

    whole = peak(Backprop(), 1).peak
    found["backprop"] = {"bytes": whole, "ratio": 1.0}
    for modules in (2, 4, 8):
        local = peak(DGL(), modules)
        head = int(local.heads.max())
        found[f"dgl K={modules}"] = {
            "bytes": local.peak,
            "ratio": round(local.peak / whole, 4),
            "head_bytes": head,
            "times_share": round((local.peak - head) / (whole / modules), 4),
        }
        both = peak(Interlocking(2), modules).peak
        found[f"interlocking n=2, K={modules}"] = {
            "bytes": both,
            "ratio": round(both / whole, 4),
        }
        again = checkpointed_peak(blocks(), x, modules)
        found[f"checkpointing {modules}"] = {
            "bytes": again,
            "ratio": round(again / whole, 4),
        }
    for name, row in found.items():
        print(f"{name:22} {row}")
    return found


if __name__ == "__main__":
    measure(__doc__, {"memory": memory})
