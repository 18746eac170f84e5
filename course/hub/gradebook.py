"""``python -m course.hub.gradebook OLD NEW``: move a gradebook to another database.

From the file that nbgrader starts with to PostgreSQL, or back: all tables, and nothing
is changed in the old one. Addresses are those of nbgrader's ``db_url``. The new
database must exist and have no grades in it.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import Connection, Table, create_engine, func, insert, select, text

_VERSION = "alembic_version"


def main(arguments: Sequence[str]) -> int:
    """Run the command.

    Args:
        arguments: The two addresses.

    Returns:
        The exit status: 0 for success.
    """
    if len(arguments) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        moved = move(*arguments)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    print("\n".join(f"{name}: {rows}" for name, rows in moved.items()))
    return 0


def move(old: str, new: str) -> dict[str, int]:
    """Copy all rows of a gradebook into an empty database, or none at all.

    Args:
        old: Address of the gradebook there is.
        new: Address of the database it is to be in.

    Returns:
        The number of rows by table.

    Raises:
        ValueError: If the old one has no gradebook of this version of nbgrader, or the
            new one already has grades.

    Example:
        >>> move("sqlite://", "sqlite://")
        Traceback (most recent call last):
        ...
        ValueError: no gradebook at sqlite://
    """
    from nbgrader.api import Base

    tables = Base.metadata.sorted_tables
    with create_engine(old).connect() as source, create_engine(new).begin() as target:
        version, newest = _version(source), _newest()
        if not version:
            raise ValueError(f"no gradebook at {old}")
        if version != newest:
            raise ValueError(
                f"the gradebook has version {version}, this nbgrader {newest}: run "
                "`nbgrader db upgrade` there first"
            )
        Base.metadata.create_all(target)
        full = [table.name for table in tables if _count(target, table)]
        if full:
            raise ValueError(f"{new} already has rows in {', '.join(full)}")
        for table in tables:
            if rows := source.execute(select(table)).mappings().all():
                target.execute(insert(table), [dict(row) for row in rows])
        _mark(target, version)
        moved = {table.name: _count(target, table) for table in tables}
        before = {table.name: _count(source, table) for table in tables}
        if moved != before:
            raise ValueError(f"{before} were there, {moved} arrived: nothing is kept")
    return moved


def _count(connection: Connection, table: Table) -> int:
    return connection.execute(select(func.count()).select_from(table)).scalar_one()


def _newest() -> str:
    """The version of the tables that this nbgrader makes."""
    import nbgrader
    from alembic.script import ScriptDirectory

    folder = Path(nbgrader.__file__).with_name("alembic")
    return ScriptDirectory(str(folder)).get_current_head() or ""


def _version(connection: Connection) -> str:
    if not connection.dialect.has_table(connection, _VERSION):
        return ""
    told = connection.execute(text(f"SELECT version_num FROM {_VERSION}"))
    return told.scalar() or ""


def _mark(connection: Connection, version: str) -> None:
    """Note the version, as nbgrader does in a gradebook that it makes."""
    column = f"{_VERSION} (version_num VARCHAR(32) NOT NULL PRIMARY KEY)"
    connection.execute(text(f"CREATE TABLE IF NOT EXISTS {column}"))
    connection.execute(text(f"DELETE FROM {_VERSION}"))
    values = text(f"INSERT INTO {_VERSION} VALUES (:version)")
    connection.execute(values, {"version": version})


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
