"""A step of FastVPINNs' own accuracy test, timed where that package is installed.

    PYTHON tests/benchmarks/pinn/peers/fastvpinns_poisson.py

Started by ``pinn.py --fastvpinns PYTHON``. For every line of input it does as many
steps as the line says and prints the CPU milliseconds that one took. One thread.
"""

import contextlib
import importlib.metadata
import json
import os
import sys
import tempfile
import time

os.environ |= {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}

import numpy as np
import tensorflow as tf
from fastvpinns.data.datahandler2d import DataHandler2D
from fastvpinns.FE.fespace2d import Fespace2D
from fastvpinns.Geometry.geometry_2d import Geometry_2D
from fastvpinns.model.model import DenseModel
from fastvpinns.physics.poisson2d import pde_loss_poisson

OMEGA = 4 * np.pi


def zero(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Evaluate the boundary condition."""
    return np.zeros_like(x)


def force(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Evaluate the right-hand side."""
    return -2 * OMEGA**2 * np.sin(OMEGA * x) * np.sin(OMEGA * y)


def space(folder: str) -> Fespace2D:
    """Make 8 x 8 elements of order 4 with 5 x 5 points."""
    domain = Geometry_2D("quadrilateral", "internal", 100, 100, folder)
    cells, border = domain.generate_quad_mesh_internal(
        x_limits=[0, 1], y_limits=[0, 1], n_cells_x=8, n_cells_y=8,
        num_boundary_points=500,
    )  # fmt: skip
    sides = range(1000, 1004)
    return Fespace2D(
        mesh=domain.mesh,
        cells=cells,
        boundary_points=border,
        cell_type=domain.mesh_type,
        fe_order=4,
        fe_type="jacobi",
        quad_order=5,
        quad_type="gauss-jacobi",
        fe_transformation_type="affine",
        bound_function_dict=dict.fromkeys(sides, zero),
        bound_condition_dict=dict.fromkeys(sides, "dirichlet"),
        forcing_function=force,
        output_path=folder,
        generate_mesh_plot=False,
    )


def main() -> None:
    """Serve."""
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(None):
        found = space(folder)
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
            loss_function=pde_loss_poisson,
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
        given = data.get_bilinear_params_dict_as_tensors(lambda: {"eps": 1.0})
        model.train_step(beta=10, bilinear_params_dict=given)  # traced here
        borders = len(data.get_dirichlet_input()[0])
    about = {
        "fastvpinns": importlib.metadata.version("fastvpinns"),
        "tensorflow": tf.__version__,
        "points": len(data.x_pde_list),
        "boundary_points": borders,
        "dtype": "float32",
    }
    print(json.dumps(about), flush=True)
    for line in sys.stdin:
        start = time.process_time()
        for _ in range(int(line)):
            model.train_step(beta=10, bilinear_params_dict=given)
        print(1e3 * (time.process_time() - start) / int(line), flush=True)


if __name__ == "__main__":
    main()
