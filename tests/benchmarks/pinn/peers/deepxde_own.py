"""Train one of DeepXDE's examples as DeepXDE's own script does, for so many seconds.

    python -m tests.benchmarks.pinn.peers.deepxde_own NAME SEED SECONDS

In a process of its own, because it computes in float32, DeepXDE's default.
"""

import json
import sys
import time
from typing import Any

import torch

from pinn._backend import dde
from pinn.metrics import test_points
from tests.benchmarks.pinn.example import Example, Theirs

Model = dde.Model  # before anything is stated


class Clock(dde.callbacks.Callback):
    """Stops after so many seconds of CPU."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.end = time.process_time() + seconds

    def on_epoch_end(self) -> None:
        """Look at the clock."""
        if time.process_time() > self.end:
            self.model.stop_training = True

    def over(self) -> bool:
        """Tell whether no time is left."""
        return time.process_time() > self.end


def data_of(example: Example) -> Any:
    """Return DeepXDE's data."""
    problem, theirs = example.problem, example.theirs
    conditions = theirs.conditions
    if conditions is None:
        conditions = list(problem.conditions)
    kind = dde.data.TimePDE if problem.in_time and problem.dim > 1 else dde.data.PDE
    return kind(problem.geometry, theirs.pde, conditions, *theirs.points)


def net_of(example: Example) -> torch.nn.Module:
    """Return DeepXDE's network."""
    theirs, problem = example.theirs, example.problem
    if theirs.net is not None:
        return theirs.net()
    outputs = 1 if theirs.conditions and problem.components > 1 else problem.components
    sizes = [problem.dim, *theirs.widths, outputs]
    net = dde.nn.FNN(sizes, theirs.activation, theirs.start)
    if theirs.hard is not None:
        net.apply_output_transform(theirs.hard)
    return net


def weights_of(model: Any, theirs: Theirs) -> Any:
    """Return the weights of the losses."""
    if theirs.weights != "balanced":
        return theirs.weights
    model.compile("adam", lr=1e-3, verbose=0)
    losses, _ = model.train(iterations=0, verbose=0)
    return 5 / losses.loss_train[0]


def train(example: Example, seconds: float) -> Any:
    """Run Adam, then L-BFGS if the script does, until it is done or time is over."""
    theirs = example.theirs
    model = Model(data_of(example), net_of(example))
    clock = Clock(seconds)
    callbacks = [clock]
    if theirs.weights == "balanced":
        callbacks.append(dde.callbacks.PDEPointResampler(period=1))
    weights = weights_of(model, theirs)
    quiet = {"display_every": 10**9, "verbose": 0}
    model.compile("adam", lr=1e-3, decay=theirs.decay, loss_weights=weights, verbose=0)
    model.train(iterations=theirs.adam, callbacks=callbacks, **quiet)
    if theirs.lbfgs and not clock.over():
        model.compile("L-BFGS", loss_weights=weights, verbose=0)
        model.train(callbacks=[clock], **quiet)
    return model


def main(name: str, seed: int, seconds: float) -> dict[str, float | str]:
    """Return the error, over the components that its network has."""
    from tests.benchmarks.pinn.examples import EXAMPLES

    torch.set_num_threads(1)
    dde.config.real.set_float32()
    dde.config.set_random_seed(seed)
    example = EXAMPLES[name]()
    start = time.process_time()
    try:
        model = train(example, seconds)
    except ValueError as refusal:
        return {"refused": str(refusal)}
    used = time.process_time() - start
    x = test_points(example.problem, 4000)
    found = torch.as_tensor(model.predict(x.numpy().astype("float32"))).double()
    exact = example.problem.exact(x)[:, : found.shape[1]]
    error = (found - exact).norm() / exact.norm()
    return {"error": error.item(), "seconds": round(used, 2)}


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))))
