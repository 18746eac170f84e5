"""What a module is: where a network is cut, and the head that each part gets."""

from modular.partition.heads import Head, linear_head, mlp_head
from modular.partition.partition import Block, Cost, Partition

__all__ = ["Block", "Cost", "Head", "Partition", "linear_head", "mlp_head"]
