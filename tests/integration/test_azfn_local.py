"""azfn-local against what the real Functions host did: tests/captures holds its bytes, FINDINGS.md explains them.

Run with: python3 -m unittest tests/integration/test_azfn_local.py
"""

import base64
import contextlib
import io
import json
import os
import pathlib
import re
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import unittest
import unittest.mock
import urllib.error
import urllib.request

sys.dont_write_bytecode = True
TESTS = pathlib.Path(__file__).resolve().parent.parent
TOOL = TESTS.parent / "tools" / "azfn-local"
CAPTURES = TESTS / "captures"
sys.path.insert(0, str(TOOL))

from azfn_local import (App, AppError, ClientRequest, ConnectionPool, Function, Gateway, Handler,  # noqa: E402
                        HandlerError, Host, RouteTemplate, SystemData, TemplateError, WireError, answer_to_client,
                        blob_envelope, build_envelope_request, build_forwarded_request, build_invocation,
                        build_proxied_head, decode_answer, http_envelope, match_function, queue_envelope,
                        read_response, retry_context, timer_envelope)
from azfn_local import json_text  # noqa: E402
from azfn_local.cli import Printer  # noqa: E402
from azfn_local.client_request import BadRequest  # noqa: E402
from azfn_local.command_line import expand_arguments  # noqa: E402
from azfn_local.console import classify  # noqa: E402
from azfn_local.http_head import CannotForward, HttpAnswer  # noqa: E402
from azfn_local.wire import chunk_pieces  # noqa: E402

_ITEMS = {"bindings": [{"type": "httpTrigger", "direction": "in", "name": "req", "route": "items/{id:int}/{name?}"},
                       {"type": "http", "direction": "out", "name": "res"}]}

_HELLO = {"bindings": [{"type": "httpTrigger", "direction": "in", "name": "req"},
                       {"type": "http", "direction": "out", "name": "res"}]}


