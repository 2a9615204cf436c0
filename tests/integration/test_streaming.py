"""Bodies in pieces: answers as they are made, with backpressure; requests as the function asks for them."""

import json
import socket
import threading
import unittest

import probe
from azfn_local.wire import WireError, read_response
from probe import envelope, exchange

MIB = 1 << 20


def request(target, body=b"", method="GET", headers="", version="1.1"):
    length = f"Content-Length: {len(body)}\r\n" if body else ""
    head = (f"{method} /api/{target} HTTP/{version}\r\nHost: localhost\r\n"
            f"X-Azure-Functions-InvocationId: stream-1\r\n{length}{headers}\r\n")
    return head.encode() + body


def chunked_request(target, pieces):
    body = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    return request(target, method="POST", headers="Transfer-Encoding: chunked\r\n") + body


def checksum(data):
    result = 0
    for byte in data:
        result = (result * 31 + byte) & 0xFFFFFFFF
    return result


def letters(pieces, size):
    return b"".join(bytes([97 + number % 26]) * size for number in range(pieces))


class Streaming(probe.TestCase):
    def setUp(self):
        policy = {"functions": {"StreamOut": {"timeoutMs": 20000}, "StreamIn": {"maxBodyBytes": 64 * MIB},
                                "StreamEcho": {"maxBodyBytes": 64 * MIB}}}
        self.app = self.probe_app(policy=policy)
        self.app.__enter__()
        self.addCleanup(self.app.__exit__, None, None, None)

    def connected(self):
        return self.connect(self.app)

    def assert_served(self):
        answer = exchange(self.connected(), request("StreamOut"))
        self.assertEqual((answer.status, answer.body), (200, letters(3, 10)))


class Answers(Streaming):
    def test_pieces_arrive_as_chunks_and_the_connection_goes_on(self):
        connection = self.connected()
        for _ in range(3):
            answer = exchange(connection, request("StreamOut?pieces=5&size=7"))
            self.assertEqual((answer.status, answer.framing, answer.body), (200, "chunked", letters(5, 7)))
            self.assertEqual((answer.header("content-type"), answer.header("x-early"), answer.header("connection")),
                             ("text/event-stream", "1", None))

    def test_a_piece_is_there_before_the_next_is_made(self):
        connection = self.connected()
        connection.sendall(request("StreamOut?pieces=1&size=5&stop=never"))
        stream = connection.makefile("rb")
        for line in iter(stream.readline, b"\r\n"):
            self.assertTrue(line)
        self.assertEqual(stream.read(10), b"5\r\naaaaa\r\n")

    def test_an_answer_without_pieces_is_empty(self):
        connection = self.connected()
        for _ in range(2):
            answer = exchange(connection, request("StreamOut?pieces=0"))
            self.assertEqual((answer.status, answer.framing, answer.body), (200, "chunked", b""))

    def test_a_head_request_gets_the_head_alone(self):
        connection = self.connected()
        for _ in range(2):
            answer = exchange(connection, request("StreamOut", method="HEAD"), "HEAD")
            self.assertEqual((answer.status, answer.body), (200, b""))
        self.assertEqual(exchange(connection, request("StreamOut")).body, letters(3, 10))

    def test_http_1_0_gets_the_pieces_together(self):
        answer = exchange(self.connected(), request("StreamOut", version="1.0"))
        self.assertEqual((answer.status, answer.framing, answer.body), (200, "length", letters(3, 10)))

    def test_an_envelope_gets_the_pieces_together(self):
        with self.probe_app(forwarding=False) as handler:
            data = {"Data": {"req": {"Url": "http://h/api/StreamOut", "Method": "GET", "Query": {"pieces": "4"},
                                     "Headers": {}, "Params": {}}}, "Metadata": {}}
            answer = handler.request(envelope("StreamOut", data)).json()
            self.assertEqual(answer["Outputs"]["res"]["body"], letters(4, 10).decode())
            self.assertEqual(answer["Outputs"]["res"]["headers"],
                             {"X-Early": "1", "Content-Type": "text/event-stream"})

    def test_a_client_that_does_not_read_makes_the_function_wait(self):
        connection = self.connected()
        connection.sendall(request(f"StreamOut?pieces=400&size={64 << 10}"))
        probe.wait_until(lambda: connection.recv(1, socket.MSG_PEEK), what="the head")
        self.assert_served()
        memory = int(probe.Roles(self.app.pid).worker.status()["VmRSS"][0]) << 10
        self.assertLess(memory, 16 * MIB if not probe.IS_SANITIZED else 1 << 40)
        self.assertEqual(read_response(connection).body, letters(400, 64 << 10))
        waited = self.app.wait_for_line(lambda line: line.text.count("waited ") and "waited 0" not in line.text)
        self.assertIn("waited", waited.text)

    def test_a_client_that_leaves_is_told_to_the_function(self):
        connection = self.connected()
        connection.sendall(request("StreamOut?pieces=100000&size=1000&delay=1"))
        self.assertTrue(connection.recv(100))
        connection.close()
        self.app.wait_for_line("write AZFN_ERROR_STATE")
        self.assert_served()

    def test_one_that_does_not_look_is_told_by_its_callback(self):
        connection = self.connected()
        connection.sendall(request("StreamOut?pieces=100000&size=1000&delay=1&deaf=1"))
        self.assertTrue(connection.recv(100))
        connection.close()
        self.app.wait_for_line("cancelled stream-1")
        self.assert_served()

    def test_one_that_waits_for_room_is_told_as_well(self):
        connection = self.connected()
        connection.sendall(request(f"StreamOut?pieces=1000&size={64 << 10}"))
        self.assertTrue(connection.recv(100))
        connection.close()
        self.app.wait_for_line("write AZFN_ERROR_STATE")
        self.assert_served()

    def assert_cut(self, stop):
        connection = self.connected()
        connection.sendall(request(f"StreamOut?stop={stop}"))
        with self.assertRaises(WireError) as caught:
            read_response(connection)
        self.assertEqual(caught.exception.kind, "cut")
        self.assert_served()

    def test_a_failure_in_the_middle_is_seen_by_the_caller(self):
        self.assert_cut("fail")
        self.app.wait_for_line("in the middle")

    def test_a_header_after_the_head_cuts_the_answer_off(self):
        self.assert_cut("header")
        self.app.wait_for_line("a header after azfn_http_begin() was refused")

    def test_a_whole_reply_after_pieces_cuts_the_answer_off(self):
        self.assert_cut("reply")
        self.app.wait_for_line("an HTTP reply after azfn_http_begin() was refused")

    def test_a_second_begin_cuts_the_answer_off(self):
        self.assert_cut("second")
        self.app.wait_for_line("second AZFN_ERROR_STATE")
        self.app.wait_for_line("after AZFN_ERROR_STATE")

    def test_the_deadline_cuts_the_answer_off(self):
        with self.probe_app(policy={"functions": {"StreamOut": {"timeoutMs": 50}}}) as handler:
            connection = self.connect(handler)
            connection.sendall(request("StreamOut?stop=never"))
            with self.assertRaises(WireError) as caught:
                read_response(connection)
            self.assertEqual(caught.exception.kind, "cut")
            handler.wait_for_line("did not answer within its timeoutMs")

    def test_a_status_without_a_body_is_refused(self):
        for status in (199, 204, 205, 304, 600):
            answer = exchange(self.connected(), request(f"StreamOut?status={status}"))
            self.assertEqual(answer.status, 500, status)


