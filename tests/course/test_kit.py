import base64
import io
import warnings
from collections.abc import Callable

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from nbformat import from_dict
from PIL import Image

from course.kit import Question, figure, quiz, seal, setup
from course.kit.quiz import _Shown as ShownQuiz
from course.kit.quiz import _widget
from tests.course.seam import TOLERANCE, difference, pictures


def test_setup_makes_every_source_of_chance_repeatable() -> None:
    def draw() -> list[float]:
        generator = setup(seed=3)
        return [
            torch.rand(1).item(),
            torch.rand(1, generator=generator).item(),
            np.random.rand(),
        ]

    assert draw() == draw()


def test_setup_quietens_warnings(recwarn: pytest.WarningsRecorder) -> None:
    setup(seed=0)
    warnings.warn("noise", stacklevel=1)
    assert not recwarn.list


@pytest.mark.parametrize(
    ("seed", "error", "text"),
    [
        (-1, ValueError, "seed must not be negative, got -1"),
        (1.5, TypeError, "seed must be an integer, got 1.5"),
        (True, TypeError, "seed must be an integer, got True"),
    ],
)
def test_setup_refuses(seed: object, error: type, text: str) -> None:
    with pytest.raises(error, match=text):
        setup(seed=seed)


def line() -> Figure:
    fig, ax = plt.subplots()
    ax.plot([0, 1], [0, 1])
    ax.set(xlabel="time", ylabel="distance", title="A walk")
    return fig


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    bundles = []
    monkeypatch.setitem(
        figure.__globals__, "display", lambda o: bundles.append(o._repr_mimebundle_())
    )
    return bundles


def test_a_figure_is_shown_with_caption_and_alt_text(shown: list) -> None:
    fig = line()
    figure(fig, caption="One <i>walk</i>.", alt='A line, "rising".')
    (bundle,) = shown
    assert ">One <i>walk</i>.</figcaption>" in bundle["text/html"]
    assert 'alt="A line, &quot;rising&quot;."' in bundle["text/html"]
    assert not plt.fignum_exists(fig.number)
    assert np.asarray(decoded(bundle)).std() > 0


def decoded(bundle: dict[str, str]) -> Image.Image:
    data = bundle["text/html"].split("base64,")[1].split('"')[0]
    return Image.open(io.BytesIO(base64.b64decode(data)))


def noise() -> Figure:
    """What a palette and compression cannot make small."""
    fig, ax = plt.subplots(figsize=(6, 4), dpi=90)
    ax.imshow(np.random.default_rng(0).random((400, 600, 3)), interpolation="nearest")
    ax.axis("off")
    return fig


@pytest.mark.parametrize(("draw", "sharpness"), [(line, 2), (noise, 1)])
def test_a_figure_is_sharp_where_that_costs_little(
    draw: Callable[[], Figure], sharpness: int, shown: list
) -> None:
    """Its place on the page is the same with either."""
    fig = draw()
    width, height = np.round(fig.get_size_inches() * fig.dpi).astype(int)
    figure(fig, caption="c", alt="a")
    assert f'width="{width}" alt="a" style="max-width: 100%"' in shown[0]["text/html"]
    picture = decoded(shown[0])
    assert picture.size == (sharpness * width, sharpness * height)
    assert len(picture.getcolors() or []) <= 256


