"""What ``make bench`` says of outputs on other machines is itself checked."""

import json
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from course.building.bake import execute, write
from course.building.syllabus import Chapter, chapters
from tests.benchmarks.course import robust
from tests.benchmarks.course import tables as tables_course

SIGNATURE = (
    "import torch\n"
    "drawn = torch.rand(1, generator=torch.Generator().manual_seed(5)).item()\n"
    "print('drawn', drawn)\n"
    "print('above 0:', drawn > 0)\n"
    "print('as stored:', abs(drawn - {value}) < 1e-6)"
)
DRAWN = 0.6420150066280941
INSTRUCTIONS = "import torch\nprint(torch.backends.cpu.get_cpu_capability())"


@pytest.fixture(scope="module")
def chapter(tmp_path_factory: pytest.TempPathFactory) -> Chapter:
    """A chapter whose signature result draws a number from a seed."""
    folder = tmp_path_factory.mktemp("course")
    (folder / "syllabus.yml").write_text(
        (Path(__file__).parent / "tiny" / "syllabus.yml").read_text()
    )
    (chapter,) = chapters(folder)
    setup = new_code_cell("from course.kit import setup\ng = setup(seed=1)")
    setup.metadata.tags = ["setup"]
    notebook = new_notebook(
        cells=[
            setup,
            new_code_cell("import torch\ntorch.rand(1).item(), g.initial_seed()"),
            new_markdown_cell("## Signature result: a number"),
            new_code_cell(SIGNATURE.format(value=DRAWN)),
            new_markdown_cell("## An experiment to change"),
            new_code_cell("print('True of no interest')"),
            new_code_cell(INSTRUCTIONS),
        ]
    )
    chapter.source.parent.mkdir(parents=True)
    execute(notebook, folder)
    write(notebook, chapter.source)
    return chapter


def test_a_decision_that_hangs_on_the_seed_flips_and_digits_do_not(
    chapter: Chapter,
) -> None:
    found = robust.compare_decisions(chapter.source, shift=1000)
    assert found == {
        "decisions": 3,
        "flipped": [["as stored: True", "as stored: False"]],
        "error": [],
    }


def test_old_instructions_reach_the_kernel(chapter: Chapter) -> None:
    """The last cell prints them, so that nbval finds them changed, and them only."""
    found = robust.compare_outputs(chapter.source)
    assert found["passed"] == 4
    assert list(found["failed"]) == ["Cell 4"]
    assert "DEFAULT" in found["failed"]["Cell 4"]
    assert found["cpu_seconds"] > 0


@pytest.mark.parametrize(
    ("line", "masked"),
    [
        ("PINN   error 0.03,  below 1e-1: True", "PINN error # below 1e-1: True"),
        ("lost: more than 1.5   (70 %)", "lost: more than 1.5 (# %)"),
        ("rho -0.75  p 0.001", "rho # p #"),
        ("HyperLISTA     3    -39.2 dB", "HyperLISTA # # dB"),
    ],
)
def test_digits_are_masked_and_bounds_are_not(line: str, masked: str) -> None:
    assert robust.mask(line) == masked


@pytest.mark.parametrize("chapter", chapters(), ids=lambda c: c.slug)
def test_every_signature_result_decides_something(chapter: Chapter) -> None:
    lines = robust.decisions(nbformat.read(chapter.source, as_version=4))
    assert any("True" in line or "below" in line for line in lines)


def test_every_row_comes_once() -> None:
    names = [name for name, _, _ in robust.plan()]
    assert names[0] == robust.OLDEST
    assert names[len(chapters())] == "seeds + 1000"
    rows = [(name, source.stem) for name, source, _ in robust.plan()]
    assert len(set(rows)) == len(rows)
    assert (robust.OLDEST, "worked_example") in rows
    assert ("seeds + 1000", "worked_example") not in rows


def test_a_row_is_of_code_and_of_what_it_prints_only(chapter: Chapter) -> None:
    before = robust.digest_of(chapter.source)
    notebook = nbformat.read(chapter.source, as_version=4)
    notebook.cells[2].source += "\nSome prose."
    drawing = new_code_cell("plt.plot([1, 2])")
    drawing.metadata.tags = ["picture"]
    notebook.cells.append(drawing)
    other = chapter.source.with_name("other.ipynb")
    nbformat.write(notebook, other)
    assert robust.digest_of(other) == before
    notebook.cells[1].source += " "
    nbformat.write(notebook, other)
    assert robust.digest_of(other) != before
    notebook.cells[1].source = notebook.cells[1].source[:-1]
    notebook.cells[3].outputs[0].text += "more"
    nbformat.write(notebook, other)
    assert robust.digest_of(other) != before


def test_rows_of_the_past_are_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = chapters()[0].source
    now = {"notebook": robust.digest_of(source), "failed": {}}
    then = {"notebook": "another", "flipped": []}
    rows = {source.stem: {robust.OLDEST: now, "seeds + 1000": then, "no more": now}}
    monkeypatch.setattr(robust.record, "RESULTS", tmp_path)
    monkeypatch.setattr(robust, "RESULTS", tmp_path / "robust.json")
    (tmp_path / "robust.json").write_text(json.dumps({"machine": {}, "rows": rows}))
    robust.forget()
    assert robust.read()["rows"] == {source.stem: {robust.OLDEST: now}}


def test_the_table_names_the_notebooks_that_change() -> None:
    changed = {"failed": {"Cell 3": "..."}}
    rows = {
        "01_tiny": {"default, 1 thread": changed},
        "02_small": {
            "default, 1 thread": {"failed": {}},
            "seeds + 1000": {"flipped": [["a: True", "a: False"]], "error": []},
            "seeds + 2000": {"flipped": [], "error": ["ex02-1"]},
        },
        "pinn_project": {"default, 1 thread": changed},
    }
    machine = {"cpu": "a CPU", "date": "2026-01-01"}
    table = tables_course.robust({"rows": rows, "machine": machine})
    assert table.splitlines()[2:] == [
        "| default, 1 thread | 1 of 2 | 0 of 1 | 01, pinn_project |",
        "| seeds + 1000 | 0 of 1 |  | 02 |",
        "| seeds + 2000 | 0 of 1 |  | 02 |",
        "",
        "a CPU, 2026-01-01.",
    ]
