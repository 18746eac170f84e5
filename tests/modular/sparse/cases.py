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
    "SparseLinear.dense": lambda: (layer.dense, {}),
    "SparseLinear.drawn": lambda: (layer.drawn, {"count": 7}),
    "AllReLU": lambda: (s.AllReLU, {"alpha": 0.5, "layer": 0}),
    "erdos_renyi": lambda: (s.erdos_renyi, {"epsilon": 2, "rows": 20, "columns": 30}),
    "sparse_layers": lambda: (s.sparse_layers, {"model": layer}),
    "SET": lambda: (s.SET, moving),
    "RigL": lambda: (s.RigL, moving),
    "MomentumGrowth": lambda: (s.MomentumGrowth, moving),
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
