from tests.course.part_tests import PartTests


class TestPart2(PartTests):
    part = 2
