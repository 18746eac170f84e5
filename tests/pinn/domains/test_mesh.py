"""Elements tile the domain; subdomains meet at their interfaces."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pinn import Mesh, Partition, zoo
from pinn._backend import dde

SQUARE = dde.geometry.Rectangle([-1, -1], [1, 1])
LINE = dde.geometry.Interval(-1, 1)


def volume(mesh: Mesh) -> float:
    return (mesh.upper - mesh.lower).prod(1).sum().item()


@given(st.integers(1, 5), st.integers(1, 5), st.integers(0, 2**25 - 1))
def test_refinement_tiles_the_same_domain(nx: int, ny: int, bits: int) -> None:
    mesh = Mesh(SQUARE, [nx, ny], degree=3)
    for _ in range(2):
        marks = torch.tensor([bool(bits >> (k % 25) & 1) for k in range(len(mesh))])
        finer = mesh.refine(marks)
        assert len(finer) == len(mesh) + 3 * int(marks.sum())
        assert volume(finer) == pytest.approx(4, abs=1e-12)
        raised = mesh.refine(marks, degree=2)
        assert raised.degrees.tolist() == (3 + 2 * marks).tolist() or not marks.any()
        mesh = finer


def test_an_l_is_tiled_without_its_missing_quadrant() -> None:
    geometry = zoo.l_shape().geometry
    mesh = Mesh(geometry, 4)
    assert len(mesh) == 12 and volume(mesh) == pytest.approx(3)
    with pytest.raises(
        ValueError, match="element .* lies in the geometry only in part"
    ):
        Mesh(geometry, 3)


@pytest.mark.parametrize(
    "make, error, message",
    [
        (lambda: Mesh(SQUARE, [2, [0, 2]]), ValueError, r"elements\[1\] runs from 0"),
        (lambda: Mesh(SQUARE, [2, [0, 0]]), ValueError, r"elements\[1\] is \[0, 0\]"),
        (lambda: Mesh(SQUARE, [2]), ValueError, "1 entries but the domain 2 axes"),
        (lambda: Mesh(SQUARE, 0), ValueError, r"elements\[0\] is 0"),
        (lambda: Mesh(SQUARE, 1, degree=0), ValueError, "degree is 0"),
        (
            lambda: Mesh(zoo.l_shape().geometry, [[0.2, 0.5], [0.2, 0.5]]),
            ValueError,
            "mesh has no elements: none of the 1 boxes",
        ),
        (lambda: Mesh(LINE).refine(torch.ones(1)), TypeError, "torch.float32"),
        (
            lambda: Mesh(LINE).refine(torch.ones(2) > 0),
            ValueError,
            r"marks has shape \(2,\): expected \(1\)",
        ),
        (lambda: Partition(LINE, [[1.5]]), ValueError, r"cuts\[0\] has 1.5"),
        (
            lambda: Partition(LINE, [[0.5, 0.2]]),
            ValueError,
            "expected a count, or rising",
        ),
        (lambda: Partition(LINE, [[], []]), ValueError, "2 entries but the domain 1"),
    ],
)
def test_bad_input_is_refused(make, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        make()


@given(st.lists(st.floats(-0.99, 0.99), max_size=4, unique=True),
       st.lists(st.floats(-0.99, 0.99), max_size=3, unique=True))  # fmt: skip
def test_every_point_lies_in_the_subdomain_it_is_given(xs: list, ys: list) -> None:
    partition = Partition(SQUARE, [sorted(xs), sorted(ys)])
    assert len(partition) == (len(xs) + 1) * (len(ys) + 1)
    x = 2 * torch.rand(100, 2, generator=torch.Generator().manual_seed(0)).double() - 1
    index = partition.locate(x)
    assert (partition.lower[index] <= x).all() and (x <= partition.upper[index]).all()


def test_interfaces_are_the_shared_faces() -> None:
    partition = Partition(SQUARE, [[0.0], [-0.5, 0.5]])
    faces = partition.interfaces
    assert len(faces) == 3 + 4
    for face in faces:
        middle = (torch.tensor([face.lower]) + torch.tensor([face.upper])) / 2
        step = torch.zeros(1, 2)
        step[0, face.axis] = 1e-6
        assert partition.locate(middle - step).item() == face.left
        assert partition.locate(middle + step).item() == face.right
        assert face.lower[face.axis] == face.upper[face.axis]
