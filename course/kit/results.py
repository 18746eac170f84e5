"""Figures that a chapter quotes from the stored runs of the benchmarks.

A key that a run did not store is an error. A table that skips it would show fewer rows
than the text promises, and nobody would notice.
"""

import difflib
import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[2] / "tests" / "benchmarks" / "results"


class Stored(dict):
    """A dictionary from a file of results: asking for an unknown key is an error.

    ``d[key]`` and ``d.get(key)`` both raise ``KeyError``; ``d.get`` knows no default.

    Example:
        >>> rows = Stored("demo", {"LISTA": -16.8, "AMP": -31.0})
        >>> rows["LISTA"]
        -16.8
        >>> rows.get("LISTTA", None)
        Traceback (most recent call last):
        ...
        KeyError: "demo.json has no 'LISTTA' here, perhaps 'LISTA'; it has: LISTA, AMP"
    """

    def __init__(self, name: str, values: dict[str, Any]) -> None:
        super().__init__(values)
        self.name = name

    def __missing__(self, key: str) -> Any:
        near = difflib.get_close_matches(str(key), self, n=1)
        hint = f", perhaps {near[0]!r}" if near else ""
        raise KeyError(
            f"{self.name}.json has no {key!r} here{hint}; it has: {', '.join(self)}"
        )

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value of ``key`` as ``[]`` does; ``default`` is never used."""
        return self[key]


def stored(name: str) -> Stored:
    """Read ``tests/benchmarks/results/<name>.json``.

    Args:
        name: Of the file, without its ending, such as ``"lista"``.

    Returns:
        What was stored, dictionaries as ``Stored`` at every depth.

    Raises:
        FileNotFoundError: If there is no such file; the message lists those there are.

    Example:
        >>> rows = stored("lista")["rows"]
        >>> rows["ALISTA 50x100"]["parameters"]
        32
        >>> stored("listen")
        Traceback (most recent call last):
        ...
        FileNotFoundError: no stored results 'listen'; there are: ...
    """
    path = FOLDER / f"{name}.json"
    if not path.is_file():
        there = ", ".join(sorted(p.stem for p in FOLDER.glob("*.json")))
        raise FileNotFoundError(f"no stored results {name!r}; there are: {there}")
    return json.loads(path.read_text(), object_hook=lambda d: Stored(name, d))
