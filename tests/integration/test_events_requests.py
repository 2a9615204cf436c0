"""Events of callers and what they send: who they say they are, what an app finds out about them, what is not valid."""

import hashlib
import hmac
import json
import unittest

import probe
from event_case import (CALLER, OF_CALLER, OF_REQUEST, TRACE, EventCase, ServicesCase, also, event, event_at_end, many,
                        quiet_functions)
from probe import ask, exchange

HOST = "Host: localhost\r\nX-Azure-Functions-InvocationId: ask-1\r\n"
# before it is known whose it is
OF_UNROUTED = {name: value for name, value in OF_REQUEST.items() if name != "function"}
PRINCIPAL = "X-MS-CLIENT-PRINCIPAL-ID: 6d1f0d8a-ada\r\nX-MS-CLIENT-PRINCIPAL-IDP: aad\r\n"
WHO = {"principal_id": "6d1f0d8a-ada", "identity_provider": "aad"}


class RequestCase(EventCase):
    def send(self, handler, request, status):
        answer = exchange(self.connect(handler), request if isinstance(request, bytes) else request.encode())
        self.assertEqual(answer.status, status, answer.body)


class Callers(RequestCase):
    @event("INFO", "worker", "authn_login_success:easy_auth", **OF_REQUEST, **WHO)
    @event("INFO", "worker", "authn_login_success:easy_auth", **{**OF_REQUEST, "source_ip": "192.0.2.1"}, **WHO)
    @event_at_end("INFO", "worker", "authn_login_success:easy_auth", function="Ask", **WHO,
                  source_ip=OF_CALLER["source_ip"], count=2)
    def test_that_app_service_vouches_for(self):
        handler = self.start(env={"WEBSITE_AUTH_ENABLED": "True"})
        for _ in range(3):
            self.send(handler, ask("reply", headers=CALLER + PRINCIPAL), 200)
        elsewhere = CALLER.replace("203.0.113.7", "192.0.2.1")
        self.send(handler, ask("reply", headers=elsewhere + PRINCIPAL), 200)

    @event("WARN", "worker", "authn_login_fail:easy_auth", **OF_REQUEST)
    @event("WARN", "worker", "authn_login_fail:easy_auth", **OF_REQUEST)
    def test_that_nobody_vouches_for(self):
        handler = self.start()
        for _ in range(2):
            self.send(handler, ask("reply", headers=CALLER + PRINCIPAL), 200)


class Functions(RequestCase):
    @event("WARN", "worker", "authn_login_fail:signature", **OF_REQUEST)
    @event("ERROR", "worker", "authz_fail:function", **OF_REQUEST)
    @event("ERROR", "worker", "malicious_request:function", **OF_REQUEST)
    @event("WARN", "worker", "input_validation_fail:function", **OF_REQUEST)
    def test_what_they_find_out(self):
        handler = self.start()
        self.send(handler, ask("event=signature,a event=forbidden,b event=suspicious,c event=input,d reply",
                               headers=CALLER), 200)

    @event("WARN", "worker", "input_validation_fail:json", **{**OF_REQUEST, "request_method": "POST"})
    def test_a_body_that_they_take_for_json(self):
        self.send(self.start(), ask("json json reply", method="POST", body=b'{"id": x}', headers=CALLER), 200)


class Webhook(ServicesCase):
    KEY = "canary-webhook-key"
    OF_ORDER = {"function": "webhook", "invocation_id": "ask-1", "trace_id": TRACE, **OF_CALLER,
                "request_method": "POST", "request_uri": "/api/webhook"}

    @also("authn_token_created:managed_identity", "sensitive_read:key_vault")
    @many("sensitive_read:secret")
    @event("WARN", "worker", "authn_login_fail:signature", **OF_ORDER)
    @event("WARN", "worker", "input_validation_fail:function", **OF_ORDER)
    def test_an_order_that_is_signed_wrongly_and_one_that_is_none(self):
        document = json.loads((probe.DEFAULT_APP / "azfn.json").read_text())
        self.services = self.stand_ins(document, secrets={"webhook-key": self.KEY})
        handler = self.handler(probe.DEFAULT_APP, env=self.services.env).start()
        signed = hmac.new(self.KEY.encode(), b'{"id":7}', hashlib.sha256).hexdigest()
        for signature, status in (("0" * 64, 401), (signed, 400)):
            answer = handler.request(f"POST /api/webhook HTTP/1.1\r\n{HOST}{CALLER}Content-Length: 8\r\n"
                                     f'X-Signature-256: sha256={signature}\r\n\r\n{{"id":7}}'.encode())
            self.assertEqual(answer.status, status)


class Input(RequestCase):
    @event("WARN", "worker", "input_validation_fail:http", **{**OF_REQUEST, "request_method": "POST"}, status=400)
    def test_a_body_that_is_none(self):
        head = ask("reply", method="POST", headers=f"{CALLER}Transfer-Encoding: chunked\r\n").decode()
        self.send(self.start(), f"{head}no number\r\n", 400)

    @event("WARN", "worker", "input_validation_fail:http", status=505)
    @event("WARN", "worker", "input_validation_fail:http", **OF_UNROUTED, status=400)
    def test_what_is_no_request(self):
        handler = self.start()
        self.send(handler, f"GET /api/Ask HTTP/2.7\r\n{HOST}{CALLER}\r\n", 505)
        self.send(handler, f"GET /api/Ask?code=fake-key HTTP/1.1\r\n{HOST}{HOST}{CALLER}\r\n", 400)

    @event("WARN", "worker", "input_validation_fail:route", **{**OF_UNROUTED, "request_uri": "/api/Nobody"}, status=404)
    @event("WARN", "worker", "input_validation_fail:route", **{**OF_UNROUTED, "request_method": "PUT"}, status=405)
    def test_a_path_or_method_that_nobody_takes(self):
        functions = quiet_functions()
        trigger, *outputs = functions["Ask"]["bindings"]
        functions["Ask"] = {"bindings": [{**trigger, "methods": ["get"]}, *outputs]}
        handler = self.start(functions=functions)
        self.send(handler, ask("reply", path="/api/Nobody?code=fake-key", headers=CALLER), 404)
        self.send(handler, ask("reply", method="PUT", headers=CALLER), 405)

    @event("WARN", "worker", "input_validation_fail:route",
           **{name: value for name, value in OF_UNROUTED.items() if name != "request_uri"}, status=404)
    def test_a_path_that_may_be_a_password(self):
        self.send(self.start(), ask("reply", path="//user:key@", headers=CALLER), 404)

    @event("WARN", "worker", "input_validation_fail:envelope", function="AskQueue", invocation_id="ask-1",
           trace_id=TRACE, source_ip=OF_CALLER["source_ip"], request_method="POST", request_uri="/AskQueue", status=400)
    def test_an_envelope_that_is_none(self):
        self.send(self.start(), f"POST /AskQueue HTTP/1.1\r\n{HOST}{CALLER}Content-Type: application/json\r\n"
                  "Content-Length: 7\r\n\r\n{\"a\":1}", 400)

    @event("ERROR", "worker", "malicious_envelope:client", **{**OF_UNROUTED, "request_method": "POST",
                                                              "request_uri": "/QIn"}, status=400)
    @also("sys_monitor_disabled:host_settings")
    def test_an_envelope_that_a_client_has_made(self):
        handler = self.start(functions=probe.probe_functions())  # one of them has an open route
        self.send(handler, probe.queue_message("QIn", "forged", name="msg", invocation_id="ask-1").replace(
            b"\r\n", f"\r\n{CALLER}".encode(), 1), 400)


if __name__ == "__main__":
    unittest.main()