class Capture:
    def __init__(self, folder):
        self.name = folder.name
        self.folder = folder
        self.meta = json.loads((folder / "meta.json").read_text())
        sent, saw = self.meta.get("clientSent"), self.meta.get("clientSaw")
        self.client_sent = sent.encode("latin-1") if sent else None
        self.client_saw = saw.encode("latin-1") if saw else None

    def file(self, name, number=1):
        path = self.folder / (name + (f"-{number}" if number > 1 else "") + ".bin")
        return path.read_bytes() if path.exists() else None

    @property
    def is_whole(self):
        """Whether the client's request was kept in full."""
        head, _, body = (self.client_sent or b"").partition(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
        return bool(self.client_sent) and (not length or len(body) >= int(length[1]))

    @property
    def function(self):
        document = self.meta["functionJson"] or _ITEMS
        prefix = "" if "noprefix" in self.name else "api"
        return Function.from_json(self.meta["functionName"], document, route_prefix=prefix)


def captures(*prefixes):
    for folder in sorted(CAPTURES.iterdir()):
        if folder.name.startswith(prefixes) and (folder / "meta.json").exists():
            yield Capture(folder)


def envelope_of(request):
    """(envelope's document, port, invocation id, traceparent) of a captured POST."""
    head, _, body = request.partition(b"\r\n\r\n")
    if b"Transfer-Encoding: chunked" in head:
        body = ClientRequest.from_bytes(request.replace(b"\nHost", b"\nhost", 1)).body
    header = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
    document = json_text.parse(body.decode(), dates=False)
    return (document, int(header["Host"].rpartition(":")[2]), header["X-Azure-Functions-InvocationId"],
            header.get("traceparent"))


def unquoted(metadata, name):
    value = metadata.get(name)
    return json.loads(value) if value is not None else None


def seen(data, method="GET"):
    """What a client saw, without what differs by nature: (status, reason, {name: values}, body)."""
    odd = re.match(rb"HTTP/1.1 (-?\d+) ", data)  # the host writes any status; no client library reads it
    response = read_response(re.sub(rb"\A(HTTP/1.1) -?\d+", rb"\1 200", data) if len(odd[1]) != 3 else data, method)
    response.status = int(odd[1]) if len(odd[1]) != 3 else response.status
    headers = {}
    for name, value in response.headers:
        if name.lower() not in ("date", "server", "transfer-encoding", "content-length", "request-context",
                                "x-azfn-local-error"):
            headers.setdefault(name.lower(), []).append(value)
    return (response.status, response.reason, {name: ", ".join(values) for name, values in headers.items()},
            response.body)


class EnvelopeBytes(unittest.TestCase):
    """Each captured envelope, rebuilt from what the client or the queue put in, is the same byte for byte."""

    def rebuild(self, capture, number, build):
        request = capture.file("request", number)
        document, port, invocation_id, traceparent = envelope_of(request)
        metadata = document["Metadata"]
        system = SystemData(metadata["sys"]["UtcNow"], metadata["sys"]["RandGuid"])
        retry = metadata.get("RetryContext")
        retry = retry and retry_context(retry["RetryCount"], retry["MaxRetryCount"], retry["Exception"])
        text = build(document, system, retry)
        framing = "length" if capture.meta["coreToolsEnvironment"] else "chunked"
        built = build_envelope_request(capture.function, text, port=port, invocation_id=invocation_id,
                                       framing=framing, traceparent=traceparent)
        self.assertEqual(built, request)

    def check_all(self, found, build, at_least):
        count = 0
        for capture in found:
            for number in range(1, 20):
                if capture.file("request", number) is None:
                    break
                count += 1
                with self.subTest(capture.name, number=number):
                    self.rebuild(capture, number, lambda *state: build(capture, *state))
        self.assertGreaterEqual(count, at_least)

    def test_http(self):
        def build(capture, _document, system, retry):
            request = ClientRequest.from_bytes(capture.client_sent)
            params = capture.function.route.match(request.path)
            return http_envelope(capture.function, request, params, system=system, retry=retry)
        found = [capture for capture in captures("env", "ct-env", "http-")
                 if capture.is_whole and not capture.name.startswith("http-auth")
                 and not capture.name.startswith("envresp-status-30")]
        self.check_all(found, build, 160)

    def test_queue(self):
        def build(capture, document, system, retry):
            enqueued, metadata = capture.meta["enqueued"], document["Metadata"]
            message = bytes.fromhex(enqueued["text"]) if enqueued["encoding"] == "hex" else enqueued["text"]
            return queue_envelope(
                capture.function, message, dequeue_count=int(json.loads(metadata["DequeueCount"])),
                message_id=unquoted(metadata, "Id"), pop_receipt=unquoted(metadata, "PopReceipt"),
                inserted=metadata["InsertionTime"], expires=metadata["ExpirationTime"],
                next_visible=metadata["NextVisibleTime"], system=system, retry=retry)
        found = [capture for capture in captures("queue") if capture.meta.get("enqueued")]
        self.check_all(found, build, 45)

    def test_timer(self):
        def build(capture, document, system, retry):
            timer = document["Data"]["myTimer"]
            return timer_envelope(capture.function, status=timer["ScheduleStatus"], past_due=timer["IsPastDue"],
                                  system=system, retry=retry)
        self.check_all(captures("timer-"), build, 3)

    def test_blob(self):
        def build(capture, document, system, retry):
            uri = json.loads(document["Metadata"]["Uri"])
            path = uri.partition("devstoreaccount1/")[2]
            return blob_envelope(
                capture.function, base64.b64decode(document["Data"]["myBlob"]), path=path,
                properties={name: value for name, value in document["Metadata"]["Properties"].items()
                            if name.endswith(("On", "Modified"))},
                blob_metadata=document["Metadata"]["Metadata"],
                admin_input=unquoted(document["Metadata"], "myBlob"), system=system, retry=retry)
        self.check_all(captures("blob-", "admin-blob"), build, 3)

    def test_admin_calls(self):
        def build(capture, document, system, retry):
            text = json.loads(ClientRequest.from_bytes(capture.client_sent).body)["input"]
            if capture.name == "admin-queue":
                return queue_envelope(capture.function, text, by_admin=True, system=system, retry=retry,
                                      inserted=document["Metadata"]["InsertionTime"])
            return build_invocation(capture.function, text, system=system, retry=retry)
        self.check_all(captures("admin-queue", "admin-timer", "admin-manual-json"), build, 3)

    def test_no_character_is_cut_at_the_end_of_a_chunk(self):
        text = "a" * 1023 + "\U0001f600" + "\u4e2d" * 1030
        pieces = list(chunk_pieces(text))
        self.assertEqual(b"".join(pieces).decode(), text)
        self.assertEqual(len(pieces[0]), 1023)
        self.assertEqual([len(piece.decode()) for piece in pieces], [1023, 1024, 7])


class ForwardedBytes(unittest.TestCase):
    def test_each_captured_request_is_rebuilt(self):
        count = 0
        for capture in captures("fwd", "ct-fwd"):
            request = capture.file("request")
            if request is None or not capture.is_whole:
                continue
            count += 1
            with self.subTest(capture.name):
                ids = re.search(rb"InvocationId: ([^\r]*)", request)[1].decode()
                traceparent = re.search(rb"traceparent: ([^\r]*)", request)
                built = build_forwarded_request(
                    ClientRequest.from_bytes(capture.client_sent), invocation_id=ids.rpartition(" ")[2],
                    traceparent=traceparent and traceparent[1].decode())
                self.assertEqual(built, request)
        self.assertGreater(count, 80)

    def test_what_the_host_does_not_forward(self):
        def forward(text):
            return build_forwarded_request(ClientRequest.from_bytes(text))
        for text in (b"POST /api/x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
                     b"GET /api/x HTTP/1.1\r\nHost: h\r\nX-U: caf\xc3\xa9\r\n\r\n", b"GET /api/x HTTP/1.0\r\n\r\n"):
            with self.subTest(text), self.assertRaises(CannotForward):
                forward(text)
        with self.assertRaises(BadRequest):
            forward(b"GET /api/x HTTP/1.1\r\nHost: h\r\nX-L: caf\xe9\r\n\r\n")

    def test_only_http_in_and_out_is_forwarded(self):
        self.assertTrue(Function.from_json("f", _ITEMS).is_http_in_and_out)
        more = _ITEMS["bindings"] + [{"type": "queue", "direction": "out", "name": "q"}]
        self.assertFalse(Function.from_json("f", {"bindings": more}).is_http_in_and_out)


class ProxiedBytes(unittest.TestCase):
    def test_each_captured_head_is_rebuilt(self):
        count = 0
        for capture in captures("prx"):
            request = capture.file("request")
            if request is None:
                continue
            count += 1
            with self.subTest(capture.name):
                built = build_proxied_head(
                    ClientRequest.from_bytes(capture.client_sent), port=int(re.search(rb"Host: .*:(\d+)", request)[1]),
                    invocation_id=re.search(rb"InvocationId: ([^\r]*)", request)[1].decode())
                self.assertEqual(built, request.partition(b"\r\n\r\n")[0] + b"\r\n\r\n")
        self.assertGreater(count, 40)

    def head(self, text):
        return build_proxied_head(ClientRequest.from_bytes(text), port=1, invocation_id="i").decode().split("\r\n")

    def test_paths(self):
        for sent, expected in (("/a%2Fb", "/a%252Fb"), ("/a%2Bb", "/a+b"), ("/%5B%c3%a9", "/%5B%C3%A9"),
                               ("/a/%2e%2e/b", "/b"), ("/x?a+b=%E9&flag&A=1&a=2", "/x?a+b=%E9&flag&A=1&a=2")):
            with self.subTest(sent):
                self.assertEqual(self.head(f"GET {sent} HTTP/1.1\r\nHost: h\r\n\r\n".encode())[0],
                                 f"GET {expected} HTTP/1.1")

    def test_headers_for_one_connection_stay_and_those_of_the_body_pass(self):
        head = self.head(b"POST /x HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, X-A\r\nKeep-Alive: timeout=5\r\n"
                         b"TE: trailers\r\nUpgrade: h2c\r\nProxy-Authorization: Basic x\r\nX-A: 1\r\n"
                         b"X-Ms-Invocation-Id: made-up\r\nContent-Encoding: gzip\r\n\r\n")
        self.assertEqual(head[2:4], ["X-A: 1", "X-Ms-Invocation-Id: i"])
        self.assertEqual(head[-4:], ["Content-Encoding: gzip", "Content-Length: 0", "", ""])
        self.assertEqual(len(head), 13)

    def test_what_the_host_does_not_pass_on(self):
        for text in (b"GET /x HTTP/1.1\r\nHost: h\r\nX-U: caf\xc3\xa9\r\n\r\n", b"GET /x HTTP/1.0\r\n\r\n"):
            with self.subTest(text), self.assertRaises(CannotForward):
                self.head(text)


class Answers(unittest.TestCase):
    """What clients and queues got of each captured answer."""

    def test_http_clients(self):
        count = 0
        for capture in captures("envresp-", "env-", "ct-env-", "http-plus", "http-no"):
            answer = capture.file("response")
            if answer is None or capture.name in ("envresp-10mb-body", "envresp-status-301-location-same",
                                                  "envresp-status-307-location"):
                continue  # cut short in the capture; two requests, see Replay
            count += 1
            with self.subTest(capture.name):
                method = capture.client_sent.split(b" ")[0].decode()
                try:
                    outcome = decode_answer(capture.function, read_response(answer, "POST"), method)
                except WireError:
                    outcome = None
                if b"<<client timeout>>" in capture.client_saw:
                    self.assertTrue(outcome.hangs)
                    self.assertIn("the host would hang until functionTimeout", outcome.error)
                    continue
                http = outcome.http if outcome else HttpAnswer.error()
                status, reason, headers, body = seen(capture.client_saw, method if "clen-wrong" not in capture.name
                                                     else "HEAD")
                got = {name.lower(): value for name, value in http.headers
                       if name.lower() not in ("content-length", "date", "server")}
                self.assertEqual((http.status, http.reason, got, http.body), (status, reason, headers, body))
        self.assertGreater(count, 140)

    def test_queues(self):
        count = 0
        for capture in captures("queueout-", "queue-return"):
            count += 1
            with self.subTest(capture.name):
                function = capture.function
                outcome = decode_answer(function, read_response(capture.file("response"), "POST"))
                self.assertTrue(outcome.ok, outcome.error)
                for binding in function.outputs:
                    stored = capture.meta["queuesAfter"][binding.raw["queueName"]]
                    self.assertEqual(outcome.outputs[binding.name],
                                     [item["decoded"].encode("latin-1") for item in stored], binding.name)
        self.assertGreater(count, 14)

    def test_the_log_of_a_function(self):
        capture = next(captures("envresp-logs-braces"))
        outcome = decode_answer(capture.function, read_response(capture.file("response"), "POST"))
        self.assertEqual(outcome.logs,
                         ["value {notafield} and {0} {{x}}", "multi\nline", "", "warn: error: not special"])

    def test_other_outputs(self):
        function = Function.from_json("f", {"bindings": [
            {"type": "queueTrigger", "direction": "in", "name": "msg"},
            {"type": "blob", "direction": "out", "name": "file"}, {"type": "queue", "direction": "out", "name": "q"}]})

        def outputs(text):
            head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(text)
            outcome = decode_answer(function, read_response(head + text.encode()))
            return outcome.outputs if outcome.ok else outcome.error
        self.assertEqual(outputs('{"Outputs":{"file":{"a": 1.0}}}')["file"], [b'{"a":1.0}'])
        self.assertEqual(outputs('{"Outputs":{"file":"not base64!"}}')["file"], [b"not base64!"])
        self.assertEqual(outputs('{"ReturnValue":{"q":"test"}}')["q"], [b"test"])
        self.assertIn("expected", outputs('{"Outputs":{"q":"{not json}"}}'))

    def test_forwarded(self):
        count = 0
        for capture in captures("fwdresp-", "fwd-"):
            answer = capture.file("response")
            if not answer or not capture.client_saw:
                continue
            count += 1
            with self.subTest(capture.name):
                method = capture.client_sent.split(b" ")[0].decode()
                try:
                    http = answer_to_client(read_response(answer, method), method)
                except WireError:
                    http = HttpAnswer.error()
                got = {}
                for name, value in http.headers:
                    if name.lower() != "content-length":
                        got.setdefault(name.lower(), []).append(value)
                got = {name: ", ".join(values) for name, values in got.items()}
                expected = seen(capture.client_saw, method)
                expected[2].pop("request-context", None)
                self.assertEqual((http.status, http.reason, got, http.body), expected)
        self.assertGreater(count, 80)


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


class FakeHandler:
    """Stands in for Handler where only a port that answers is needed: sends the given answers in turn."""

    def __init__(self, answers):
        self.answers = list(answers)
        self.requests = []
        self.restarts = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.pool = ConnectionPool(self.port)
        self._connections = []
        threading.Thread(target=self._accept, daemon=True).start()

    def wait_ready(self, timeout=None):
        pass

    def restart_after_timeout(self):
        self.restarts += 1

    def drop_connections(self):
        for connection in self._connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def close(self):
        self._listener.close()
        self.pool.close()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self._connections.append(connection)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with connection, contextlib.suppress(OSError):
            source = connection.makefile("rb")
            while head := self._read_request(source):
                self.requests.append(head)
                answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
                if answer is None:  # a reset
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    source.close()
                    return
                connection.sendall(answer)
                if not re.search(rb"\r\ncontent-length: \d+\r\n(?!.*connection: close)", answer, re.I | re.S):
                    return
                if len(answer.partition(b"\r\n\r\n")[2]) < int(re.search(rb"length: (\d+)", answer, re.I)[1]):
                    return

    @staticmethod
    def _read_request(source):
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = source.readline()
            if not line:
                return None
            head += line
        length = re.search(rb"content-length: (\d+)", head, re.I)
        if length:
            return head + source.read(int(length[1]))
        if b"Transfer-Encoding: chunked" in head:
            while not head.endswith(b"0\r\n\r\n"):
                head += source.readline()
        return head


@contextlib.contextmanager
def fake_handler(answers):
    fake = FakeHandler(answers)
    try:
        yield fake
    finally:
        fake.close()


def talk(port, data, timeout=10):
    """Sends raw bytes and returns all that comes until the other side closes."""
    with socket.create_connection(("127.0.0.1", port), timeout) as connection:
        connection.sendall(data.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1))
        pieces = []
        with contextlib.suppress(ConnectionError):
            while piece := connection.recv(65536):
                pieces.append(piece)
        return b"".join(pieces)


