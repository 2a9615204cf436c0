"""Requests of functions to destinations: the real handler, with stand-ins for what they lead to."""

import base64
import hashlib
import hmac
import json
import threading
import unittest

import probe
from azfn_local.http_head import HttpAnswer

API_KEY = "canary-api-key"


def policy(**destination):
    return {"secrets": {"api-key": {"reference": "@Microsoft.KeyVault(VaultName=dev;SecretName=api-key)"}},
            "destinations": {
                "partner": {"url": "https://api.partner.example/v1/", "methods": ["GET", "POST", "PUT"],
                            "authenticate": {"header": "x-api-key", "secret": "api-key"}, **destination},
                "queue": {"url": "https://%STORAGE_ACCOUNT%.queue.core.windows.net/orders/", "methods": ["POST"],
                          "headers": {"x-ms-version": "2021-12-02"},
                          "authenticate": {"managedIdentity": "https://storage.azure.com"}},
                "closed": {"url": "https://closed.example/", "methods": ["GET"], "authenticate": "none"}},
            "functions": {"Ask": {"destinations": ["partner", "queue"]}, "StreamOut": {"destinations": ["closed"]}}}


class DestinationTests(probe.TestCase):
    def start(self, document=None, **options):
        document = document or policy()
        self.services = self.stand_ins(document, secrets={"api-key": API_KEY}, **options)
        self.partner = self.services.partners["partner"]
        handler = self.probe_app(policy=document, env=self.services.env)
        self.addCleanup(handler.kill)
        return handler.start()

    def request(self, handler, words, headers=""):
        response = handler.request(probe.ask(f"{words} reply", headers=headers))
        self.assertEqual(response.status, 200, response.body)
        error, status, body = (response.body.decode().split(" ", 2) + ["0", ""])[:3]
        return error.removeprefix("AZFN_").removeprefix("ERROR_"), int(status), body

    def test_the_broker_adds_the_key_that_the_function_does_not_have(self):
        handler = self.start()
        self.assertEqual(self.request(handler, "request=partner,POST,orders,{}")[:2], ("OK", 201))
        seen = self.partner.seen[-1]
        self.assertEqual((seen.method, seen.target, seen.body), ("POST", "/v1/orders", b"{}"))
        self.assertEqual(seen.header("x-api-key"), API_KEY)
        self.assertEqual(handler.request(probe.ask("secret=api-key reply")).body.split()[0], b"AZFN_ERROR_FORBIDDEN")
        handler.wait_for_line(lambda line: "sensitive_read:destination" in line.text and '"function":"Ask"' in line.text)

    def test_a_queue_takes_a_message_by_managed_identity(self):
        handler = self.start()
        text = base64.b64encode(b"hello").decode()
        message = f"<QueueMessage><MessageText>{text}</MessageText></QueueMessage>"
        for _ in range(3):
            self.assertEqual(self.request(handler, f"request=queue,POST,messages,{message}")[:2], ("OK", 201))
        self.assertEqual(len(self.services.queue.messages("orders")), 3)
        self.assertEqual(self.services.identity.request_count, 1)
        seen = self.services.queue.seen[-1]
        self.assertEqual(seen.header("x-ms-version"), "2021-12-02")

    def test_trace_context_goes_along(self):
        handler = self.start()
        parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        self.request(handler, "request=partner,GET,x", headers=f"traceparent: {parent}\r\n")
        self.assertEqual(self.partner.seen[-1].header("traceparent"), parent)

    def test_nothing_leads_anywhere_else(self):
        handler = self.start()
        for path in ("../admin", "a/../../admin", "%2e%2e/admin", "..%2fadmin", "a%2f..%2fb", "%252e%252e/x", "/admin",
                     "//evil.example/", "https://evil.example/", "@evil.example/", "..%5cadmin", "a\\..\\b", "a#b",
                     "a%00b", "a~b\\x0d\\x0aX:~y", "a%0d%0aX:~y", "%zz"):
            with self.subTest(path):
                self.assertEqual(self.request(handler, f"request=partner,GET,{path}")[0], "FORBIDDEN")
        self.assertEqual(self.partner.request_count, 0)
        handler.wait_for_line("input_validation_fail:destination")

    def test_methods_headers_and_others_functions_destinations_are_refused(self):
        handler = self.start()
        for words in ("request=partner,DELETE,x", "request=partner,get,x", "request=partner,CONNECT,x",
                      "request=closed,GET,x", "request=nowhere,GET,x", "request=queue,GET,messages",
                      "reqheader=x-api-key:mine request=partner,GET,x", "reqheader=Host:evil request=partner,GET,x",
                      "reqheader=Authorization:Bearer~x request=partner,GET,x",
                      "reqheader=Cookie:a=b request=partner,GET,x", "reqheader=Content-Length:5 request=partner,GET,x",
                      "reqheader=x:a\\x0d\\x0ab:c request=partner,GET,x",
                      "reqheader=x-ms-version:1 request=queue,POST,messages,x"):
            with self.subTest(words):
                self.assertEqual(self.request(handler, words)[0], "FORBIDDEN")
        self.assertEqual(self.partner.request_count, 0)
        self.assertIsNone(self.services.queue.seen[-1] if self.services.queue.seen else None)
        handler.wait_for_line(lambda line: "authz_fail:destination" in line.text and "closed" in line.text)
        handler.wait_for_line(lambda line: "authz_fail:destination" in line.text and "nowhere" in line.text)

    def test_an_answer_that_shows_the_key_is_cut_off(self):
        handler = self.start()
        self.partner.answer_with = lambda request: HttpAnswer(
            200, "OK", [("X-Echo", API_KEY), ("X-Plain", "yes")], b"your key is " + API_KEY.encode())
        error, _, body = self.request(handler, "request=partner,GET,x")
        self.assertEqual(error, "FORBIDDEN")
        self.assertNotIn("canary", body)
        handler.wait_for_line("malicious_echo:destination")
        self.assertNotIn(API_KEY, "".join(line.text for line in handler.lines))

    def test_redirects_are_handed_over_and_not_followed(self):
        handler = self.start()
        self.partner.fail("redirect:1")
        error, status, _ = self.request(handler, "request=partner,GET,x")
        self.assertEqual((error, status // 100), ("OK", 3))
        self.assertEqual(self.partner.request_count, 1)

    def test_a_body_that_is_too_large_is_refused_in_both_directions(self):
        handler = self.start(policy(maxRequestBytes=10, maxResponseBytes=10))
        self.assertEqual(self.request(handler, "request=partner,POST,orders,12345678901")[0], "FORBIDDEN")
        self.assertEqual(self.partner.request_count, 0)
        self.partner.answer_with = lambda request: HttpAnswer(200, "OK", [], b"12345678901")
        self.assertEqual(self.request(handler, "request=partner,GET,x")[0], "LIMIT")
        self.partner.answer_with = lambda request: HttpAnswer(200, "OK", [], b"1234567890")
        self.assertEqual(self.request(handler, "request=partner,GET,x"), ("OK", 200, "1234567890"))

    def test_failures_have_their_errors(self):
        handler = self.start(policy(timeoutMs=2000))
        for failure, words, expected in (("broken:9", "request=partner,POST,x", ("UNAVAILABLE", 0)),
                                         ("stall:9", "request=partner,POST,x", ("TIMEOUT", 0)),
                                         ("certificate=wrong-host", "request=partner,POST,x", ("FORBIDDEN", 0)),
                                         ("503:1", "request=partner,GET,x", ("OK", 200)),
                                         ("503:1", "request=partner,POST,x", ("OK", 503))):
            with self.subTest(failure):
                self.partner.close_connections()
                self.partner.fail(failure)
                error, status, _ = self.request(handler, words)
                self.assertEqual((error, status if error == "OK" else 0), expected)
                self.partner.recover()

    def test_a_key_that_the_vault_does_not_give_is_an_error(self):
        handler = self.start()
        self.services.vault.fail("403=ForbiddenByRbac")
        self.assertEqual(self.request(handler, "request=partner,GET,x")[0], "FORBIDDEN")
        self.assertEqual(self.partner.request_count, 0)

    def test_a_large_body_goes_up_and_a_large_answer_comes_down(self):
        large = policy(maxRequestBytes=32 << 20, maxResponseBytes=32 << 20)
        large["functions"]["Ask"]["maxBodyBytes"] = 32 << 20
        handler = self.start(large)
        payload = bytes(range(256)) * (4 << 12)  # 4 MiB
        self.partner.answer_with = lambda request: HttpAnswer(200, "OK", [], request.body)
        response = handler.request(probe.ask("relay=partner,PUT,x reply", method="POST", body=payload))
        self.assertEqual(response.status, 200)
        self.assertEqual(response.body, payload)

    def test_many_at_a_time(self):
        handler = self.start()
        results = []

        def run():
            results.append(self.request(handler, "request=partner,POST,orders,{}")[:2])

        threads = [threading.Thread(target=run) for _ in range(100)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(set(results), {("OK", 201)})
        self.assertEqual(self.services.vault.counts["GET /secrets/api-key"], 1)

    def test_a_caller_that_leaves_ends_the_request(self):
        handler = self.start()
        self.partner.fail("hold:1")
        with self.connect(handler) as connection:
            connection.sendall(probe.ask("request=partner,POST,x reply"))
            self.partner.wait_for_requests(1)
        self.partner.release()
        self.assertEqual(self.request(handler, "request=partner,GET,x")[:2], ("OK", 200))

    def test_the_module_is_only_in_the_broker(self):
        handler = self.start()
        self.request(handler, "request=partner,GET,x")
        roles = probe.Roles(handler.pid)
        maps = {role: (process.folder / "maps").read_text() for role, process in
                (("broker", roles.broker), ("launcher", roles.launcher), ("worker", roles.worker))} \
            if probe.IS_ROOT else {}
        for role in ("launcher", "worker"):
            for library in ("libcurl", "libcrypto", "libssl", "azfn-https"):
                self.assertNotIn(library, maps.get(role, ""), role)
        if maps:
            self.assertIn("libcurl", maps["broker"])

    def test_rotation_reaches_a_destination(self):
        document = policy()
        document["limits"] = {"secretRefreshMs": 1000}
        handler = self.start(document)
        self.assertEqual(self.request(handler, "request=partner,GET,x")[:2], ("OK", 200))
        self.services.set_secret("api-key", "canary-second-key")
        probe.wait_until(lambda: self.request(handler, "request=partner,GET,x")[:2] == ("OK", 200), timeout=30,
                         what="the new key")


class DefaultAppTests(probe.TestCase):
    """The app that people fork, with everything that it needs."""

    def test_an_order_that_is_signed_lands_in_the_queue_and_others_do_not(self):
        document = json.loads((probe.DEFAULT_APP / "azfn.json").read_text())
        services = self.stand_ins(document, secrets={"webhook-key": "canary-webhook-key"})
        handler = self.handler(probe.DEFAULT_APP, env=services.env)
        self.addCleanup(handler.kill)
        handler.start()
        body = b'{"id":"A-17","quantity":2}'

        def post(signature):
            return handler.request(b"POST /api/webhook HTTP/1.1\r\nHost: x\r\nX-Signature-256: " + signature +
                                   f"\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)

        good = hmac.new(b"canary-webhook-key", body, hashlib.sha256).hexdigest().encode()
        for bad in (b"", b"sha256=", good, b"sha256=" + good[:-1] + b"g", b"sha256=" + good[::-1], b"sha256=" + good + b"0"):
            self.assertEqual(post(bad).status, 401, bad)
        self.assertEqual(services.queue.messages("orders"), [])
        response = post(b"sha256=" + good)
        self.assertEqual((response.status, response.body), (202, b'{"accepted":"A-17"}\n'))
        self.assertEqual(len(services.queue.messages("orders")), 1)
        services.queue.fail("503")
        self.assertEqual(post(b"sha256=" + good).status, 503)


if __name__ == "__main__":
    unittest.main()
