"""Figures with a caption and a text for readers who cannot see them.

Jupyter's image outputs have no place for either, so a figure is shown as HTML:
``<figure><img alt=...><figcaption>...</figcaption></figure>``. Beside it goes a plain
text that names what is drawn; strict comparison of outputs checks that text.
"""

import base64
import html
import io
import re

import matplotlib.pyplot as plt
from IPython.display import display
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

_TAGS = re.compile(r"<[^>]+>")

SHARP = 2
"""Pixels of a picture for each pixel of its place on the page, in each direction."""

SHARP_BYTES = 50_000
"""What that may add to a picture; photographs, which cost more, stay as they are."""


class _Shown:
    """A drawn figure, as Jupyter displays it."""

    def __init__(
        self, png: bytes, width: int, caption: str, alt: str, drawn: str
    ) -> None:
        self.png, self.width = png, width
        self.caption, self.alt, self.drawn = caption, alt, drawn

    def _repr_mimebundle_(
        self, include: object = None, exclude: object = None
    ) -> dict[str, str]:
        data = base64.b64encode(self.png).decode()
        return {
            "text/html": (
                f'<figure style="margin: 0"><img src="data:image/png;base64,{data}" '
                f'width="{self.width}" alt="{html.escape(self.alt)}" '
                'style="max-width: 100%">'
                f'<figcaption style="font-size: 90%; opacity: 0.8">{self.caption}'
                "</figcaption></figure>"
            ),
            "text/plain": f"Figure: {_TAGS.sub('', self.caption)}\n{self.drawn}",
        }


def figure(fig: Figure, caption: str, alt: str) -> None:
    """Show a matplotlib figure with its caption and alt text, then close it.

    Args:
        fig: The figure. Every axes has an x and a y label, unless it shows an image
            or its frame is switched off with ``ax.axis("off")``.
        caption: One sentence under the picture; ``<i>`` and ``<b>`` are allowed.
        alt: What the picture shows, for a reader who cannot see it. Not the caption.

    Raises:
        ValueError: If the caption or the alt text is empty or both are the same, if
            the figure is empty, or if an axes lacks a label.

    Example:
        >>> fig, ax = plt.subplots()
        >>> _ = ax.plot([0, 1], [0, 1])
        >>> figure(fig, caption="A line.", alt="A rising line.")
        Traceback (most recent call last):
        ...
        ValueError: axes 0 has no x label: every axis says what it shows and its unit
    """
    _check_text(caption, alt)
    if not fig.axes:
        raise ValueError("fig has no axes: draw something before showing it")
    drawn = [_describe(number, ax) for number, ax in enumerate(fig.axes)]
    width = round(fig.get_figwidth() * fig.dpi)
    told = "\n".join(filter(None, drawn))
    display(_Shown(_png(fig), width, caption, alt, told))


def _png(fig: Figure) -> bytes:
    """Draw a figure, sharp for screens that show it so, unless that costs too much.

    What is not sharp is made of the sharp one: where text and lines lie does not depend
    on a choice that a few bytes decide, and those differ between machines.
    """
    full = io.BytesIO()
    fig.savefig(full, format="png", dpi=SHARP * fig.dpi)
    plt.close(fig)
    picture = Image.open(full).convert("RGB")
    png = _palette(picture)
    if len(png) >= SHARP_BYTES:
        plain = _palette(picture.reduce(SHARP))
        png = plain if len(png) - len(plain) >= SHARP_BYTES else png
    return png


def _palette(picture: Image.Image) -> bytes:
    """Store a picture in 256 colours, a third of the bytes and the same to the eye."""
    small = io.BytesIO()
    palette = picture.quantize(256, dither=Image.Dither.NONE)
    palette.save(small, format="png", optimize=True)
    return small.getvalue()


def _check_text(caption: str, alt: str) -> None:
    for name, text in (("caption", caption), ("alt", alt)):
        if not text.strip():
            raise ValueError(f"{name} is empty: say in a sentence what is to be seen")
    if _TAGS.sub("", caption).strip() == alt.strip():
        raise ValueError(
            f"alt repeats the caption {caption!r}: describe the picture for a reader "
            "who cannot see it"
        )


def _describe(number: int, ax: Axes) -> str:
    """Say in one line what an axes shows; refuse one without labels."""
    if not ax.axison or ax.get_label() == "<colorbar>":
        return f"  {_content(ax)}" if ax.has_data() else ""
    if not ax.images:
        for name in ("x", "y"):
            if not _label(ax, name):
                raise ValueError(
                    f"axes {number} has no {name} label: every axis says what it "
                    "shows and its unit"
                )
    labels = f"{_label(ax, 'y')} against {_label(ax, 'x')}" if ax.get_xlabel() else ""
    return f"  {labels}: {_content(ax)}" if labels else f"  {_content(ax)}"


def _label(ax: Axes, name: str) -> str:
    """The label of an axis, which panels that share the axis may leave to one."""
    siblings = getattr(ax, f"get_shared_{name}_axes")().get_siblings(ax)
    labels = [getattr(panel, f"get_{name}label")() for panel in (ax, *siblings)]
    return next(filter(None, labels), "")


def _content(ax: Axes) -> str:
    counts = {
        ("line", "lines"): len(ax.lines),
        ("image", "images"): len(ax.images),
        ("collection", "collections"): len(ax.collections),
        ("bar or patch", "bars or patches"): len(ax.patches),
    }
    parts = [f"{n} {names[n > 1]}" for names, n in counts.items() if n]
    title = f"{ax.get_title()!r}, " if ax.get_title() else ""
    return title + ", ".join(parts)
