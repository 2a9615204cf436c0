"""The queries, the workbook and the alert rules of deploy/monitoring know the catalogue, and each other."""

import re
import subprocess
import sys
import unittest

import catalogue
import queries

CATEGORY = "Host.Function.Console"
HEAD = f'traces\n| where customDimensions.Category == "{CATEGORY}"\n'
ORIGINS = ("broker", "worker")


def is_known_text(text, is_start, events):
    if is_start:
        return any(event.startswith(text) for event in events)
    return text in events or text in ORIGINS or text in (CATEGORY, " ") or re.fullmatch(r"[0-]*|\{[A-Z][a-z]+\}", text)


class Queries(unittest.TestCase):
    def setUp(self):
        self.catalogue = catalogue.read()

    def each(self, check):
        for where, found in (("queries", queries.files()), ("workbook", queries.of_workbook()),
                             ("alerts", queries.of_alerts())):
            self.assertTrue(found)
            for name, query in found.items():
                with self.subTest(where=where, query=name):
                    check(query)

    def test_each_begins_with_a_question_and_how_to_read_the_answer(self):
        for name, query in queries.files().items():
            with self.subTest(query=name):
                self.assertRegex(query, r"\A// [A-Z].*\?\n// .+")

    def test_each_asks_the_console_alone_and_first(self):
        def check(query):
            self.assertEqual(queries.without_comments(query).count("traces\n"), 1)
            self.assertRegex(queries.without_comments(query), r"\A(let .*;\n)*" + re.escape(HEAD))
        self.each(check)

    def test_each_field_is_in_the_catalogue(self):
        known = set(self.catalogue["fields"]) | set(self.catalogue["common"])

        def check(query):
            self.assertTrue(queries.fields(query))
            self.assertLessEqual(set(queries.fields(query)), known)
        self.each(check)

    def test_each_field_is_one_of_the_events_that_are_asked_for(self):
        def check(query):
            asked = queries.texts(query)
            had = {field for event, about in self.catalogue["events"].items() for field in about["fields"]
                   if any(event.startswith(text) if start else event == text for text, start in asked)}
            if had:  # times are added up by count, whether there is one or not
                self.assertLessEqual(set(queries.fields(query)), had | set(self.catalogue["common"]) | {"count"})
        self.each(check)

    def test_each_event_is_in_the_catalogue(self):
        def check(query):
            for text, is_start in queries.texts(query):
                self.assertTrue(is_known_text(text, is_start, self.catalogue["events"]), text)
        self.each(check)

    def test_a_wrong_event_and_a_wrong_field_would_be_seen(self):
        events = self.catalogue["events"]
        query = HEAD + '| extend line = parse_json(message) | where line["evnt"] == "sys_crash:wroker" or line.sercet'
        self.assertEqual(queries.fields(query), ["evnt", "sercet"])
        self.assertEqual([text for text, start in queries.texts(query) if not is_known_text(text, start, events)],
                         ["sys_crash:wroker"])
        self.assertFalse(is_known_text("malicoius_", True, events))
        self.assertFalse(is_known_text("malicious_", False, events))

    def test_each_event_that_is_no_good_news_has_a_query_of_its_own(self):
        asked = [text for name, query in queries.files().items() if name != "overview"
                 for text in queries.texts(query)]
        forgotten = [event for event, about in self.catalogue["events"].items() if about["level"] != "INFO"
                     and not any(event.startswith(text) if start else event == text for text, start in asked)]
        self.assertEqual(forgotten, [])

    def test_each_that_asks_for_events_says_whose_word_they_are(self):
        def check(query):
            if "event" in queries.fields(query):
                after = queries.without_comments(query).split("origin = tostring(line.origin)\n", 1)[1]
                self.assertRegex(after, r"\borigin\b")
        self.each(check)

    def test_alerts_of_the_brokers_events_do_not_listen_to_the_worker(self):
        for name in ("crash-loop", "identity", "secrets-unavailable"):
            self.assertIn('origin == "broker"', queries.of_alerts()[name])

    def test_alerts_have_no_time_range_of_their_own(self):
        for name, query in queries.of_alerts().items():
            with self.subTest(query=name):
                self.assertNotRegex(queries.without_comments(query), r"\b(ago|now)\(")


class InStep(unittest.TestCase):
    def test_the_workbook_is_made_of_the_queries(self):
        result = subprocess.run([sys.executable, "-B", str(catalogue.ROOT / "tools" / "workbook.py"), "--check"],
                                capture_output=True, text=True, check=False)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(sorted(queries.of_workbook()), sorted(queries.files()))

    def test_the_compiled_alert_rules_have_the_queries(self):
        files = queries.files()
        alerts = queries.of_alerts()
        self.assertTrue(alerts)
        for name, query in alerts.items():
            self.assertEqual(query, files[name], f"{name}: alerts.json is an old one, see deploy/monitoring/README.md")

    def test_the_page_names_each_query_with_its_question_and_whether_it_is_an_alert(self):
        page = (queries.FOLDER / "README.md").read_text("utf-8")
        for name, query in queries.files().items():
            question = query.splitlines()[0][len("// "):]
            has_alert = "yes" if name in queries.of_alerts() else ""
            self.assertIn(f"| {question} | [{name}](queries/{name}.kql) | {has_alert} |\n", page)

    def test_host_json_keeps_the_lines(self):
        logging = catalogue.read_json(catalogue.ROOT / "host.json")["logging"]
        self.assertEqual(logging["logLevel"][CATEGORY], "Information")
        self.assertIn("Trace", logging["applicationInsights"]["samplingSettings"]["excludedTypes"].split(";"))


if __name__ == "__main__":
    unittest.main()