class Replay(unittest.TestCase):
    """Captured clients talk to the gateway while captured answers come from behind it."""

    def run_capture(self, capture, **modes):
        answers = [answer for number in (1, 2, 3) if (answer := capture.file("response", number)) is not None]
        if "-rst-without" in capture.name:
            answers = [None]
        app = App(root=TESTS, functions=(capture.function,), **modes)
        with fake_handler(answers or [b""]) as fake, Gateway(Host(app, fake), port=0) as gateway:
            got = talk(gateway.port, capture.client_sent)
        return got, fake

    def compare(self, capture, **modes):
        got, fake = self.run_capture(capture, **modes)
        method = capture.client_sent.split(b" ")[0].decode()
        self.assertEqual(len(fake.requests), capture.meta["requestsSeenByHandler"])
        if b"<<ConnectionReset" in capture.client_saw:
            for text in (got, capture.client_saw.partition(b"<<")[0]):
                lines = [line for line in text.split(b"\r\n") if not re.match(rb"Date:|Server:|Connection:", line)]
                self.assertEqual(sorted(lines), [b"", b"Content-Length: 5000", b"Content-Type: application/json",
                                                 b"HTTP/1.1 200 OK", b'{"Outputs":'])
            return fake
        if b"<<client timeout>>" in capture.client_saw:
            self.assertIn(b"would hang", got)
            return fake
        actual, expected = seen(got, method), seen(capture.client_saw, method)
        for headers in (actual[2], expected[2]):
            headers.pop("connection", None)  # these clients ask for a close, the captured ones did not
        self.assertEqual(actual, expected)
        return fake

    def test_envelopes(self):
        for capture in captures("envresp-", "env-"):
            skip = ("10mb", "clen-wrong", "-drip", "headers-server")
            if capture.is_whole and not any(word in capture.name for word in skip):
                with self.subTest(capture.name):
                    self.compare(capture)

    def test_forwarding(self):
        for capture in captures("fwdresp-", "fwd-"):
            if capture.is_whole:
                with self.subTest(capture.name):
                    self.compare(capture, enable_forwarding=True)

    def test_proxying(self):
        def same(request):
            return re.sub(rb"(Host: 127.0.0.1:|nvocation-?Id: )[^\r]*", rb"\1", request, flags=re.IGNORECASE)
        for capture in captures("prx"):
            with self.subTest(capture.name):
                fake = self.compare(capture, enable_forwarding=True, enable_proxying=True)
                self.assertEqual([same(request) for request in fake.requests],
                                 [same(request) for request in [capture.file("request")] if request])

    def test_proxying_tries_again_until_there_is_an_answer(self):
        def count(answer, client):
            app = App(root=TESTS, functions=(Function.from_json("HttpEnv", _HELLO),), enable_proxying=True)
            with fake_handler([answer]) as fake, Gateway(Host(app, fake), port=0) as gateway:
                self.assertEqual(seen(talk(gateway.port, client))[0], 500)
            return len(fake.requests)
        get = b"GET /api/HttpEnv HTTP/1.1\r\nHost: h\r\n\r\n"
        post = b"POST /api/HttpEnv HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx"
        self.assertEqual([count(b"", get), count(None, get), count(b"", post)], [40, 10, 1])