def test_what_sharpness_may_cost_is_measured(
    shown: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large picture stays sharp if it would be large anyway."""
    sizes = []
    for limit in (0, 10**9):
        monkeypatch.setitem(figure.__globals__, "SHARP_BYTES", limit)
        figure(noise(), caption="c", alt="a")
        sizes.append(len(shown[-1]["text/html"]) * 3 // 4)
    cost = sizes[1] - sizes[0]
    assert 50_000 < cost < sizes[1]
    for limit, sharpness in ((cost - 1000, 1), (cost + 1000, 2)):
        monkeypatch.setitem(figure.__globals__, "SHARP_BYTES", limit)
        figure(noise(), caption="c", alt="a")
        assert decoded(shown[-1]).width == sharpness * 540


def test_sharp_or_not_a_picture_looks_the_same(
    shown: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bytes decide which, and may decide otherwise on another machine."""
    for limit in (0, 10**9):
        monkeypatch.setitem(figure.__globals__, "SHARP_BYTES", limit)
        fig, ax = plt.subplots()
        ax.plot([0, 1], [3e-5, 1])
        ax.set(yscale="log", xlabel="time", ylabel="distance", title="A walk")
        figure(fig, caption="c", alt="a")
    plain, sharp = (pictures([from_dict({"data": one})])[0] for one in shown)
    assert difference(plain, sharp) < TOLERANCE / 4


def test_the_text_of_a_figure_names_what_is_drawn(shown: list) -> None:
    fig = line()
    fig.axes[0].plot([0, 1], [1, 0])
    figure(fig, caption="Walks.", alt="Two lines.")
    assert shown[0]["text/plain"] == (
        "Figure: Walks.\n  distance against time: 'A walk', 2 lines"
    )


@pytest.mark.parametrize(
    ("bars", "told"), [(1, "1 bar or patch"), (3, "3 bars or patches")]
)
def test_one_bar_is_no_bars(bars: int, told: str, shown: list) -> None:
    fig, ax = plt.subplots()
    ax.bar(range(bars), range(bars))
    ax.set(xlabel="day", ylabel="rain")
    figure(fig, caption="Rain.", alt="Bars that rise.")
    assert shown[0]["text/plain"].endswith(f"rain against day: {told}")


def test_images_and_bare_axes_need_no_labels(shown: list) -> None:
    fig, (left, right) = plt.subplots(1, 2)
    left.imshow(np.eye(3))
    right.axis("off")
    figure(fig, caption="An image.", alt="A diagonal.")
    assert shown[0]["text/plain"] == "Figure: An image.\n  1 image"


def test_panels_that_share_an_axis_may_share_its_label(shown: list) -> None:
    fig, axes = plt.subplots(1, 2, sharey=True)
    for ax in axes:
        ax.plot([0, 1], [0, 1])
        ax.set_xlabel("time")
    axes[0].set_ylabel("distance")
    figure(fig, caption="Twice.", alt="Two rising lines.")
    assert shown[0]["text/plain"].count("distance against time: 1 line") == 2


@pytest.mark.parametrize(
    ("caption", "alt", "text"),
    [
        (" ", "a", "caption is empty"),
        ("c", "", "alt is empty"),
        ("The <i>same</i>.", "The same.", "alt repeats the caption 'The <i>same"),
    ],
)
def test_figure_refuses_texts(caption: str, alt: str, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        figure(line(), caption=caption, alt=alt)


def test_figure_refuses_axes_without_labels() -> None:
    fig = line()
    fig.axes[0].set_ylabel("")
    with pytest.raises(ValueError, match="axes 0 has no y label"):
        figure(fig, caption="c", alt="a")
    with pytest.raises(ValueError, match="fig has no axes"):
        figure(plt.figure(), caption="c", alt="a")


TEXT = "Which norm gives sparse codes?"


def ask(**changes: object) -> Question:
    parts = {
        "text": TEXT,
        "choices": ["the 1-norm", "the 2-norm"],
        "answer": seal(TEXT, "the 1-norm"),
        "hint": "Draw both balls.",
    }
    return Question(**(parts | changes))


def test_a_choice_is_marked() -> None:
    assert ask().mark("the 1-norm") == "Correct."
    assert ask().mark("the 2-norm") == "Not yet. Draw both balls."
    with pytest.raises(ValueError, match="choice must be one of .* got 'neither'"):
        ask().mark("neither")


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"choices": ["the 1-norm"]}, r"two or more different texts, got \['the 1"),
        ({"choices": ["a", "a"]}, r"two or more different texts, got \['a', 'a'"),
        ({"hint": ""}, "hint of 'Which norm gives sparse codes.' is empty"),
        ({"answer": "0" * 12}, "answer '000000000000' .* fits none"),
    ],
)
def test_a_question_refuses(changes: dict, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        ask(**changes)


def test_a_quiz_shows_every_choice_and_no_answer() -> None:
    bundle = ShownQuiz([ask()])._repr_mimebundle_()
    assert bundle["text/plain"] == (f"1. {TEXT}\n   ( ) the 1-norm\n   ( ) the 2-norm")
    assert "<li>the 2-norm</li>" in bundle["text/html"]
    assert "Correct" not in str(bundle)
    assert "application/vnd.jupyter.widget-view+json" in bundle


def test_a_click_is_marked_at_once() -> None:
    title, buttons, verdict = _widget([ask()]).children
    assert TEXT in title.value
    buttons.value = "the 2-norm"
    assert verdict.value == "<i>Not yet. Draw both balls.</i>"
    buttons.value = "the 1-norm"
    assert verdict.value == "<i>Correct.</i>"


def test_an_empty_quiz_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one Question, got none"):
        quiz()
