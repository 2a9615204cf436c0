"""HTTP/1.1 on a raw socket, byte for byte as the Functions host sends it and as leniently as it reads it.

    pool = ConnectionPool(port)
    request = build_request("POST", "/hello", [("Host", f"127.0.0.1:{port}")], b"{}", framing="chunked")
    response = pool.send(request)          # Response(status, reason, headers, body), or WireError
    response.status, response.header("content-type"), response.json()
"""

import dataclasses
import json
import select
import socket
import threading
import time

CHUNK_CHARACTERS = 1024
_MAX_HEAD = 1 << 20


class WireError(Exception):
    """No usable answer. kind: refused, closed (nothing came), reset, cut, garbage, timeout."""

    def __init__(self, kind, message):
        super().__init__(message)
        self.kind = kind


@dataclasses.dataclass
class Response:
    status: int
    reason: str
    headers: list
    body: bytes = b""
    version: str = "HTTP/1.1"
    framing: str = "none"  # length, chunked, both, close, none
    keep_alive: bool = True
    interim: list = dataclasses.field(default_factory=list)  # 1xx answers that came before: (status, headers)

    def header(self, name, default=None):
        """The first header of that name, in any case."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), default)

    def header_all(self, name):
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def json(self):
        return json.loads(self.body)

    @property
    def text(self):
        return self.body.decode()


def chunk_pieces(text):
    """The pieces in which the host's JSON writer flushes: 1024 UTF-16 units each, no character cut in two."""
    units = text.encode("utf-16-le", "surrogatepass")
    carry, size = b"", CHUNK_CHARACTERS * 2
    for start in range(0, len(units), size):
        piece = carry + units[start:start + size]
        carry = b""
        if start + size < len(units) and 0xD8 <= piece[-1] <= 0xDB:
            piece, carry = piece[:-2], piece[-2:]
        yield piece.decode("utf-16-le", "replace").encode()


def chunked(pieces):
    """The chunked coding with the host's upper-case sizes."""
    return b"".join(b"%X\r\n%s\r\n" % (len(piece), piece) for piece in pieces if piece) + b"0\r\n\r\n"


def build_request(method, target, headers, body=None, framing="none"):
    """The bytes of a request. framing: "none" (body as it is, headers say all), "length" (adds Content-Length at
    the end) or "chunked" (the body is coded; a str in the host's pieces, bytes as one chunk; the caller writes
    the Transfer-Encoding header where it belongs)."""
    lines = [f"{method} {target} HTTP/1.1"] + [f"{name}: {value}" for name, value in headers]
    data = body.encode() if isinstance(body, str) else body or b""
    if framing == "length":
        lines.append(f"Content-Length: {len(data)}")
    elif framing == "chunked":
        data = chunked(chunk_pieces(body) if isinstance(body, str) else [data])
    return "\r\n".join(lines + ["", ""]).encode("latin-1") + data


class Reader:
    """The bytes that come from a connection, or data alone. deadline: of time.monotonic(). wait: called before
    each receiving, instead of the deadline's timeout."""

    def __init__(self, connection, deadline=None, data=b"", wait=None):
        self.connection = connection
        self.deadline = deadline
        self.wait = wait
        self.data = data
        self.ended = connection is None
        self.received = bool(data)

    def more(self):
        """Receives once. False at the end of the stream."""
        if self.ended:
            return False
        if self.wait:
            self.wait()
        elif self.deadline is not None:
            left = self.deadline - time.monotonic()
            if left <= 0:
                raise WireError("timeout", "no complete answer in time")
            self.connection.settimeout(left)
        else:
            self.connection.settimeout(None)
        try:
            piece = self.connection.recv(65536)
        except TimeoutError as error:
            raise WireError("timeout", "no complete answer in time") from error
        except ConnectionError as error:
            raise WireError("cut" if self.received else "reset", f"connection reset: {error}") from error
        self.ended = not piece
        self.received = self.received or bool(piece)
        self.data += piece
        return bool(piece)

    def line(self):
        """One line without its end; a lone LF ends a line too."""
        while b"\n" not in self.data:
            if len(self.data) > _MAX_HEAD:
                raise WireError("garbage", "endless line")
            if not self.more():
                raise WireError("cut" if self.received else "closed",
                                "connection closed " + ("within the answer" if self.received else "without an answer"))
        line, _, self.data = self.data.partition(b"\n")
        return line[:-1] if line.endswith(b"\r") else line

    def _exactly(self, count):
        left = count
        while left:
            if not self.data and not self.more():
                raise WireError("cut", f"connection closed after {count - left} of {count} bytes of the body")
            piece, self.data = self.data[:left], self.data[left:]
            left -= len(piece)
            yield piece

    def _rest(self):
        while self.data or self.more():
            piece, self.data = self.data, b""
            yield piece

    def _chunks(self):
        while True:
            size_text = self.line().split(b";")[0].strip()
            try:
                size = int(size_text, 16)
            except ValueError as error:
                raise WireError("garbage", f"bad chunk size {size_text!r}") from error
            if size == 0:
                while self.line():
                    pass  # trailers are dropped
                return
            yield from self._exactly(size)
            if self.line():
                raise WireError("garbage", "chunk without an end")

    def body_pieces(self, response):
        """The body that belongs to a head, as it comes: no piece waits for the next one."""
        if response.framing in ("chunked", "both"):
            yield from self._chunks()
        elif response.framing == "length":
            yield from self._exactly(int(response.header("content-length")))
        elif response.framing == "close":
            yield from self._rest()
        if self.data:
            response.keep_alive = False  # bytes that nobody asked for


