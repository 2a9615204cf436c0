"""Every limit of azfn.json over real sockets: at it a request is served, one beyond it is refused with its status, an
event and a close, and the next client is served. Slow and stalled clients, and what the system itself runs out of."""

import contextlib
import json
import pathlib
import resource
import socket
import statistics
import subprocess
import time
import unittest

import probe
from azfn_local.wire import WireError, read_response
from probe import Roles, ask, exchange, wait_until

SCHEMA = pathlib.Path(__file__).resolve().parent.parent.parent / "runtime" / "config" / "azfn.schema.json"
HOST = "Host: localhost\r\n"
GOOD = f"GET /api/HttpEnv HTTP/1.1\r\n{HOST}\r\n".encode()
EVENT_OF_THE_HOST = (f"POST /AskQueue HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\n\r\n"
                     '25\r\n{"Data":{"message":"x"},"Metadata":{}}\r\n0\r\n\r\n')
CHUNKED = f"POST /api/HttpEnv HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\n\r\n"


def raise_descriptor_limit():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def rss_kib(process):
    return int(process.status()["VmRSS"][0])


class LimitsCase(probe.TestCase):
    def app(self, limits, functions=None):
        return self.probe_app(policy={"limits": limits, "functions": functions or {}})

    def send(self, handler, data, method="GET"):
        connection = self.connect(handler)
        return exchange(connection, data.encode("latin-1") if isinstance(data, str) else data, method), connection

    def assert_served(self, handler, data=GOOD):
        answer, connection = self.send(handler, data)
        self.assertEqual(answer.status, 200, data[:80])
        self.assertIsNone(answer.header("connection"))
        connection.close()
        return answer

    def assert_refused(self, handler, data, status, event, text):
        """The status, the close, a new event that says why; and the next client is served."""
        known = len(handler.lines)
        answer, connection = self.send(handler, data)
        self.assertEqual(answer.status, status, data[:80])
        self.assertEqual(answer.header("connection"), "close")
        self.assertEqual(connection.recv(1), b"")
        connection.close()
        self.wait_for_event(handler, known, event, f"{status}: {text}")
        self.assert_served(handler)

    def wait_for_event(self, handler, known, event, text):
        wait_until(lambda: any(f'"{event}"' in line.text and text in line.text for line in handler.lines[known:]),
                   what=f"the event {event} with {text}")

    def hold(self, handler, name, body=None):
        """A request whose function answers when its caller has gone."""
        connection = self.connect(handler)
        connection.sendall(ask(f"print=holds-{name} watch delay=600000 reply", method="POST" if body else "GET",
                               body=body).replace(b"ask-1", name.encode()))
        handler.wait_for_line(f"holds-{name}")
        return connection

    def let_go(self, handler, connection, name):
        connection.close()
        handler.wait_for_line(f"cancelled {name}")


