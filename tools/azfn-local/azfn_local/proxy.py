"""Proxying mode: a client's request and the handler's answer, both passed on piece by piece while they come.

Only for functions with one HTTP trigger and one HTTP output, where host.json has enableProxyingHttpRequest; newer
hosts know it. A caller is a ClientConnection, or a Collector where nobody waits at a socket.
"""

import contextlib
import re
import select
import socket
import threading
import time
import uuid

from .client_connection import ClientGone
from .client_request import BadRequest
from .envelope import HOST_VERSION
from .http_head import (CONTENT_HEADERS, CannotForward, HttpAnswer, encode_head, known_name, needs_length,
                        percent_encode, sends_allowed, standard_reason)
from .wire import Reader, WireError, read_head

_HOP_BY_HOP = {"connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te",
               "transfer-encoding", "upgrade"}
_REPLACED = {"host", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"}
_PATH_ESCAPE = re.compile(r"[^A-Za-z0-9\-._~!$&'()*+,;=:@/]")
_PAUSES_S = (0.05, 0.1, 0.15, 0.2, 0.25, 0.25, 0.25, 0.25, 0.25)
_CONTINUE_S = 1.0
_DRAIN_S = 5.0
_SETTLE_S = 0.1


def build_proxied_head(request, *, port, invocation_id=None):
    """The bytes of the head for the handler, from a ClientRequest. CannotForward where the host can't."""
    invocation_id = invocation_id or str(uuid.uuid4())
    if not request.host:
        raise CannotForward("the request has no Host header")
    headers = {"Host": [f"127.0.0.1:{port}"]}
    content = {}
    for name, values in request.headers.items():
        if name.lower() not in _HOP_BY_HOP | _REPLACED:
            (content if name.lower() in CONTENT_HEADERS else headers)[name] = values
    for name, value in (("X-Azure-Functions-HostVersion", HOST_VERSION),
                        ("X-Azure-Functions-InvocationId", invocation_id), ("x-ms-invocation-id", invocation_id)):
        headers[known_name(headers, name)] = [value]  # a client's own is replaced where it stands
    headers.update({"X-Forwarded-For": ["127.0.0.1"], "X-Forwarded-Host": [request.host],
                    "X-Forwarded-Proto": ["http"]})
    if request.is_chunked:
        headers["Transfer-Encoding"] = ["chunked"]
        content.pop("Content-Length", None)
    elif "Content-Length" not in content and needs_length(request.method):
        content["Content-Length"] = ["0"]
    target = percent_encode(_PATH_ESCAPE, request.path) + request.raw_query
    return encode_head(request.method, target, {**headers, **content})


def proxied_answer(response):
    """The head of the HttpAnswer for the client from a handler's Response. CannotForward where the host can't."""
    if not all(value.isascii() for _, value in response.headers):
        raise CannotForward("a header of the answer is not ASCII")
    reason = response.reason or standard_reason(response.status)
    # chunked wins over a length; the client's connection gets a coding of its own
    headers = [(name, value) for name, value in response.headers if name.lower() not in _HOP_BY_HOP
               and (response.framing != "both" or name.lower() != "content-length")]
    return HttpAnswer(response.status, reason, headers)


class Collector:
    """A caller whose request is there as a whole, and who takes the answer as a whole."""
    socket = None

    def __init__(self, request):
        self.request = request
        self.answer = None
        self._pieces = []

    def accept_body(self):
        pass

    def body_pieces(self):
        yield self.request.body

    def stop_reading(self):
        pass

    def begin(self, answer):
        self.answer = answer

    def write(self, piece):
        self._pieces.append(piece)

    def end(self):
        self.answer.body = b"".join(self._pieces)


def proxy(handler, caller, invocation_id, timeout_s=None):
    """Passes the request of a caller on, and the answer back to it; returns the answer's head. Tries again where the
    connection broke before there was an answer. CannotForward, WireError, ClientGone, BadRequest."""
    request = caller.request
    head = build_proxied_head(request, port=handler.port, invocation_id=invocation_id)
    has_body = request.is_chunked or request.has_body
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    for pause_s in (*_PAUSES_S, None):
        for _ in range(sends_allowed(has_body)):
            handler.wait_ready()
            relay = _Relay(handler.pool, caller, has_body, deadline)
            try:
                return relay.run(head)
            except WireError as error:
                if error.kind not in ("refused", "closed", "reset") or relay.has_taken_body:
                    raise
                failure = error
            if failure.kind != "closed":
                break
        if pause_s is None:
            raise failure
        time.sleep(pause_s)
    raise AssertionError("the last try returns or raises")


class _Relay:
    """One request on one connection to the handler. The calling thread passes the answer back, another one the
    body on, where there is one."""

    def __init__(self, pool, caller, has_body, deadline):
        self.has_taken_body = False
        self._pool = pool
        self._caller = caller
        self._has_body = has_body
        self._deadline = deadline
        self._connection = None
        self._poller = select.poll()
        self._body_error = None
        self._is_stopped = False
        self._sender = None

    def run(self, head):
        self._connection = self._pool.take()
        self._connection.settimeout(None)
        self._poller.register(self._connection, select.POLLIN)
        if self._caller.socket is not None:
            self._poller.register(self._caller.socket, select.POLLRDHUP)
        try:
            return self._exchange(head)
        except WireError as error:
            self._stop(is_urgent=error.kind == "cut")
            if self._body_error:
                raise self._body_error from error
            raise
        except BaseException:
            self._stop(is_urgent=True)
            raise

    def _exchange(self, head):
        reader = Reader(self._connection, wait=self._wait)
        with contextlib.suppress(OSError):  # reading tells what it was
            self._connection.sendall(head)
        method = self._caller.request.method
        is_refused = self._has_body and b"\r\nexpect: 100-continue" in head.lower() and self._is_refused(reader)
        if self._has_body and not is_refused:
            self.has_taken_body = True
            self._caller.accept_body()
            self._sender = threading.Thread(target=self._pass_body, daemon=True)
            self._sender.start()
        response = read_head(reader, method)
        answer = proxied_answer(response)
        self._caller.begin(answer)
        for piece in reader.body_pieces(response):
            self._caller.write(piece)
        self._caller.end()
        self._finish(response.keep_alive and not is_refused)
        return answer

    def _is_refused(self, reader):
        """Waits a second for a 100, as the host's HTTP client does; an error instead of it means: no body."""
        if not self._wait(_CONTINUE_S):
            return False
        reader.more()
        return reader.data[9:10] in (b"3", b"4", b"5")

    def _wait(self, limit_s=None):
        """Until the handler's connection has something to read. False: not within limit_s."""
        left_s = None if self._deadline is None else max(0, self._deadline - time.monotonic())
        if limit_s is not None:
            left_s = limit_s if left_s is None else min(left_s, limit_s)
        ready = [descriptor for descriptor, _ in self._poller.poll(None if left_s is None else left_s * 1000)]
        if self._caller.socket is not None and self._caller.socket.fileno() in ready:
            raise ClientGone("the client has gone")
        if not ready and limit_s is None:
            raise WireError("timeout", "no complete answer in time")
        return bool(ready)

    def _pass_body(self):
        is_chunked = self._caller.request.is_chunked
        is_open = True
        try:
            for piece in self._caller.body_pieces():
                if self._is_stopped:
                    return
                # where the answer came before the end of the body, the rest is read and dropped
                is_open = is_open and self._pass_on(b"%X\r\n%s\r\n" % (len(piece), piece) if is_chunked else piece)
            if is_chunked and is_open:
                self._pass_on(b"0\r\n\r\n")
        except (ClientGone, BadRequest) as error:
            self._body_error = error
            self._shut_down()

    def _pass_on(self, data):
        try:
            self._connection.sendall(data)
            return True
        except OSError:
            return False

    def _shut_down(self):
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)

    def _finish(self, is_kept):
        """The answer is out: the connection may serve again once the whole request is as well."""
        if self._sender and is_kept:
            self._sender.join(_SETTLE_S)
        if is_kept and not self._body_error and not (self._sender and self._sender.is_alive()):
            self._pool.give(self._connection)
            return
        self._stop(is_urgent=False)

    def _stop(self, is_urgent):
        """Ends the connection; what the client still sends is taken for a while, so that it gets its answer."""
        self._shut_down()
        if self._sender:
            self._sender.join(0 if is_urgent else _DRAIN_S)
            if self._sender.is_alive():
                self._is_stopped = True
                self._caller.stop_reading()
                self._sender.join()
        self._connection.close()
