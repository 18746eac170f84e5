"""Elements tile the domain; subdomains meet at their interfaces."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pinn import Mesh, Partition, zoo
from pinn._backend import dde
from pinn.domains.border import corners

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


def test_a_hole_inside_an_element_is_found() -> None:
    """Corners and centre are in the domain: another domain used to be solved."""
    hole = dde.geometry.Disk([0.6, 0.5], 0.05)
    holed = dde.geometry.Rectangle([0, 0], [1, 1]) - hole
    with pytest.raises(ValueError, match="border of the geometry runs through the el"):
        Mesh(holed, [[0, 0.2, 0.45, 1], [0, 0.35, 1]])
    in_time = dde.geometry.GeometryXTime(holed, dde.geometry.TimeDomain(0, 1))
    with pytest.raises(ValueError, match="border of the geometry runs through the el"):
        Mesh(in_time, [[0, 0.2, 0.45, 1], [0, 0.35, 1], 1])


def test_corners_are_where_two_sides_meet() -> None:
    x = np.array([[0.0, 0.0], [0.5, 0.0], [1.0, 2.0], [0.5, 0.5], [0.0, 1.0]])
    box = dde.geometry.Rectangle([0, 0], [1, 2])
    assert corners(box, x).tolist() == [True, False, True, False, False]
    ell = zoo.l_shape().geometry
    ends = np.array([[0.0, 0.0], [-1.0, -1.0], [-1.0, 0.5]])
    assert corners(ell, ends).tolist() == [True, True, False]
    holed = box - dde.geometry.Disk([0.5, 1.0], 0.1)
    assert corners(holed, x).tolist() == [True, False, True, False, False]
    moving = dde.geometry.GeometryXTime(box, dde.geometry.TimeDomain(0, 1))
    with_time = np.hstack([x, np.full((5, 1), 0.3)])
    assert corners(moving, with_time).tolist() == corners(box, x).tolist()
    assert not corners(dde.geometry.Interval(0, 1), np.array([[0.0], [1.0]])).any()


def test_corners_of_what_is_cut_out_or_added_count() -> None:
    outer = dde.geometry.Rectangle([0, 0], [1, 1])
    inner = dde.geometry.Rectangle([0.4, 0.4], [0.6, 0.6])
    x = np.array([[0.0, 1.0], [0.4, 0.6], [0.4, 0.5], [0.5, 0.0]])
    assert corners(outer - inner, x).tolist() == [True, True, False, False]
    beside = dde.geometry.Rectangle([1, 0], [2, 0.5])
    places = np.array([[2.0, 0.5], [0.0, 0.0], [2.0, 0.2]])
    assert corners(outer | beside, places).tolist() == [True, True, False]


def test_corners_of_a_polygon_cut_out_of_a_disk_count_at_all_times() -> None:
    triangle = dde.geometry.Triangle([0, 0], [0.4, 0], [0, 0.4])
    holed = dde.geometry.Disk([0, 0], 1) - triangle
    lasting = dde.geometry.GeometryXTime(holed, dde.geometry.TimeDomain(0, 1))
    x = np.array([[0.4, 0.0, 0.3], [0.2, 0.0, 0.3], [0.0, 0.0, 0.9], [1.0, 0.0, 0.0]])
    assert corners(lasting, x).tolist() == [True, False, True, False]


def test_looking_at_the_border_disturbs_no_random_number() -> None:
    before = np.random.get_state()[1].copy()
    Mesh(zoo.l_shape().geometry, 2)
    assert np.array_equal(before, np.random.get_state()[1])