HANDLER = r'''
import http.server, json, os, signal, sys, time
name = sys.argv[1] if len(sys.argv) > 1 else ""
marks = os.environ.get("MARKS", "")
starts = 0
if marks:
    with open(marks, "a+") as file:
        file.write("x")
        file.seek(0)
        starts = len(file.read())
if name == "never-listens":
    time.sleep(60)
if name.startswith("exits-at-start="):
    print("line one\nline two\nlast words", file=sys.stderr, flush=True)
    os._exit(int(name.split("=")[1]))

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path.startswith("/exit="):
            os._exit(int(self.path.split("=")[1]))
        if self.path == "/sleep":
            time.sleep(60)
        document = json.loads(body) if body.startswith(b"{") else {}
        if self.path == "/order":
            answer = {"Outputs": {"out": "got " + json.loads(document["Data"]["msg"])}, "Logs": ["order taken"]}
        elif self.path == "/fails":
            answer = []
        elif self.path == "/hangs":
            answer = None
        else:
            who = document["Data"]["req"].get("Body", "nobody") if document else body.decode()
            answer = {"Outputs": {"res": {"statusCode": 201, "body": "hello " + who}}} if document else "hello " + who
        text = json.dumps(answer).encode() if answer is not None else b""
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("X-Starts", str(starts))
        self.send_header("X-Pid", str(os.getpid()))
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)
    do_GET = do_PUT = do_POST
    def log_message(self, *arguments):
        pass

class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
server = Server(("127.0.0.1", int(os.environ["FUNCTIONS_CUSTOMHANDLER_PORT"])), Handler)
if name != "ignores-term":
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
print("listening\rcarriage\ncrlf\r\nroot " + os.environ["FUNCTIONS_APP_ROOT_PATH"], flush=True)
print("careful: a Warning", file=sys.stderr, flush=True)
server.serve_forever()
'''


