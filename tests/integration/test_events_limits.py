"""Events of limits that are reached, and of clients that are slow."""

import contextlib
import unittest

import probe
from event_case import (CALLER, OF_ASK, OF_CALLER, OF_REQUEST, TRACE_PARENT, EventCase, ServicesCase, also, event,
                        event_at_end, event_some, many)
from probe import ask, exchange, queue_message

OF_POST = {**OF_REQUEST, "request_method": "POST"}
OF_BLOCK = {**OF_REQUEST, "function": "Block", "request_uri": "/api/Block"}
SIZE = "excess_rate_limit_exceeded:size"
SMALL = {name: {"maxBodyBytes": 10} for name in ("Ask", "AskReturn", "AskQueue", "StreamIn")}


class Requests(EventCase):
    @contextlib.contextmanager
    def held(self, handler, words="watch delay=60000 reply", **options):
        """A request that runs meanwhile, and ends when its caller goes."""
        with self.connect(handler) as connection:
            connection.sendall(ask(f"print=begun {words}", **options))
            handler.wait_for_line("begun")
            yield
        if "watch" in words:
            handler.wait_for_line("cancelled")

    def assert_refused(self, handler, request, status):
        self.assertEqual(exchange(self.connect(handler), request).status, status)

    def start_with(self, **limits):
        return self.start(policy={"limits": limits})

    @event("WARN", "worker", "excess_rate_limit_exceeded:function", **OF_REQUEST, status=429, limit="maxConcurrent")
    def test_of_one_function_at_once(self):
        handler = self.start(policy={"functions": {"Ask": {"maxConcurrent": 1}}})
        with self.held(handler):
            self.assert_refused(handler, ask("reply", headers=CALLER), 429)

    @event("WARN", "worker", "excess_rate_limit_exceeded:function", **OF_BLOCK, status=429, limit="requestsInFlight")
    def test_of_all_functions_at_once(self):
        handler = self.start_with(requestsInFlight=1)
        with self.held(handler):
            self.assert_refused(handler, ask("reply", path="/api/Block", headers=CALLER), 429)

    @event("WARN", "worker", "excess_rate_limit_exceeded:blocking", **OF_BLOCK, status=429, limit="blockingQueue")
    def test_that_wait_for_a_thread(self):
        handler = self.start_with(blockingThreads=1, blockingQueue=0)
        with self.held(handler, "wait reply", path="/api/Block"):
            self.assert_refused(handler, ask("reply", path="/api/Block", headers=CALLER), 429)
        handler.request(ask("open reply"))

    @event("WARN", "worker", "excess_rate_limit_exceeded:memory", **OF_POST, status=503, limit="bodyBytesInFlight")
    def test_whose_bodies_are_too_large_together(self):
        handler = self.start_with(bodyBytesInFlight=65536)
        with self.held(handler, method="POST", body=b"x" * 40000):
            self.assert_refused(handler, ask("reply", method="POST", body=b"x" * 40000, headers=CALLER), 503)

    @event("WARN", "worker", "excess_rate_limit_exceeded:connections", limit="connections",
           reason="the connection that was idle longest is closed")
    @event_at_end("WARN", "worker", "excess_rate_limit_exceeded:connections", limit="connections",
                  reason="the connection that was idle longest is closed", count=2)
    def test_on_too_many_connections(self):
        handler = self.start_with(connections=4)  # that of the readiness check is one
        for _ in range(6):
            self.assertEqual(exchange(self.connect(handler), ask("reply")).status, 200)

    @also("excess_rate_limit_exceeded:connections")  # that of the readiness check made room
    @event("WARN", "worker", "excess_rate_limit_exceeded:connections", limit="connections",
           reason="the new connection is closed")
    @event_at_end("WARN", "worker", "excess_rate_limit_exceeded:connections", limit="connections",
                  reason="the new connection is closed", count=19)
    def test_on_connections_that_are_all_in_use(self):
        handler = self.start_with(connections=1)
        with self.held(handler):
            for _ in range(20):
                with self.connect(handler) as connection, contextlib.suppress(ConnectionError):
                    connection.sendall(ask("reply"))
                    self.assertEqual(connection.recv(1), b"")

    @event("WARN", "worker", "excess_rate_limit_exceeded:timeout", **OF_REQUEST, limit="timeoutMs")
    @event("WARN", "worker", "excess_rate_limit_exceeded:timeout", **OF_BLOCK, limit="timeoutMs")
    def test_that_are_not_answered_in_time(self):
        handler = self.start(policy={"functions": {name: {"timeoutMs": 300} for name in ("Ask", "Block")}})
        self.assert_refused(handler, ask("never", headers=CALLER), 504)
        self.assert_refused(handler, ask("wait reply", path="/api/Block", headers=CALLER), 504)
        handler.request(ask("open reply"))
        handler.wait_for_line("its thread is back")


