"""The HTTP front of azfn-local: function routes for clients, and the admin endpoints to start any function.

    with Gateway(host, port=0) as gateway:
        urllib.request.urlopen(gateway.url + "/api/hello")

POST /admin/functions/<name> {"input":"text"} answers 202 at once, as the host does, and asks for no key. With the
header "x-azfn-local-wait: 1" it answers when the function has ended, with a JSON report of the outcome.
"""

import base64
import contextlib
import json
import socket
import threading
import urllib.parse

from . import json_text
from .client_connection import ClientConnection, ClientGone
from .client_request import BadRequest, ClientRequest
from .http_head import HttpAnswer
from .sample import sample_request

WAIT_HEADER = "x-azfn-local-wait"
ERROR_HEADER = "x-azfn-local-error"


class Gateway:
    """port 0 takes a free one; it is in use, and the url known, once this is made. secret_of: see sample.py."""

    def __init__(self, host, port=7071, address="127.0.0.1", secret_of=None):
        self.host = host
        self._secret_of = secret_of
        self._listener = socket.create_server((address, port), backlog=1024)
        self._connections = set()
        self.port = self._listener.getsockname()[1]
        self.url = f"http://{address}:{self.port}"

    def __enter__(self):
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        for connection in [self._listener, *self._connections]:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits for it
        self._listener.close()

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._connections.add(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        # a client that goes away ends its thread, no more
        with connection, contextlib.suppress(OSError, ClientGone):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            client = ClientConnection(connection)
            while self._serve_one(client):
                pass
        self._connections.discard(connection)

    def _serve_one(self, client):
        """One request of a connection. False: the connection ends."""
        try:
            request = client.read_request()
            if request is None:
                return False
            is_streamed = not _is_admin(request) and self.host.is_proxied(request)
            if not is_streamed:
                client.accept_body()
                request.body = b"".join(client.body_pieces())
        except BadRequest as error:
            answer = HttpAnswer.error(error.status)
            answer.headers.append(("Connection", "close"))
            client.send(answer)
            return False
        try:
            answer = self._answer(request, client if is_streamed else None)
        except BadRequest as error:
            answer = HttpAnswer.error(error.status)
        if client.has_begun:
            return answer is not None and client.is_body_read and not client.is_last
        is_last = client.is_last or not client.is_body_read
        if is_last and not answer.header("Connection"):
            answer.headers.append(("Connection", "close"))
        length = answer.header("Content-Length")
        client.send(answer)
        is_cut = length is not None and request.method != "HEAD" and length != str(len(answer.body))
        return not is_last and not is_cut and "close" not in (answer.header("Connection") or "").lower()

    def _answer(self, request, client):
        """The answer that is to be sent, or has been by a proxied function: then None says that it was cut."""
        path = request.path
        if path.lower().rstrip("/") == "/admin/functions" and request.method == "GET":
            return _json_answer([self._describe(function) for function in self.host.app.functions])
        if _is_admin(request):
            return self._admin(request, urllib.parse.unquote(path[len("/admin/functions/"):].rstrip("/")))
        outcome = self.host.invoke_http(request, client)
        if client and client.has_begun and not outcome.ok:
            client.reset()
            return None
        answer = outcome.http or HttpAnswer.error()
        if not outcome.ok and answer.status != 404:
            answer.headers.append((ERROR_HEADER, _header_text(outcome.error)))
        return answer

    def _admin(self, request, name):
        try:
            function = self.host.app.function(name)
        except KeyError:
            return HttpAnswer.error(404)
        if request.method == "GET":
            return _json_answer(self._describe(function))
        if request.method != "POST":
            return HttpAnswer.error(405)
        try:
            document = json_text.parse(request.body.decode(), dates=False) if request.body else {}
        except (UnicodeDecodeError, json_text.JsonError):
            return HttpAnswer.error(400)
        text = document.get("input", "") if isinstance(document, dict) else None
        if not isinstance(text, str):
            return HttpAnswer.error(400)
        if request.header(WAIT_HEADER) == "1":
            outcome = self._invoke_by_admin(function, text)
            return _json_answer(report(function, outcome))
        if not function.is_http:  # the host answers the same for those, and sends nothing
            threading.Thread(target=self.host.invoke, args=(function, text), daemon=True).start()
        return HttpAnswer(202, "Accepted", [])

    def _invoke_by_admin(self, function, text):
        if not function.is_http:
            return self.host.invoke(function, text)
        method, headers = sample_request(function, text.encode(), self._secret_of)
        return self.host.invoke_http(ClientRequest.make(
            method, function.route.example(), headers, text.encode(), host=f"localhost:{self.port}"))

    def _describe(self, function):
        description = {"name": function.name, "language": "Custom",
                       "config": {"bindings": [binding.raw for binding in function.bindings]},
                       "href": f"{self.url}/admin/functions/{function.name}"}
        if function.route:
            description["invoke_url_template"] = f"{self.url}/{function.route.text}"
        return description


def _is_admin(request):
    return (request.path.lower() + "/").startswith("/admin/functions/")


def report(function, outcome):
    """An Outcome as JSON. Bytes that are not UTF-8 are {"base64": ...}."""
    result = {"function": function.name, "ok": outcome.ok, "error": outcome.error, "hangs": outcome.hangs,
              "outputs": {name: [_as_json(message) for message in messages]
                          for name, messages in outcome.outputs.items()},
              "logs": outcome.logs, "warnings": outcome.warnings}
    if outcome.http:
        result["http"] = {"status": outcome.http.status, "reason": outcome.http.reason,
                          "headers": outcome.http.headers, "body": _as_json(outcome.http.body)}
    return result


def _as_json(data):
    try:
        return data.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode()}


def _header_text(text):
    return "".join(character if " " <= character <= "~" else "?" for character in text)[:500]


def _json_answer(value):
    return HttpAnswer(200, "OK", [("Content-Type", "application/json; charset=utf-8")],
                      json.dumps(value, ensure_ascii=False, indent=1).encode())