class AppFolder:
    """An app in a temporary folder, with the handler above."""

    def __init__(self, argument="", forwarding=False, host=None):
        self._temporary = tempfile.TemporaryDirectory()
        self.root = pathlib.Path(self._temporary.name)
        self.marks = self.root / "marks"
        document = {"version": "2.0", "functionTimeout": "00:05:00", "customHandler": {
            "description": {"defaultExecutablePath": sys.executable, "arguments": ["handler.py", argument]},
            "enableForwardingHttpRequest": forwarding}, **(host or {})}
        (self.root / "host.json").write_text(json.dumps(document))
        (self.root / "handler.py").write_text(HANDLER)

    def add(self, name, *bindings, sample=None):
        (self.root / name).mkdir()
        (self.root / name / "function.json").write_text(json.dumps({"bindings": bindings}))
        if sample is not None:
            (self.root / name / "sample.dat").write_text(sample)
        return self

    def add_http(self, name, sample=None, **trigger):
        return self.add(name, {"type": "httpTrigger", "direction": "in", "name": "req", **trigger},
                        {"type": "http", "direction": "out", "name": "res"}, sample=sample)

    def add_queue(self, name, sample=None):
        return self.add(name, {"type": "queueTrigger", "direction": "in", "name": "msg", "queueName": "in"},
                        {"type": "queue", "direction": "out", "name": "out", "queueName": "out", "dataType": "binary"},
                        sample=sample)

    def handler(self, **options):
        return Handler(App.load(self.root), env={"MARKS": str(self.marks)}, **options)

    @property
    def starts(self):
        return len(self.marks.read_text()) if self.marks.exists() else 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._temporary.cleanup()


