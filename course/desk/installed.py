"""Which packages are installed, which are needed, and in which versions."""

from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from packaging.requirements import Requirement


def missing(project: str, extra: str) -> list[str]:
    """Return the packages that an extra of a project needs and that are not there.

    Args:
        project: An installed project.
        extra: One of its extras.

    Returns:
        Sorted names, of direct and indirect requirements.

    Raises:
        importlib.metadata.PackageNotFoundError: If the project is not installed.

    Example:
        >>> missing("packaging", "")
        []
    """
    metadata.version(project)
    return sorted(n for n in requirements(project, extra) if version(n) is None)


def requirements(project: str, extra: str) -> set[str]:
    """Return all packages that an extra of a project needs, directly or not.

    Args:
        project: A project; what one needs that is not installed cannot be known.
        extra: One of its extras.

    Returns:
        Normalised names, without the project's own.
    """
    from packaging.requirements import Requirement

    own = _normalised(project)
    seen: set[tuple[str, str]] = set()
    todo = [(own, ""), (own, extra)]
    while todo:
        name, wanted = todo.pop()
        if (name, wanted) in seen:
            continue
        seen.add((name, wanted))
        if version(name) is None:
            continue
        for requirement in map(Requirement, metadata.requires(name) or []):
            marker = requirement.marker
            if marker is None or marker.evaluate({"extra": wanted}):
                extras = ["", *requirement.extras]
                todo += [(_normalised(requirement.name), extra) for extra in extras]
    return {name for name, _ in seen} - {own}


def outside_ranges(project: str, extra: str) -> list[str]:
    """Name the packages whose version a project does not admit.

    Args:
        project: An installed project.
        extra: One of its extras; extras of its own that this one names count, too.

    Returns:
        Lines such as ``deepxde 1.16.0 is too new (needed: >=1.15, <1.16)``, for
        packages that are installed.

    Raises:
        importlib.metadata.PackageNotFoundError: If the project is not installed.

    Example:
        >>> outside_ranges("packaging", "")
        []
    """
    found = []
    for requirement in _asked(project, extra):
        have = version(requirement.name)
        if have is None:
            continue
        ranges = requirement.specifier
        if not ranges.contains(have, prereleases=True):
            low = [s for s in ranges if s.operator in (">", ">=", "~=")]
            old = not all(s.contains(have, prereleases=True) for s in low)
            needed = ", ".join(sorted(map(str, ranges), reverse=True))
            verdict = "too old" if old else "too new"
            found.append(f"{requirement.name} {have} is {verdict} (needed: {needed})")
    return found


def _asked(project: str, extra: str) -> list["Requirement"]:
    """Return what a project names for an extra, through its own other extras, too."""
    from packaging.requirements import Requirement

    found, extras = [], [extra]
    for wanted in extras:  # grows while it is read
        for requirement in map(Requirement, metadata.requires(project) or []):
            marker = requirement.marker
            if marker is not None and not marker.evaluate({"extra": wanted}):
                continue
            if _normalised(requirement.name) == _normalised(project):
                extras += [e for e in sorted(requirement.extras) if e not in extras]
            elif requirement not in found:
                found.append(requirement)
    return found


def other_versions(constraints: Path) -> dict[str, tuple[str, str]]:
    """Compare what is installed with a file of constraints.

    Args:
        constraints: A file of lines ``name==version``.

    Returns:
        The installed and the wanted version of each package where they differ. A
        package that is not installed is no difference, nor is a local part of a
        version: ``2.13.0+cpu`` is ``2.13.0``.
    """
    wanted = read_constraints(constraints.read_text(encoding="utf-8"))
    pairs = {name: (version(name), wanted[name]) for name in sorted(wanted)}
    return {
        name: (found, want)
        for name, (found, want) in pairs.items()
        if found and found.split("+")[0] != want.split("+")[0]
    }


def read_constraints(text: str) -> dict[str, str]:
    r"""Read lines ``name==version``; comments and other lines do not count.

    Args:
        text: The lines.

    Returns:
        Versions by normalised name.

    Example:
        >>> read_constraints("# made by pip\nDeepXDE==1.15.0  # pinn\n")
        {'deepxde': '1.15.0'}
    """
    lines = (line.split("#")[0].split(";")[0].strip() for line in text.splitlines())
    pairs = (line.split("==") for line in lines if line.count("==") == 1)
    return {_normalised(name): version.strip() for name, version in pairs}


def version(name: str) -> str | None:
    """Look a package up.

    Args:
        name: Its name.

    Returns:
        The installed version, or None if it is not installed.

    Example:
        >>> version("no-such-package") is None
        True
    """
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _normalised(name: str) -> str:
    return name.strip().lower().replace("_", "-").replace(".", "-")
