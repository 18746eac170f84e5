import nbformat
import pytest
from nbclient.exceptions import CellExecutionError

from course.building.bake import bake, convert
from course.building.syllabus import Chapter


def test_two_bakes_give_the_same_bytes(tiny: Chapter) -> None:
    first = bake(tiny).read_bytes()
    assert bake(tiny).read_bytes() == first


def test_a_bake_stores_outputs_and_counts(tiny: Chapter) -> None:
    notebook = nbformat.read(bake(tiny), as_version=4)
    cells = [c for c in notebook.cells if c.cell_type == "code"]
    assert [c.execution_count for c in cells] == [1, 2, 3, 4, 5]
    assert cells[-1].outputs[0].text == "42\n"
    assert "execution" not in cells[0].metadata


def test_the_notebook_tells_nothing_of_the_machine(tiny: Chapter) -> None:
    text = bake(tiny).read_text()
    assert str(tiny.folder) not in text
    assert '"version"' not in text


def test_graded_cells_are_called_by_their_grade_id(tiny: Chapter) -> None:
    ids = [cell.id for cell in convert(tiny.text).cells]
    assert "ex01-1" in ids
    assert "ex01-1-heldout" in ids
    assert len(set(ids)) == len(ids)


def test_an_edit_changes_the_id_of_the_edited_cell_only(tiny: Chapter) -> None:
    before = [cell.id for cell in convert(tiny.text).cells]
    tiny.text.write_text(tiny.text.read_text().replace("print(", "print(1 * "))
    after = [cell.id for cell in convert(tiny.text).cells]
    assert [a == b for a, b in zip(before, after, strict=True)] == [True] * 6 + [False]


def test_equal_cells_get_different_ids(tiny: Chapter) -> None:
    tiny.text.write_text(tiny.text.read_text() + "\n# %%\nunit\n\n# %%\nunit\n")
    ids = [cell.id for cell in convert(tiny.text).cells]
    assert len(set(ids)) == len(ids)


def test_a_failing_cell_leaves_the_stored_notebook_alone(tiny: Chapter) -> None:
    before = bake(tiny).read_bytes()
    tiny.text.write_text(tiny.text.read_text() + "\n# %%\n1 / 0\n")
    with pytest.raises(CellExecutionError, match="division by zero"):
        bake(tiny)
    assert tiny.source.read_bytes() == before
    assert list(tiny.source.parent.iterdir()) == [tiny.source]


def test_the_front_picture_is_stored_for_the_readme(tiny: Chapter) -> None:
    draw = (
        '\n# %% tags=["front-page"]\nimport matplotlib.pyplot as plt\n'
        "from course.kit import figure\n"
        "fig, ax = plt.subplots()\nax.imshow([[0, 1]])\n"
        "figure(fig, caption='Two pixels.', alt='Black and white.')\n"
    )
    tiny.text.write_text(tiny.text.read_text() + draw)
    bake(tiny)
    (picture,) = (tiny.folder / "site" / "images").iterdir()
    assert picture.name == "01_tiny.png"
    assert picture.read_bytes().startswith(b"\x89PNG")
