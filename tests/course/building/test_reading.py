"""What others have written is read, or refused in one sentence."""

import copy
import json
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest

from course.building import reading
from course.building.exercises import grade_id
from course.building.reading import Unreadable, parsed, read

ANSWER = "def double(number):\n    return 2 * number"
NOTEBOOK = {
    "cells": [
        {"cell_type": "markdown", "metadata": {}, "source": "# Doubling"},
        {
            "cell_type": "code",
            "execution_count": None,
            "id": "ex01-1",
            "metadata": {"nbgrader": {"grade_id": "ex01-1", "solution": True}},
            "outputs": [],
            "source": ANSWER,
        },
    ],
    "metadata": {},
    "nbformat": 4,
    "nbformat_minor": 5,
}


def data(change: Callable[[dict], object] = lambda notebook: None) -> bytes:
    notebook = copy.deepcopy(NOTEBOOK)
    change(notebook)
    return json.dumps(notebook).encode()


def answer(notebook: dict) -> dict:
    return notebook["cells"][1]


def nest(notebook: dict) -> None:
    deep: list = []
    for _ in range(500):
        deep = [deep]
    notebook["metadata"]["deep"] = deep


ODD = {
    "no kernel name": lambda n: n["metadata"].update(kernelspec={"language": "x"}),
    "authors": lambda n: n["metadata"].update(authors="me"),
    "deep metadata": nest,
    "tags": lambda n: answer(n)["metadata"].update(tags="setup"),
    "a star for a count": lambda n: answer(n).update(execution_count="*"),
    "a weird output": lambda n: answer(n).update(outputs=[{"output_type": "weird"}]),
    "half an output": lambda n: answer(n).update(outputs=[{"data": {"a": 1}}, None]),
    "a property": lambda n: answer(n).update(collapsed=True),
    "attached to code": lambda n: answer(n).update(attachments={"a": {}}),
    "text with outputs": lambda n: n["cells"][0].update(outputs=[]),
    "broken attachments": lambda n: n["cells"][0].update(attachments={"a": 3, "b": {}}),
    "no metadata": lambda n: n["cells"][0].pop("metadata"),
    "metadata in a list": lambda n: n["cells"][0].update(metadata=[1]),
    "lines": lambda n: answer(n).update(source=ANSWER.splitlines(keepends=True)),
    "twins": lambda n: n["cells"][0].update(id="ex01-1"),
    "an id with blanks": lambda n: n["cells"][0].update(id="a b"),
}


@pytest.mark.parametrize("name", ODD)
def test_an_odd_notebook_is_read_as_what_counts_of_it(name: str) -> None:
    notebook = parsed(data(ODD[name]))
    nbformat.validate(notebook)
    answers = [c for c in notebook.cells if grade_id(c) == "ex01-1"]
    assert [c.source for c in answers] == [ANSWER]
    assert len({c.id for c in notebook.cells}) == 2


@pytest.mark.parametrize("mark", [None, "x", 3, [], {"grade_id": ["a"]}, {}])
def test_an_answer_that_lost_its_mark_keeps_its_text(mark: object) -> None:
    notebook = parsed(data(lambda n: answer(n)["metadata"].update(nbgrader=mark)))
    assert notebook.cells[1].source == ANSWER
    assert grade_id(notebook.cells[1]) is None


def test_a_mark_of_windows_and_half_a_character_are_no_fault() -> None:
    notebook = parsed(b"\xef\xbb\xbf" + data())
    assert notebook.cells[1].source == ANSWER
    half = data(lambda n: answer(n).update(source="a = '\ud800'"))
    cell = parsed(half).cells[1]
    assert cell.source == "a = '?'"
    cell.source.encode()


def test_the_format_before_is_converted() -> None:
    cells = [{"cell_type": "code", "input": ANSWER, "outputs": [], "language": "py"}]
    old = {"nbformat": 3, "worksheets": [{"cells": cells}], "metadata": {}}
    assert parsed(json.dumps(old).encode()).cells[0].source == ANSWER


DAMAGED = {
    b"": "the file is empty",
    b"\0\0\0\0": "the file is empty",
    b"null": "the file holds null, no notebook",
    b"[]": "the file holds a list, no notebook",
    b"17": "no notebook",
    b"{}": "no list of cells",
    b"Dear teacher, {see} below": "the file is no notebook$",
    b"<!DOCTYPE html>": "no notebook: it is a web page",
    b"PK\x03\x04rest": "no notebook: it is a zip archive",
    b"%PDF-1.7": "no notebook: it is a PDF",
    '{"cells"'.encode("utf-16"): "in UTF-16",
    data().replace(b"Doubling", "Größe".encode("latin1")): r"not in UTF-8.*0xf6",
    data()[:-60]: r"ends in the middle, after \d+ bytes",
    data()[:90]: "ends in the middle",
    b'{\n"cells": oops}': "damaged in line 2",
    b'{"a":' + b"[" * 200_000: "nested too deeply|in the middle",
    data(lambda n: n.update(nbformat=99)): "format is 99, expected 4",
    data(lambda n: n.update(cells=None)): "no list of cells",
    data(lambda n: n["cells"].append(7)): "cell 3 is no cell but 7",
    data(lambda n: answer(n).update(cell_type="sql")): "cell 2 .* unknown type 'sql'",
    data(lambda n: answer(n).update(cell_type=["code"])): "unknown type",
    data(lambda n: answer(n).update(source={"a{b}": 1})): r"holds no text but \{'a\{b",
}


@pytest.mark.parametrize("damaged", DAMAGED, ids=range(len(DAMAGED)))
def test_a_damaged_notebook_is_refused_in_one_sentence(damaged: bytes) -> None:
    with pytest.raises(Unreadable, match=DAMAGED[damaged]) as refused:
        parsed(damaged)
    assert "\n" not in str(refused.value)


def test_a_file_too_large_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "large.ipynb"
    path.write_bytes(data() + b" " * 2**20)
    assert read(path).cells
    monkeypatch.setattr(reading, "LARGEST", 2**20)
    with pytest.raises(Unreadable, match="has 1 MB, more than 1"):
        read(path)
