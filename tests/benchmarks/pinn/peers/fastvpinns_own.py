"""FastVPINNs' own accuracy tests, run and timed where that package is installed.

    PYTHON tests/benchmarks/pinn/peers/fastvpinns_own.py PROBLEM SEED

Started by ``runs.py`` and ``fastvpinns.py``; PROBLEM is Poisson, CD2D or Helmholtz. A
line of input is a number of steps, answered by the CPU milliseconds that one took; or
"until", answered by what it takes until both errors of the test are below its
tolerance. The first step, in which TensorFlow traces, is not counted. One thread.
"""

import contextlib
import importlib.metadata
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable

os.environ |= {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}

import numpy as np
import tensorflow as tf
from fastvpinns.data.datahandler2d import DataHandler2D
from fastvpinns.FE.fespace2d import Fespace2D
from fastvpinns.Geometry.geometry_2d import Geometry_2D
from fastvpinns.model.model import DenseModel
from fastvpinns.physics.cd2d import pde_loss_cd2d
from fastvpinns.physics.helmholtz2d import pde_loss_helmholtz
from fastvpinns.physics.poisson2d import pde_loss_poisson
from numpy import cos, cosh, pi, sin, sinh, tanh

TOLERANCE = 6e-2  # of the root mean square and of the mean absolute error
STEPS = 6000  # after which their tests look


def waves(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Solve their Poisson test."""
    return -sin(4 * pi * x) * sin(4 * pi * y)


def waves_force(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Evaluate its right-hand side."""
    return 32 * pi**2 * waves(x, y)


def layer(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Solve their test of convection and diffusion."""
    return tanh(pi * x) * cos(2 * pi * y)


def layer_force(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Evaluate its right-hand side."""
    found = 0.2 * sin(2 * pi * y) * sinh(2 * pi * x)
    found += 4 * pi * cos(2 * pi * y) * (sinh(2 * pi * x) + tanh(pi * x))
    return pi * (found + 0.4 * cos(2 * pi * y)) / (cosh(2 * pi * x) + 1)


def hill(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Solve their Helmholtz test."""
    return (x + y) * sin(pi * x) * sin(pi * y)


def hill_force(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Evaluate its right-hand side."""
    slopes = cos(pi * y) * sin(pi * x) + cos(pi * x) * sin(pi * y)
    return 2 * pi * slopes + (1 - 2 * pi**2) * hill(x, y)


PROBLEMS = {  # loss, coefficients, solution, right-hand side
    "Poisson": (pde_loss_poisson, {"eps": 1.0}, waves, waves_force),
    "CD2D": (
        pde_loss_cd2d,
        {"eps": 1.0, "b_x": 0.2, "b_y": -0.1, "c": 0.0},
        layer,
        layer_force,
    ),
    "Helmholtz": (pde_loss_helmholtz, {"eps": 1.0, "k": 1.0}, hill, hill_force),
}


def space(
    folder: str, exact: Callable, force: Callable
) -> tuple[Fespace2D, np.ndarray]:
    """Make 8 x 8 elements of order 4 with 5 x 5 points, and the test's points."""
    domain = Geometry_2D("quadrilateral", "internal", 100, 100, folder)
    cells, border = domain.generate_quad_mesh_internal(
        x_limits=[0, 1], y_limits=[0, 1], n_cells_x=8, n_cells_y=8,
        num_boundary_points=500,
    )  # fmt: skip
    sides = range(1000, 1004)
    made = Fespace2D(
        mesh=domain.mesh,
        cells=cells,
        boundary_points=border,
        cell_type=domain.mesh_type,
        fe_order=4,
        fe_type="jacobi",
        quad_order=5,
        quad_type="gauss-jacobi",
        fe_transformation_type="affine",
        bound_function_dict=dict.fromkeys(sides, exact),
        bound_condition_dict=dict.fromkeys(sides, "dirichlet"),
        forcing_function=force,
        output_path=folder,
        generate_mesh_plot=False,
    )
    return made, domain.get_test_points()


def build(problem: str, folder: str) -> tuple[Callable[[], object], Callable, dict]:
    """Make a step, the test's two errors, and what there is to tell."""
    loss, coefficients, exact, force = PROBLEMS[problem]
    found, points = space(folder, exact, force)
    data = DataHandler2D(found, folder, dtype=tf.float32)
    model = DenseModel(
        layer_dims=[2, 30, 30, 30, 1],
        learning_rate_dict={
            "initial_learning_rate": 1e-3,
            "use_lr_scheduler": False,
            "decay_steps": 1000,
            "decay_rate": 0.99,
            "staircase": False,
        },
        params_dict={"n_cells": found.n_cells},
        loss_function=loss,
        input_tensors_list=[data.x_pde_list, *data.get_dirichlet_input()],
        orig_factor_matrices=[
            data.shape_val_mat_list,
            data.grad_x_mat_list,
            data.grad_y_mat_list,
        ],
        force_function_list=data.forcing_function_list,
        tensor_dtype=tf.float32,
        use_attention=False,
        hessian=False,
    )
    given = data.get_bilinear_params_dict_as_tensors(lambda: coefficients)

    def step() -> None:
        model.train_step(beta=10, bilinear_params_dict=given)

    def errors() -> tuple[float, float]:
        off = model(points).numpy().ravel() - exact(*points.T)
        return float(np.sqrt(np.mean(off**2))), float(np.mean(np.abs(off)))

    about = {
        "fastvpinns": importlib.metadata.version("fastvpinns"),
        "tensorflow": tf.__version__,
        "points": len(data.x_pde_list),
        "boundary_points": len(data.get_dirichlet_input()[0]),
        "dtype": "float32",
    }
    return step, errors, about


def until(step: Callable[[], object], errors: Callable) -> dict[str, float]:
    """Train until both errors are small; looking at them is not counted."""
    used, steps = 0.0, 0
    while max(found := errors()) >= TOLERANCE and steps < STEPS:
        start = time.process_time()
        for _ in range(25):
            step()
        used += time.process_time() - start
        steps += 25
    return {"seconds": used, "steps": steps, "rms": found[0]}


def main() -> None:
    """Serve."""
    problem, seed = sys.argv[1:]
    tf.random.set_seed(int(seed))
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(None):
        step, errors, about = build(problem, folder)
        step()  # traced here
    print(json.dumps(about), flush=True)
    for line in sys.stdin:
        if line.strip() == "until":
            print(json.dumps(until(step, errors)), flush=True)
            continue
        start = time.process_time()
        for _ in range(int(line)):
            step()
        print(1e3 * (time.process_time() - start) / int(line), flush=True)


if __name__ == "__main__":
    main()
