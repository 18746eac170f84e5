"""Notice what code that was graded has changed, and put it back."""

import hashlib
import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_Sign = tuple[int, int, int, int]


@dataclass(frozen=True)
class _Known:
    sign: _Sign
    digest: str
    kept: Path


class Guard:
    """Digests of files that no submission may change, with copies of them.

    A file counts as unchanged while its number, size and times are: of these the time
    of the last change cannot be set by a program.
    """

    def __init__(self, files: Iterable[Path], gradebook: Path, keep: Path) -> None:
        """Copy the files.

        Args:
            files: The chapters and what was handed in.
            gradebook: The gradebook; other than the files, grading itself changes it.
            keep: An empty folder for the copies.
        """
        self._gradebook, self._keep = gradebook, keep
        self._known: dict[Path, _Known] = {}
        for number, path in enumerate(sorted({*files})):
            kept = keep / str(number)
            shutil.copyfile(path, kept)
            self._known[path] = _Known(_sign(path), digest(path), kept)

    def begin(self) -> None:
        """Take the gradebook as it is now for the right one."""
        shutil.copyfile(self._gradebook, self._keep / "gradebook")
        self._points = digest(self._gradebook)

    def changed(self) -> list[str]:
        """Name the files that have changed, and put them back as they were.

        Returns:
            The last two parts of each path, in order.
        """
        found = [p for p, known in self._known.items() if self._has_changed(p, known)]
        for path in found:
            _put_back(self._known[path].kept, path)
            known = self._known[path]
            self._known[path] = _Known(_sign(path), known.digest, known.kept)
        if digest(self._gradebook) != self._points:
            _put_back(self._keep / "gradebook", self._gradebook)
            found.append(self._gradebook)
        return ["/".join(path.parts[-2:]) for path in found]

    def _has_changed(self, path: Path, known: _Known) -> bool:
        if path.is_symlink() or not path.is_file():
            return True
        return _sign(path) != known.sign and digest(path) != known.digest


def digest(path: Path) -> str:
    """Return the SHA-256 of a file, empty if there is none.

    Args:
        path: The file.

    Returns:
        Hexadecimal digits.
    """
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sign(path: Path) -> _Sign:
    status = os.stat(path)
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _put_back(kept: Path, path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial")
    shutil.copyfile(kept, partial)
    partial.replace(path)
