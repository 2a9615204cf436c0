"""Runs invocations against a handler: envelope, forwarded or proxied, time limit, redirects, outcome.

    with Handler(app) as handler:
        host = Host(app, handler)
        outcome = host.invoke(app.function("order"), "the message")      # any trigger but HTTP
        outcome = host.invoke_http(ClientRequest.make("GET", "/api/hello"))
"""

import urllib.parse
import uuid

from .answer import Outcome, decode_answer
from .client_connection import ClientGone
from .client_request import BadRequest
from .envelope import (HOST_VERSION, USER_AGENT, build_envelope_request, build_invocation, http_envelope,
                       retry_context)
from .forward import answer_to_client, build_forwarded_request
from .handler_process import HandlerError
from .http_head import CannotForward, HttpAnswer, sends_allowed
from .proxy import Collector, proxy
from .routes import match_function
from .wire import WireError, build_request

MAX_REDIRECTS = 50


class Host:
    """on_log(level, text) is called with what the host would log. framing: see build_envelope_request."""

    def __init__(self, app, handler, framing="chunked", on_log=None):
        self.app = app
        self.handler = handler
        self.framing = framing
        self._log = on_log or (lambda level, text: None)

    def is_proxied(self, request):
        """Whether invoke_http() wants a caller whose body it reads itself."""
        function, _ = match_function(self.app.functions, request.method, request.path)
        return bool(function) and self.app.enable_proxying and function.is_http_in_and_out

    def invoke_http(self, request, caller=None):
        """A client's request, through its route. Outcome with http set; 404 where no route takes it. With a caller
        (see proxy.py) the answer of a proxied function goes to it as it comes, and http has its head alone."""
        function, params = match_function(self.app.functions, request.method, request.path)
        if function is None:
            return Outcome(ok=False, error="no route takes this request", http=HttpAnswer.error(404))
        if self.app.enable_proxying and function.is_http_in_and_out:
            return self._run(function, lambda invocation_id: self._proxy(caller or Collector(request), invocation_id))
        if self.app.enable_forwarding and function.is_http_in_and_out:
            return self._run(function, lambda invocation_id: self._forward(request, invocation_id))
        if not request.host:
            return Outcome.failure("the request has no Host header", is_http=True)
        envelope = http_envelope(function, request, params, retry=_first_try(function))
        return self._run(function, lambda invocation_id: decode_answer(
            function, self._post(function, envelope, invocation_id), request.method))

    def invoke(self, function, text):
        """A function with any trigger but HTTP, with the input of an admin call."""
        envelope = build_invocation(function, text, retry=_first_try(function))
        return self.invoke_envelope(function, envelope)

    def invoke_envelope(self, function, envelope):
        """Sends an envelope that was made elsewhere, such as queue_envelope(function, b"...", dequeue_count=3)."""
        return self._run(function, lambda invocation_id: decode_answer(
            function, self._post(function, envelope, invocation_id)))

    def _run(self, function, send):
        invocation_id = str(uuid.uuid4())
        self._log("Information", f"Executing 'Functions.{function.name}' (Id={invocation_id})")
        try:
            outcome = send(invocation_id)
        except WireError as error:
            reason = str(error)
            if error.kind == "timeout" and self.app.function_timeout_s:
                reason = (f"timeout of {self.app.function_timeout_s:g} s exceeded; the host kills the handler and "
                          "starts it again")
                self.handler.restart_after_timeout()
            outcome = Outcome.failure(reason, function.is_http)
        except (CannotForward, ClientGone, HandlerError) as error:
            outcome = Outcome.failure(str(error), function.is_http)
        for line in outcome.logs:
            self._log("Information", f"{function.name}: {line}")
        for line in outcome.warnings:
            self._log("Warning", f"{function.name}: {line}")
        result = "Succeeded" if outcome.ok else f"Failed: {outcome.error}"
        self._log("Information" if outcome.ok else "Error",
                  f"Executed 'Functions.{function.name}' ({result}, Id={invocation_id})")
        return outcome

    def _send(self, data):
        self.handler.wait_ready()
        return self.handler.pool.send(data, self.app.function_timeout_s)

    def _forward(self, request, invocation_id):
        data = build_forwarded_request(request, invocation_id=invocation_id)
        for sends_left in range(sends_allowed(request.has_body) - 1, -1, -1):
            try:
                response = self._send(data)
                break
            except WireError as error:
                if error.kind != "closed" or not sends_left:
                    raise
        return Outcome(http=answer_to_client(response, request.method))

    def _proxy(self, caller, invocation_id):
        try:
            return Outcome(http=proxy(self.handler, caller, invocation_id, self.app.function_timeout_s))
        except BadRequest as error:
            return Outcome(ok=False, error=str(error), http=HttpAnswer.error(error.status))

    def _post(self, function, envelope, invocation_id):
        port = self.handler.port
        response = self._send(build_envelope_request(function, envelope, port=port, invocation_id=invocation_id,
                                                     framing=self.framing))
        for _ in range(MAX_REDIRECTS):
            location = response.header("Location")
            # one HTTP client serves all functions: with forwarding enabled it follows no redirect
            if self.app.enable_forwarding or response.status not in (300, 301, 302, 303, 307, 308) or not location:
                return response
            target = urllib.parse.urlsplit(location)
            if target.netloc not in ("", f"127.0.0.1:{port}"):
                raise CannotForward(f"the answer is a redirect, and the host would follow it to {location}")
            path = (target.path or "/") + ("?" + target.query if target.query else "")
            if response.status in (307, 308):
                data = build_envelope_request(path.lstrip("/"), envelope, port=port, invocation_id=invocation_id,
                                              framing=self.framing)
            else:
                data = build_request("GET", path, [
                    ("Host", f"127.0.0.1:{port}"), ("X-Azure-Functions-HostVersion", HOST_VERSION),
                    ("X-Azure-Functions-InvocationId", invocation_id), ("User-Agent", USER_AGENT)])
            response = self._send(data)
        return response


def _first_try(function):
    """The context that each try has where function.json has a retry policy. Tries are not repeated here."""
    if not function.retry:
        return None
    return retry_context(0, int(function.retry.get("maxRetryCount", 0)))