class Sizes(EventCase):
    """What is refused before its head was read says no more than that."""

    HEAD = f"POST /api/Ask HTTP/1.1\r\nHost: localhost\r\nX-Azure-Functions-InvocationId: ask-1\r\n{CALLER}"

    def assert_refused(self, status, request, limits=None, functions=None):
        handler = self.start(policy={"limits": limits or {}, "functions": functions or {}})
        request = request if isinstance(request, bytes) else request.encode()
        self.assertEqual(exchange(self.connect(handler), request).status, status)

    @event("WARN", "worker", SIZE, **OF_POST, status=413, limit="maxBodyBytes")
    def test_a_body(self):
        self.assert_refused(413, ask("reply", method="POST", body=b"x" * 11, headers=CALLER), functions=SMALL)

    @event("WARN", "worker", SIZE, **OF_POST, status=413, limit="maxBodyBytes")
    def test_a_body_in_chunks(self):
        self.assert_refused(413, f"{self.HEAD}Transfer-Encoding: chunked\r\n\r\nb\r\n{'x' * 11}", functions=SMALL)

    @event("WARN", "worker", SIZE, **{**OF_POST, "function": "StreamIn", "request_uri": "/api/StreamIn"}, status=413,
           limit="maxBodyBytes")
    def test_a_body_that_its_function_reads_while_it_comes(self):
        handler = self.start(policy={"functions": SMALL})
        with self.connect(handler) as connection:
            head = self.HEAD.replace("/api/Ask", "/api/StreamIn")
            connection.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\nb\r\n".encode())
            self.await_event(handler, SIZE)

    @event("WARN", "worker", SIZE, function="AskQueue", invocation_id="event-1", status=413, limit="maxBodyBytes")
    def test_a_message_in_an_envelope(self):
        self.assert_refused(413, probe.queue_message("AskQueue", "x" * 11), functions=SMALL)

    @event("WARN", "worker", SIZE, function="AskReturn", invocation_id="event-1", **OF_CALLER,
           request_uri="/api/AskReturn", status=413, limit="maxBodyBytes")
    def test_a_body_in_an_envelope(self):
        request = {"Url": "http://localhost/api/AskReturn", "Method": "GET", "Query": {}, "Params": {},
                   "Headers": {"X-Forwarded-For": ["198.51.100.1, 203.0.113.7:50123"]}, "Body": "x" * 11}
        # the status is in the answer's envelope
        self.assert_refused(200, probe.envelope("AskReturn", {"Data": {"req": request}, "Metadata": {}}),
                            functions=SMALL)

    @event("WARN", "worker", SIZE, status=414, limit="urlBytes")
    def test_a_url(self):
        self.assert_refused(414, ask("reply", path=f"/api/Ask?{'q' * 300}"), {"urlBytes": 256})

    @event("WARN", "worker", SIZE, **OF_REQUEST, status=400, limit="queryParameters")
    def test_a_query(self):
        self.assert_refused(400, ask("reply", path=f"/api/Ask?{'q&' * 512}", headers=CALLER))

    @event("WARN", "worker", SIZE, status=431, limit="headerBytes")
    def test_a_head(self):
        self.assert_refused(431, f"{self.HEAD}X: {'x' * 1024}\r\n\r\n", {"headerBytes": 1024})

    @event("WARN", "worker", SIZE, status=431, limit="headerCount")
    def test_headers(self):
        self.assert_refused(431, self.HEAD + "X: y\r\n" * 8, {"headerCount": 8})

    @event("WARN", "worker", SIZE, **OF_POST, status=431, limit="trailerBytes")
    def test_trailers(self):
        self.assert_refused(431, f"{self.HEAD}Transfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n", {"trailerBytes": 3})

    @event("WARN", "worker", SIZE, **OF_POST, status=400, limit="chunkExtensionBytes")
    def test_chunk_extensions(self):
        self.assert_refused(400, f"{self.HEAD}Transfer-Encoding: chunked\r\n\r\n0;x=y\r\n", {"chunkExtensionBytes": 3})


