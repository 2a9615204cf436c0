"""One client's connection to the gateway: requests as they are read, answers whole or piece by piece."""

import contextlib
import re
import socket
import struct

from .client_request import BadRequest, ClientRequest, decode_header_line
from .http_head import standard_reason

MAX_HEAD = 32768
PIECE_BYTES = 65536
_LENGTH = re.compile(r"[0-9]{1,18}")
_CHUNK_SIZE = re.compile(rb"[0-9A-Fa-f]{1,15}")
_NEXT_CHUNK = re.compile(rb"\r\n[^\n]*\n.", re.DOTALL)


class ClientGone(Exception):
    """The client has closed its connection, or its end of it."""


class ClientConnection:
    """Reads may be done by one thread while another one writes."""

    def __init__(self, connection):
        self.socket = connection
        self.request = None
        self.has_begun = False  # the answer to this request
        self.is_body_read = True
        self._data = b""
        self._ended = False
        self._is_chunked = False
        self._is_bodiless = False

    def read_request(self):
        """The next request, without its body. None at the end of the connection; BadRequest."""
        self.request, self.has_begun = None, False
        left = MAX_HEAD
        line = self._line(left)
        while line in (b"\r\n", b"\n"):
            line = self._line(left)
        if not line:
            return None
        parts = line.rstrip(b"\r\n").split(b" ")
        if len(parts) != 3 or parts[2] not in (b"HTTP/1.1", b"HTTP/1.0"):
            raise BadRequest(400, "bad request line")
        headers = []
        while (line := self._line(left)) not in (b"\r\n", b"\n"):
            if not line:
                return None
            left -= len(line)
            headers.append(decode_header_line(line.rstrip(b"\r\n")))
        method, target, version = (part.decode("latin-1") for part in parts)
        request = ClientRequest.from_parts(method, target, headers, b"", version)
        if not request.is_chunked and not _LENGTH.fullmatch(request.header("Content-Length") or "0"):
            raise BadRequest(400, "bad Content-Length")
        self.request, self.is_body_read = request, not request.is_chunked and not request.has_body
        return request

    def accept_body(self):
        """Tells a client that waits for it to send its body."""
        request = self.request
        if (request.is_chunked or request.has_body) and (request.header("Expect") or "").lower() == "100-continue":
            self._send(b"HTTP/1.1 100 Continue\r\n\r\n")

    def body_pieces(self):
        """What is there of the body, again and again to its end. ClientGone, BadRequest."""
        if self.request.is_chunked:
            yield from self._chunks()
        else:
            yield from self._exactly(int(self.request.header("Content-Length") or 0))
        self.is_body_read = True

    def send(self, answer):
        """An answer that is there as a whole."""
        if answer.header("Content-Length") is None and answer.status not in (204, 304):
            answer.headers.append(("Content-Length", str(len(answer.body))))
        has_no_body = answer.status in (204, 304) or (self.request and self.request.method == "HEAD")
        self._send(_encode_head(answer) + (b"" if has_no_body else answer.body))
        self.has_begun = True

    def begin(self, answer):
        """The head of an answer whose body comes with write(); without a Content-Length it is chunked."""
        headers = list(answer.headers)
        self._is_bodiless = answer.status in (101, 204, 304) or self.request.method == "HEAD"
        is_open = answer.header("Content-Length") is None and not self._is_bodiless
        self._is_chunked = is_open and self.request.version == "HTTP/1.1"
        if self._is_chunked:
            headers.append(("Transfer-Encoding", "chunked"))
        if self.is_last:
            headers.append(("Connection", "close"))
        self.has_begun = True
        self._send(_encode_head(answer, headers))

    def write(self, piece):
        if piece and not self._is_bodiless:
            self._send(b"%X\r\n%s\r\n" % (len(piece), piece) if self._is_chunked else piece)

    def end(self):
        if self._is_chunked:
            self._send(b"0\r\n\r\n")

    @property
    def is_last(self):
        """Whether the client wants the connection to end after this request."""
        return self.request.version == "HTTP/1.0" or (self.request.header("Connection") or "").lower() == "close"

    def stop_reading(self):
        """Ends the wait of a thread that reads."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RD)

    def reset(self):
        """The connection is to end in a way that a client can't take for the end of an answer."""
        with contextlib.suppress(OSError):
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def _send(self, data):
        try:
            self.socket.sendall(data)
        except OSError as error:
            raise ClientGone(str(error)) from error

    def _receive(self):
        """False at the end."""
        if not self._ended:
            try:
                piece = self.socket.recv(PIECE_BYTES)
            except OSError:
                piece = b""
            self._ended = not piece
            self._data += piece
        return not self._ended

    def _line(self, limit):
        """A line with its end; what there is of it where the connection has ended."""
        while b"\n" not in self._data and len(self._data) <= limit and self._receive():
            pass
        end = self._data.find(b"\n") + 1 or len(self._data)
        if end > limit:
            raise BadRequest(431, "the head is too large")
        line, self._data = self._data[:end], self._data[end:]
        return line

    def _exactly(self, count):
        while count:
            if not self._data and not self._receive():
                raise ClientGone("within the body")
            piece, self._data = self._data[:count], self._data[count:]
            count -= len(piece)
            yield piece

    def _chunks(self):
        """Chunks that are there together come together, as from the host's web server."""
        waiting = b""
        while size := self._chunk_size():
            for piece in self._exactly(size):
                waiting += piece
                if len(waiting) >= PIECE_BYTES or not _NEXT_CHUNK.match(self._data):
                    yield waiting
                    waiting = b""
            if b"".join(self._exactly(2)) != b"\r\n":
                raise BadRequest(400, "a chunk without an end")
        if waiting:
            yield waiting
        while (line := self._line(MAX_HEAD)) not in (b"\r\n", b"\n"):
            if not line:
                raise ClientGone("within the trailers")

    def _chunk_size(self):
        line = self._line(1024)
        if not line.endswith(b"\n"):
            raise ClientGone("within the body")
        text = line.partition(b";")[0].strip()
        if not _CHUNK_SIZE.fullmatch(text):
            raise BadRequest(400, "bad chunk size")
        return int(text, 16)


def _encode_head(answer, headers=None):
    lines = [f"HTTP/1.1 {answer.status} {answer.reason or standard_reason(answer.status)}"]
    lines += [f"{name}: {value}" for name, value in (answer.headers if headers is None else headers)]
    return "\r\n".join(lines + ["", ""]).encode("latin-1")
