from tests.course.part_tests import PartTests


class TestPart1(PartTests):
    part = 1
