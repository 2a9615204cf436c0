"""Each event of the catalogue is caused by a test of test_events_*.py, with each of its fields."""

import importlib
import pathlib
import unittest

from event_case import declared
from log_lines import catalogue

# what an event may have, and no test here can cause: why
NOT_CAUSED = {}


def causes():
    """(name of the test, what it declares) of all tests."""
    for path in sorted(pathlib.Path(__file__).parent.glob("test_events_*.py")):
        module = importlib.import_module(path.stem)
        for name, case in vars(module).items():
            if isinstance(case, type) and issubclass(case, unittest.TestCase):
                for method in unittest.defaultTestLoader.getTestCaseNames(case):
                    for expected in declared(getattr(case, method)):
                        yield f"{path.stem}.{name}.{method}", expected


class Completeness(unittest.TestCase):
    def test_each_event_is_caused(self):
        names = {expected.name for _, expected in causes()}
        self.assertEqual(sorted(set(catalogue()["events"]) - names), [])

    def test_there_is_no_other_event(self):
        events = catalogue()["events"]
        self.assertEqual([(test, expected.name) for test, expected in causes() if expected.name not in events], [])

    def test_each_field_is_caused(self):
        seen = {}
        for _, expected in causes():
            seen.setdefault(expected.name, set()).update(expected.fields)
        lacking = {name: sorted(set(event["fields"]) - seen.get(name, set()) - set(NOT_CAUSED.get(name, {})))
                   for name, event in catalogue()["events"].items()}
        self.assertEqual({name: fields for name, fields in lacking.items() if fields}, {})

    def test_the_exceptions_are_still_needed(self):
        for name, fields in NOT_CAUSED.items():
            self.assertLessEqual(set(fields), set(catalogue()["events"][name]["fields"]))


if __name__ == "__main__":
    unittest.main()
