"""Raw requests that no honest client sends, each with the status that RFC 9110 and 9112 ask for. Behind each waits a
request that must not be run: it is what a server takes for a second request that has cut the first one elsewhere."""

import unittest

import probe
from azfn_local.wire import read_response
from probe import ask

H = b"Host: localhost\r\n"
PATH = b"/api/HttpEnv"


def get(headers=b"", host=H, path=PATH, version=b"HTTP/1.1", method=b"GET"):
    return method + b" " + path + b" " + version + b"\r\n" + host + headers + b"\r\n"


def post(headers, body=b"", **parts):
    return get(headers, method=b"POST", **parts) + body


def chunks(body, coding=b"Transfer-Encoding: chunked\r\n"):
    return post(coding, body)


END = b"0\r\n\r\n"
HELLO = b"5\r\nhello\r\n"
WHOLE = HELLO + END
TE = b"Transfer-Encoding: chunked\r\n"
INNER = b"GET /api/HttpEnv HTTP/1.1\r\nHost: inner\r\n\r\n"

# What is refused: the status, Connection: close, nothing more.
REFUSED = {
    "two framings": (
        (400, post(b"Content-Length: 6\r\n" + TE, b"0\r\n\r\nG")),
        (400, post(TE + b"Content-Length: 4\r\n", b"5c\r\nGPOST / HTTP/1.1\r\n" + END)),
        (400, post(TE + b"Content-Length: 0\r\n", WHOLE)),
        (400, get(b"Content-Length: 6\r\n" + TE) + WHOLE),
        (400, post(b"Content-Length: 5\r\n" + TE, WHOLE, version=b"HTTP/1.0")),
        (400, chunks(WHOLE, TE).replace(b"HTTP/1.1", b"HTTP/1.0")),
        (400, post(TE + b"Connection: close, Transfer-Encoding\r\nContent-Length: 5\r\n", WHOLE)),
    ),
    "Content-Length": (
        (400, post(b"Content-Length: 5\r\nContent-Length: 5\r\n", b"hello")),
        (400, post(b"Content-Length: 5\r\nContent-Length: 6\r\n", b"hello!")),
        (400, post(b"Content-Length: 0\r\ncontent-length: 5\r\n", b"hello")),
        (400, post(b"Content-Length: 5, 5\r\n", b"hello")),
        (400, post(b"Content-Length: 5,6\r\n", b"hello!")),
        (400, post(b"Content-Length: ,5\r\n", b"hello")),
        (400, post(b"Content-Length: +5\r\n", b"hello")),
        (400, post(b"Content-Length: -5\r\n", b"hello")),
        (400, post(b"Content-Length: -0\r\n")),
        (400, post(b"Content-Length: 5 5\r\n", b"hello")),
        (400, post(b"Content-Length: 5\t5\r\n", b"hello")),
        (400, post(b"Content-Length: 0x5\r\n", b"hello")),
        (400, post(b"Content-Length: 5h\r\n", b"hello")),
        (400, post(b"Content-Length: 5.0\r\n", b"hello")),
        (400, post(b"Content-Length: 5e0\r\n", b"hello")),
        (400, post(b"Content-Length: \"5\"\r\n", b"hello")),
        (400, post(b"Content-Length: 5;a=b\r\n", b"hello")),
        (400, post(b"Content-Length: 1_0\r\n", b"helloworld")),
        (400, post(b"Content-Length:\r\n")),
        (400, post(b"Content-Length: \r\n", b"hello")),
        (400, post(b"Content-Length: \xb2\r\n", b"he")),
        (400, post(b"Content-Length: 5\x0b\r\n", b"hello")),
        (400, post(b"Content-Length: 18446744073709551616\r\n")),
        (400, post(b"Content-Length: 18446744073709551621\r\n", b"hello")),
        (400, post(b"Content-Length: " + b"9" * 400 + b"\r\n")),
        (413, post(b"Content-Length: 18446744073709551615\r\n")),
        (413, post(b"Content-Length: 9223372036854775808\r\n")),
        (413, post(b"Content-Length: 4294967296\r\n")),
    ),
    "Transfer-Encoding": (
        (400, chunks(WHOLE, b"Transfer-Encoding: chunked, chunked\r\n")),
        (400, chunks(WHOLE, TE + TE)),
        (400, chunks(WHOLE, TE + b"Transfer-Encoding: identity\r\n")),
        (400, chunks(WHOLE, TE + b"Transfer-encoding: cow\r\n")),
        (400, chunks(WHOLE, b"Transfer-Encoding: chunked, identity\r\n")),
        (400, chunks(WHOLE, b"Transfer-Encoding: chunked;q=1\r\n")),
        (400, chunks(WHOLE, b"Transfer-Encoding: \"chunked\"\r\n")),
        (400, chunks(WHOLE, b"Transfer-Encoding: ,chunked\r\n")),
        (400, chunks(WHOLE, b"Transfer-Encoding: chunked,\r\n")),
        (400, chunks(WHOLE, b"Transfer-Encoding: chunked \x00\r\n")),
        (400, chunks(WHOLE, b"Transfer-Encoding: \x0bchunked\r\n")),
        (400, chunks(WHOLE, b"Transfer-Encoding: chunked\x0c\r\n")),
        (400, chunks(WHOLE, b"Transfer-Encoding:\r\n chunked\r\n")),
        (400, chunks(WHOLE, b"Transfer-Encoding: x chunked\r\n")),
        (400, chunks(WHOLE, b"Transfer-Encoding:\r\n")),
        (400, chunks(WHOLE, b"Transfer-Encoding : chunked\r\n")),
        (400, chunks(WHOLE, b" Transfer-Encoding: chunked\r\n")),
        (400, chunks(WHOLE, b"X: y\nTransfer-Encoding: chunked\r\n")),
        (400, chunks(WHOLE, b"X: y\rTransfer-Encoding: chunked\r\n")),
        (400, chunks(WHOLE, b"Transfer-Encoding\x00: chunked\r\n")),
        (400, chunks(WHOLE, b"Transfer\tEncoding: chunked\r\n")),
        ((400, 501), chunks(WHOLE, b"Transfer-Encoding: chunkedchunked\r\n")),
        ((400, 501), chunks(WHOLE, b"Transfer-Encoding: xchunked\r\n")),
        ((400, 501), chunks(WHOLE, b"Transfer-Encoding: \xefchunked\r\n")),
        ((400, 501), chunks(WHOLE, b"Transfer-Encoding: identity\r\n")),
        ((400, 501), chunks(WHOLE, b"Transfer-Encoding: gzip\r\n")),
        ((400, 501), chunks(WHOLE, b"Transfer-Encoding: 'chunked'\r\n")),
        (501, chunks(WHOLE, b"Transfer-Encoding: gzip, chunked\r\n")),
        (501, chunks(WHOLE, b"Transfer-Encoding: identity, chunked\r\n")),
        (501, chunks(WHOLE, b"Transfer-Encoding: gzip\r\n" + TE)),
    ),
    "chunks": tuple((400, chunks(body)) for body in (
        b"0x5\r\nhello\r\n" + END, b"0X5\r\nhello\r\n" + END, b"+5\r\nhello\r\n" + END, b"-5\r\nhello\r\n" + END,
        b" 5\r\nhello\r\n" + END, b"5 \r\nhello\r\n" + END, b"5\t\r\nhello\r\n" + END, b"5 ;a\r\nhello\r\n" + END,
        b"5h\r\nhello\r\n" + END, b"5,5\r\nhello\r\n" + END, b"\r\nhello\r\n" + END, b";a\r\nhello\r\n" + END,
        b"5.\r\nhello\r\n" + END, b"5\x00\r\nhello\r\n" + END, b"5\xa0\r\nhello\r\n" + END,
        b"10000000000000000\r\nhello\r\n" + END, b"10000000000000005\r\nhello\r\n" + END,
        b"fffffffffffffffff\r\nhello\r\n" + END,
        # where a size line ends
        b"5\nhello\r\n" + END, b"5\rhello\r\n" + END, b"5\r\r\nhello\r\n" + END, b"5\n\rhello\r\n" + END,
        # what stands behind the data
        b"5\r\nhello" + END, b"5\r\nhello\n" + END, b"5\r\nhello\r" + END, b"5\r\nhelloXX" + END,
        b"5\r\nhello\n\r" + END, b"5\r\nhello!\r\n" + END, b"5\r\nhell\r\n" + END, b"5\r\nhello\r\n\r\n" + END,
        # extensions: bare LF and CR in them end a line for some, and not for others
        b"5;\nhello\r\n" + END, b"5;a\nhello\r\n" + END, b"5;a=b\rhello\r\n" + END, b"5;a=\"\n\"\r\nhello\r\n" + END,
        b"5;a=\"\r\n\"\r\nhello\r\n" + END, b"5;a\x00\r\nhello\r\n" + END, b"5;a\x7f\r\nhello\r\n" + END,
        b"2;\nxx\r\n4c\r\n0\r\n\r\n" + INNER + b"\r\n" + END,
        b"0;a\n\r\n" + INNER, b"0\n\r\n" + INNER, b"0\n\n" + INNER, b"0\r\n\n" + INNER, b"0\r\r\n" + INNER,
        # trailers
        b"0\r\nX: y\n\r\n", b"0\r\nX: y\rZ: a\r\n\r\n", b"0\r\nX: y\r\n z\r\n\r\n", b"0\r\n X: y\r\n\r\n",
        b"0\r\n: y\r\n\r\n", b"0\r\nX\r\n\r\n", b"0\r\nX : y\r\n\r\n", b"0\r\nX: \x00\r\n\r\n", b"0\r\nX: \x1b\r\n\r\n",
        b"0\r\n" + INNER, b"0\r\nX: y\r\n" + INNER,
    )),
    "line ends": (
        (400, b"GET " + PATH + b" HTTP/1.1\n" + H + b"\r\n"),
        (400, b"GET " + PATH + b" HTTP/1.1\r\nHost: localhost\n\r\n"),
        (400, b"GET " + PATH + b" HTTP/1.1\nHost: localhost\n\n"),
        (400, get()[:-2] + b"\n"),
        (400, get()[:-2] + b"\r\r\n"),
        (400, get(b"X: y\r\r\n")),
        (400, get(b"X: a\rb\r\n")),
        (400, get(b"X\r: y\r\n")),
        (400, b"GET\r " + PATH + b" HTTP/1.1\r\n" + H + b"\r\n"),
        (400, b"\n" + get()),
        (400, b"\r" + get()),
        (400, b"\r\n\n" + get()),
        (400, b"\r\n\r\n\r\n" + get()),
    ),
    "folded lines": (
        (400, get(b"X: y\r\n z\r\n")),
        (400, get(b"X: y\r\n\tz\r\n")),
        (400, get(b"X:\r\n y\r\n")),
        (400, get(b" X: y\r\n", host=b"")),
        (400, get(b" \r\nX: y\r\n")),
        (400, b"GET " + PATH + b" HTTP/1.1\r\n " + H + b"\r\n"),
        (400, post(b"X: y\r\n Content-Length: 5\r\n", b"hello")),
    ),
    "header names": tuple((400, get(line + b"\r\n")) for line in (
        b"X : y", b"X\t: y", b": y", b" : y", b":", b"X", b"X Y: z", b"X\x00Y: z", b"X\x0bY: z", b"X\x7f: y",
        b"\xc3\xa9: y", b"X\xff: y", b"X(Y): z", b"X/Y: z", b"X@Y: z", b"X[]: y", b"\"X\": y", b"{X}: y", b"X=Y; z",
        b"X,Y: z", b"\x00", b"\xef\xbb\xbfX: y", b"Content-Length : 5", b"Host : localhost")),
    "header values": tuple((400, get(b"X: " + value + b"\r\n")) for value in (
        [b"a" + bytes([code]) + b"b" for code in range(32) if code not in (9, 10, 13)] + [b"\x7f", b"\x00", b"a\x00"])),
    "Host": (
        (400, get(host=b"")),
        (400, get(host=H + H)),
        (400, get(host=H + b"host: other\r\n")),
        (400, get(host=H + H, version=b"HTTP/1.0")),
        *((400, get(host=b"Host: " + value + b"\r\n")) for value in (
            b"", b"a b", b"a/b", b"http://a", b"u@a", b"a:b", b"a:80:80", b":80", b"[::1", b"[]", b"[::1]x", b"a,b c",
            b"a\\b", b"a?b", b"a#b", b"<a>", b"a\xe9", b"%zz", b"a\x00")),
    ),
    "the request line": (
        (400, get(path=b"http://user@localhost" + PATH)),
        (400, get(path=b"//localhost" + PATH + b"#x")),
        (400, get(path=b"localhost")),
        (400, get(path=b"*")),
        (400, get(path=b"?x")),
        (400, get(path=PATH + b"#x")),
        (400, get(path=PATH + b"\x00")),
        (400, get(path=PATH + b"\x7f")),
        (400, get(path=PATH + b"\t")),
        (400, get(path=PATH + b"\xc3\xa9")),
        (400, get(path=PATH + b" x")),
        (400, get(path=b" " + PATH)),
        (400, get(version=b" HTTP/1.1")),
        (400, get(version=b"HTTP/1.1 ")),
        (400, get(version=b"http/1.1")),
        (400, get(version=b"Http/1.1")),
        (400, get(version=b"HTTP/1")),
        (400, get(version=b"HTTP/1.10")),
        (400, get(version=b"HTTP/01.1")),
        (400, get(version=b"HTTP/1.1\x00")),
        (400, get(version=b"HTTP /1.1")),
        (400, get(version=b"RTSP/1.0")),
        (400, get(method=b"")),
        (400, get(method=b"G\x00T")),
        (400, get(method=b"G(T")),
        (400, b" " + get()),
        (400, b"\xef\xbb\xbf" + get()),
        (400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
        (400, b"\x00" * 20),
        ((400, 505), b"GET " + PATH + b"\r\n"),
        ((400, 505), b"GET\t" + PATH + b"\tHTTP/1.1\r\n" + H + b"\r\n"),
        (505, get(version=b"HTTP/0.9")),
        (505, get(version=b"HTTP/1.2")),
        (505, get(version=b"HTTP/2.0")),
        (505, get(version=b"HTTP/9.9")),
        (505, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        (501, get(method=b"get")),
        (501, get(method=b"GETX")),
        (501, get(method=b"CONNECT", path=b"localhost:80")),
        (501, get(method=b"CONNECT")),
        (501, get(method=b"PROPFIND")),
        (405, get(method=b"DELETE", path=b"/api/items/5")),
        (405, get(method=b"TRACE", path=b"/api/items/5")),
        (404, get(path=b"/api/nothing")),
        (404, get(path=b"/api/HttpEnv/../nothing")),
        (404, post(b"Content-Length: %d\r\n" % len(INNER), INNER, path=b"/api/nothing")),
        (404, chunks(b"%x\r\n%s\r\n" % (len(INNER), INNER) + END).replace(PATH, b"/api/nothing", 1)),
        (404, get(b"Content-Length: %d\r\n" % len(INNER), path=b"/api/nothing") + INNER),
    ),
    "a framing behind another name": (
        # a lenient reader drops or mends these lines, so the length below would be the second one
        (400, post(b"Content-Length: 5\r\nContent-Length : 6\r\n", b"hello!")),
        (400, post(b"Content-Length: 5\r\n\x00Content-Length: 6\r\n", b"hello!")),
        (400, post(b"Content-Length: 5\r\n" + b"Content-Length\x00: 6\r\n", b"hello!")),
        (400, post(b"Content-Length: 5\r\n\tTransfer-Encoding: chunked\r\n", WHOLE)),
        (400, post(b"Content-Length: 5\r\nX:\x00\r\nTransfer-Encoding: chunked\r\n", WHOLE)),
    ),
}

# What is served, with what the function is to see, and then the request behind it as one of its own.
SERVED = {
    "Chunked in any case": (chunks(WHOLE, b"Transfer-Encoding: CHUNKED\r\n"), b"hello"),
    "blanks around the coding": (chunks(WHOLE, b"transfer-encoding: \t chunked  \r\n"), b"hello"),
    "extensions": (chunks(b"5;a;b=\"c d\"\r\nhello\r\n0;x\r\n\r\n"), b"hello"),
    "trailers": (chunks(HELLO + b"0\r\nContent-Type: x\r\nHost: y\r\nConnection: close\r\n\r\n"), b"hello"),
    "zeros before a size": (chunks(b"00005\r\nhello\r\n000\r\n\r\n"), b"hello"),
    "zeros before a length": (post(b"Content-Length: 0005\r\n", b"hello"), b"hello"),
    "blanks around a length": (post(b"Content-Length: \t5 \r\n", b"hello"), b"hello"),
    "a length in GET": (get(b"Content-Length: %d\r\n" % len(INNER)) + INNER, INNER),
    "a length of nothing": (post(b"Content-Length: 0\r\n"), b""),
    "a request as a chunk": (chunks(b"%x\r\n%s\r\n" % (len(INNER), INNER) + END), INNER),
    "the end of chunks inside of a chunk": (chunks(b"5\r\n0\r\n\r\n\r\n" + END), END),
    "chunks in GET": (get(TE) + WHOLE, b"hello"),
    "other names for a framing": (post(b"Content_Length: 1\r\nTransfer_Encoding: chunked\r\n"
                                       b"X-Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", b"hello"), b"hello"),
    "Connection names the length": (post(b"Connection: Content-Length\r\nContent-Length: 5\r\n", b"hello"), b"hello"),
    "an upgrade": (get(b"Upgrade: websocket\r\nConnection: Upgrade\r\n"), b""),
    "an upgrade to HTTP/2": (get(b"Upgrade: h2c\r\nHTTP2-Settings: AAAA\r\n"
                                 b"Connection: Upgrade, HTTP2-Settings\r\n"), b""),
    "an upgrade with a body": (post(b"Upgrade: x\r\nConnection: Upgrade\r\nContent-Length: 5\r\n", b"hello"), b"hello"),
    "an expectation without a body": (get(b"Expect: 100-continue\r\n"), b""),
    "another expectation": (post(b"Expect: y 100-continue\r\nContent-Length: 5\r\n", b"hello"), b"hello"),
    "an empty expectation": (post(b"Expect:\r\nContent-Length: 5\r\n", b"hello"), b"hello"),
    "a method in a header": (get(b"X-HTTP-Method-Override: DELETE\r\n"), b""),
    "another URL in a header": (get(b"X-Original-URL: /api/Ask\r\nX-Rewrite-URL: /api/Ask\r\n"), b""),
    "one blank line before": (b"\r\n" + get(), b""),
    "a latin-1 value": (get(b"X: caf\xe9\r\n"), b""),
}


class Hostile(probe.TestCase):
    @classmethod
    def setUpClass(cls):
        case = cls("run_nothing")
        cls.shared = case.probe_app()
        cls.shared.__enter__()
        cls.addClassCleanup(case.doCleanups)
        cls.addClassCleanup(cls.shared.__exit__, None, None, None)
        cls.count = 0

    def run_nothing(self):
        pass

    @staticmethod
    def read_to_end(connection):
        data = b""
        while piece := connection.recv(65536):
            data += piece
        return data

    def next_name(self, word):
        Hostile.count += 1
        return f"{word}-{Hostile.count}."

    def assert_refused(self, statuses, data):
        behind = self.next_name("behind")
        connection = self.connect(self.shared)
        connection.sendall(data + ask(f"print={behind} reply"))
        answer = self.read_to_end(connection)
        connection.close()
        response = read_response(answer)
        self.assertIn(response.status, statuses if isinstance(statuses, tuple) else (statuses,))
        self.assertEqual(response.header("connection"), "close")
        self.assertEqual(answer.count(b"HTTP/1.1 "), 1)
        self.assertNotIn(behind.encode(), answer)
        # the next client is served; had the request behind been run, its line would stand before this one's
        served = self.next_name("served")
        connection = self.connect(self.shared)
        self.assertEqual(probe.exchange(connection, ask(f"print={served} reply")).status, 200)
        connection.close()
        self.shared.wait_for_line(served)
        self.assertFalse(any(behind in line.text for line in self.shared.lines))

    def test_what_is_no_sound_request_is_refused_and_nothing_behind_it_is_run(self):
        for group, cases in REFUSED.items():
            for number, (statuses, data) in enumerate(cases):
                with self.subTest(group=group, number=number, data=data[:120]):
                    self.assert_refused(statuses, data)

    def test_the_same_holds_where_the_bytes_come_one_by_one(self):
        for group in ("two framings", "line ends", "a framing behind another name"):
            for statuses, data in REFUSED[group]:
                with self.subTest(group=group, data=data[:120]):
                    connection = self.connect(self.shared)
                    for at in range(len(data)):
                        try:
                            connection.sendall(data[at:at + 1])
                        except ConnectionError:
                            break
                    self.assertEqual(read_response(self.read_to_end(connection)).status, statuses)
                    connection.close()

    def test_what_is_sound_ends_where_it_says_and_the_next_request_is_one_of_its_own(self):
        for name, (data, body) in SERVED.items():
            with self.subTest(name):
                connection = self.connect(self.shared)
                connection.sendall(data + ask("body=the-next reply",
                                              headers="Connection: close\r\n"))
                answer = self.read_to_end(connection)
                connection.close()
                first, _, rest = answer.partition(b"\r\n\r\n")
                self.assertTrue(first.startswith(b"HTTP/1.1 200 "), answer[:200])
                length = next(int(line.split(b":")[1]) for line in first.split(b"\r\n") if b"Content-Length" in line)
                self.assertIn(b'"body":"' + body.hex().encode() + b'"', rest[:length])
                second = read_response(rest[length:])
                self.assertEqual((second.status, second.body), (200, b"the-next"))

    def test_a_body_that_nobody_waits_for_is_not_read_as_a_request(self):
        """Whether the body is read or the connection is closed: what is in it is never run."""
        for method, path in ((b"OPTIONS", b"*"), (b"OPTIONS", PATH), (b"HEAD", PATH), (b"TRACE", PATH), (b"GET", b"/"),
                             (b"DELETE", b"/api/items/5"), (b"GET", b"/api/nothing")):
            for framing in (b"Content-Length: %d\r\n", TE):
                inner = self.next_name("inner")
                body = ask(f"print={inner} reply")
                headers = framing % len(body) if b"%" in framing else framing
                data = body if b"%" in framing else b"%x\r\n%s\r\n" % (len(body), body) + END
                with self.subTest(method=method, path=path, framing=framing[:10]):
                    connection = self.connect(self.shared)
                    connection.sendall(get(headers, method=method, path=path) + data)
                    connection.shutdown(1)
                    answer = self.read_to_end(connection)
                    connection.close()
                    self.assertEqual(answer.count(b"HTTP/1.1 "), 1, answer)
                    self.assertFalse(any(inner in line.text for line in self.shared.lines))

    def test_a_body_after_100_continue_is_no_request(self):
        inner = self.next_name("inner")
        body = ask(f"print={inner} reply")
        connection = self.connect(self.shared)
        connection.sendall(post(b"Expect: 100-continue\r\nContent-Length: %d\r\n" % len(body)))
        self.assertEqual(connection.recv(100), b"HTTP/1.1 100 Continue\r\n\r\n")
        answer = probe.exchange(connection, body)
        self.assertIn(body.hex(), answer.text)
        answer = probe.exchange(connection, get())
        self.assertEqual(answer.status, 200)
        self.assertFalse(any(inner in line.text for line in self.shared.lines))


if __name__ == "__main__":
    unittest.main()
