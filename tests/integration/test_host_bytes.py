"""azfn-local against what the real Functions host did: tests/captures holds its bytes, FINDINGS.md explains them."""

import base64
import json
import re
import unittest

import probe  # noqa: F401: where azfn_local lies
from azfn_local import (App, ClientRequest, Function, Gateway, Host, SystemData, WireError, answer_to_client,
                        blob_envelope, build_envelope_request, build_forwarded_request, build_invocation,
                        build_proxied_head, decode_answer, http_envelope, queue_envelope, read_response, retry_context,
                        timer_envelope)
from azfn_local.client_request import BadRequest
from azfn_local.http_head import CannotForward, HttpAnswer
from azfn_local.wire import chunk_pieces
from host_captures import CAPTURES, ITEMS, captures, envelope_of, fake_handler, seen, talk, unquoted

_HELLO = {"bindings": [{"type": "httpTrigger", "direction": "in", "name": "req"},
                       {"type": "http", "direction": "out", "name": "res"}]}


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
        self.assertTrue(Function.from_json("f", ITEMS).is_http_in_and_out)
        more = ITEMS["bindings"] + [{"type": "queue", "direction": "out", "name": "q"}]
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


class Replay(unittest.TestCase):
    """Captured clients talk to the gateway while captured answers come from behind it."""

    def run_capture(self, capture, **modes):
        answers = [answer for number in (1, 2, 3) if (answer := capture.file("response", number)) is not None]
        if "-rst-without" in capture.name:
            answers = [None]
        app = App(root=CAPTURES, functions=(capture.function,), **modes)
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
            app = App(root=CAPTURES, functions=(Function.from_json("HttpEnv", _HELLO),), enable_proxying=True)
            with fake_handler([answer]) as fake, Gateway(Host(app, fake), port=0) as gateway:
                self.assertEqual(seen(talk(gateway.port, client))[0], 500)
            return len(fake.requests)
        get = b"GET /api/HttpEnv HTTP/1.1\r\nHost: h\r\n\r\n"
        post = b"POST /api/HttpEnv HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx"
        self.assertEqual([count(b"", get), count(None, get), count(b"", post)], [40, 10, 1])


if __name__ == "__main__":
    unittest.main()
