"""Read notebooks that others have written; of a damaged one, say in a sentence why.

Learning-management systems, editors and full disks do things to files that no library
expects. What is read here is rebuilt from the parts that count, cell by cell: outputs,
unknown metadata and whatever else may be odd stay behind.
"""

import json
import re
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

LARGEST = 100 * 2**20
"""Bytes; what is larger is no answer to an exercise."""

_KINDS = {
    b"PK\x03\x04": "it is a zip archive",
    b"%PDF": "it is a PDF",
    b"\x1f\x8b": "it is a compressed archive",
    b"\xff\xfe": "it is in UTF-16, and notebooks are in UTF-8",
    b"\xfe\xff": "it is in UTF-16, and notebooks are in UTF-8",
    b"<": "it is a web page",
}
_JSON = {list: "a list", str: "a text", bool: "a truth value", type(None): "null"}
_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
METADATA = {
    "kernelspec": {
        "display_name": "Python 3",
        "language": "python",
        "name": "python3",
    },
    "language_info": {"name": "python"},
}


class Unreadable(ValueError):
    """A file that is no notebook; the message is one sentence without a full stop."""


def read(path: Path) -> NotebookNode:
    """Read a notebook.

    Args:
        path: The file.

    Returns:
        What counts of it.

    Raises:
        FileNotFoundError: If there is no such file.
        Unreadable: If it is no notebook.
    """
    if path.stat().st_size > LARGEST:
        size = path.stat().st_size / 2**20
        raise Unreadable(f"the file has {size:.0f} MB, more than {LARGEST // 2**20}")
    return parsed(path.read_bytes())


def parsed(data: bytes) -> NotebookNode:
    """Read a notebook from the bytes of its file.

    Args:
        data: The bytes.

    Returns:
        What counts of it: cells of code, Markdown and raw text, with sources,
        attachments, tags and ``grade_id``.

    Raises:
        Unreadable: If they are no notebook.

    Example:
        >>> parsed(b"null")
        Traceback (most recent call last):
        course.building.reading.Unreadable: the file holds null, no notebook
    """
    notebook = _json(data)
    if not isinstance(notebook, dict):
        what = _JSON.get(type(notebook), "a number")
        raise Unreadable(f"the file holds {what}, no notebook")
    cells = _cells(notebook)
    clean = nbformat.from_dict(
        {
            "cells": [_cell(number, cell) for number, cell in enumerate(cells, 1)],
            "metadata": METADATA,
            "nbformat": 4,
            "nbformat_minor": 5,
        }
    )
    _number_twins(clean.cells)
    return clean


def _json(data: bytes) -> Any:
    for start, kind in _KINDS.items():
        if data.lstrip().startswith(start):
            raise Unreadable(f"the file is no notebook: {kind}")
    if not data.strip(b"\x00 \r\n\t"):
        raise Unreadable("the file is empty")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Unreadable(
            f"the file is not in UTF-8, as notebooks are: byte {error.start + 1} is "
            f"0x{data[error.start]:02x}"
        ) from None
    try:
        return json.loads(text)
    except RecursionError:
        raise Unreadable("the file is nested too deeply to be read") from None
    except ValueError as error:
        if not text.lstrip().startswith(("{", "[")):
            raise Unreadable("the file is no notebook") from None
        position = getattr(error, "pos", 0)
        if len(text) - position < 2 or "Unterminated" in str(error):
            raise Unreadable(
                f"the file ends in the middle, after {len(data)} bytes: it was not "
                "saved or copied whole"
            ) from None
        line = getattr(error, "lineno", "?")
        raise Unreadable(
            f"the file is damaged in line {line}, it cannot be read as JSON"
        ) from None


def _cells(notebook: dict) -> list:
    version = notebook.get("nbformat", 4)
    if version == 3 and isinstance(notebook.get("worksheets"), list):
        try:
            return nbformat.convert(nbformat.from_dict(notebook), 4).cells
        except Exception:  # whatever an old format may lack
            raise Unreadable(
                "the notebook is in the old format 3 and damaged"
            ) from None
    if version != 4:
        raise Unreadable(f"the notebook's format is {_shown(version)}, expected 4")
    cells = notebook.get("cells")
    if not isinstance(cells, list):
        raise Unreadable("the file has no list of cells, so it is no notebook")
    return cells


def _cell(number: int, cell: Any) -> dict:
    if not isinstance(cell, dict):
        raise Unreadable(f"cell {number} is no cell but {_shown(cell)}")
    kind = cell.get("cell_type")
    if kind not in ("code", "markdown", "raw"):
        raise Unreadable(f"cell {number} is of the unknown type {_shown(kind)}")
    source = cell.get("source", "")
    if isinstance(source, list) and all(isinstance(line, str) for line in source):
        source = "".join(source)
    if not isinstance(source, str):
        raise Unreadable(f"cell {number} holds no text but {_shown(source)}")
    name = cell.get("id")
    found: dict[str, Any] = {
        "cell_type": kind,
        "id": name if _is_id(name) else f"cell-{number}",
        "metadata": _metadata(cell.get("metadata")),
        "source": _encodable(source),
    }
    if kind == "code":
        found |= {"outputs": [], "execution_count": None}
    elif attachments := _attachments(cell.get("attachments")):
        found["attachments"] = attachments
    return found


def _metadata(metadata: Any) -> dict:
    """Tags, and what nbgrader must know; whoever grades takes the rest elsewhere."""
    metadata = metadata if isinstance(metadata, dict) else {}
    found: dict[str, Any] = {}
    tags = metadata.get("tags")
    if isinstance(tags, list) and all(isinstance(tag, str) for tag in tags):
        found["tags"] = tags
    known = metadata.get("nbgrader")
    if isinstance(known, dict) and isinstance(known.get("grade_id"), str):
        plain = (str, bool, int, float)
        found["nbgrader"] = {k: v for k, v in known.items() if isinstance(v, plain)}
    return found


def _attachments(attachments: Any) -> dict:
    if not isinstance(attachments, dict):
        return {}
    return {
        _encodable(name): {kind: data for kind, data in bundle.items()}
        for name, bundle in attachments.items()
        if isinstance(bundle, dict)
        and bundle
        and all(isinstance(data, str) for data in bundle.values())
    }


def _number_twins(cells: list[NotebookNode]) -> None:
    """Copied cells may share an id; every one after the first gets another."""
    seen: set[str] = set()
    for number, cell in enumerate(cells, 1):
        while cell.id in seen:
            cell.id = f"{cell.id[:50]}-{number}"
        seen.add(cell.id)


def _is_id(name: Any) -> bool:
    return isinstance(name, str) and _ID.fullmatch(name) is not None


def _encodable(text: str) -> str:
    """Halves of characters, which JSON can spell and no file can hold, become "?"."""
    return text.encode("utf-8", "replace").decode()


def _shown(value: Any) -> str:
    text = ascii(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
