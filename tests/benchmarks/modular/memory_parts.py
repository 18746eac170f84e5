"""Parts of the benchmark of memory: the task, the net, and what an optimiser keeps."""

import time
import zlib

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from modular import digits
from modular.memory import SZ3, Groupwise, LinearQuantizer, SigmaController, zero
from modular.memory.codec import Codec

CHANNELS, LAYERS, BATCH, EPOCHS = 16, 9, 64, 5
RANKS, RATE = 4, 0.002
CODED = ("8 bits, signs", "8 bits, by chance")  # states, by a codec after each step


class Nearest(Codec):
    """The plain way: round to multiples of ``2 bound``; small numbers become zero."""

    def __init__(self, bound: float) -> None:
        self.bound = bound

    def _encode(self, x: Tensor) -> tuple[bytes, torch.Size]:
        codes = (x / (2 * self.bound)).round().to(torch.int16)
        return zlib.compress(codes.numpy(), 1), x.shape

    def decode(self, kept: tuple[bytes, torch.Size]) -> Tensor:
        """Return the multiples."""
        codes = torch.frombuffer(bytearray(zlib.decompress(kept[0])), dtype=torch.int16)
        return 2 * self.bound * codes.float().view(kept[1])

    def count(self, kept: tuple[bytes, torch.Size]) -> int:
        """Count the bytes of the code."""
        return len(kept[0])


class Blurred(SigmaController):
    """The control: the same bounds, numbers below the bound become zero."""

    def codec(self, number: int) -> Codec:
        """Return the plain way for the controller's bound."""
        found = super().codec(number)
        return Nearest(found.bound) if isinstance(found, LinearQuantizer) else found


class Packed(SigmaController):
    """The same bounds, by the paper's compressor."""

    def codec(self, number: int) -> Codec:
        """Return SZ3 for the controller's bound."""
        found = super().codec(number)
        return SZ3(found.bound) if isinstance(found, LinearQuantizer) else found


def data(seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return digits as images, to train and to test."""
    task = digits(torch.Generator().manual_seed(seed))
    x, held = (t.float().view(-1, 1, 8, 8) for t in (task.x, task.x_test))
    return x, task.y, held, task.y_test


def network(seed: int) -> nn.Sequential:
    """Convolutions with ReLUs between them, and one linear layer."""
    torch.manual_seed(seed)
    layers: list[nn.Module] = []
    for i in range(LAYERS):
        layer = nn.Conv2d(CHANNELS if i else 1, CHANNELS, 3, padding=1)
        nn.init.kaiming_normal_(layer.weight)
        layers += [layer, nn.ReLU()]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(64 * CHANNELS, 10))


def coded(optimizer: torch.optim.Optimizer, kind: str) -> int:
    """Round Adam's states to what 8 bits remember; return their bytes.

    Steps are equal between zero and the largest number of a tensor, the root of the
    second state is coded; ``signs`` keeps zeros and signs, else rounding is by chance.
    """
    count = 0
    for state in optimizer.state.values():
        root = state["exp_avg_sq"].sqrt()
        for t in (state["exp_avg"], root):
            bound = max(t.abs().max().item(), 1e-30) / 252
            codec = LinearQuantizer(bound) if "signs" in kind else Groupwise(8)
            t.copy_(codec(t))
            count += t.numel() + 4
        state["exp_avg_sq"].copy_(root**2)
    return count


def optimizer_of(kind: str, model: nn.Module) -> torch.optim.Optimizer:
    """Return torch's Adam, or that of torchao, which codes large tensors only."""
    if "torchao" in kind:
        from torchao.optim import Adam8bit  # it compiles its step

        return Adam8bit(model.parameters(), lr=RATE)
    return torch.optim.Adam(model.parameters(), lr=RATE)


def state_bytes(optimizer: torch.optim.Optimizer) -> int:
    """Count the bytes of both states, of codes, scales and levels too."""
    count = 0
    for state in optimizer.state.values():
        for t in (state["exp_avg"], state["exp_avg_sq"]):
            parts = (t.codes, t.scale, t.qmap) if hasattr(t, "codes") else (t,)
            count += sum(part.numel() * part.element_size() for part in parts)
    return count


def adam(kind: str, seed: int) -> dict:
    """Train with Adam, its states as they are or in 8 bits."""
    x, y, held, labels = data(seed)
    model, count = network(seed), 0
    torch.manual_seed(seed)
    optimizer = optimizer_of(kind, model)
    g, start = torch.Generator().manual_seed(seed), time.process_time()
    for _ in range(EPOCHS):
        for index in torch.randperm(len(x), generator=g).split(BATCH):
            optimizer.zero_grad()
            cross_entropy(model(x[index]), y[index]).backward()
            optimizer.step()
            if kind in CODED:
                try:
                    count = coded(optimizer, kind)
                except ValueError:  # a gradient is infinite: refused by the codec
                    return {"accuracy": None, "loss": None, "bytes": count}
    seconds = time.process_time() - start
    with torch.no_grad():
        out = model(held)
    return {
        "accuracy": round(100 * (out.argmax(1) == labels).double().mean().item(), 2),
        "loss": round(cross_entropy(out, labels).item(), 4),
        "bytes": count or state_bytes(optimizer),
        "seconds": round(seconds, 2),
    }


def shares() -> dict:
    """Count what a worker holds of parameters, gradients and Adam's states."""
    parameters = list(network(0).parameters())
    found = {}
    for stage in range(4):
        one = zero(parameters, RANKS, stage)
        found[f"stage {stage}"] = {
            "parameters": max(one.parameters),
            "gradients": max(one.gradients),
            "states": max(one.states),
            "most": max(one.total),
        }
    return found
