"""The catalogue of security events, and the page that is made of it."""

import re
import unittest

import catalogue


class Catalogue(unittest.TestCase):
    def test_each_event_is_there_once_and_names_fields_that_there_are(self):
        content = catalogue.read()
        for name, event in content["events"].items():
            with self.subTest(event=name):
                self.assertRegex(name, r"^[a-z]+(_[a-z]+)*(:[a-z]+(_[a-z]+)*)?$")
                self.assertIn(event["level"], ("INFO", "WARN", "ERROR"))
                self.assertIn(event["source"], ("broker", "worker", "function", "any"))
                self.assertLessEqual(set(event["fields"]), set(content["fields"]))
                self.assertTrue(event["when"] and event["action"])

    def test_each_field_is_of_some_event_and_hides_none_of_every_line(self):
        content = catalogue.read()
        used = {field for event in content["events"].values() for field in event["fields"]}
        self.assertEqual(used, set(content["fields"]))
        self.assertFalse(used & set(content["common"]))

    def test_the_events_that_a_text_refers_to_are_there(self):
        events = catalogue.read()["events"]
        groups = {name.split(":")[0] for name in events}
        for name, event in events.items():
            for word in re.findall(r"\b[a-z]+_[a-z_]+:[a-z_]+", event["when"] + " " + event["action"]):
                if word.split(":")[0] in groups:
                    self.assertIn(word, events, name)


class Page(unittest.TestCase):
    maxDiff = None

    def test_it_is_what_the_catalogue_says(self):
        written = (catalogue.BUILD / "security-events.md").read_text("utf-8")
        committed = (catalogue.ROOT / "docs" / "security-events.md").read_text("utf-8")
        self.assertEqual(committed, written, "docs/security-events.md is an old one: make events")


if __name__ == "__main__":
    unittest.main()
