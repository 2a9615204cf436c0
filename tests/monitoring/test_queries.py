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
LOOPS = ("instance", "function", "handler", "starts")  # crash-loop's own
OF_THE_HOST = "input"  # asks what the host says of an invocation, of which azfn's lines know nothing
BOUNDED = {"app", "event", "function", "loop", "resource", "secret", "suppressed"}  # by azfn.json or the catalogue


def is_known_text(text, is_start, events):
    if is_start:
        return any(event.startswith(text) for event in events)
    return (text in events or text in ORIGINS or text in LOOPS or text in (CATEGORY, " ", "/")
            or re.fullmatch(r"[0-]*|\{[A-Z][a-z]+\}", text))


class Queries(unittest.TestCase):
    def setUp(self):
        self.catalogue = catalogue.read()

    def each(self, check):
        for where, found in (("queries", queries.files()), ("workbook", queries.of_workbook()),
                             ("alerts", queries.of_alerts())):
            self.assertTrue(found)
            for name, query in found.items():
                if name != OF_THE_HOST:
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

    def test_the_one_that_asks_the_host_takes_nothing_for_a_line_of_azfn(self):
        for query in (queries.files()[OF_THE_HOST], queries.of_workbook()[OF_THE_HOST]):
            self.assertEqual(queries.fields(query), [])
            self.assertNotIn("parse_json", query)
        self.assertNotIn(OF_THE_HOST, [queries.file_of(name) for name in queries.of_alerts()])

    def test_each_that_counts_adds_up_the_counts_of_the_lines(self):
        def check(query):
            self.assertNotRegex(query, r"\b(count|countif|row_number|count_distinct)\(")
            for summed in re.findall(r"\bsum\((?!coalesce\(tolong\(line\.count\), 1\)\))(\w*)\b", query):
                self.assertIn(summed, ("times", "itemCount", "served"))
            if "sum(times)" in query:
                self.assertIn("times = coalesce(tolong(line.count), 1)\n", query)
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

    def test_what_ends_a_worker_or_a_handler_is_a_crash_to_those_who_ask(self):
        deaths = [event for event, about in self.catalogue["events"].items()
                  if event.startswith(("sys_crash:", "malicious_")) and about["source"] in ("broker", "any")
                  and not event.endswith((":destination", ":key_vault", ":worker_beside"))]
        self.assertIn("malicious_socket:worker", deaths)
        for name in ("crashes", "crash-loop"):
            asked = queries.texts(queries.files()[name])
            self.assertEqual([event for event in deaths
                              if not any(start and event.startswith(text) for text, start in asked)], [], name)


class Alerts(unittest.TestCase):
    def each(self, check):
        for rule in queries.alert_rules():
            with self.subTest(rule=rule["name"]):
                check(rule)

    def test_they_have_no_time_range_of_their_own_and_no_union(self):  # which Azure refuses
        def check(rule):
            self.assertNotRegex(queries.without_comments(queries.of_rule(rule)), r"\b(ago|now)\(|\b(union|search)\b")
        self.each(check)

    def test_the_template_asks_as_the_tests_do(self):
        criteria = catalogue.read_json(queries.FOLDER / "alerts.json")["resources"]["alert"]["properties"]["criteria"]
        rule = "variables('rules')[copyIndex()]"
        self.assertEqual(criteria["allOf"][0]["query"],
                         f"[if(equals({rule}.origin, null()), {rule}.query, "
                         f"format('{{0}}| where origin == \"{{1}}\"\n', {rule}.query, {rule}.origin))]")

    def test_none_goes_by_the_word_of_both(self):
        def check(rule):
            if rule["name"] == "silence":
                self.assertIsNone(rule["origin"])
                self.assertNotIn("event", queries.fields(rule["query"]))
            else:
                self.assertIn(rule["origin"], ORIGINS)
                self.assertEqual(rule["name"].endswith("-worker"), rule["origin"] == "worker")
        self.each(check)

    def test_the_worker_can_make_no_attack_quiet_that_the_broker_sees(self):
        rules = {rule["name"]: rule for rule in queries.alert_rules()}
        for name in ("malicious", "refusals"):
            self.assertTrue(rules[name]["isAttack"])
            self.assertIsNone(rules[name]["quietFor"])
            self.assertFalse(rules[name + "-worker"]["isAttack"])

    def test_what_comes_while_one_is_quiet_is_told_afterwards(self):
        def check(rule):
            self.assertIn(rule["window"], (rule["quietFor"] or rule["every"], "P2D"))
        self.each(check)
        parameters = catalogue.read_json(queries.FOLDER / "alerts.json")["parameters"]
        self.assertEqual(parameters["quietFor"]["allowedValues"], ["PT1H", "PT2H", "PT6H", "P1D"])  # Azure's windows

    def test_each_is_split_by_what_nobody_can_make_up(self):
        def check(rule):
            self.assertIn("app", rule["dimensions"])
            self.assertLessEqual(len(rule["dimensions"]), 6)  # Azure's limit
            self.assertLessEqual(set(rule["dimensions"]), {"app", "event"} if rule["origin"] == "worker" else BOUNDED)
        self.each(check)
        self.assertNotIn("function", {rule["name"]: rule["dimensions"] for rule in queries.alert_rules()}["malicious"])

    def test_protections_that_are_accepted_find_their_place(self):
        expression = catalogue.read_json(queries.FOLDER / "alerts.json")["variables"]["rules"]
        accepting = [rule["query"] for rule in expression if rule["name"] == "protections-off"]
        self.assertIn("'dynamic([])', format('dynamic({0})', string(parameters('acceptedWeaknesses')))", accepting[0])
        self.assertEqual(queries.files()["protections-off"].count("dynamic([])"), 1)


class InStep(unittest.TestCase):
    def test_the_workbook_is_made_of_the_queries(self):
        result = subprocess.run([sys.executable, "-B", str(catalogue.ROOT / "tools" / "workbook.py"), "--check"],
                                capture_output=True, text=True, check=False)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(sorted(queries.of_workbook()), sorted(queries.files()))

    def test_the_compiled_alert_rules_have_the_queries(self):
        files = queries.files()
        rules = queries.alert_rules()
        self.assertTrue(rules)
        for rule in rules:
            self.assertEqual(rule["query"], files[queries.file_of(rule["name"])],
                             f"{rule['name']}: alerts.json is an old one, see deploy/monitoring/README.md")

    def test_the_workbook_takes_what_is_typed_in(self):
        typed_in = {name: re.findall(r"\{([A-Z]\w+)\}", query) for name, query in queries.of_workbook().items()}
        self.assertEqual({name: found for name, found in typed_in.items() if found},
                         {"invocation": ["Invocation"], "trace": ["Operation"], "input": ["Invocation", "Operation"]})

    def test_the_page_names_each_query_with_its_question_and_whether_it_is_an_alert(self):
        page = (queries.FOLDER / "README.md").read_text("utf-8")
        for name, query in queries.files().items():
            question = query.splitlines()[0][len("// "):]
            has_alert = "yes" if name in map(queries.file_of, queries.of_alerts()) else ""
            self.assertIn(f"| {question} | [{name}](queries/{name}.kql) | {has_alert} |\n", page)

    def test_host_json_keeps_the_lines(self):
        logging = catalogue.read_json(catalogue.ROOT / "host.json")["logging"]
        self.assertEqual(logging["logLevel"][CATEGORY], "Information")
        self.assertIn("Trace", logging["applicationInsights"]["samplingSettings"]["excludedTypes"].split(";"))


if __name__ == "__main__":
    unittest.main()