def post(handler, path):
    return handler.request(f"POST {path} HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n".encode())


class Processes(unittest.TestCase):
    def test_start_lines_and_end(self):
        with AppFolder().add_queue("order") as folder, folder.handler() as handler:
            handler.wait_for_line("root ")
            handler.wait_for_line(lambda line: line.level == "Warning")
            self.assertEqual([line.text for line in handler.lines if line.stream == "stdout"],
                             ["listening", "carriage", "crlf", f"root {folder.root.resolve()}"])
            text = queue_envelope(handler.app.function("ORDER"), "42")
            response = handler.request(build_envelope_request("order", text, port=handler.port))
            self.assertEqual(response.json()["Outputs"], {"out": "got 42"})
            self.assertEqual(handler.pool.opened, 1, "the readiness check's connection is used again")
            self.assertEqual(handler.terminate(), 0)
            self.assertTrue(handler.wait_output_end())

    def test_the_end_of_the_host_is_a_kill(self):
        with AppFolder("ignores-term").add_http("hello") as folder:
            with folder.handler() as handler:
                pass
            self.assertEqual(handler.returncode, -signal.SIGKILL)

    def test_code_200_is_restarted_freely_and_others_twice(self):
        with AppFolder().add_http("hello") as folder, folder.handler() as handler:
            for count in range(1, 5):
                with self.assertRaises(WireError):
                    post(handler, "/exit=200")
                handler.wait_for_starts(count + 1)
            for count in range(5, 7):
                with self.assertRaises(WireError):
                    post(handler, "/exit=3")
                handler.wait_for_starts(count + 1)
            self.assertEqual(post(handler, "/hello").header("X-Starts"), "7")
            with self.assertRaises(WireError):
                post(handler, "/exit=1")
            self.assertTrue(handler.stopped.wait(10))
            self.assertIn("code 1", handler.error)
            self.assertEqual(folder.starts, 7)
            with self.assertRaises(HandlerError):
                post(handler, "/hello")

    def test_a_request_waits_for_a_restart(self):
        with AppFolder().add_http("hello") as folder, folder.handler() as handler:
            handler.signal(signal.SIGKILL)
            handler.wait_for_starts(2)
            self.assertEqual(post(handler, "/hello").header("X-Starts"), "2")

    def test_code_0_is_not_restarted(self):
        with AppFolder().add_http("hello") as folder, folder.handler() as handler:
            with self.assertRaises(WireError):
                post(handler, "/exit=0")
            handler.wait_exit()
            with self.assertRaises(WireError) as caught:
                while True:  # until the exit is noticed everywhere
                    post(handler, "/hello")
            self.assertIn(caught.exception.kind, ("refused", "reset", "closed"))
            self.assertEqual((handler.starts, handler.stopped.is_set()), (1, False))

    def test_three_bad_starts_stop_the_host_with_the_last_errors(self):
        with AppFolder("exits-at-start=3").add_http("hello") as folder:
            with self.assertRaises(HandlerError) as caught:
                folder.handler().start()
            self.assertIn("line one,line two,last words", str(caught.exception))
            self.assertEqual(folder.starts, 3)

    def assert_never_ready(self, behaviour, expected):
        with AppFolder(behaviour).add_http("hello") as folder:
            handler = folder.handler(initialization_timeout_s=0.3)
            with self.assertRaises(HandlerError) as caught:
                handler.start()
            self.assertIn(expected, str(caught.exception))
            self.assertEqual(handler.starts, 3)

    def test_exit_0_before_listening_is_polled_until_the_limit(self):
        self.assert_never_ready("exits-at-start=0", "not ready")

    def test_the_initialization_timeout_counts_as_an_error(self):
        self.assert_never_ready("never-listens", "not ready within 0.3 s")

    def test_what_can_not_be_started(self):
        description = {"customHandler": {"description": {"defaultExecutablePath": "no-such-handler"}}}
        with AppFolder(host=description).add_http("hello") as folder, self.assertRaises(HandlerError):
            folder.handler().start()

    def test_popen_options_reach_the_process(self):
        with AppFolder().add_http("hello") as folder, folder.handler(process_group=0) as handler:
            self.assertEqual(os.getpgid(handler.pid), handler.pid)

    def test_two_apps_at_once_do_not_meet(self):
        with AppFolder().add_http("a") as one, AppFolder().add_http("a") as two:
            with one.handler() as first, two.handler() as second:
                self.assertNotEqual(post(first, "/a").header("X-Pid"), post(second, "/a").header("X-Pid"))


