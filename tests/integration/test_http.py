"""The HTTP server as a client sees it: what it serves, and what it refuses with which status."""

import json
import socket
import struct
import threading
import time
import unittest

import probe
from azfn_local.wire import read_response
from probe import ask, exchange

HOST = "Host: localhost\r\n"


class Http(probe.TestCase):
    @classmethod
    def setUpClass(cls):
        case = cls("run_nothing")
        cls.shared = case.probe_app(policy={"functions": {"HttpEnv": {"maxBodyBytes": 100000, "timeoutMs": 20000}}})
        cls.shared.__enter__()
        cls.addClassCleanup(case.doCleanups)
        cls.addClassCleanup(cls.shared.__exit__, None, None, None)

    def run_nothing(self):
        pass

    def send(self, data, method="GET"):
        connection = self.connect(self.shared)
        return exchange(connection, data.encode("latin-1") if isinstance(data, str) else data, method), connection

    def assert_refused(self, data, status):
        """The status, Connection: close, the end of the connection; and the next client is served."""
        answer, connection = self.send(data)
        self.assertEqual(answer.status, status, data[:100])
        self.assertEqual(answer.header("connection"), "close")
        self.assertEqual(connection.recv(1), b"")
        good, _ = self.send(f"GET /api/HttpEnv HTTP/1.1\r\n{HOST}\r\n")
        self.assertEqual(good.status, 200)

    def body_of(self, answer):
        return bytes.fromhex(json.loads(answer.body)["body"])

    def test_keep_alive_serves_many_requests_on_one_connection(self):
        connection = self.connect(self.shared)
        for number in range(50):
            answer = exchange(connection, ask(f"body={number} reply"))
            self.assertEqual((answer.body, answer.header("connection")), (str(number).encode(), None))

    def test_pipelined_requests_are_answered_in_order(self):
        connection = self.connect(self.shared)
        words = ["body={} reply", "delay=1 body={} reply"]
        connection.sendall(b"".join(ask(words[number % 7 == 3].format(number)) for number in range(100)))
        stream = connection.makefile("rb")
        for number in range(100):
            self.assertEqual(self.read_one(stream), str(number).encode())

    @staticmethod
    def read_one(stream):
        length = 0
        for line in iter(stream.readline, b"\r\n"):
            name, _, value = line.partition(b":")
            length = int(value) if name.lower() == b"content-length" else length
        return stream.read(length)

    def test_an_absolute_target_says_path_and_host(self):
        for target, path in (("http://other:81/api/HttpEnv?a=b", b"/api/HttpEnv"), ("HTTP://[::1]/api/HttpEnv", b"/api/HttpEnv")):
            answer, _ = self.send(f"GET {target} HTTP/1.1\r\n{HOST}\r\n")
            seen = json.loads(answer.body)
            self.assertEqual(bytes.fromhex(seen["path"]), path)
            hosts = [bytes.fromhex(value) for name, value in seen["headers"] if bytes.fromhex(name) == b"Host"]
            self.assertEqual(hosts, [target.split("/")[2].encode()])
        answer, _ = self.send(f"GET http://other?a HTTP/1.1\r\n{HOST}\r\n")
        self.assertEqual(answer.status, 200)

    def test_a_body_with_content_length_arrives_whole(self):
        body = bytes(range(256)) * 300
        answer, _ = self.send(f"POST /api/HttpEnv HTTP/1.1\r\n{HOST}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        self.assertEqual(self.body_of(answer), body)

    def test_a_chunked_body_arrives_whole(self):
        answer, _ = self.send(f"POST /api/HttpEnv HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\n\r\n"
                              "5\r\nhello\r\nA;x=y\r\n, big worl\r\n1\r\nd\r\n0\r\nTrailer: x\r\n\r\n")
        self.assertEqual(self.body_of(answer), b"hello, big world")

    def test_expect_100_continue_gets_its_100_before_the_body_is_sent(self):
        connection = self.connect(self.shared)
        connection.sendall(f"POST /api/HttpEnv HTTP/1.1\r\n{HOST}Content-Length: 4\r\n"
                           "Expect: 100-continue\r\n\r\n".encode())
        self.assertEqual(connection.recv(100), b"HTTP/1.1 100 Continue\r\n\r\n")
        self.assertEqual(self.body_of(exchange(connection, b"body")), b"body")

    def test_expect_100_continue_for_a_body_that_is_too_large_gets_413_at_once(self):
        answer, connection = self.send(f"POST /api/HttpEnv HTTP/1.1\r\n{HOST}Content-Length: 100001\r\n"
                                       "Expect: 100-continue\r\n\r\n")
        self.assertEqual((answer.status, answer.interim), (413, []))

    def test_head_has_the_headers_of_get_and_no_body(self):
        connection = self.connect(self.shared)
        answer = exchange(connection, ask("body=twelve~bytes reply", method="HEAD"), "HEAD")
        self.assertEqual((answer.status, answer.header("content-length"), answer.body), (200, "12", b""))
        self.assertEqual(exchange(connection, ask("body=next reply")).body, b"next")

    def test_http_1_0_is_closed_unless_it_asks_to_be_kept(self):
        request = ask("body=x reply").replace(b"HTTP/1.1", b"HTTP/1.0")
        answer, connection = self.send(request)
        self.assertEqual((answer.body, answer.header("connection"), connection.recv(1)), (b"x", "close", b""))
        connection = self.connect(self.shared)
        for _ in range(2):
            answer = exchange(connection, request.replace(b"\r\n\r\n", b"\r\nConnection: keep-alive\r\n\r\n"))
            self.assertEqual((answer.body, answer.header("connection").lower()), (b"x", "keep-alive"))

    def test_connection_close_is_honoured(self):
        answer, connection = self.send(ask("body=x reply", headers="Connection: close\r\n"))
        self.assertEqual((answer.header("connection"), connection.recv(1)), ("close", b""))

    def test_the_readiness_check_calls_no_function(self):
        answer, _ = self.send(f"GET / HTTP/1.1\r\n{HOST}\r\n")
        self.assertEqual((answer.status, answer.body), (200, b""))

    def test_unknown_paths_get_404_and_other_methods_405_with_allow(self):
        self.assert_refused(f"GET /api/NoSuch HTTP/1.1\r\n{HOST}\r\n", 404)
        self.assert_refused(f"POST /NoSuch HTTP/1.1\r\n{HOST}Content-Length: 2\r\n\r\n{{}}", 404)
        self.assert_refused(f"GET /QIn HTTP/1.1\r\n{HOST}\r\n", 404)
        self.assert_refused(f"DELETE /api/items/5 HTTP/1.1\r\n{HOST}\r\n", 405)
        answer, _ = self.send(f"DELETE /api/items/5 HTTP/1.1\r\n{HOST}\r\n")
        self.assertEqual(answer.header("allow"), "GET, POST")

    def test_every_trap_gets_its_status_and_a_close(self):
        long_header = "X: " + "a" * 70000 + "\r\n"
        many_headers = "".join(f"X-{number}: 1\r\n" for number in range(200))
        for request, status in (
                (f"GET /api/HttpEnv\r\n{HOST}\r\n", 505),
                (f"GET /api/HttpEnv HTTP/0.9\r\n{HOST}\r\n", 505),
                (f"GET /api/HttpEnv HTTP/1.2\r\n{HOST}\r\n", 505),
                ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
                (f"OPTIONS /api/HttpEnv RTSP/1.0\r\n{HOST}\r\n", 400),
                (f"DESCRIBE /api/HttpEnv RTSP/1.0\r\n{HOST}\r\n", 400),
                (f"SOURCE /api/HttpEnv ICE/1.0\r\n{HOST}\r\n", 400),
                (f"BREW /api/HttpEnv HTTP/1.1\r\n{HOST}\r\n", 501),
                (f"CONNECT localhost:80 HTTP/1.1\r\n{HOST}\r\n", 501),
                ("\x16\x03\x01\x02\x00\x01", 400),
                ("GET /api/HttpEnv HTTP/1.1\r\n\r\n", 400),
                (f"GET /api/HttpEnv HTTP/1.1\r\n{HOST}{HOST}\r\n", 400),
                ("GET /api/HttpEnv HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
                (f"GET /api/HttpEnv HTTP/1.1\n{HOST}\r\n", 400),
                (f"GET /api/HttpEnv HTTP/1.1\r\n{HOST}X : y\r\n\r\n", 400),
                (f"GET /api/HttpEnv HTTP/1.1\r\n{HOST}X: y\r\n z\r\n\r\n", 400),
                (f"GET /api/HttpEnv HTTP/1.1\r\n{HOST}X: \x00\r\n\r\n", 400),
                (f"GET /api/{'a' * 20000} HTTP/1.1\r\n{HOST}\r\n", 414),
                (f"GET /api/HttpEnv HTTP/1.1\r\n{HOST}{long_header}\r\n", 431),
                (f"GET /api/HttpEnv HTTP/1.1\r\n{HOST}{many_headers}\r\n", 431),
                (f"POST /api/HttpEnv HTTP/1.1\r\n{HOST}Content-Length: 100001\r\n\r\n", 413),
                (f"POST /api/HttpEnv HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\n\r\n"
                 f"186A1\r\n{'x' * 100001}\r\n0\r\n\r\n", 413),
                (f"POST /api/HttpEnv HTTP/1.1\r\n{HOST}Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", 400),
                (f"POST /api/HttpEnv HTTP/1.1\r\n{HOST}Content-Length: +5\r\n\r\nhello", 400),
                (f"POST /api/HttpEnv HTTP/1.1\r\n{HOST}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
                 "0\r\n\r\n", 400),
                (f"POST /api/HttpEnv HTTP/1.1\r\n{HOST}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
                (f"POST /api/HttpEnv HTTP/1.0\r\n{HOST}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
                (f"POST /api/HttpEnv HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n", 400),
        ):
            with self.subTest(request=request[:60]):
                self.assert_refused(request, status)

    def test_a_refusal_is_an_event_that_shows_the_path_alone(self):
        self.assert_refused(f"GET /api/nothing-here?code=fake-key HTTP/1.1\r\n{HOST}Cookie: fake-cookie\r\n"
                            "Authorization: Bearer fake-token\r\nx-functions-key: fake-functions-key\r\n\r\n", 404)
        line = self.shared.wait_for_line(lambda line: "nothing-here" in line.text)
        self.assertEqual(line.level, "Warning")
        self.assertIn('"event":"input_validation_fail:route"', line.text)
        self.assertIn('"request_uri":"/api/nothing-here",', line.text)
        self.assertFalse(any("fake-" in line.text for line in self.shared.lines))

    def test_an_upgrade_is_ignored(self):
        answer, _ = self.send(ask("body=plain reply", headers="Upgrade: websocket\r\nConnection: Upgrade\r\n"))
        self.assertEqual((answer.status, answer.body), (200, b"plain"))

    def test_a_refused_client_that_still_sends_reads_its_answer(self):
        connection = self.connect(self.shared)
        connection.sendall(f"POST /api/HttpEnv HTTP/1.1\r\n{HOST}Content-Length: 20000000\r\n\r\n".encode())
        for _ in range(200):
            connection.sendall(b"x" * 100000)
        self.assertEqual(read_response(connection).status, 413)

    def test_a_client_that_leaves_changes_nothing_for_others(self):
        for _ in range(20):
            leaving = self.connect(self.shared)
            leaving.sendall(ask("delay=30 big=100000 reply"))
            leaving.close()
            half = self.connect(self.shared)
            half.sendall(b"POST /api/HttpEnv HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf")
            half.close()
        self.assertEqual(self.send(ask("delay=60 body=served reply"))[0].body, b"served")

    def test_a_function_is_told_when_its_caller_has_gone(self):
        for how in ("close", "reset"):
            leaving = self.connect(self.shared)
            leaving.sendall(ask(f"watch print=watches-{how} delay=60000 reply").replace(b"ask-1", how.encode()))
            self.shared.wait_for_line(f"watches-{how}")
            if how == "reset":
                leaving.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            leaving.close()
            self.shared.wait_for_line(f"cancelled {how}")

    def test_a_client_that_closes_its_side_still_gets_its_answer(self):
        connection = self.connect(self.shared)
        connection.sendall(ask("delay=30 body=late reply"))
        connection.shutdown(1)
        self.assertEqual(read_response(connection).body, b"late")

    def test_a_large_answer_reaches_a_slow_reader(self):
        connection = self.connect(self.shared)
        connection.sendall(ask("big=20000000 reply"))
        time.sleep(0.2)  # the client's own slowness
        self.assertEqual(len(read_response(connection).body), 20000000)

    def test_bytes_ahead_of_their_turn_are_bounded_but_not_lost(self):
        connection = self.connect(self.shared)
        connection.sendall(ask("print=flood-begun delay=300 reply"))
        self.shared.wait_for_line("flood-begun")
        request = ask("body=" + "y" * 900 + " reply")
        connection.settimeout(20)
        sent = 0

        def flood():
            nonlocal sent
            for _ in range(2000):
                connection.sendall(request)
                sent += 1
        thread = threading.Thread(target=flood)
        thread.start()
        stream = connection.makefile("rb")
        self.assertEqual(self.read_one(stream), b"")
        for _ in range(2000):
            self.assertEqual(self.read_one(stream), b"y" * 900)
        thread.join()
        self.assertEqual(sent, 2000)


if __name__ == "__main__":
    unittest.main()
