"""A network cut into modules: the unit of learning, of placement, of memory, of error.

Labels, here and everywhere: a network is ``f_{K-1} o ... o f_0``; block ``k`` computes
``h_k = f_k(h_{k-1})`` from its input ``h_in = h_{k-1}`` (the data for ``k = 0``), and
its head ``a_k`` predicts from ``h_k``. Blocks count from 0, as Python does; the papers
count from 1. torch owns the word Module, so that a module in the papers' sense is a
``Block``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from modular._checks import check_batch, check_choice, check_count, check_dense
from modular.partition.cutting import (
    cuts_of,
    refuse_inplace,
    refuse_shared_heads,
    refuse_side_paths,
    refuse_ties,
)
from modular.partition.heads import Head, HeadMaker, head_for, linear_head, mlp_head
from modular.profile import (
    COSTS,
    count_flops,
    count_parameters,
    layers_of,
    states_of,
)

__all__ = ["Block", "Cost", "Partition"]

_HEADS: dict[str, HeadMaker] = {"linear": linear_head, "mlp": mlp_head}


@dataclass(frozen=True)
class Cost:
    """What each block of a partition costs.

    Args:
        parameters: Of the block's layers. Shape ``(modules,)``.
        flops: Of one forward pass, per sample. Shape ``(modules,)``.
        head_parameters: Of its head; 0 in the last block. Shape ``(modules,)``.
        head_flops: Of the head, per sample. Shape ``(modules,)``.
    """

    parameters: Tensor
    flops: Tensor
    head_parameters: Tensor
    head_flops: Tensor


class Block(nn.Module):
    """One part of a cut network, with its head.

    Args:
        net: The layers.
        head: Predicts from what the layers return.
        like: One row of what the layers take. Shape ``(1, ...)``.
        out: One row of what they return. Shape ``(1, ...)``.

    Attributes:
        frozen: Whether the layers stay as they are, see :meth:`Partition.freeze`.
    """

    like: Tensor
    out: Tensor

    def __init__(
        self, net: nn.Sequential, head: Head, like: Tensor, out: Tensor
    ) -> None:
        super().__init__()
        self.net = net
        self.head = head
        self.frozen = False
        self.register_buffer("like", like, persistent=False)
        self.register_buffer("out", out, persistent=False)

    def forward(self, h: Tensor) -> Tensor:
        """Return the block's features.

        Args:
            h: What the block before returns. Shape ``(batch, ...)``.

        Returns:
            Features of this block. Shape ``(batch, ...)``.
        """
        return self.net(h)


class Partition(nn.Module):
    """Cut a network into blocks that can learn on their own.

    The blocks are the model's own layers, not copies: training them trains the model.
    Gradient-isolated blocks with auxiliary heads: Belilovsky et al. 2020. They are in
    ``blocks``; ``classes`` is the number of scores.

    Args:
        model: An ``nn.Sequential``, or a list of layers to be applied in turn (for
            example the stages of a residual network). What it returns are scores, one
            per class, or one per class at every position of a sequence.
        modules: Number of blocks, K. They are cut so that the dearest is as cheap as
            can be (exactly, over all contiguous cuts).
        cuts: Instead of ``modules``: index of the first layer of every block but the
            first.
        head: ``"linear"``, ``"mlp"`` (one hidden layer) or a function from the shape of
            one sample's features and the number of classes to a layer. The last block
            needs none: it returns the scores. Where there are scores at every position,
            the two heads of this package work position by position.
        sample: A few rows of data, for shapes, dtype and device. Shape ``(batch, n)``
            or ``(batch, channels, height, width)``.
        balance: What to balance by: ``"parameters"``, ``"flops"``, ``"bytes"`` (saved
            for the backward pass) or ``"seconds"`` (measured: cuts may differ from run
            to run).
        generator: Draws the heads' weights; None is torch's global one.

    Raises:
        TypeError: If ``model`` is neither, ``modules`` is not an int, a layer returns
            something else than one tensor, or has another dtype than what it is given.
        ValueError: If there are more blocks than layers, ``cuts`` are not increasing, a
            name is unknown, a layer does not take what the one before returns, a
            parameter, buffer or normalisation layer is shared by two blocks, a block
            would overwrite its input in place or reads more than its input (a skip
            connection across a cut), or the model does not return scores.

    Example:
        >>> hidden = nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU()
        >>> model = nn.Sequential(*hidden, nn.Linear(8, 3))
        >>> partition = Partition(model, 2, sample=torch.zeros(1, 4))
        >>> [len(block.net) for block in partition.blocks], partition.classes
        ([2, 3], 3)
    """

    def __init__(
        self,
        model: nn.Sequential | Sequence[nn.Module],
        modules: int | None = None,
        *,
        cuts: Sequence[int] | None = None,
        head: str | HeadMaker = "linear",
        sample: Tensor,
        balance: str = "parameters",
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        layers = layers_of(model)
        check_dense("sample", sample)
        check_choice("balance", balance, COSTS)
        if isinstance(head, str):
            check_choice("head", head, _HEADS)
            head = _HEADS[head]
        states = states_of(layers, sample)
        self._scores = states[-1].shape
        if len(self._scores) not in (2, 3) or len(states[-1]) != len(sample):
            raise ValueError(
                f"the model returns shape {tuple(self._scores)} for {len(sample)} "
                "rows: expected scores of shape (batch, classes), or (batch, length, "
                "classes) for sequences"
            )
        if not states[-1].is_floating_point():
            raise ValueError(
                f"the model returns {states[-1].dtype}: expected real floating-point "
                "scores"
            )
        self.classes = self._scores[-1]
        cuts = cuts_of(layers, states, modules, cuts, COSTS[balance])
        refuse_ties(layers, cuts)
        refuse_inplace(layers, cuts)
        refuse_side_paths(layers, cuts, sample)
        blocks: list[Block] = []
        for start, end in zip([0, *cuts], [*cuts, len(layers)], strict=True):
            h = states[end]
            last = end == len(layers)
            predict = head_for(head, h, self._scores, generator) if not last else None
            net = nn.Sequential(*layers[start:end])
            # clones: a view would keep the whole sample, and hide it from the meter
            like, out = states[start][:1].clone(), h[:1].clone()
            head_of = Head(predict or nn.Identity(), self.classes)
            blocks.append(Block(net, head_of, like, out))
        refuse_shared_heads(blocks)
        self.blocks = cast(Sequence[Block], nn.ModuleList(blocks))
        # In a tuple, so that the weights are not registered a second time.
        self._model = (model if isinstance(model, nn.Sequential) else None,)

    def __len__(self) -> int:
        return len(self.blocks)

    def whole(self) -> nn.Sequential:
        """Return the network in one piece, sharing the blocks' weights.

        Returns:
            The ``nn.Sequential`` that was cut, or one made of the list of layers.
        """
        layers = [layer for block in self.blocks for layer in block.net]
        return self._model[0] or nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Return the scores of the whole network.

        Args:
            x: Data. Shape ``(batch, ...)``.

        Returns:
            One score per class. Shape ``(batch, classes)`` or
            ``(batch, length, classes)``.
        """
        for block in self.blocks:
            x = block(x)
        return x

    def states(self, x: Tensor) -> list[tuple[Block, Tensor]]:
        """Run the network block by block.

        Args:
            x: Data. Shape ``(batch, n)`` or ``(batch, channels, height, width)``.

        Returns:
            Each block, with what it returns.
        """
        found = []
        for block in self.blocks:
            x = block(x)
            found.append((block, x))
        return found

    def check_batch(self, x: Tensor, target: Tensor) -> None:
        """Refuse a batch that does not fit this network.

        Args:
            x: Data. Shape ``(batch, n)`` or ``(batch, channels, height, width)``.
            target: Labels, int64. Shape ``(batch,)``.

        Raises:
            TypeError: If dtypes differ from the sample's.
            ValueError: If shapes, devices or labels do not fit, the batch is empty, or
                an entry is NaN or infinite.
        """
        check_batch(x, target, self.blocks[0].like, self._scores)

    def freeze(self, *modules: int) -> None:
        """Keep blocks as they are: weights, statistics of BatchNorm, and no dropout.

        Their heads still learn, and tell what the frozen features are good for.

        Args:
            modules: Which blocks, from 0.

        Raises:
            TypeError: If one is not an int.
            ValueError: If there is no such block.
        """
        self._set_frozen(modules, True)

    def unfreeze(self, *modules: int) -> None:
        """Let frozen blocks learn again, in whole.

        Args:
            modules: Which blocks, from 0.

        Raises:
            TypeError: If one is not an int.
            ValueError: If there is no such block.
        """
        self._set_frozen(modules, False)

    def _set_frozen(self, modules: Sequence[int], frozen: bool) -> None:
        for k in modules:
            check_count("module", k, least=0)
            if k >= len(self):
                raise ValueError(f"module is {k}: expected 0 to {len(self) - 1}")
            self.blocks[k].frozen = frozen
            self.blocks[k].net.requires_grad_(not frozen).train(not frozen)

    def cost(self) -> Cost:
        """Count parameters and FLOPs of blocks and heads.

        Returns:
            One number per block, as :class:`Cost`.
        """
        parts = [(block.net, block.like) for block in self.blocks]
        heads = [(block.head.predict, block.out) for block in self.blocks]
        counts = [
            torch.tensor([count(layers, h) for layers, h in pairs])
            for pairs in (parts, heads)
            for count in (count_parameters, count_flops)
        ]
        return Cost(*counts)
