"""The parts of azfn-local: its wire, routes, JSON, command line, and how it shows a handler's log."""

import io
import json
import os
import socket
import threading
import unittest
import unittest.mock

import probe  # noqa: F401: where azfn_local lies
from azfn_local import Function, RouteTemplate, TemplateError, WireError, match_function, read_response
from azfn_local import json_text
from azfn_local.cli import Printer
from azfn_local.command_line import expand_arguments
from azfn_local.console import classify
from host_captures import CAPTURES, fake_handler


class Wire(unittest.TestCase):
    def test_an_answer_may_come_in_any_pieces(self):
        text = (b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                b"3;x=1\r\nabc\r\n0\r\nT: 1\r\n\r\n")
        ours, theirs = socket.socketpair()
        with ours, theirs:
            writer = threading.Thread(target=lambda: [theirs.sendall(text[i:i + 1]) for i in range(len(text))])
            writer.start()
            response = read_response(ours, timeout=5)
            writer.join()
        self.assertEqual((response.status, response.body, response.keep_alive), (200, b"abc", True))
        self.assertEqual(response.interim, [(103, [("Link", "</x>")])])

    def test_kinds_of_errors(self):
        for text, kind in ((b"", "closed"), (b"nonsense\r\n\r\n", "garbage"), (b"HTTP/2.0 200 OK\r\n\r\n", "garbage"),
                           (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab", "cut"), (b"HTTP/1.1 200", "cut"),
                           (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", "cut")):
            with self.subTest(text), self.assertRaises(WireError) as caught:
                read_response(text)
            self.assertEqual(caught.exception.kind, kind)

    def test_the_connection_used_last_is_used_first_and_a_closed_one_is_not(self):
        with fake_handler([b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"] * 3) as fake:
            request = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
            for _ in range(2):
                self.assertEqual(fake.pool.send(request, 5).body, b"x")
            self.assertEqual((fake.pool.opened, fake.pool.idle_count), (1, 1))
            fake.drop_connections()
            self.assertEqual(fake.pool.send(request, 5).body, b"x")
            self.assertEqual(fake.pool.opened, 2)


class Routes(unittest.TestCase):
    def test_matching(self):
        none = object()
        table = [
            ("api/hello", "/API/Hello/", {}), ("api/hello", "/api//hello", none), ("api/hello", "/api/hello/x", none),
            ("api/{a}", "/api/x", {"a": "x"}), ("api/{a}", "/api", none), ("api/{a}", "/api/", none),
            ("items/{id:int}/{name?}", "/items/7", {"id": "7", "name": None}),
            ("items/{id:int}/{name?}", "/items/-7/bob", {"id": "-7", "name": "bob"}),
            ("items/{id:int}/{name?}", "/items/abc", none), ("{id:int}", "/2147483648", none),
            ("{id:long}", "/2147483648", {"id": "2147483648"}), ("x/{n:int=5}", "/x", {"n": "5"}),
            ("x/{n=a?b}", "/x", {"n": "a?b"}), ("f/{*rest}", "/f/a/b//c", {"rest": "a/b//c"}),
            ("f/{**rest}", "/f/a/", {"rest": "a/"}), ("f/{*rest}", "/f", {"rest": None}),
            ("v{n}", "/V12", {"n": "12"}), ("v{n}", "/v", none), ("{a}.{b}", "/x.y.z", {"a": "x.y", "b": "z"}),
            ("{a}.{b}", "/x.", none), ("{a}.{b}", "/.x", none), ("{a}.{b?}", "/x", {"a": "x", "b": None}),
            ("{a}.{b?}", "/x.y", {"a": "x", "b": "y"}), ("{a}-{b}-{c}", "/1-2-3-4", {"a": "1-2", "b": "3", "c": "4"}),
            ("{x:bool}", "/TRUE", {"x": "TRUE"}), ("{x:bool}", "/1", none), ("{x:alpha}", "/Ab", {"x": "Ab"}),
            ("{x:alpha}", "/A1", none), ("{x:guid}", "/0f8fad5b-d9cb-469f-a165-70867728950e", True),
            ("{x:guid}", "/0f8fad5b", none), ("{x:datetime}", "/2024-01-02", True), ("{x:datetime}", "/now", none),
            ("{x:decimal}", "/1.5", True), ("{x:decimal}", "/1e5", none), ("{x:double}", "/1e5", True),
            ("{x:float}", "/-1.5", True), ("{x:length(2)}", "/ab", True), ("{x:length(2)}", "/abc", none),
            ("{x:length(1,2)}", "/abc", none), ("{x:minlength(2)}", "/a", none), ("{x:maxlength(2)}", "/abc", none),
            ("{x:min(3)}", "/2", none), ("{x:max(3)}", "/3", True), ("{x:range(1,3)}", "/4", none),
            ("{x:int:min(1):max(9)}", "/5", True), ("{x:int:min(1):max(9)}", "/10", none), ("{x:required}", "/a", True),
            (r"{x:regex(^\d{{2}}:\d$)}", "/12:3", True), (r"{x:regex(^\d{{2}}:\d$)}", "/1:3", none),
            ("a{{b}}", "/a{b}", {}), ("{x:int?}", "/", {"x": None}), ("{name}", "/a%2Fb", {"name": "a%2Fb"}),
        ]
        for template, path, expected in table:
            with self.subTest(template, path=path):
                values = RouteTemplate(template).match(path)
                if expected is none:
                    self.assertIsNone(values)
                elif expected is True:
                    self.assertIsNotNone(values)
                else:
                    self.assertEqual(values, expected)

    def test_templates_that_the_host_refuses(self):
        for template in ("{a", "a}", "{a}{b}", "{a}/{A}", "{*a}/b", "x{*a}", "{a:nope}", "{a:range(1)}", "{a?}b",
                         "a//b"):
            with self.subTest(template), self.assertRaises(TemplateError):
                RouteTemplate(template)

    def test_an_example_matches(self):
        for template in ("api/{name}", "api/{id:int}/{x:alpha?}", "{a:guid}/{b:range(5,7)}", "{a:length(3)}", "{*rest}",
                         "{a:bool}/{b:datetime}/{c:minlength(12)}"):
            with self.subTest(template):
                route = RouteTemplate(template)
                self.assertIsNotNone(route.match(route.example()), route.example())
        self.assertEqual(RouteTemplate("api/{name}/{id:int}").example(), "/api/Ada/42")

    def test_the_first_function_by_name_wins(self):
        def make(name, route, methods=None):
            return Function.from_json(name, {"bindings": [
                {"type": "httpTrigger", "direction": "in", "name": "req", "route": route, "methods": methods},
                {"type": "http", "direction": "out", "name": "res"}]})
        functions = [make("Any", "{x}"), make("beta", "beta", ["get"]), make("Own", "")]
        self.assertEqual(match_function(functions, "GET", "/api/beta")[0].name, "Any")
        self.assertEqual(match_function(functions[1:], "GET", "/api/BETA")[0].name, "beta")
        self.assertEqual(match_function(functions[1:], "POST", "/api/beta"), (None, None))
        self.assertEqual(match_function(functions[1:], "POST", "/api/own")[0].name, "Own")


class JsonText(unittest.TestCase):
    def test_numbers_are_printed_as_in_dotnet(self):
        for value, text in ((1.0, "1.0"), (1e30, "1E+30"), (1e15, "1E+15"), (1e14, "100000000000000.0"), (0.1, "0.1"),
                            (0.0001, "0.0001"), (1e-5, "1E-05"), (-2.5, "-2.5"), (1.5e300, "1.5E+300"), (0.0, "0.0")):
            self.assertEqual(json_text.dumps(value), text)

    def test_lenient_reading(self):
        self.assertEqual(json_text.parse("/*c*/{a:1,'b':[1,2,],} // x"), {"a": 1, "b": [1, 2]})
        self.assertIs(json_text.parse(" /* nothing */ "), json_text.MISSING)
        self.assertEqual(json_text.parse('"\\ud83d\\ude00"'), "\U0001f600")
        for text in ("{", "[1", '{"a"}', "tru", "01a", '"\\x"', "{} {}", "[" * 300):
            with self.subTest(text), self.assertRaises(json_text.JsonError):
                json_text.parse(text)


class CommandLine(unittest.TestCase):
    def test_arguments_as_captured(self):
        document = json.loads((CAPTURES / "process" / "argv.json").read_text())
        environment = {**document["appSettings"], "FUNCTIONS_CUSTOMHANDLER_PORT": "36817",
                       "FUNCTIONS_APP_ROOT_PATH": "/srv/app"}
        self.assertEqual(expand_arguments(document["hostJsonArguments"], environment), document["argvSeenByHandler"])
        second = document["second"]
        self.assertEqual(expand_arguments(second["hostJsonArguments"], second["appSettings"]),
                         second["argvSeenByHandler"])

    def test_levels_of_lines(self):
        for stream, text, level, category in (
                ("stdout", "an error", "Information", "Console"), ("stderr", "plain", "Error", "Console"),
                ("stderr", "foreWARNed", "Warning", "Console"),
                ("stdout", "AzFuncJsonLog:{}", "Information", "Tooling"),
                ("stderr", "LANGUAGEWORKERCONSOLELOGx", "Error", "System")):
            line = classify(stream, text)
            self.assertEqual((line.level, line.category), (level, category))
        self.assertEqual(classify("stderr", "plain", errors_only=False).level, "Information")
        self.assertEqual(classify("stderr", "it Failed", errors_only=False).level, "Error")


class Terminal(io.StringIO):
    def isatty(self):
        return True


class LogView(unittest.TestCase):
    EVENT = {"datetime": "2026-11-22T13:02:11.500+00:00", "level": "ERROR", "appid": "a", "sequence": 7,
             "origin": "broker", "event": "malicious_syscall:worker", "function": "hello", "system_call": "connect",
             "description": "the worker was ended"}

    def shown(self, text, stream=None, **options):
        stream = stream or io.StringIO()
        with unittest.mock.patch.dict(os.environ):
            os.environ.pop("NO_COLOR", None)
            Printer(stream, **options).handler_line(classify("stderr", text))
        return stream.getvalue()

    def test_an_event_is_one_line_to_read(self):
        self.assertEqual(self.shown(json.dumps(self.EVENT)),
                         "13:02:11 ERROR malicious_syscall:worker  the worker was ended  "
                         "function=hello system_call=connect\n")

    def test_colours_say_how_bad_it_is(self):
        self.assertIn("\x1b[1;31mmalicious_syscall:worker\x1b[0m", self.shown(json.dumps(self.EVENT), Terminal()))
        for level, event, colour in (("WARN", "sys_crash:worker", "33"), ("ERROR", "authz_fail:secret", "31"),
                                     ("INFO", "sys_startup", "36")):
            text = json.dumps({**self.EVENT, "level": level, "event": event})
            self.assertIn(f"\x1b[{colour}m{event}\x1b[0m", self.shown(text, Terminal()))

    def test_what_the_worker_says_is_marked(self):
        self.assertIn("  [worker] the worker was ended", self.shown(json.dumps({**self.EVENT, "origin": "worker"})))

    def test_a_function_can_not_paint(self):
        text = json.dumps({**self.EVENT, "description": "\x1b[2J", "function": "a\nb"})
        self.assertNotIn("\x1b", self.shown(text))
        self.assertEqual(self.shown(text).count("\n"), 1)

    def test_other_lines_and_json_are_shown_as_they_are(self):
        for text in ("plain", "[1]", '{"level":"x","description":"y"}', '{"level":["INFO"],"description":"y"}', "{"):
            self.assertEqual(self.shown(text), f"[handler Error] {text}\n")
        text = json.dumps(self.EVENT)
        self.assertEqual(self.shown(text, log="json"), f"[handler Error] {text}\n")


if __name__ == "__main__":
    unittest.main()