class Requests(Streaming):
    def test_a_large_body_is_read_in_pieces(self):
        body = bytes(range(256)) * 4096 * 4
        for data in (request("StreamIn", body, "POST"),
                     chunked_request("StreamIn", [body[i:i + 10007] for i in range(0, len(body), 10007)])):
            answer = exchange(self.connected(), data, "POST").json()
            self.assertEqual((answer["bytes"], answer["sum"], answer["error"]), (len(body), checksum(body), "AZFN_OK"))
            self.assertGreater(answer["pieces"], 4)

    def test_the_connection_goes_on_after_a_body_that_was_read(self):
        connection = self.connected()
        one = request("StreamIn", b"x" * 1000, "POST")
        connection.sendall(one + one + request("StreamOut") + one)
        stream = connection.makefile("rb")
        found = []
        for _ in range(4):
            head = b"".join(iter(stream.readline, b"\r\n"))
            if b"chunked" in head:
                body = b"".join(stream.read(int(stream.readline(), 16) + 2) for _ in range(4))
                found.append(body.replace(b"\r\n", b""))
            else:
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                found.append(json.loads(stream.read(length))["bytes"])
        self.assertEqual(found, [1000, 1000, letters(3, 10), 1000])

    def test_byte_by_byte(self):
        connection = self.connected()
        for byte in chunked_request("StreamIn", [b"hello", b" ", b"world"]):
            connection.sendall(bytes([byte]))
        answer = read_response(connection, "POST").json()
        self.assertEqual((answer["bytes"], answer["sum"]), (11, checksum(b"hello world")))

    def test_the_function_is_called_before_the_body_is_there(self):
        connection = self.connected()
        data = request("StreamIn", b"0123456789", "POST")
        connection.sendall(data[:-10])
        self.app.wait_for_line("called stream-1")
        connection.sendall(data[-10:])
        self.assertEqual(read_response(connection, "POST").json()["bytes"], 10)

    def test_no_body_is_an_empty_last_piece(self):
        connection = self.connected()
        for _ in range(2):
            answer = exchange(connection, request("StreamIn")).json()
            self.assertEqual((answer["bytes"], answer["pieces"], answer["error"]), (0, 1, "AZFN_OK"))

    def test_a_function_that_reads_slowly_slows_the_sender_down(self):
        body = b"s" * (8 * MIB)
        connection = self.connected()
        sender = threading.Thread(target=connection.sendall, args=(request("StreamIn?delay=20", body, "POST"),))
        sender.start()
        self.app.wait_for_line("called stream-1")
        most = 0
        while sender.is_alive():
            most = max(most, int(probe.Roles(self.app.pid).worker.status()["VmRSS"][0]) << 10)
            sender.join(0.02)
        if not probe.IS_SANITIZED:
            self.assertLess(most, 8 * MIB)
        self.assertEqual(read_response(connection, "POST").json()["bytes"], len(body))

    def test_an_answer_before_the_end_of_the_body_arrives(self):
        body = b"e" * (4 * MIB)
        for query in ("never=1", "enough=1000"):
            connection = self.connected()
            answer = exchange(connection, request(f"StreamIn?{query}", body, "POST"), "POST")
            self.assertEqual((answer.status, answer.header("connection")), (200, "close"))
            self.assertLess(answer.json()["bytes"], len(body))
            self.assertEqual(connection.recv(1), b"")
        self.assert_served()

    def test_an_early_answer_and_the_rest_of_the_body_pass_each_other(self):
        """The host reads no answer before it has sent all: both are larger than what the sockets hold."""
        body = b"l" * (24 * MIB)
        connection = self.connected()
        connection.sendall(request("StreamIn?enough=1&big=20000000", body, "POST"))
        answer = read_response(connection, "POST")
        self.assertEqual((answer.status, len(answer.body)), (200, 20000000))

    def test_more_than_max_body_bytes(self):
        answer = exchange(self.connected(), request("StreamIn", headers=f"Content-Length: {64 * MIB + 1}\r\n",
                                                    method="POST"))
        self.assertEqual((answer.status, answer.header("connection")), (413, "close"))
        with self.probe_app(policy={"functions": {"StreamIn": {"maxBodyBytes": 10}}}) as handler:
            answer = exchange(self.connect(handler), chunked_request("StreamIn", [b"0123456789"]), "POST")
            self.assertEqual((answer.status, answer.json()["bytes"]), (200, 10))
            connection = self.connect(handler)
            answer = exchange(connection, chunked_request("StreamIn", [b"01234567890"]), "POST")
            self.assertEqual((answer.status, answer.json()["error"]), (413, "AZFN_ERROR_LIMIT"))
            self.assertEqual((answer.header("connection"), connection.recv(1)), ("close", b""))
            handler.wait_for_line("413: a chunked body beyond the limit")

    def test_a_malformed_body_is_an_error_and_the_end_of_the_connection(self):
        connection = self.connected()
        head = request("StreamIn", method="POST", headers="Transfer-Encoding: chunked\r\n")
        answer = exchange(connection, head + b"5\r\nhello\r\nxyz\r\n" + request("StreamOut"), "POST")
        self.assertEqual((answer.json()["error"], answer.header("connection")), ("AZFN_ERROR_SYNTAX", "close"))
        self.assertEqual(connection.recv(1), b"")
        self.assert_served()

    def test_a_client_that_leaves_in_the_middle(self):
        for end in (lambda connection: connection.shutdown(socket.SHUT_WR), lambda connection: connection.close()):
            seen = len(self.app.lines)
            connection = self.connected()
            connection.sendall(request("StreamIn", b"x" * 100, "POST")[:-50])
            self.app.wait_for_line(lambda line: "called" in line.text and line in self.app.lines[seen:])
            end(connection)
            self.app.wait_for_line(lambda line: "read 50 AZFN_ERROR_UNAVAILABLE" in line.text and
                                   line in self.app.lines[seen:])
        self.assert_served()

    def test_reading_twice_at_once_or_after_the_end(self):
        answer = exchange(self.connected(), request("StreamIn?twice=1", b"x", "POST"), "POST")
        self.assertEqual(answer.json()["bytes"], 1)
        self.app.wait_for_line("second AZFN_ERROR_STATE")

    def test_an_envelope_gives_the_body_in_one_piece(self):
        with self.probe_app(forwarding=False) as handler:
            data = {"Data": {"req": {"Url": "http://h/api/StreamIn", "Method": "POST", "Query": {}, "Headers": {},
                                     "Params": {}, "Body": "hello"}}, "Metadata": {}}
            answer = json.loads(handler.request(envelope("StreamIn", data)).json()["Outputs"]["res"]["body"])
            self.assertEqual((answer["bytes"], answer["pieces"], answer["error"]), (5, 1, "AZFN_OK"))

    def test_an_echo_in_both_directions_at_once(self):
        body = bytes(range(256)) * 4096 * 8
        connection = self.connected()
        pieces = [body[i:i + 65521] for i in range(0, len(body), 65521)]
        sender = threading.Thread(target=connection.sendall, args=(chunked_request("StreamEcho", pieces),))
        sender.start()
        answer = read_response(connection, "POST")
        sender.join()
        self.assertEqual((answer.status, answer.body == body), (200, True))
        self.assert_served()


if __name__ == "__main__":
    unittest.main(verbosity=2)
