"""Streaming through the host's proxying mode: a client, azfn-local's gateway, and the real executable."""

import contextlib
import dataclasses
import re
import socket
import struct
import subprocess
import sys
import threading
import unittest

import probe
from azfn_local.gateway import Gateway
from azfn_local.host import Host
from azfn_local.wire import read_response

TOOL = probe.HERE.parent.parent / "tools" / "azfn-local" / "azfn-local"
MIB = 1 << 20
PIECE = bytes(range(256)) * 256
POLICY = {"functions": {"StreamOut": {"timeoutMs": 20000}, "StreamIn": {"maxBodyBytes": 256 * MIB},
                        "StreamEcho": {"maxBodyBytes": 256 * MIB}}}


def host_json(**modes):
    return {"functionTimeout": "00:05:00",
            "customHandler": {"description": {"defaultExecutablePath": "handler"}, **modes}}


PROXYING = host_json(enableProxyingHttpRequest=True, enableForwardingHttpRequest=True)


def head(target, headers="", method="GET"):
    return f"{method} /api/{target} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n".encode()


def send_chunks(connection, pieces):
    for piece in pieces:
        connection.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
    connection.sendall(b"0\r\n\r\n")


def read_head(stream):
    lines = [line.decode().rstrip() for line in iter(stream.readline, b"\r\n")]
    return lines[0], dict(line.lower().split(": ", 1) for line in lines[1:])


def read_chunk(stream):
    size = int(stream.readline(), 16)
    piece = stream.read(size)
    assert stream.readline() == b"\r\n"
    return piece