def _read_head(reader):
    line = reader.line()
    version, _, rest = line.partition(b" ")
    if version not in (b"HTTP/1.1", b"HTTP/1.0") or not rest[:3].isdigit() or rest[3:4] not in (b"", b" "):
        raise WireError("garbage", f"not an HTTP/1 status line: {line[:80]!r}")
    headers = []
    while line := reader.line():
        name, colon, value = line.partition(b":")
        if not colon or not name or name != name.strip():
            raise WireError("garbage", f"bad header line: {line[:80]!r}")
        headers.append((name.decode("latin-1"), value.strip(b" \t").decode("latin-1")))
    return Response(int(rest[:3]), rest[4:].decode("latin-1"), headers, version=version.decode())


def _tokens(response, name):
    return [token.strip().lower() for value in response.header_all(name) for token in value.split(",")]


def read_head(reader, method):
    """A Response without its body, for Reader.body_pieces(). 1xx answers before it are in interim."""
    interim = []
    while True:
        response = _read_head(reader)
        if not 100 <= response.status < 200 or response.status == 101:
            break
        interim.append((response.status, response.headers))
    response.interim = interim
    options = _tokens(response, "connection")
    response.keep_alive = "close" not in options and (response.version == "HTTP/1.1" or "keep-alive" in options)
    lengths = response.header_all("content-length")
    is_chunked = "chunked" in _tokens(response, "transfer-encoding")
    response.framing = ("both" if lengths else "chunked") if is_chunked else "length" if lengths else "close"
    if method == "HEAD" or response.status in (101, 204, 304):
        response.framing = "none"
        response.keep_alive = response.keep_alive and response.status != 101
    elif response.framing == "length" and (not lengths[0].isdigit() or len(set(lengths)) > 1):
        raise WireError("garbage", f"bad Content-Length {lengths}")
    elif response.framing == "close":
        response.keep_alive = False
    return response


def _read(reader, method):
    response = read_head(reader, method)
    response.body = b"".join(reader.body_pieces(response))
    return response


def read_response(source, method="GET", timeout=None):
    """Reads one answer from a connected socket, or from bytes that end as a closed connection would."""
    deadline = None if timeout is None else time.monotonic() + timeout
    if isinstance(source, (bytes, bytearray)):
        return _read(Reader(None, None, bytes(source)), method)
    return _read(Reader(source, deadline), method)


class ConnectionPool:
    """Keep-alive connections to one handler, used as the host does: the last used first, no limit."""

    def __init__(self, port, host="127.0.0.1"):
        self.address = (host, port)
        self.opened = 0
        self._idle = []
        self._lock = threading.Lock()

    def connect(self, timeout=None):
        """A new connected socket. WireError "refused" where nobody listens."""
        try:
            connection = socket.create_connection(self.address, timeout)
        except ConnectionRefusedError as error:
            raise WireError("refused", "connection refused") from error
        except OSError as error:
            raise WireError("timeout", f"no connection: {error}") from error
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._lock:
            self.opened += 1
        return connection

    def send(self, data, timeout=None):
        """Sends the bytes of one request and reads its answer. With "Expect: 100-continue" in the head, the body
        waits for a 100 or one second, as in the host."""
        method = data.split(b" ", 1)[0].decode("latin-1").upper()
        deadline = None if timeout is None else time.monotonic() + timeout
        connection = self.take(timeout)
        try:
            response = self._exchange(connection, data, method, deadline)
        except BaseException:
            connection.close()
            raise
        if response.keep_alive:
            self.give(connection)
        else:
            connection.close()
        return response

    def take(self, timeout=None):
        """An idle connection, or a new one."""
        return self._take_idle() or self.connect(timeout)

    def give(self, connection):
        """Puts a connection that is idle and alive into the pool."""
        with self._lock:
            self._idle.append(connection)

    def close(self):
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    @property
    def idle_count(self):
        with self._lock:
            return len(self._idle)

    def _take_idle(self):
        while True:
            with self._lock:
                if not self._idle:
                    return None
                connection = self._idle.pop()
            # a readable idle connection has been closed by the other side, or holds bytes nobody asked for
            poller = select.poll()
            poller.register(connection, select.POLLIN)
            if not poller.poll(0):
                return connection
            connection.close()

    @staticmethod
    def _exchange(connection, data, method, deadline):
        reader = Reader(connection, deadline)
        head, end, body = data.partition(b"\r\n\r\n")
        if body and b"\r\nexpect: 100-continue" in head.lower():
            _send(connection, head + end, deadline)
            readable, _, _ = select.select([connection], [], [], 1.0)
            if readable:
                reader.more()
                status = reader.data[9:12]
                if status.isdigit() and not status.startswith(b"1"):
                    response = _read(reader, method)
                    response.keep_alive = False  # the body was not sent
                    return response
            data = body
        _send(connection, data, deadline)
        return _read(reader, method)


def _send(connection, data, deadline):
    connection.settimeout(None if deadline is None else max(deadline - time.monotonic(), 0.001))
    try:
        connection.sendall(data)
    except TimeoutError as error:
        raise WireError("timeout", "the request could not be sent in time") from error
    except ConnectionError:
        pass  # an answer may have come before the end of the request
