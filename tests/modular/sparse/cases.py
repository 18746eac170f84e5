"""How to call every public name of the family; read by tests/test_docs.py."""

import torch

import modular.sparse as s

layer = s.SparseLinear(30, 20, epsilon=2)
chain = [s.SparseLinear(30, 20, epsilon=2), s.SparseLinear(20, 5, epsilon=2)]
moving = {"layers": chain, "share": 0.3}


def seen(kind: type) -> s.RigL | s.MomentumGrowth:
    """A topology that has seen a batch go backward."""
    topology = kind([layer], share=0.3)
    layer(torch.ones(8, 30)).square().sum().backward()
    return topology


CALLS = {
    "SparseLinear": lambda: (
        s.SparseLinear,
        {"in_features": 30, "out_features": 20, "epsilon": 2},
    ),
    "SparseLinear.forward": lambda: (layer.forward, {"x": torch.ones(8, 30)}),
    "SparseLinear.dense": lambda: (layer.dense, {}),
    "SparseLinear.drawn": lambda: (layer.drawn, {"count": 7}),
    "AllReLU": lambda: (s.AllReLU, {"alpha": 0.5, "layer": 0}),
    "AllReLU.forward": lambda: (s.AllReLU(0.5, 0).forward, {"z": torch.ones(3, 4)}),
    "erdos_renyi": lambda: (s.erdos_renyi, {"epsilon": 2, "rows": 20, "columns": 30}),
    "sparse_layers": lambda: (s.sparse_layers, {"model": layer}),
    "SET": lambda: (s.SET, moving),
    "SET.step": lambda: (s.SET(**moving).step, {}),
    "RigL": lambda: (s.RigL, moving),
    "RigL.step": lambda: (seen(s.RigL).step, {}),
    "RigL.remove": lambda: (s.RigL(**moving).remove, {}),
    "MomentumGrowth": lambda: (s.MomentumGrowth, moving),
    "MomentumGrowth.step": lambda: (seen(s.MomentumGrowth).step, {}),
    "MomentumGrowth.remove": lambda: (s.MomentumGrowth(**moving).remove, {}),
    "rewire": lambda: (
        s.rewire,
        {
            "layer": layer,
            "kept": torch.ones(layer.connections, dtype=torch.bool),
            "grown": torch.empty(0, dtype=torch.long),
            "start": torch.empty(0),
        },
    ),
    "importance": lambda: (s.importance, {"layer": layer}),
    "importance_prune": lambda: (s.importance_prune, {"layers": chain, "share": 0.2}),
    "sparse_average": lambda: (s.sparse_average, {"layers": [layer, layer]}),
}