class Sizes(LimitsCase):
    """What one request may have, and what all of them may have together."""

    LIMITS = {"urlBytes": 300, "headerBytes": 2048, "headerCount": 10, "chunkExtensionBytes": 20, "trailerBytes": 30,
              "requestsInFlight": 3, "bodyBytesInFlight": 65536}

    @classmethod
    def setUpClass(cls):
        case = cls("run_nothing")
        cls.shared = case.app(cls.LIMITS, {"HttpEnv": {"maxBodyBytes": 1000}, "Outputs": {"maxConcurrent": 1}})
        cls.shared.__enter__()
        cls.addClassCleanup(case.doCleanups)
        cls.addClassCleanup(cls.shared.__exit__, None, None, None)

    def run_nothing(self):
        pass

    def assert_limit(self, make, status, text, event="excess_rate_limit_exceeded:size"):
        """make(n): a request that has n more than the limit."""
        self.assert_served(self.shared, make(0))
        self.assert_refused(self.shared, make(1), status, event, text)

    def test_the_url(self):
        self.assert_limit(lambda more: f"GET /api/HttpEnv?{'q' * (300 - 13 + more)} HTTP/1.1\r\n{HOST}\r\n", 414,
                          "the request target is longer than the limit")

    def test_the_bytes_of_the_headers(self):
        def make(more):
            begin = f"GET /api/HttpEnv HTTP/1.1\r\n{HOST}X: "
            return begin + "x" * (2048 - len(begin) - 4 + more) + "\r\n\r\n"
        self.assert_limit(make, 431, "the head is longer than the limit")

    def test_the_count_of_the_headers(self):
        def make(more):
            return f"GET /api/HttpEnv HTTP/1.1\r\n{HOST}" + "X: y\r\n" * (9 + more) + "\r\n"
        self.assert_limit(make, 431, "more headers than the limit")

    def test_chunk_extensions_of_a_request(self):
        self.assert_limit(lambda more: f"{CHUNKED}2;aaaaaaaaa\r\nhi\r\n0;{'b' * (9 + more)}\r\n\r\n", 400,
                          "more bytes of chunk extensions than the limit")

    def test_trailers_of_a_request(self):
        self.assert_limit(lambda more: f"{CHUNKED}0\r\nX: aaaaa\r\nY: {'b' * (15 + more)}\r\n\r\n", 431,
                          "more bytes of trailers than the limit")

    def test_the_body_of_a_request(self):
        head = f"POST /api/HttpEnv HTTP/1.1\r\n{HOST}"
        self.assert_limit(lambda more: f"{head}Content-Length: {1000 + more}\r\n\r\n" + "x" * (1000 + more), 413,
                          "a Content-Length beyond the limit")
        self.assert_limit(lambda more: f"{CHUNKED}{1000 + more:x}\r\n" + "x" * (1000 + more) + "\r\n0\r\n\r\n", 413,
                          "a chunked body beyond the limit")

    def test_requests_in_flight(self):
        event = "excess_rate_limit_exceeded:function"
        held = [self.hold(self.shared, f"flight-{number}") for number in range(2)]
        self.assert_served(self.shared)  # the third
        held.append(self.hold(self.shared, "flight-2"))
        for request in (ask("reply"), EVENT_OF_THE_HOST):
            known = len(self.shared.lines)
            answer, connection = self.send(self.shared, request)
            self.assertEqual((answer.status, answer.header("connection")), (429, "close"))
            self.assertEqual(connection.recv(1), b"")
            self.wait_for_event(self.shared, known, event, "429: the limit requestsInFlight is reached")
        for number, connection in enumerate(held):
            self.let_go(self.shared, connection, f"flight-{number}")
        self.assert_served(self.shared)

    def test_bodies_in_flight(self):
        def post(length):
            return ask("reply", method="POST", body=b"x" * length)
        held = self.hold(self.shared, "bodies", body=b"x" * 40000)
        self.assert_served(self.shared, post(25536))
        self.assert_refused(self.shared, post(25537), 503, "excess_rate_limit_exceeded:memory",
                            "the bodies of all requests reach bodyBytesInFlight")
        self.assert_served(self.shared, post(25536))
        self.let_go(self.shared, held, "bodies")
        self.assert_served(self.shared, post(65536))

    def test_the_schema_says_what_the_program_takes(self):
        properties = json.loads(SCHEMA.read_text())["properties"]["limits"]["properties"]
        ends = [{key: rule[end] for key, rule in properties.items()} for end in ("minimum", "maximum", "default")]
        for limits in ends:
            with self.app(limits) as handler:
                self.assert_served(handler)
        app = probe.write_app(self.temporary_folder() / "app", probe.PROBE_APP / "probe_handler",
                              probe.probe_functions())
        beyond = [(key, value) for key, rule in properties.items() for value in (rule["minimum"] - 1,
                                                                                rule["maximum"] + 1)]
        for key, value in beyond:
            (app / "azfn.json").write_text(json.dumps({"limits": {key: value}}))
            done = subprocess.run([str(app / "handler")], cwd=app, env={"FUNCTIONS_CUSTOMHANDLER_PORT": "1"},
                                  capture_output=True, timeout=30, check=False)
            self.assertEqual(done.returncode, 1, key)
            self.assertIn(f"azfn.json:1: /limits/{key}: expected ", done.stderr.decode().splitlines()[-1])


