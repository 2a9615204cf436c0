"""The traffic of the real Functions host that tests/captures holds, and what takes its place in tests."""

import contextlib
import json
import pathlib
import re
import socket
import struct
import threading

import probe  # noqa: F401: where azfn_local lies
from azfn_local import ClientRequest, ConnectionPool, Function, read_response
from azfn_local import json_text

CAPTURES = pathlib.Path(__file__).resolve().parent.parent / "captures"
ITEMS = {"bindings": [{"type": "httpTrigger", "direction": "in", "name": "req", "route": "items/{id:int}/{name?}"},
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
        document = self.meta["functionJson"] or ITEMS
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