class Invocations(unittest.TestCase):
    def call(self, gateway, path, data=None, **headers):
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        request = urllib.request.Request(gateway.url + path, data, {name.replace("_", "-"): value
                                                                   for name, value in headers.items()})
        try:
            with opener.open(request) as response:
                return response.status, response.read().decode(), response.headers
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode(), error.headers

    def report(self, gateway, name, data):
        status, body, _ = self.call(gateway, f"/admin/functions/{name}", data, x_azfn_local_wait="1")
        self.assertEqual(status, 200)
        return json.loads(body)

    @contextlib.contextmanager
    def serving(self, folder, **options):
        with folder, folder.handler() as handler:
            with Gateway(Host(handler.app, handler, **options), port=0) as gateway:
                yield gateway

    def test_an_http_function_by_envelope_in_both_framings(self):
        for framing in ("chunked", "length"):
            with self.subTest(framing), self.serving(AppFolder().add_http("hello", route="hi/{id:int?}"),
                                                     framing=framing) as gateway:
                self.assertEqual(self.call(gateway, "/api/HI/5", b"Ada")[:2], (201, "hello Ada"))
                self.assertEqual(self.call(gateway, "/api/hi/x")[0], 404)

    def test_an_http_function_by_forwarding(self):
        with self.serving(AppFolder(forwarding=True).add_http("hello", methods=["put", "post"])) as gateway:
            status, body, headers = self.call(gateway, "/api/hello", b"Ada")
            self.assertEqual((status, body, headers["X-Starts"]), (200, '"hello Ada"', "1"))
            self.assertEqual(self.call(gateway, "/api/hello")[0], 404, "GET is not among its methods")

    def test_an_http_function_by_proxying(self):
        description = {"defaultExecutablePath": sys.executable, "arguments": ["handler.py", ""]}
        for host in ({"customHandler": {"description": description, "enableProxyingHttpRequest": True,
                                        "enableForwardingHttpRequest": True}},
                     {"customHandler": {"description": description}, "configurationProfile": "mcp-custom-handler",
                      "extensions": {"http": {"routePrefix": "api"}}}):
            with self.serving(AppFolder(host=host).add_http("hello", sample="x")) as gateway:
                status, body, headers = self.call(gateway, "/api/hello", b"Ada")
                self.assertEqual((status, body, headers["X-Starts"]), (200, '"hello Ada"', "1"))
                self.assertEqual(self.report(gateway, "hello", b'{"input":"Eve"}')["http"]["body"], '"hello Eve"')

    def test_the_admin_endpoint(self):
        folder = AppFolder().add_queue("order").add_queue("fails").add_http("hello", route="{name:alpha}")
        with self.serving(folder) as gateway:
            functions = json.loads(self.call(gateway, "/admin/functions")[1])
            self.assertEqual([function["name"] for function in functions], ["fails", "hello", "order"])
            report = self.report(gateway, "order", b'{"input":"7"}')
            self.assertEqual((report["ok"], report["outputs"], report["logs"]),
                             (True, {"out": ["got 7"]}, ["order taken"]))
            report = self.report(gateway, "fails", b'{"input":"7"}')
            self.assertFalse(report["ok"])
            self.assertIn("not a JSON object", report["error"])
            report = self.report(gateway, "hello", b'{"input":"Ada"}')
            self.assertEqual((report["http"]["status"], report["http"]["body"]), (201, "hello Ada"))
            self.assertEqual(self.call(gateway, "/admin/functions/order", b'{"input":"7"}')[:2], (202, ""))
            self.assertEqual(self.call(gateway, "/admin/functions/nope", b'{"input":""}')[0], 404)
            self.assertEqual(self.call(gateway, "/admin/functions/order", b'{"input":{"a":1}}')[0], 400)

    def test_an_empty_answer_is_reported_and_not_waited_for(self):
        with self.serving(AppFolder().add_http("hangs")) as gateway:
            status, body, headers = self.call(gateway, "/api/hangs")
            self.assertEqual((status, body), (500, ""))
            self.assertIn("would hang until functionTimeout", headers["x-azfn-local-error"])

    def test_a_function_timeout_restarts_the_handler(self):
        folder = AppFolder(host={"functionTimeout": "00:00:01"}).add_http("sleep").add_http("hello")
        with self.serving(folder) as gateway:
            self.assertEqual(self.call(gateway, "/api/sleep")[0], 500)
            self.assertEqual(self.call(gateway, "/api/hello", b"Ada")[0], 201)
            self.assertEqual(gateway.host.handler.starts, 2)
            self.assertIsNone(gateway.host.handler.error)

    def test_a_kept_connection_and_expect(self):
        with self.serving(AppFolder().add_http("hello")) as gateway:
            with socket.create_connection(("127.0.0.1", gateway.port), 10) as connection:
                for _ in range(2):
                    connection.sendall(b"POST /api/hello HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n"
                                       b"Content-Length: 3\r\n\r\n")
                    self.assertEqual(connection.recv(25, socket.MSG_WAITALL), b"HTTP/1.1 100 Continue\r\n\r\n")
                    connection.sendall(b"Ada")
                    self.assertEqual(read_response(connection, timeout=5).body, b"hello Ada")