class SlowClients(EventCase):
    SHORT = {"limits": {"headerTimeoutMs": 400, "bodyTimeoutMs": 400, "sendTimeoutMs": 400, "minBytesPerSecond": 100}}

    @event("WARN", "worker", "input_validation_fail:slow_client", status=408, limit="headerTimeoutMs")
    def test_a_head_that_stops(self):
        request = ask("reply", headers=CALLER)
        self.assertEqual(exchange(self.connect(self.start(policy=self.SHORT)), request[:-1]).status, 408)

    @event("WARN", "worker", "input_validation_fail:slow_client", **OF_POST, status=408, limit="bodyTimeoutMs")
    def test_a_body_that_stops(self):
        request = ask("reply", method="POST", body=b"x" * 1000, headers=CALLER)
        self.assertEqual(exchange(self.connect(self.start(policy=self.SHORT)), request[:-1]).status, 408)

    @event("WARN", "worker", "input_validation_fail:slow_client", **OF_REQUEST, limit="sendTimeoutMs")
    def test_an_answer_that_is_not_taken(self):
        self.connect(self.start(policy=self.SHORT)).sendall(ask("big=40000000 reply", headers=CALLER))


class Secrets(ServicesCase):
    LARGE = 16  # that the worker has room for at a time

    @event("WARN", "worker", "excess_rate_limit_exceeded:secrets", **OF_ASK, secret="key")
    @also("authn_token_created:managed_identity", "sensitive_read:key_vault")
    @many("sensitive_read:secret")
    def test_more_than_there_is_room_for(self):
        handler = self.start_services({
            "secrets": {"key": {"reference": "@Microsoft.KeyVault(VaultName=dev;SecretName=key)"}},
            "functions": {"Ask": {"secrets": ["key"]}}}, secrets={"key": "x" * 25600})
        answer = handler.request(ask(f"secrets={self.LARGE + 1}:key reply", headers=CALLER))
        self.assertEqual(answer.body.split()[0], b"AZFN_ERROR_LIMIT")


class Log(EventCase):
    @event_some("WARN", "broker", "excess_rate_limit_exceeded:log", suppressed="input_validation_fail:function",
                count=lambda found: 0 < found <= 200)
    @event_some("WARN", "worker", "input_validation_fail:function", **OF_REQUEST)
    def test_more_events_of_one_kind_than_are_written(self):
        handler = self.start()
        self.assertEqual(handler.request(ask("event=input,x " * 300 + "reply", headers=CALLER)).status, 200)

    @event_some("WARN", "broker", "excess_rate_limit_exceeded:log", suppressed="lines:stdout",
                count=lambda found: 0 < found <= 3000)
    def test_more_lines_than_are_written(self):
        handler = self.start()
        self.assertEqual(handler.request(ask("print=" + "x\\x0a" * 3000 + " reply")).status, 200)

    @event("WARN", "worker", "excess_rate_limit_exceeded:log", **{**OF_ASK, "function": "AskQueue"}, suppressed="lines",
           count=200)
    def test_more_lines_than_an_answer_carries(self):
        handler = self.start()
        answer = handler.request(queue_message("AskQueue", "infos=1200 succeed", invocation_id="ask-1",
                                               headers=TRACE_PARENT))
        self.assertEqual((answer.status, len(answer.json()["Logs"])), (200, 1001))


if __name__ == "__main__":
    unittest.main()