class Times(LimitsCase):
    """Clients that are slow. A period of 400 ms wants 40 bytes."""

    LIMITS = {"headerTimeoutMs": 400, "bodyTimeoutMs": 400, "sendTimeoutMs": 400, "minBytesPerSecond": 100}
    EVENT = "input_validation_fail:slow_client"
    HALF = f"POST /api/HttpEnv HTTP/1.1\r\n{HOST}Content-Length: 1000\r\n\r\n"

    @classmethod
    def setUpClass(cls):
        case = cls("run_nothing")
        cls.shared = case.app(cls.LIMITS)
        cls.shared.__enter__()
        cls.addClassCleanup(case.doCleanups)
        cls.addClassCleanup(cls.shared.__exit__, None, None, None)

    def run_nothing(self):
        pass

    def test_a_request_that_stops_is_408(self):
        for half in ("GET /api/Ht", f"GET /api/HttpEnv HTTP/1.1\r\n{HOST}", self.HALF, self.HALF + "x" * 39,
                     CHUNKED, f"{CHUNKED}4", f"{CHUNKED}4\r\nabcd\r\n0\r\n"):
            with self.subTest(half=half[-20:]):
                part = "head" if half.startswith("GET") else "body"
                begin = time.monotonic()
                self.assert_refused(self.shared, half, 408, self.EVENT, f"the {part} did not arrive in time")
                self.assertGreaterEqual(time.monotonic() - begin, 0.39)

    def drip(self, connection, pieces, pause):
        """Sends until the pieces end or the server has answered; whether it has."""
        connection.settimeout(pause)
        for piece in pieces:
            connection.sendall(piece)
            try:
                if connection.recv(1, socket.MSG_PEEK):
                    return True
            except TimeoutError:
                pass
        connection.settimeout(20)
        return False

    def test_a_head_has_one_time_however_it_comes(self):
        connection = self.connect(self.shared)
        connection.sendall(b"GET /api/HttpEnv HTTP/1.1\r\nX: ")
        self.assertTrue(self.drip(connection, [b"x" * 50] * 100, 0.05))
        self.assertEqual(read_response(connection).status, 408)

    def test_a_body_is_given_more_time_while_it_comes(self):
        for head, end in ((self.HALF, b""), (f"{CHUNKED}3e8\r\n", b"\r\n0\r\n\r\n")):
            connection = self.connect(self.shared)
            connection.sendall(head.encode())
            self.assertFalse(self.drip(connection, [b"x" * 20] * 49, 0.025))  # three periods
            connection.sendall(b"x" * 20 + end)
            answer = read_response(connection)
            self.assertEqual((answer.status, len(json.loads(answer.body)["body"])), (200, 2000))

    def test_chunk_extensions_are_no_progress(self):
        connection = self.connect(self.shared)
        connection.sendall(CHUNKED.encode())
        self.assertTrue(self.drip(connection, [b"1;" + b"e" * 20 + b"\r\nx\r\n"] * 100, 0.05))
        self.assertEqual(read_response(connection).status, 408)

    def test_a_client_that_takes_nothing_of_its_answer_is_cut_off(self):
        known = len(self.shared.lines)
        connection = self.connect(self.shared)
        connection.sendall(ask("big=40000000 reply"))
        self.wait_for_event(self.shared, known, self.EVENT, "the client does not take its answer")
        with self.assertRaises(WireError):
            read_response(connection)
        self.assert_served(self.shared)

    def test_what_a_function_takes_before_it_answers_is_not_the_clients_time(self):
        connection = self.connect(self.shared)
        connection.sendall(ask("spin=500 big=40000000 reply"))
        self.assertEqual(len(read_response(connection).body), 40000000)

    def test_an_answer_is_given_more_time_while_it_is_taken(self):
        connection = self.connect(self.shared)
        connection.sendall(ask("big=100000000 reply"))
        left = 100000000
        begin = time.monotonic()
        while time.monotonic() - begin < 1.3:  # three periods
            left -= len(connection.recv(4 << 20, socket.MSG_WAITALL))
            time.sleep(0.07)  # the client's own slowness
        self.assertGreater(left, 10 << 20)
        while left > 0 and (piece := connection.recv(4 << 20)):
            left -= len(piece)
        self.assertLessEqual(left, 0)


