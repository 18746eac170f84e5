"""What JupyterLab's file browser lists: in the course folder, what is the student's.

The machinery is hidden, not locked: links to it still open.
"""

from typing import Any

from jupyter_server.services.contents.largefilemanager import AsyncLargeFileManager

MACHINERY = frozenset(
    {
        "README.md",
        "__init__.py",
        "__main__.py",
        "building",
        "chapters",
        "commands",
        "desk",
        "grading",
        "hub",
        "instructor",
        "kit",
        "nbgrader_config.py",
        "nbval.cfg",
        "release",
        "site",
        "source",
        "syllabus.yml",
    }
)
"""Names in the course folder that no student needs."""


class Contents(AsyncLargeFileManager):
    """Jupyter's own files, without the machinery of the course."""

    async def get(self, path: str, content: bool = True, **options: Any) -> dict:
        """Called by the server for every file and folder.

        Args:
            path: Relative to the course folder.
            content: Whether more than the entry itself is asked for.
            options: What Jupyter wants to know about it.

        Returns:
            Jupyter's model of it.
        """
        model = await super().get(path, content, **options)
        if content and model["type"] == "directory" and not path.strip("/"):
            entries = model["content"]
            model["content"] = [e for e in entries if e["name"] not in MACHINERY]
        return model