class ProxyingCase(probe.TestCase):
    def serve(self, host):
        """A running app with a gateway before it."""
        self.app = self.probe_app(policy=POLICY, host=host)
        self.enter(self.app)
        self.gateway = self.enter(Gateway(Host(self.app.app, self.app), port=0))

    def enter(self, manager):
        self.addCleanup(manager.__exit__, None, None, None)
        return manager.__enter__()

    def connected(self, receive_bytes=None):
        connection = socket.socket()
        self.addCleanup(connection.close)
        if receive_bytes:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        connection.settimeout(20)
        connection.connect(("127.0.0.1", self.gateway.port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def assert_served(self):
        connection = self.connected()
        connection.sendall(head("StreamOut"))
        self.assertEqual(read_response(connection).body, b"a" * 10 + b"b" * 10 + b"c" * 10)


class Answers(ProxyingCase):
    def setUp(self):
        self.serve(PROXYING)

    def test_an_event_arrives_before_the_next_is_made(self):
        connection = self.connected()
        connection.sendall(head("StreamOut?pieces=1&size=5&stop=never"))
        stream = connection.makefile("rb")
        status, headers = read_head(stream)
        self.assertEqual((status, headers["content-type"], headers["transfer-encoding"], headers["x-early"]),
                         ("HTTP/1.1 200 OK", "text/event-stream", "chunked", "1"))
        self.assertEqual(read_chunk(stream), b"aaaaa")

    def test_the_connection_goes_on_and_so_does_the_handlers(self):
        connection = self.connected()
        opened = self.app.pool.opened
        for _ in range(3):
            connection.sendall(head("StreamOut?pieces=5&size=7"))
            answer = read_response(connection)
            self.assertEqual((answer.framing, len(answer.body), answer.keep_alive), ("chunked", 35, True))
        connection.sendall(head("StreamOut", method="HEAD"))
        self.assertEqual(read_response(connection, "HEAD").status, 200)
        connection.sendall(head("StreamIn"))
        self.assertEqual(read_response(connection).json()["bytes"], 0)
        self.assertLessEqual(self.app.pool.opened, opened + 1)

    def test_a_client_of_http_1_0(self):
        connection = self.connected()
        connection.sendall(b"GET /api/StreamOut HTTP/1.0\r\nHost: h\r\n\r\n")
        answer = read_response(connection)
        self.assertEqual((answer.framing, len(answer.body), answer.header("connection")), ("close", 30, "close"))

    def test_a_client_that_leaves_is_told_to_the_function(self):
        def close(connection):
            connection.close()

        def half_close(connection):
            connection.shutdown(socket.SHUT_WR)

        def reset(connection):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()
        for leave in (close, half_close, reset):
            with self.subTest(leave.__name__):
                seen = len(self.app.lines)
                connection = self.connected()
                connection.sendall(head("StreamOut?pieces=1&stop=never&deaf=1"))
                with connection.makefile("rb") as stream:  # all of it: the gateway has nothing left to write
                    read_head(stream)
                    read_chunk(stream)
                leave(connection)
                self.app.wait_for_line(lambda line, seen=seen: "cancelled " in line.text and
                                       line in self.app.lines[seen:])
        self.assert_served()

    def test_a_client_that_does_not_read_makes_the_function_wait(self):
        connection = self.connected(receive_bytes=4096)
        connection.sendall(head(f"StreamOut?pieces=400&size={64 << 10}"))
        probe.wait_until(lambda: connection.recv(1, socket.MSG_PEEK), what="the head")
        self.assert_served()
        self.assertEqual(len(read_response(connection).body), 400 << 16)
        self.app.wait_for_line(lambda line: "waited " in line.text and "waited 0" not in line.text)

    def test_an_answer_that_is_cut_resets_the_client(self):
        connection = self.connected()
        connection.sendall(head("StreamOut?stop=fail"))
        received = b""
        with self.assertRaises(ConnectionResetError):
            while piece := connection.recv(65536):
                received += piece
        self.assertIn(b"aaaaaaaaaa", received)
        self.assertNotIn(b"\r\n0\r\n", received)
        self.assert_served()

    def test_the_hosts_timeout_restarts_the_handler(self):
        app = dataclasses.replace(self.app.app, function_timeout_s=0.3)
        self.gateway = self.enter(Gateway(Host(app, self.app), port=0))
        connection = self.connected()
        connection.sendall(head("StreamOut?stop=never"))
        with self.assertRaises(ConnectionResetError):
            while connection.recv(65536):
                pass
        self.app.wait_for_starts(2)
        self.assertEqual((self.app.restarts_on_timeout, self.app.error), (1, None))


class Requests(ProxyingCase):
    def setUp(self):
        self.serve(PROXYING)

    def test_the_function_gets_each_chunk_as_it_is_sent(self):
        connection = self.connected()
        connection.sendall(head("StreamEcho", "Transfer-Encoding: chunked\r\n", "POST"))
        stream = connection.makefile("rb")
        for number, piece in enumerate((b"one", b"two\n\nlines\n", b"three")):
            connection.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
            if number == 0:
                read_head(stream)
            got = b""
            while len(got) < len(piece):
                got += read_chunk(stream)
            self.assertEqual(got, piece)
        connection.sendall(b"5\r\n")  # a chunk that is not there yet holds nothing up
        connection.sendall(b"hello\r\n7\r\n")
        self.assertEqual(read_chunk(stream), b"hello")
        connection.sendall(b"goodbye\r\n0\r\n\r\n")
        self.assertEqual((read_chunk(stream), read_chunk(stream)), (b"goodbye", b""))
        connection.sendall(head("StreamOut"))
        self.assertEqual(len(read_response(connection).body), 30)

    def test_the_function_is_called_before_the_body_is_there(self):
        connection = self.connected()
        connection.sendall(head("StreamIn", "Content-Length: 10\r\n", "POST"))
        self.app.wait_for_line("called ")
        connection.sendall(b"0123456789")
        self.assertEqual(read_response(connection, "POST").json()["bytes"], 10)

    def test_expect(self):
        connection = self.connected()
        for _ in range(2):
            connection.sendall(head("StreamIn", "Content-Length: 3\r\nExpect: 100-continue\r\n", "POST"))
            self.assertEqual(connection.recv(25, socket.MSG_WAITALL), b"HTTP/1.1 100 Continue\r\n\r\n")
            connection.sendall(b"Ada")
            self.assertEqual(read_response(connection, "POST").json()["bytes"], 3)
        connection.sendall(head("StreamIn", f"Content-Length: {1 << 40}\r\nExpect: 100-continue\r\n", "POST"))
        self.assertEqual(read_response(connection, "POST").status, 413)
        self.assertEqual(connection.recv(1), b"")

    def test_an_answer_before_the_end_of_the_body(self):
        body = b"e" * (4 * MIB)
        for query in ("never=1", "enough=1000"):
            connection = self.connected()
            sender = threading.Thread(target=connection.sendall, args=(
                head(f"StreamIn?{query}", f"Content-Length: {len(body)}\r\n", "POST") + body,))
            sender.start()
            answer = read_response(connection, "POST")
            self.assertEqual(answer.status, 200)
            self.assertLess(answer.json()["bytes"], len(body))
            sender.join()
            connection.sendall(head("StreamOut"))
            self.assertEqual(len(read_response(connection).body), 30)

    def test_a_malformed_body(self):
        connection = self.connected()
        connection.sendall(head("StreamIn", "Transfer-Encoding: chunked\r\n", "POST") + b"5\r\nhello\r\nxyz\r\n")
        answer = read_response(connection, "POST")
        self.assertEqual((answer.status, answer.header("connection")), (400, "close"))
        self.app.wait_for_line("read 5 AZFN_ERROR_UNAVAILABLE")
        self.assert_served()

    def test_a_client_that_leaves_in_the_middle(self):
        connection = self.connected()
        connection.sendall(head("StreamIn", "Content-Length: 100\r\n", "POST") + b"x" * 50)
        self.app.wait_for_line("called ")
        connection.close()
        self.app.wait_for_line(lambda line: re.search("read (0|50) AZFN_ERROR_UNAVAILABLE", line.text))
        self.assert_served()


class Tool(probe.TestCase):
    @contextlib.contextmanager
    def started(self):
        app = probe.write_app(self.temporary_folder() / "app", probe.PROBE_APP / "probe_handler",
                              probe.probe_functions(), policy=POLICY, host=PROXYING)
        with subprocess.Popen([sys.executable, "-B", str(TOOL), "start", "--port", "0", "--app-root", str(app)],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
            try:
                port = next(int(found[1]) for line in process.stdout
                            if (found := re.search(r"Serving .*127\.0\.0\.1:(\d+)", line)))
                output = threading.Thread(target=process.stdout.read, daemon=True)
                output.start()
                yield process.pid, port
            finally:
                process.terminate()
                output.join()

    def test_a_large_body_both_ways_takes_little_memory(self):
        count = 1024 if not probe.IS_SANITIZED else 64
        with self.started() as (pid, port), socket.create_connection(("127.0.0.1", port), 60) as connection:
            handler = next(child for child in probe.children(pid))
            worker = probe.Roles(handler.pid).worker
            before = int(probe.Process(pid).status()["VmHWM"][0])
            connection.sendall(head("StreamEcho", "Transfer-Encoding: chunked\r\n", "POST"))
            sender = threading.Thread(target=send_chunks, args=(connection, (PIECE for _ in range(count))))
            sender.start()
            stream = connection.makefile("rb")
            read_head(stream)
            got = 0
            while piece := read_chunk(stream):
                start = got % 256
                self.assertEqual(piece, (PIECE + PIECE[:256])[start:start + len(piece)])
                got += len(piece)
            sender.join()
            self.assertEqual(got, count * len(PIECE))
            self.assertLess(int(probe.Process(pid).status()["VmHWM"][0]) - before, 8 << 10)
            if not probe.IS_SANITIZED:
                self.assertLess(int(worker.status()["VmHWM"][0]), 16 << 10)


class Forwarding(ProxyingCase):
    def test_a_stream_arrives_at_its_end(self):
        self.serve(host=host_json(enableForwardingHttpRequest=True))
        connection = self.connected()
        connection.sendall(head("StreamOut?pieces=3&size=5&stop=never"))
        connection.settimeout(0.3)
        with self.assertRaises(TimeoutError):
            connection.recv(1)
        connection = self.connected()
        connection.sendall(head("StreamOut?pieces=3&size=5"))
        answer = read_response(connection)
        self.assertEqual((answer.framing, answer.body), ("length", b"aaaaabbbbbccccc"))

    def test_a_chunked_body_is_refused(self):
        self.serve(host=host_json(enableForwardingHttpRequest=True))
        connection = self.connected()
        connection.sendall(head("StreamIn", "Transfer-Encoding: chunked\r\n", "POST"))
        send_chunks(connection, [b"hello"])
        self.assertEqual(read_response(connection, "POST").status, 500)


if __name__ == "__main__":
    unittest.main(verbosity=2)