class Connections(LimitsCase):
    """The handler fixture itself keeps one connection, the oldest: that of the readiness check."""

    def test_the_one_that_was_idle_longest_makes_room(self):
        with self.app({"connections": 4}) as handler:
            mine = [self.connect(handler) for _ in range(3)]
            for connection in mine + mine:
                self.assertEqual(exchange(connection, GOOD).status, 200)
            self.assertFalse(any("the limit of connections" in line.text for line in handler.lines))
            mine.append(self.connect(handler))
            for connection in mine:
                self.assertEqual(exchange(connection, GOOD).status, 200)
            self.wait_for_event(handler, 0, "excess_rate_limit_exceeded:connections", "idle longest is closed")
            mine.append(self.connect(handler))
            self.assertEqual(exchange(mine[4], GOOD).status, 200)
            self.assertEqual(mine[0].recv(1), b"")
            for connection in mine[1:]:
                self.assertEqual(exchange(connection, GOOD).status, 200)

    def test_where_none_is_idle_the_new_one_is_closed(self):
        with self.app({"connections": 2}) as handler:
            held = [self.hold(handler, f"held-{number}") for number in range(2)]
            for _ in range(20):
                connection = self.connect(handler)
                with contextlib.suppress(ConnectionError):
                    connection.sendall(GOOD)
                    self.assertEqual(connection.recv(1), b"")
            self.wait_for_event(handler, 0, "excess_rate_limit_exceeded:connections", "the new connection is closed")
            # one line for all of them
            self.assertEqual(sum("the new connection is closed" in line.text for line in handler.lines), 1)
            self.let_go(handler, held.pop(), "held-1")
            self.assert_served(handler)

    def test_idle_connections_cost_little(self):
        count = min(4000, raise_descriptor_limit() - 200)
        with self.app({}) as handler:
            worker = Roles(handler.pid).worker
            for _ in range(50):
                self.assert_served(handler)
            before = rss_kib(worker)
            connections = []
            for number in range(count):
                connection = self.connect(handler)
                connections.append(connection)
                if number % 2 == 0:
                    connection.sendall(GOOD)
            for connection in connections[::2]:
                self.assertEqual(read_response(connection).status, 200)
            exchange(connections[-1], GOOD)
            each = (rss_kib(worker) - before) * 1024 / count
            for connection in connections:
                connection.close()
        if not probe.IS_SANITIZED:
            self.assertLess(each, 1536)


class Stalled(LimitsCase):
    def measure(self, connection, count):
        took = []
        for _ in range(count):
            begin = time.monotonic()
            self.assertEqual(exchange(connection, GOOD).status, 200)
            took.append(time.monotonic() - begin)
        return statistics.median(took)

    def test_a_thousand_stalled_clients_disturb_nobody(self):
        raise_descriptor_limit()
        kinds = ([b"GET /api/Ht"] * 330 + [f"GET /api/HttpEnv HTTP/1.1\r\n{HOST}X: y".encode()] * 330
                 + [f"POST /api/HttpEnv HTTP/1.1\r\n{HOST}Content-Length: 1000000\r\n\r\n".encode()
                    + b"x" * 16000] * 320
                 + [ask("big=4000000 reply")] * 20)
        with self.app({}) as handler:
            worker = Roles(handler.pid).worker
            normal = self.connect(handler)
            self.measure(normal, 100)
            before, memory = self.measure(normal, 300), rss_kib(worker)
            stalled = []
            for data in kinds:
                connection = socket.socket()
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                connection.connect(("127.0.0.1", handler.port))
                connection.sendall(data)
                stalled.append(connection)
            during = self.measure(normal, 300)
            for _ in range(20):
                self.assert_served(handler)
            self.assertLess(during, before * 3 + 0.003)
            # 320 bodies, 20 answers and what malloc keeps
            if not probe.IS_SANITIZED:
                self.assertLess(rss_kib(worker) - memory, 160 << 10)
            for connection in stalled:
                connection.close()
            self.assert_served(handler)


if __name__ == "__main__":
    unittest.main()
