"""What the stand-ins for Azure's services have in common: an HTTP/1.1 server, with TLS or without, that counts what it
is asked, and fails as it is told.

    with Partner(authority=authority) as partner:      # listens from here on
        partner.fail("503:2")
        ...
        partner.wait_for_requests(3)
        partner.seen[-1].header("x-api-key")
"""

import collections
import contextlib
import dataclasses
import errno
import socket
import ssl
import threading

from .bad_answers import bad_answer, break_off
from .client_connection import ClientConnection, ClientGone
from .client_request import BadRequest
from .failures import CONNECTION_KINDS, REQUEST_KINDS, TLS_KINDS, Failures
from .http_head import HttpAnswer, standard_reason

KEPT_REQUESTS = 20_000
KEPT_BODY_BYTES = 1 << 20
HANDSHAKE_TIMEOUT_S = 30


@dataclasses.dataclass
class Seen:
    """A request as it came. status: of the answer; None as long as there is none, or none that is whole."""
    method: str
    target: str
    headers: dict
    body: bytes  # its first MiB
    body_length: int
    description: str
    status: int | None = None

    @property
    def path(self):
        return self.target.partition("?")[0]

    def header(self, name):
        return next((",".join(values) for key, values in self.headers.items() if key.lower() == name.lower()), None)


