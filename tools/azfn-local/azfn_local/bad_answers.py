"""Answers that a client must survive: broken off, endless, no JSON, of the wrong type."""

import contextlib

from .client_connection import ClientGone
from .http_head import HttpAnswer

_ENDLESS_BYTES = 1 << 30  # an end all the same, for a client that reads on and on
_PIECE = b"x" * 65536


def bad_answer(failure, *, wrong_type, own_url):
    """The whole answer of a failure that has one, otherwise None."""
    if failure.kind == "garbage":
        return _json(b'{"value": "\xff\xfe", <html>')
    if failure.kind == "wrong-type":
        return _json(wrong_type)
    if failure.kind == "empty":
        return HttpAnswer(200, "OK", [])
    if failure.kind == "redirect":
        return HttpAnswer(307, "Temporary Redirect", [("Location", failure.value or own_url + "/redirected")])
    return None


def break_off(failure, client, make_answer):
    """Sends what the failure leaves of an answer. The connection must end after this."""
    with contextlib.suppress(OSError, ClientGone):
        if failure.kind == "broken":
            client.reset()
        elif failure.kind == "endless":
            _send_endless(client, failure.value == "head")
        else:
            answer = make_answer()
            length = len(answer.body)
            answer.headers.append(("Content-Length", str(length or 100)))
            answer.body = answer.body[:length // 2]
            client.send(answer)
            while failure.kind == "stall" and client.socket.recv(65536):
                pass


def _json(body):
    return HttpAnswer(200, "OK", [("Content-Type", "application/json; charset=utf-8")], body)


def _send_endless(client, is_head):
    if is_head:
        client.socket.sendall(b"HTTP/1.1 200 OK\r\n")
    else:
        client.begin(_json(b""))
        client.write(b'{"value":"')
    sent = 0
    while sent < _ENDLESS_BYTES:
        if is_head:
            client.socket.sendall(b"x-header-%d: %s\r\n" % (sent, _PIECE[:4000]))
            sent += 4000
        else:
            client.write(_PIECE)
            sent += len(_PIECE)
