"""What the administrator's page tells to type, box by box."""

import re

from course import FOLDER

PAGE = FOLDER / "instructor" / "administrator.md"


def boxes() -> dict[str, list[str]]:
    """The boxes of commands by the heading that they stand under."""
    found: dict[str, list[str]] = {}
    for part in PAGE.read_text().split("\n## ")[1:]:
        heading, _, text = part.partition("\n")
        found[heading] = re.findall(r"^```bash\n(.*?)^```", text, re.M | re.S)
    return found


def commands(heading: str, number: int = 0) -> str:
    """One of them."""
    return boxes()[heading][number]
