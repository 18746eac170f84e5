from tests.course.part_tests import PartTests


class TestPart3(PartTests):
    part = 3
