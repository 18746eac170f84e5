import signal
import threading

import pytest

from course.building.interrupt import stopped_by_ctrl_c
from course.building.syllabus import FOLDER


def press() -> None:
    """What a terminal does at Ctrl-C."""
    signal.raise_signal(signal.SIGINT)


def test_an_interrupt_that_was_swallowed_is_raised_at_the_end() -> None:
    went_on = []
    with pytest.raises(KeyboardInterrupt), stopped_by_ctrl_c():
        try:
            press()
        except KeyboardInterrupt:  # as nbgrader does
            went_on.append(True)
    assert went_on


def test_an_interrupt_is_no_fault_of_what_it_stopped() -> None:
    with pytest.raises(KeyboardInterrupt), stopped_by_ctrl_c():
        try:
            press()
        except KeyboardInterrupt as error:
            raise RuntimeError("the kernel is dead") from error


def test_an_interrupt_that_nobody_catches_is_raised_where_it_came() -> None:
    reached = []
    with pytest.raises(KeyboardInterrupt), stopped_by_ctrl_c():
        press()
        reached.append(True)
    assert not reached


def test_what_is_to_end_is_ended_before_the_interrupt_is_seen() -> None:
    order = []
    with pytest.raises(KeyboardInterrupt), stopped_by_ctrl_c(lambda: order.append(1)):
        try:
            press()
        finally:
            order.append(2)
    assert order == [1, 2]


def test_other_errors_pass_and_nothing_ends() -> None:
    ended = []
    with (
        pytest.raises(ValueError, match="a true fault"),
        stopped_by_ctrl_c(lambda: ended.append(1)),
    ):
        raise ValueError("a true fault")
    with stopped_by_ctrl_c(lambda: ended.append(1)):
        pass
    assert not ended


@pytest.mark.parametrize("how", ["in peace", "by a fault", "by Ctrl-C"])
def test_what_ctrl_c_did_before_it_does_again_behind(how: str) -> None:
    before = signal.getsignal(signal.SIGINT)
    try:
        with stopped_by_ctrl_c():
            assert signal.getsignal(signal.SIGINT) is not before
            if how == "by a fault":
                raise ValueError
            if how == "by Ctrl-C":
                press()
    except (ValueError, KeyboardInterrupt):
        pass
    assert signal.getsignal(signal.SIGINT) is before


def test_in_another_thread_there_are_no_signals() -> None:
    said = []

    def work() -> None:
        with stopped_by_ctrl_c():
            said.append("done")

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert said == ["done"]


def test_ctrl_c_is_handled_in_one_place() -> None:
    folders = ("building", "commands", "desk", "grading")
    files = [file for name in folders for file in (FOLDER / name).glob("*.py")]
    handles = [file.name for file in files if "SIGINT" in file.read_text()]
    assert handles == ["interrupt.py"]