class Apps(unittest.TestCase):
    def test_errors_name_the_file(self):
        with AppFolder() as folder:
            with self.assertRaisesRegex(AppError, "no function.json"):
                App.load(folder.root)
            folder.add("bad", {"type": "http", "direction": "out", "name": "res"})
            with self.assertRaisesRegex(AppError, "bad/function.json: has 0 triggers"):
                App.load(folder.root)
            (folder.root / "bad" / "function.json").write_text("{")
            with self.assertRaisesRegex(AppError, "bad/function.json: unexpected end|bad/function.json: expected"):
                App.load(folder.root)
            (folder.root / "host.json").unlink()
            with self.assertRaisesRegex(AppError, "host.json: not found"):
                App.load(folder.root)

    def test_settings_and_order(self):
        host = {"functionTimeout": "00:02:30", "extensions": {"http": {"routePrefix": ""}}}
        with AppFolder(host=host).add_http("beta").add_http("Alpha", route="a/{x?}").add_http("_c") as folder:
            app = App.load(folder.root)
        self.assertEqual([function.name for function in app.functions], ["_c", "Alpha", "beta"])
        self.assertEqual((app.enable_proxying, app.warnings), (False, ()))
        self.assertEqual((app.function_timeout_s, app.route_prefix, app.functions[1].route.text), (150, "", "a/{x?}"))

    def test_a_profile_implies_proxying(self):
        host = {"configurationProfile": "mcp-custom-handler"}
        with AppFolder(host=host).add_http("hello", route="x") as folder:
            app = App.load(folder.root)
        self.assertEqual((app.enable_proxying, app.route_prefix, app.functions[0].route.text), (True, "", "x"))
        self.assertIn("not simulated", app.warnings[0])


class Tool(unittest.TestCase):
    def run_tool(self, *arguments, **options):
        return subprocess.run([sys.executable, str(TOOL / "azfn-local"), *arguments], capture_output=True, text=True,
                              timeout=60, cwd=tempfile.gettempdir(), check=False, **options)

    def test_help(self):
        for arguments in (["--help"], ["start", "--help"], ["invoke", "--help"], ["demo", "--help"]):
            self.assertEqual(self.run_tool(*arguments).returncode, 0)

    def test_demo(self):
        folder = AppFolder().add_http("hello", sample='"Ada"').add_queue("order", sample="7 apples")
        with folder:
            result = self.run_tool("demo", "--app-root", str(folder.root))
            self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
            for text in ("sent: POST /api/hello", 'hello "Ada"', "sent: 7 apples", "output out: got 7 apples",
                         "log: order taken", "all functions succeeded"):
                self.assertIn(text, result.stdout)
            self.assertNotIn("\x1b", result.stdout)
            folder.add_queue("fails")
            result = self.run_tool("demo", "--app-root", str(folder.root), "--framing", "length")
            self.assertEqual(result.returncode, 1, result.stdout + result.stderr)

    def test_start_and_invoke(self):
        folder = AppFolder().add_queue("order", sample="7")
        with folder.add_http("hello", sample='{"a":1}', route="hi/{name}/{n:int}"):
            process = subprocess.Popen([sys.executable, str(TOOL / "azfn-local"), "start", "--port", "0", "--app-root",
                                        str(folder.root)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            with process:
                try:
                    lines = []
                    for line in process.stdout:
                        lines.append(line.strip())
                        if " invoke order " in line:
                            break
                    url = re.search(r"Serving .* at (\S+)", "\n".join(lines))[1]
                    curl = next(line for line in lines if line.startswith("curl"))
                    self.assertIn(f"{url}/api/hi/Ada/42", curl)
                    self.assertIn("--data-binary @", curl)
                    self.assertIn("Content-Type: application/json", curl)
                    self.assertIn(f"invoke order --input 7 --url {url}", lines[-1])
                    result = self.run_tool("invoke", "order", "--input", "5", "--url", url)
                    self.assertEqual((result.returncode, result.stderr), (0, ""))
                    self.assertIn("output out: got 5", result.stdout)
                    result = self.run_tool("invoke", "nope", "--url", url)
                    self.assertEqual(result.returncode, 1)
                finally:
                    process.send_signal(signal.SIGINT)
                    process.stdout.read()
            self.assertEqual(process.returncode, 0)

    def test_a_handler_that_is_gone_for_good(self):
        with AppFolder("exits-at-start=3").add_http("hello") as folder:
            result = self.run_tool("start", "--port", "0", "--app-root", str(folder.root))
            self.assertEqual(result.returncode, 1)
            self.assertIn("last words", result.stderr)

    def test_no_app(self):
        with tempfile.TemporaryDirectory() as folder:
            result = self.run_tool("demo", "--app-root", folder)
        self.assertEqual(result.returncode, 1)
        self.assertIn("host.json: not found", result.stderr)


if __name__ == "__main__":
    unittest.main()
