# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Where elements must go
#
# > **Question.** Can the weak residual of a trained hp-VPINN tell where its mesh must be finer, well enough to beat a mesh made by hand?

# %% [markdown]
# | | |
# |---|---|
# | **Part** | networks constrained by physics |
# | **Before you start** | chapters 31, 32 and 34 |
# | **Time** | about a week |
# | **Baseline** | the error of a hand-made mesh with 90 tests, measured below |
# | **Graded by** | the [rubric for projects](../instructor/rubrics.md) |
#
# Why it matters: chapter 34 solves a steep problem with elements that were put around the layer
# by someone who knew where it is. In finite elements nobody does that any more: the residual
# marks elements, they are split, and theorems say that this is as good as any mesh. For a network
# the theorems are missing: it is not the best function for its mesh, only the one that training
# found, and between the tests it may do as it likes.

# %% tags=["setup"]
import matplotlib.pyplot as plt
import torch

from course.kit import figure, setup
from pinn import FEM, HPVPINN, LevenbergMarquardt, solve, zoo

_ = setup(seed=5)

# %% [markdown]
# ## The baseline, measured
#
# Poisson's equation whose solution is a wave with a layer of width 1/80 at zero. Three meshes
# with 90 tests each, the same network, the same number of steps.

# %%
problem = zoo.poisson_1d_steep()
WEIGHTS = [1 / 90, 1]  # the equation's loss: a mean over 90 tests
SAME = {"hidden": (20, 20, 20), "hats": False, "weights": WEIGHTS}
meshes = {
    "3 equal": HPVPINN(3, degree=30, points=40, **SAME),
    "3 by hand": HPVPINN([[-1, -0.1, 0.1, 1]], degree=30, points=40, **SAME),
    "9 equal": HPVPINN(9, degree=10, points=16, **SAME),
}


def train(mesh, seed):
    """Two hundred steps by the optimiser of exercise 34.9."""

    def by_levenberg(net, data):
        return LevenbergMarquardt(
            net.parameters(), lambda: data.residual_vector(net, WEIGHTS)
        )

    return solve(problem, mesh, optimizer=by_levenberg, iterations=200, seed=seed)


found = {name: [train(mesh, seed=0)] for name, mesh in meshes.items()}

# %%
for name, mesh in meshes.items():
    found[name].append(train(mesh, seed=1))
elements = solve(problem, FEM(45))

# %% tags=["nbval-ignore-output"]
# Where two hundred steps end moves with a processor's last digits; the next cell is compared.
fig, (left, right) = plt.subplots(1, 2)
line = torch.linspace(-1, 1, 801)[:, None]
left.plot(line, problem.exact(line), color="k", lw=4, alpha=0.25, label="truth")
for name, marker in (("3 equal", "o"), ("9 equal", "s")):
    first = found[name][0]
    left.plot(line, first.predict(line), lw=1, label=name)
    data = first.model.data
    mesh = data.form.mesh
    centres = (mesh.lower + mesh.upper) / 2
    right.semilogy(centres, data.element_norm(first.net), marker, label=name)
left.set(xlabel="x", ylabel="u")
left.legend(fontsize=8)
right.set(xlabel="centre of the element", ylabel="norm of its weak residuals")
right.legend(fontsize=8)
figure(
    fig,
    caption="Left: two solutions. Right: the estimator, element by element. Does it point at "
    "the layer?",
    alt="Left: both solutions have the layer in the right place, but overshoot it several times over "
    "and return to the truth only at the ends. Right, on a logarithmic axis: of three elements the "
    "middle one has the largest norm by far; of nine the middle one has one of the smallest.",
)

# %%
print("90 tests       relative error of two seeds")
for name, runs in found.items():
    errors = [run.error() for run in runs]
    bounds = f"above 0.3: {min(errors) > 0.3!s:5s}  below 5e-3: {max(errors) < 5e-3}"
    print(f"{name:13s}  {bounds}")
print(f"finite elements, {elements.parameters} unknowns: {elements.error():.1e}")

# %% [markdown]
# **The baseline to beat** is the mesh by hand: a smaller error, with at most 90 tests in the last
# mesh, from three equal elements on, by a rule that knows the residual and nothing else. And the
# line below it says what classical elements do with as many unknowns, all equal. The digits of
# two hundred steps depend on the processor, so the cell prints bounds: `found[name][0].error()`
# is the figure of yours.
#
# ## Three milestones
#
# 1. **The loop.** Train, estimate with `data.element_norm(net)`, mark the elements that hold half
#    of the sum of squares, `mesh.refine(marks)`, train on from the same weights.
#    `Variational(problem, mesh, num_boundary=2)` takes a mesh; `solve` shows how a model is put
#    together. Count all steps, not only the last round's.
# 2. **Does the estimator see?** With nine elements, above, it does not point at the layer.
#    Compare it with the true error per element, during training. One trap of chapter 34: between
#    its tests a network is free. Would *fresh* tests of a higher degree on the same elements be a
#    better witness?
# 3. **Beyond one dimension.** `zoo.poisson_2d_steep()` and the corner of `zoo.l_shape()`. Is
#    splitting (h) or raising the degree (p) better, and can the residual tell which?
#
# ## Traps
#
# - Equal CPU time, not equal steps: a step costs more with more tests. Say both.
# - An estimator that is small because training has fitted the tests is not a small error.
# - The best mesh by hand is not the one above. Try three before you claim to have beaten hands.
# - Finite elements may be refined too, and take milliseconds. `fem` takes edges: give them a
#   graded mesh.
#
# ## What a good answer contains
#
# Error against CPU seconds for the loop, hand-made meshes and finite elements with a graded mesh,
# over five seeds; the estimator against the true error; a control (random marks: is the residual
# better than chance?); and where the loop fails. The [rubric](../instructor/rubrics.md) says how
# it is scored.
#
# ## Readings
#
# - **Kharazmi, Zhang and Karniadakis (2021)**, *hp-VPINNs: variational physics-informed neural
#   networks with domain decomposition*, Comput. Methods Appl. Mech. Eng. 374. Look for how their
#   elements were chosen.
# - **Dörfler (1996)**, *A convergent adaptive algorithm for Poisson's equation*, SIAM Journal on
#   Numerical Analysis 33(3). Look for the marking: which share, and why a share.
# - **Berrone, Canuto and Pintore (2022)**, *Solving PDEs by variational physics-informed neural
#   networks: an a posteriori error analysis*, Ann. Univ. Ferrara 68. Look for the terms of the
#   estimator that our element norm does not have.
# - **Rojas and others (2024)**, *Robust variational physics-informed neural networks*, Comput.
#   Methods Appl. Mech. Eng. 425. Look for when the dual norm of the residual is equivalent to the
#   error.