class StandInServer:
    """Subclasses have name and answer(request), and may have target(), describe(), error_answer() and altered().
    authority None: no TLS. on_request(line) is called with a line for a person before each answer."""

    name = "stand-in"
    own_kinds = {}      # failures beside the common ones: altered() makes them of a good answer
    wrong_type = b"[1]"

    def __init__(self, *, authority=None, port=0, on_request=None):
        self.authority = authority
        self.seen = collections.deque(maxlen=KEPT_REQUESTS)
        self.counts = collections.Counter()  # "GET /path" -> requests; and in all: request_count
        self.request_count = 0
        self.connection_count = 0
        self.handshake_failure_count = 0
        self.failures = Failures(self.kinds(authority is not None))
        self._on_request = on_request
        self._context = authority.context() if authority else None
        self._listener = None
        self._reserved = None  # while "down": nobody else gets the port
        self._connections = set()
        self._changed = threading.Condition()
        self._released = threading.Event()
        self._closing = threading.Event()
        self.port = port
        self._listen()

    @classmethod
    def kinds(cls, has_tls=True):
        """Name and meaning of the failures that fail() takes, beside a status."""
        return {"down": "connections are refused", **CONNECTION_KINDS, **(TLS_KINDS if has_tls else {}),
                **REQUEST_KINDS, **cls.own_kinds}

    @property
    def url(self):
        return f"{'https' if self.authority else 'http'}://127.0.0.1:{self.port}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self._closing.set()
        self._released.set()
        self._stop_listening()
        if self._reserved:
            self._reserved.close()
        self.close_connections()

    # what a stand-in does

    def answer(self, request):
        """The HttpAnswer to a ClientRequest."""
        raise NotImplementedError

    def target(self, request):
        """What a failure's @TARGET is compared with."""
        return request.path

    def describe(self, request):
        """What of the request a person may see: never a value."""
        return f"{request.method} {request.path}"

    def error_answer(self, status, value):
        """A failure's answer in the service's own shape; value is what stands behind the status."""
        del value
        return HttpAnswer(status, standard_reason(status), [])

    def altered(self, failure, request):
        """The answer for one of own_kinds."""
        raise NotImplementedError

    # what a test or a person tells it

    def fail(self, failure):
        """From now on, see failures.py. ValueError for a text that it does not understand."""
        failure = self.failures.add(failure)
        if failure.kind == "down" and self._listener:
            self._stop_listening()
            self._reserved = self._bind()
        if failure.kind == "hold":
            self._released.clear()

    def recover(self):
        """No failures any more."""
        self.failures.clear()
        self.release()
        if self._reserved:
            self._listen()

    def release(self):
        """Lets all go that "hold" holds."""
        self._released.set()

    def wait_for_requests(self, count, timeout=20):
        """Until that many have come since the start, answered or not."""
        with self._changed:
            if not self._changed.wait_for(lambda: self.request_count >= count, timeout):
                raise TimeoutError(f"{self.name}: {self.request_count} of {count} requests within {timeout} s")

    def close_connections(self):
        """All connections end, as those of a service behind a load balancer do now and then."""
        for connection in list(self._connections):
            with contextlib.suppress(OSError):
                # SSLSocket's own would take the TLS layer away under the thread that reads
                socket.socket.shutdown(connection, socket.SHUT_RDWR)

    # the server

    def _bind(self):
        """A socket that has the port; it refuses connections until it listens."""
        bound = socket.socket()
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(("127.0.0.1", self.port))
        return bound

    def _listen(self):
        self._listener, self._reserved = self._reserved or self._bind(), None
        self._listener.listen(2048)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def _stop_listening(self):
        listener, self._listener = self._listener, None
        if listener:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits for it
            listener.close()

    def _accept(self, listener):
        while True:
            try:
                connection, _ = listener.accept()
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE):
                    self._closing.wait(0.05)  # until connections end
                    continue
                return
            with self._changed:
                self.connection_count += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, plain):
        failure = self.failures.take_connection()
        # a client that goes away ends its thread, no more
        with contextlib.suppress(OSError, ClientGone), self._watched(plain):
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if failure and failure.kind in CONNECTION_KINDS:
                while failure.kind == "mute" and plain.recv(65536):
                    pass
            elif self._context:
                context = self._context
                if failure:
                    context = self.authority.context(failure.value or "good", failure.kind == "old-tls")
                # takes the descriptor over
                secured = context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False)
                with self._watched(secured):
                    self._handshake(secured)
                    self._serve_all(secured)
            else:
                self._serve_all(plain)

    @contextlib.contextmanager
    def _watched(self, connection):
        """Closes the connection at the end; close() can wake it meanwhile."""
        self._connections.add(connection)
        try:
            if self._closing.is_set():
                raise ClientGone("the stand-in ends")
            yield
        finally:
            self._connections.discard(connection)
            connection.close()

    def _handshake(self, connection):
        connection.settimeout(HANDSHAKE_TIMEOUT_S)
        try:
            connection.do_handshake()
        except OSError:
            with self._changed:
                self.handshake_failure_count += 1
                self._changed.notify_all()
            raise
        connection.settimeout(None)

    def _serve_all(self, connection):
        client = ClientConnection(connection)
        while self._serve_one(client):
            pass

    def _serve_one(self, client):
        """One request of a connection. False: the connection ends."""
        try:
            request = client.read_request()
            if request is None:
                return False
            client.accept_body()
            request.body = b"".join(client.body_pieces())
        except BadRequest as error:
            answer = HttpAnswer.error(error.status)
            answer.headers.append(("Connection", "close"))
            client.send(answer)
            return False
        seen = Seen(request.method, request.target, request.headers, request.body[:KEPT_BODY_BYTES],
                    len(request.body), self.describe(request))
        failure = self.failures.take_request(self.target(request))
        with self._changed:
            self.seen.append(seen)
            self.request_count += 1
            self.counts[f"{seen.method} {seen.path}"] += 1
            self._changed.notify_all()
        goes_on = self._respond(client, request, failure, seen)
        if not goes_on and isinstance(client.socket, ssl.SSLSocket) and seen.status:
            client.socket.settimeout(1)
            with contextlib.suppress(OSError, ValueError):
                client.socket.unwrap()  # so that the end is known to be the end
        return goes_on

    def _respond(self, client, request, failure, seen):
        kind = failure.kind if failure else None
        if kind == "slow":
            self._closing.wait(float(failure.value))
        elif kind == "hold":
            self._released.wait()
        if kind in REQUEST_KINDS and kind not in ("slow", "hold"):
            answer = bad_answer(failure, wrong_type=self.wrong_type, own_url=self.url)
            if answer is None:
                self._say(seen, failure)
                break_off(failure, client, lambda: self.answer(request))
                return False
        elif failure and failure.status:
            answer = self.error_answer(failure.status, failure.value)
            if failure.retry_after is not None:
                answer.headers.append(("Retry-After", failure.retry_after))
        elif kind in self.own_kinds:
            answer = self.altered(failure, request)
        else:
            answer = self.answer(request)
        is_last = client.is_last
        if is_last and not answer.header("Connection"):
            answer.headers.append(("Connection", "close"))
        seen.status = answer.status
        self._say(seen, failure)  # first, so that what comes of the answer is shown behind it
        if isinstance(answer.body, bytes):
            client.send(answer)
        else:  # pieces, sent as they come
            client.begin(answer)
            for piece in answer.body:
                client.write(piece)
            client.end()
        return not is_last and (answer.header("Connection") or "").lower() != "close"

    def _say(self, seen, failure):
        if self._on_request:
            why = f" (told to: {failure})" if failure else ""
            self._on_request(f"[{self.name}] {seen.description} {seen.status or 'no whole answer'}{why}")
