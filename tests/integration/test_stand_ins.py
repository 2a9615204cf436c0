"""The stand-ins for managed identity, Key Vault and destinations, over real sockets: what they answer, what they
refuse, and how they fail when they are told to."""

import base64
import contextlib
import hashlib
import hmac
import http.client
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import socket
import ssl
import stat
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import unittest.mock
import urllib.parse
import xml.etree.ElementTree

import probe
from azfn_local import CertificateAuthority, Function, HttpAnswer, ManagedIdentity, Partner, sample_request
from azfn_local.failures import Failure
from azfn_local.policy import Policy, Reference
from azfn_local.queue_storage import decoded
from azfn_local.secret_store import SecretError
from azfn_local.stand_ins import read_secrets

TOOL = pathlib.Path(__file__).resolve().parent.parent.parent / "tools" / "azfn-local" / "azfn-local"
VERSION = "0123456789abcdef0123456789abcdef"
POLICY = {
    "secrets": {
        "webhook-key": {"reference": "@Microsoft.KeyVault(VaultName=%KEY_VAULT_NAME%;SecretName=webhook-key)"},
        "partner-key": {"reference": "@Microsoft.KeyVault(VaultName=%KEY_VAULT_NAME%;SecretName=the-partner-key)"},
        "old-key": {"reference": f"@Microsoft.KeyVault(SecretUri=https://other.vault.azure.net/secrets/old/{VERSION})"},
    },
    "destinations": {
        "orders-queue": {"url": "https://%STORAGE_ACCOUNT%.queue.core.windows.net/orders/", "methods": ["POST"],
                         "authenticate": {"managedIdentity": "https://storage.azure.com"}},
        "partner": {"url": "https://api.partner.example/v1/", "methods": ["POST"],
                    "authenticate": {"header": "x-api-key", "secret": "partner-key"}},
        "graph": {"url": "https://graph.example", "methods": ["GET"],
                  "authenticate": {"managedIdentity": "https://graph.example/"}},
        "open": {"url": "https://open.example/", "methods": ["GET"], "authenticate": "none"},
    },
}


class Answer:
    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    def json(self):
        return json.loads(self.body)


class Client:
    """One kept connection. Names below localhost lead to this machine, as in curl."""

    def __init__(self, url, trust=None, timeout=20):
        parts = urllib.parse.urlsplit(url)
        self._host = parts.netloc
        connection = socket.create_connection(("127.0.0.1", parts.port), timeout=timeout)
        try:
            if parts.scheme == "https":
                context = ssl.create_default_context(cadata=trust)
                context.minimum_version = ssl.TLSVersion.TLSv1_2
                connection = context.wrap_socket(connection, server_hostname=parts.hostname)
        except BaseException:
            connection.close()
            raise
        self._http = http.client.HTTPConnection("127.0.0.1", parts.port)
        self._http.sock = connection

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._http.close()

    def ask(self, method, target, headers=None, body=None):
        self._http.request(method, target, body, {"Host": self._host, **(headers or {})})
        return Answer(self._http.getresponse())


class StandInTestCase(probe.TestCase):
    def ask(self, server, method, target, headers=None, body=None, *, host=None, timeout=20):
        url = server.url if host is None else f"https://{host}:{server.port}"
        trust = server.authority.certificate if server.authority else None
        with Client(url, trust, timeout) as client:
            return client.ask(method, target, headers, body)


class Identity(StandInTestCase):
    def setUp(self):
        self.identity = ManagedIdentity()
        self.addCleanup(self.identity.close)

    def token(self, query="api-version=2019-08-01&resource=https%3A%2F%2Fvault.azure.net", header=None, **options):
        return self.ask(self.identity, "GET", "/msi/token?" + query,
                        {"X-IDENTITY-HEADER": self.identity.header_value if header is None else header}, **options)

    def test_a_token(self):
        answer = self.token()
        self.assertEqual(answer.status, 200)
        document = answer.json()
        self.assertEqual(set(document), {"access_token", "client_id", "expires_on", "resource", "token_type"})
        self.assertEqual((document["token_type"], document["resource"]), ("Bearer", "https://vault.azure.net"))
        self.assertIsInstance(document["expires_on"], str)
        self.assertAlmostEqual(int(document["expires_on"]), time.time() + 86400, delta=20)
        head, claims, signature = document["access_token"].split(".")
        self.assertEqual(signature, "")
        self.assertEqual(json.loads(base64.urlsafe_b64decode(head + "==")), {"typ": "JWT", "alg": "none"})
        claims = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
        self.assertRegex(claims["iss"], r"\Ahttps://sts\.windows\.net/[0-9a-f-]{36}/\Z")
        self.assertEqual((claims["aud"], str(claims["exp"])), ("https://vault.azure.net", document["expires_on"]))
        self.assertEqual(claims["appid"], document["client_id"])
        self.assertLessEqual({"nbf", "iat", "tid", "oid", "ver", "jti"}, set(claims))
        self.assertEqual(self.identity.issuer.check(document["access_token"], ["https://vault.azure.net"])["oid"],
                         claims["oid"])

    def test_the_audience_has_no_slash_at_the_end_and_numbers_may_be_numbers(self):
        self.identity.expires_as_number, self.identity.padding_bytes = True, 5000
        document = self.token("api-version=2019-08-01&resource=https://storage.azure.com/").json()
        self.assertIsInstance(document["expires_on"], int)
        self.assertGreater(len(document["access_token"]), 5000)
        self.identity.issuer.check(document["access_token"], ["https://storage.azure.com"])

    def test_what_is_refused(self):
        resource = "resource=x"
        for query, header, status in [
                (resource, None, 400), ("api-version=2017-09-01&" + resource, None, 400),
                ("api-version=2019-08-01", None, 400), ("api-version=2019-08-01&" + resource, "", 401),
                ("api-version=2019-08-01&" + resource, "guess", 401), ("", "guess", 401),
                ("api-version=2019-08-01&client_id=a&principal_id=b&" + resource, None, 400)]:
            with self.subTest(query=query, header=header):
                answer = self.token(query, header)
                self.assertEqual(answer.status, status)
                self.assertEqual(answer.json()["statusCode"], status)
                self.assertNotIn(self.identity.header_value.encode(), answer.body)
        self.assertEqual(self.ask(self.identity, "GET", "/other").status, 404)

    def test_user_assigned_identities(self):
        self.assertEqual(self.token("api-version=2019-08-01&resource=x&client_id=anything").json()["client_id"],
                         "anything")
        self.identity.known_ids = ["/subscriptions/s/ID", "c-1"]
        for parameter, status in [("client_id=C-1", 200), ("mi_res_id=/subscriptions/s/id", 200), ("", 200),
                                  ("principal_id=p", 400)]:
            self.assertEqual(self.token("api-version=2019-08-01&resource=x&" + parameter).status, status)

    def test_tokens_are_told_apart(self):
        issuer = self.identity.issuer
        ids = {"client_id": "c", "principal_id": "p"}
        good = issuer.issue("a", **ids)
        forged = good.split(".")
        claims = json.loads(base64.urlsafe_b64decode(forged[1] + "=="))
        forged[1] = base64.urlsafe_b64encode(json.dumps({**claims, "aud": "b"}).encode()).decode()
        for token, audience, reason in [
                (good, "b", "audience"), (".".join(forged), "b", "not made here"), ("", "a", "not a JWT"),
                ("a.b.c", "a", "not a JWT"), (issuer.issue("a", lifetime_s=-10, **ids), "a", "expired"),
                (issuer.issue("a", not_before_s=60, **ids), "a", "not valid yet"),
                (ManagedIdentity().issuer.issue("a", **ids), "a", "not made here")]:
            with self.assertRaisesRegex(Exception, reason):
                issuer.check(token, [audience])

    def test_failures_of_its_own(self):
        self.identity.fail("expired:1")
        self.identity.fail("no-token:1")
        self.identity.fail("500=exception:1")
        self.assertLess(int(self.token().json()["expires_on"]), time.time())
        self.assertNotIn("access_token", self.token().json())
        answer = self.token()
        self.assertEqual((answer.status, "ExceptionMessage" in answer.json()), (500, True))
        self.identity.fail("429,retry-after=7:1@https://vault.azure.net")
        self.assertEqual(self.token("api-version=2019-08-01&resource=other").status, 200)
        answer = self.token()
        self.assertEqual((answer.status, answer.headers["Retry-After"]), (429, "7"))
        self.assertEqual(self.token().status, 200)
        self.assertEqual(self.identity.counts["GET /msi/token"], 6)


class Vault(StandInTestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.shared = probe.StandIns(POLICY, settings={}, secrets={"webhook-key": "the value"})
        cls.addClassCleanup(cls.shared.close)

    def setUp(self):
        self.vault = self.shared.vault
        self.addCleanup(self.shared.recover)
        self.token = self.shared.identity.issuer.issue("https://vault.azure.net", client_id="c", principal_id="p")

    def call(self, method, path, body=None, *, vault="dev", version="7.4", token=None, query="", **options):
        headers = {"Authorization": f"Bearer {self.token if token is None else token}"}
        return self.ask(self.vault, method, f"{path}?api-version={version}{query}", headers,
                        body if body is None else json.dumps(body).encode(), host=f"{vault}.vault.localhost", **options)

    def test_a_secret(self):
        answer = self.call("GET", "/secrets/webhook-key")
        self.assertEqual(answer.status, 200)
        document = answer.json()
        self.assertEqual(document["value"], "the value")
        self.assertRegex(document["id"], rf"\Ahttps://dev\.vault\.localhost:{self.vault.port}/secrets/webhook-key/"
                         r"[0-9a-f]{32}\Z")
        self.assertEqual(document["attributes"]["enabled"], True)
        self.assertAlmostEqual(document["attributes"]["created"], time.time(), delta=60)
        for path in ("/secrets/WEBHOOK-KEY", "/secrets/webhook-key/", "/secrets/webhook-key/" +
                     document["id"].rpartition("/")[2]):
            self.assertEqual(self.call("GET", path).json()["value"], "the value")
        self.assertEqual(self.call("GET", "/secrets/old/" + VERSION, vault="OTHER").status, 200)
        self.assertEqual(self.call("GET", "/secrets/old", vault="dev").status, 404)

    def test_who_may_not(self):
        issuer = self.shared.identity.issuer
        for token in ("", "junk", issuer.issue("https://storage.azure.com", client_id="c", principal_id="p"),
                      issuer.issue("https://vault.azure.net", client_id="c", principal_id="p", lifetime_s=-1)):
            answer = self.call("GET", "/secrets/webhook-key", token=token)
            self.assertEqual((answer.status, answer.json()["error"]["code"]), (401, "Unauthorized"))
            self.assertRegex(answer.headers["WWW-Authenticate"], r'\ABearer authorization="https://login\.'
                             r'microsoftonline\.com/[0-9a-f-]+", resource="https://vault\.localhost"\Z')
        token = issuer.issue("https://vault.localhost", client_id="c", principal_id="p")
        self.assertEqual(self.call("GET", "/secrets/webhook-key", token=token).status, 200)

    def test_requests_that_are_wrong(self):
        for method, path, status in [
                ("GET", "/secrets/none", 404), ("GET", "/secrets/a_b", 400), ("GET", "/secrets/webhook-key/short", 400),
                ("GET", "/secrets/webhook-key/" + "0" * 32, 404), ("POST", "/secrets/webhook-key", 405),
                ("GET", "/keys/a", 404), ("GET", "/secrets/a/b/c", 405), ("GET", "/", 404)]:
            with self.subTest(path=path):
                answer = self.call(method, path)
                self.assertEqual(answer.status, status)
                self.assertLessEqual({"code", "message"}, set(answer.json()["error"]))
        self.assertEqual(self.call("GET", "/secrets/none").json()["error"]["code"], "SecretNotFound")
        for version in ("", "6.0", "7"):
            self.assertEqual(self.call("GET", "/secrets/webhook-key", version=version).status, 400)
        for version in ("7.0", "7.6", "7.6-preview.2", "2025-07-01"):
            self.assertEqual(self.call("GET", "/secrets/webhook-key", version=version).status, 200)
        self.assertEqual(self.ask(self.vault, "GET", "/secrets/webhook-key").status, 404)  # no vault's name

    def test_versions_lists_and_attributes(self):
        more = {"contentType": "text/plain", "tags": {"a": "b"}, "attributes": {"nbf": 1, "exp": 4102444800}}
        ids = [self.call("PUT", "/secrets/Many", {"value": f"v{number}", **more}, vault="lists").json()["id"]
               for number in range(3)]
        newest = self.call("GET", "/secrets/many", vault="lists").json()
        self.assertEqual((newest["value"], newest["contentType"], newest["tags"], newest["attributes"]["nbf"]),
                         ("v2", "text/plain", {"a": "b"}, 1))
        first = urllib.parse.urlsplit(ids[0]).path
        self.assertEqual(self.call("GET", first, vault="lists").json()["value"], "v0")
        listed = self.call("GET", "/secrets/many/versions", vault="lists").json()
        self.assertEqual(([item["id"] for item in listed["value"]], listed["nextLink"]), (ids[::-1], None))
        self.assertNotIn("value", listed["value"][0])
        self.call("PATCH", first, {"attributes": {"enabled": False}, "contentType": "x"}, vault="lists")
        answer = self.call("GET", first, vault="lists")
        self.assertEqual((answer.status, answer.json()["error"]["innererror"]["code"]), (403, "SecretDisabled"))
        self.assertEqual(self.call("GET", "/secrets/many", vault="lists").status, 200)
        for number in range(6):
            self.call("PUT", f"/secrets/name-{number}", {"value": "x"}, vault="lists")
        found, path, query = [], "/secrets", "&maxresults=3"
        for _ in range(3):
            page = self.call("GET", path, vault="lists", query=query).json()
            found += [item["id"].rpartition("/")[2] for item in page["value"]]
            if page["nextLink"]:
                query = "&" + urllib.parse.urlsplit(page["nextLink"]).query.partition("&")[2]
        self.assertEqual((found, page["nextLink"]), (["Many", *(f"name-{number}" for number in range(6))], None))
        for bad in ("&maxresults=0", "&maxresults=26", "&maxresults=x", "&$skiptoken=x"):
            self.assertEqual(self.call("GET", "/secrets", vault="lists", query=bad).status, 400)
        self.assertEqual(self.call("PATCH", first, {"attributes": 1}, vault="lists").status, 400)
        for bad in ({"value": 1}, {}, [], {"value": "x" * 25601}):
            self.assertEqual(self.call("PUT", "/secrets/bad", bad, vault="lists").status, 400)

    def test_soft_delete(self):
        def state():
            return (self.call("GET", "/secrets/gone", vault="bin").status,
                    self.call("GET", "/deletedsecrets/gone", vault="bin").status)
        self.call("PUT", "/secrets/gone", {"value": "x"}, vault="bin")
        self.assertEqual(state(), (200, 404))
        deleted = self.call("DELETE", "/secrets/gone", vault="bin").json()
        self.assertLessEqual({"recoveryId", "deletedDate", "scheduledPurgeDate", "id"}, set(deleted))
        self.assertEqual(state(), (404, 200))
        self.assertEqual(len(self.call("GET", "/deletedsecrets", vault="bin").json()["value"]), 1)
        answer = self.call("PUT", "/secrets/gone", {"value": "y"}, vault="bin")
        self.assertEqual((answer.status, answer.json()["error"]["innererror"]["code"]),
                         (409, "ObjectIsDeletedButRecoverable"))
        self.assertEqual(self.call("POST", "/deletedsecrets/gone/recover", vault="bin").status, 200)
        self.assertEqual(state(), (200, 404))
        self.call("DELETE", "/secrets/gone", vault="bin")
        self.assertEqual(self.call("DELETE", "/deletedsecrets/gone", vault="bin").status, 204)
        self.assertEqual(state(), (404, 404))
        self.assertEqual(self.call("PUT", "/secrets/gone", {"value": "y"}, vault="bin").status, 200)

    def test_errors_it_is_told_to_make(self):
        for inner in ("AccessDenied", "ForbiddenByRbac", "ForbiddenByFirewall", "SecretDisabled"):
            self.vault.fail(f"403={inner}:1@webhook-key")
            answer = self.call("GET", "/secrets/webhook-key")
            error = answer.json()["error"]
            self.assertEqual((answer.status, error["code"], error["innererror"]["code"]), (403, "Forbidden", inner))
        self.vault.fail("429:2")
        self.vault.fail("429,retry-after=3:1")
        got = [self.call("GET", "/secrets/webhook-key") for _ in range(4)]
        self.assertEqual([(answer.status, answer.headers["Retry-After"]) for answer in got],
                         [(429, None), (429, None), (429, "3"), (200, None)])
        self.assertEqual(got[0].json()["error"]["code"], "Throttled")
        self.vault.fail("503@webhook-key")
        self.assertEqual(self.call("GET", "/secrets/the-partner-key").status, 200)
        self.assertEqual([self.call("GET", "/secrets/Webhook-Key").status for _ in range(2)], [503, 503])
        self.vault.recover()
        self.assertEqual(self.call("GET", "/secrets/webhook-key").status, 200)

    def test_lies_it_is_told_to_tell(self):
        def told(kind):
            self.vault.fail(kind + ":1")
            return self.call("GET", "/secrets/webhook-key")
        self.assertIn('resource="https://management.azure.com"', told("wrong-audience").headers["WWW-Authenticate"])
        answer = told("no-challenge")
        self.assertEqual((answer.status, answer.headers["WWW-Authenticate"]), (401, None))
        self.assertEqual(told("401").headers["WWW-Authenticate"].count("vault.localhost"), 1)
        self.assertFalse(told("disabled").json()["attributes"]["enabled"])
        self.assertLess(told("expired").json()["attributes"]["exp"], time.time())
        self.assertGreater(told("not-yet").json()["attributes"]["nbf"], time.time())
        self.assertIn("/secrets/not-webhook-key/", told("wrong-id").json()["id"])
        with self.assertRaises(ValueError):
            told("garbage").json()
        self.assertIsInstance(told("wrong-type").json()["value"], dict)
        self.assertEqual(told("empty").body, b"")
        answer = told("redirect=https://elsewhere.invalid/")
        self.assertEqual((answer.status, answer.headers["Location"]), (307, "https://elsewhere.invalid/"))
        self.assertTrue(told("redirect").headers["Location"].startswith(self.vault.url))

    def test_answers_that_break_off(self):
        for kind, error in [("broken", (ConnectionResetError, http.client.RemoteDisconnected)),
                            ("truncated", http.client.IncompleteRead), ("stall", TimeoutError), ("mute", TimeoutError),
                            ("drop", OSError), ("down", ConnectionRefusedError),
                            ("endless=head", http.client.HTTPException)]:
            with self.subTest(kind=kind):
                self.vault.fail(kind if kind == "down" else kind + ":1")
                with self.assertRaises(error):
                    self.call("GET", "/secrets/webhook-key", timeout=1 if error is TimeoutError else 20)
                self.vault.recover()
                self.assertEqual(self.call("GET", "/secrets/webhook-key").status, 200)

    def test_connections_that_end_between_two_requests(self):
        with Client(f"https://dev.vault.localhost:{self.vault.port}", self.shared.authority.certificate) as client:
            self.assertEqual(client.ask("GET", "/").status, 401)
            self.vault.close_connections()
            with self.assertRaises((OSError, http.client.HTTPException)):
                client.ask("GET", "/")

    def test_an_endless_answer_goes_on_until_the_client_leaves(self):
        self.vault.fail("endless:1")
        with Client(f"https://dev.vault.localhost:{self.vault.port}", self.shared.authority.certificate) as client:
            client._http.request("GET", "/secrets/webhook-key")
            response = client._http.getresponse()
            self.assertEqual(len(response.read(8 << 20)), 8 << 20)
        self.assertEqual(self.call("GET", "/secrets/webhook-key").status, 200)

    def test_slow_and_held_answers(self):
        self.vault.fail("slow=0.3:1")
        start = time.monotonic()
        self.assertEqual(self.call("GET", "/secrets/webhook-key").status, 200)
        self.assertGreaterEqual(time.monotonic() - start, 0.3)
        self.vault.fail("hold")
        count = self.vault.request_count
        answers = []
        def ask():
            answers.append(self.call("GET", "/secrets/webhook-key").status)
        threads = [threading.Thread(target=ask) for _ in range(3)]
        for thread in threads:
            thread.start()
        self.vault.wait_for_requests(count + 3)
        self.assertEqual(answers, [])
        self.vault.release()
        for thread in threads:
            thread.join(20)
        self.assertEqual(answers, [200] * 3)

    def test_certificates_that_a_client_must_refuse(self):
        for kind, reason in [("certificate=expired", "expired"), ("certificate=wrong-host", "mismatch"),
                             ("certificate=other-authority", "verify failed"),
                             ("old-tls", "(?i)protocol|alert|version")]:
            with self.subTest(kind=kind):
                self.vault.fail(kind + ":1")
                before = self.vault.request_count
                with self.assertRaisesRegex(ssl.SSLError, reason):
                    self.call("GET", "/secrets/webhook-key")
                self.assertEqual(self.vault.request_count, before)
        self.assertEqual(self.call("GET", "/secrets/webhook-key").status, 200)
        with self.assertRaises(ssl.SSLError), Client(self.vault.url, CertificateAuthority().certificate):
            pass

    def test_a_kept_connection_and_what_was_seen(self):
        with Client(f"https://dev.vault.localhost:{self.vault.port}", self.shared.authority.certificate) as client:
            connections, headers = self.vault.connection_count, {"Authorization": f"Bearer {self.token}"}
            for _ in range(20):
                self.assertEqual(client.ask("GET", "/secrets/webhook-key?api-version=7.4", headers).status, 200)
            self.assertEqual(self.vault.connection_count, connections)
            self.assertEqual(client.ask("GET", "/x", {**headers, "Connection": "close"}).headers["Connection"], "close")
        seen = self.vault.seen[-2]
        self.assertEqual((seen.description, seen.status, seen.header("authorization")),
                         ("GET secrets/webhook-key", 200, f"Bearer {self.token}"))

    def test_a_thousand_connections(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        limit = max(soft, min(hard, 4096))
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
        count = min(1000, (limit - 100) // 2)  # both ends are in this process
        certificate = self.shared.authority.certificate
        headers = {"Authorization": f"Bearer {self.token}"}
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(Client(f"https://dev.vault.localhost:{self.vault.port}", certificate))
                       for _ in range(count)]
            for client in clients:
                self.assertEqual(client.ask("GET", "/secrets/webhook-key?api-version=7.4", headers).status, 200)


class Destinations(StandInTestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.shared = probe.StandIns(POLICY, settings={}, secrets={"partner-key": "k-1"},
                                    urls={"open": "https://x.invalid/"})
        cls.addClassCleanup(cls.shared.close)

    def setUp(self):
        self.addCleanup(self.shared.recover)

    def token(self, audience, **options):
        token = self.shared.identity.issuer.issue(audience, client_id="c", principal_id="p", **options)
        return {"Authorization": f"Bearer {token}", "x-ms-version": "2023-11-03"}

    def queue(self, method, path, body=None, headers=None):
        headers = self.token("https://storage.azure.com") if headers is None else headers
        return self.ask(self.shared.queue, method, f"/devstoreaccount1/{path}", headers, body)

    def send(self, text, queue="orders"):
        body = f"<QueueMessage><MessageText>{text}</MessageText></QueueMessage>"
        return self.queue("POST", f"{queue}/messages", body)

    def code(self, answer):
        self.assertEqual(answer.headers["Content-Type"], "application/xml")
        code = xml.etree.ElementTree.fromstring(answer.body.decode("utf-8-sig")).findtext("Code")
        self.assertEqual(answer.headers["x-ms-error-code"], code)
        return answer.status, code

    def test_a_message(self):
        text = base64.b64encode(b'{"id":1}').decode()
        answer = self.send(text)
        self.assertEqual(answer.status, 201)
        message = xml.etree.ElementTree.fromstring(answer.body.decode("utf-8-sig")).find("QueueMessage")
        self.assertEqual([child.tag for child in message],
                         ["MessageId", "InsertionTime", "ExpirationTime", "PopReceipt", "TimeNextVisible"])
        self.assertEqual(self.shared.queue.messages("orders"), [text])
        self.assertEqual((decoded(text), decoded('{"id":1}')), (b'{"id":1}', None))
        self.assertIn(f"<MessageText>{text}<".encode(), self.queue("GET", "orders/messages?peekonly=true").body)
        taken = xml.etree.ElementTree.fromstring(self.queue("GET", "orders/messages").body.decode("utf-8-sig"))[0]
        self.assertEqual(taken.findtext("DequeueCount"), "1")
        self.assertNotIn(b"<QueueMessage>", self.queue("GET", "orders/messages?numofmessages=32").body)
        path = f"orders/messages/{taken.findtext('MessageId')}?popreceipt="
        self.assertEqual(self.code(self.queue("DELETE", path + "x")), (400, "PopReceiptMismatch"))
        self.assertEqual(self.queue("DELETE", path + taken.findtext("PopReceipt")).status, 204)
        self.assertEqual(self.shared.queue.messages("orders"), [])

    def test_queues(self):
        self.assertEqual(self.code(self.send("x", "others")), (404, "QueueNotFound"))
        self.assertEqual([self.queue("PUT", "others").status for _ in range(2)], [201, 204])
        self.assertEqual(self.send("&lt;a&amp;b&gt;", "others").status, 201)
        self.assertEqual(self.shared.queue.messages("others"), ["<a&b>"])
        self.assertIn(b"&lt;a&amp;b&gt;", self.queue("GET", "others/messages?peekonly=true").body)
        self.assertEqual(self.queue("DELETE", "others/messages").status, 204)
        self.assertEqual([self.queue("DELETE", "others").status for _ in range(2)], [204, 404])

    def test_messages_that_are_refused(self):
        storage = self.token("https://storage.azure.com")
        for headers, expected in [
                ({}, (401, "NoAuthenticationInformation")),
                (self.token("https://vault.azure.net"), (401, "InvalidAuthenticationInfo")),
                (self.token("https://storage.azure.com", lifetime_s=-1), (401, "InvalidAuthenticationInfo")),
                ({**storage, "x-ms-version": "2015-04-05"}, (403, "AuthenticationFailed")),
                ({"Authorization": storage["Authorization"]}, (403, "AuthenticationFailed"))]:
            self.assertEqual(self.code(self.queue("POST", "orders/messages", "x", headers)), expected)
        for body in ("", "x", "<a/>", "<QueueMessage/>", "<!DOCTYPE a><QueueMessage><MessageText/></QueueMessage>"):
            self.assertEqual(self.code(self.queue("POST", "orders/messages", body)), (400, "InvalidXmlDocument"))
        self.assertEqual(self.code(self.send("x" * 65537)), (413, "RequestBodyTooLarge"))
        self.assertEqual(self.code(self.queue("PUT", "Orders")), (400, "InvalidResourceName"))
        self.assertEqual(self.queue("GET", "orders/messages?numofmessages=33").status, 400)
        self.assertEqual(self.ask(self.shared.queue, "PUT", "/other/orders", storage).status, 404)
        self.shared.queue.fail("403:1")
        self.assertEqual(self.code(self.send("x")), (403, "AuthorizationPermissionMismatch"))
        self.shared.queue.fail("503:1@orders")
        self.assertEqual(self.code(self.send("x")), (503, "ServerBusy"))
        self.assertEqual(self.shared.queue.messages("orders"), [])

    def test_a_partner_wants_the_secret_of_now(self):
        partner = self.shared.partners["partner"]
        def order(key):
            headers = {"x-api-key": key, "Content-Type": "application/json"}
            return self.ask(partner, "POST", "/v1/orders", headers, b"{}")
        answer = order("k-1")
        self.assertEqual((answer.status, answer.json()["status"], answer.json()["bytes"]), (201, "accepted", 2))
        self.assertEqual((order("k-2").status, self.ask(partner, "POST", "/v1/orders").status), (401, 401))
        self.shared.set_secret("partner-key", "k-2")
        self.addCleanup(self.shared.set_secret, "partner-key", "k-1")
        self.assertEqual((order("k-1").status, order("k-2").status), (401, 201))
        store = self.shared.vault.store("dev")
        store.delete("the-partner-key")
        self.assertEqual(order("k-2").status, 401)
        store.recover("the-partner-key")
        self.assertEqual((partner.seen[-1].body, partner.seen[-1].header("x-api-key")), (b"{}", "k-2"))
        partner.answer_with = lambda request: HttpAnswer(200, "OK", [("Content-Type", "text/plain")],
                                                         iter([b"one ", b"two"]))
        self.addCleanup(setattr, partner, "answer_with", None)
        self.assertEqual(order("k-2").body, b"one two")

    def test_a_partner_wants_a_token(self):
        graph = self.shared.partners["graph"]
        for audience, status in [("https://graph.example", 200), ("https://storage.azure.com", 401)]:
            self.assertEqual(self.ask(graph, "GET", "/me", self.token(audience)).status, status)

    @unittest.skipUnless(shutil.which("azurite-queue"), "azurite-queue is not in PATH")
    def test_azurite_takes_the_same(self):
        with probe.StandIns(POLICY, settings={}, azurite=True) as stand_ins:
            path = urllib.parse.urlsplit(stand_ins.urls["orders-queue"]).path + "messages"
            body = "<QueueMessage><MessageText>eA==</MessageText></QueueMessage>"
            for audience, status in [("https://storage.azure.com", 201), ("https://vault.azure.net", 403)]:
                token = stand_ins.identity.issuer.issue(audience, client_id="c", principal_id="p")
                with Client(stand_ins.queue.url, stand_ins.authority.certificate) as client:
                    answer = client.ask("POST", path, {"Authorization": f"Bearer {token}", "x-ms-version": "2023-11-03",
                                                       "Content-Type": "application/xml"}, body)
                self.assertEqual(answer.status, status, answer.body)

    def test_where_they_are(self):
        document = json.loads(self.shared.development_file.read_text("utf-8"))
        self.assertEqual(set(document), {"certificateAuthority", "vaultSuffix", "destinations"})
        self.assertEqual(document["vaultSuffix"], f".vault.localhost:{self.shared.vault.port}")
        urls = document["destinations"]
        self.assertEqual(urls["orders-queue"], self.shared.queue.url + "/devstoreaccount1/orders/")
        self.assertEqual(urls["partner"], self.shared.partners["partner"].url + "/v1/")
        self.assertEqual(urls["graph"], self.shared.partners["graph"].url + "/")
        self.assertEqual(urls["open"], "https://x.invalid/")
        self.assertNotIn("k-1", self.shared.development_file.read_text("utf-8"))
        self.assertEqual(stat.S_IMODE(self.shared.development_file.stat().st_mode), 0o644)
        self.assertLessEqual({"IDENTITY_ENDPOINT", "IDENTITY_HEADER", "AZFN_DEVELOPMENT", "KEY_VAULT_NAME",
                              "STORAGE_ACCOUNT"}, set(self.shared.env))


class Parts(unittest.TestCase):
    def test_references(self):
        for text, expected in [
                ("VaultName=a;SecretName=b", ("a", "b", None)),
                (f"SecretName=b;VaultName=a;SecretVersion={VERSION}", ("a", "b", VERSION)),
                ("SecretUri=https://a.vault.azure.net/secrets/b", ("a", "b", None)),
                (f"SecretUri=https://a.vault.usgovcloudapi.net/secrets/b/{VERSION}/", ("a", "b", VERSION)),
                ("SecretUri=http://a.vault.azure.net/secrets/b", None), ("VaultName=a", None)]:
            reference = Reference.parse(f"@Microsoft.KeyVault({text})")
            self.assertEqual(reference and (reference.vault, reference.name, reference.version), expected)

    def test_settings_that_are_missing_are_named(self):
        policy = Policy({"destinations": {"a": {"url": "https://%HOST%.example/%A%"}}}, {"A": "b"})
        self.assertEqual((policy.destinations["a"].url, policy.missing), ("https://%HOST%.example/b", {"HOST"}))

    def test_settings_that_stand_ins_make_meaningless_have_a_value(self):
        document = {
            "secrets": {"a": {"reference": "@Microsoft.KeyVault(SecretName=b;VaultName=%VAULT%)"},
                        "b": {"reference": "@Microsoft.KeyVault(SecretUri=https://x-%V2%.vault.azure.net/secrets/b)"}},
            "destinations": {"c": {"url": "https://%PARTNER_HOST%/v1"},
                             "d": {"url": "https://%REGION%.x.example/%PATH_%/"}},
            "identity": {"clientId": "%CLIENT%"}}
        with probe.StandIns(document, settings={"REGION": "north"}) as stand_ins:
            env = stand_ins.env
            self.assertEqual([env.get(name) for name in ("VAULT", "V2", "PARTNER_HOST", "REGION", "PATH_")],
                             ["dev", "dev", "partner-host.example", "north", "path"])
            self.assertRegex(env["CLIENT"], r"\A[0-9a-f-]{36}\Z")
            self.assertEqual((stand_ins.identity.known_ids, stand_ins.policy.missing), ([env["CLIENT"]], set()))
            self.assertTrue(stand_ins.urls["d"].endswith("/path/"))

    def test_failures(self):
        self.assertEqual(Failure.parse("429,retry-after=2:3@a-b"), Failure("429", None, 3, "a-b", "2"))
        self.assertEqual(Failure.parse("redirect=https://a.b:1/c:2"), Failure("redirect", "https://a.b:1/c", 2))
        with ManagedIdentity() as identity:
            for text in ("", "nothing-such", "slow", "slow=x", "503:x", "999", "certificate=expired"):
                with self.assertRaises(ValueError):
                    identity.fail(text)

    def test_the_authority_leaves_nothing_behind_and_lets_nobody_in(self):
        with CertificateAuthority() as authority:
            folder = authority.leaf_files()[0].parent
            self.assertEqual(stat.S_IMODE(folder.stat().st_mode), 0o700)
            self.assertNotIn("PRIVATE", authority.certificate)
        self.assertFalse(folder.exists())

    def test_a_container_that_is_not_azures_does_not_count_as_azure(self):
        with probe.StandIns(POLICY, settings={}) as stand_ins, \
                unittest.mock.patch.dict(os.environ, {"CONTAINER_NAME": "c", "WEBSITE_INSTANCE_ID": "i"}):
            self.assertEqual(stand_ins.env["CONTAINER_NAME"], "")
            self.assertNotIn("WEBSITE_INSTANCE_ID", stand_ins.env)
            del os.environ["CONTAINER_NAME"]
            self.assertNotIn("CONTAINER_NAME", stand_ins.env)

    def test_stand_ins_leave_nothing_behind(self):
        with probe.StandIns(POLICY, settings={}) as stand_ins:
            folder, port = stand_ins.folder, stand_ins.vault.port
            self.assertTrue(stand_ins.certificate_file.exists())
        self.assertFalse(folder.exists())
        with self.assertRaises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))

    def test_secrets_of_a_file(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "local.secrets.json"
            path.write_text(json.dumps({
                "webhook-key": {"value": "new", "exp": 5, "versions": {VERSION: "old"}}, "more": "m",
                "old-key": {"versions": {VERSION: {"value": "of then", "enabled": False}}}}), "utf-8")
            with probe.StandIns(POLICY, settings={}, secrets=read_secrets(path)) as stand_ins:
                store = stand_ins.vault.store("dev")
                self.assertEqual((stand_ins.secret("webhook-key"), store.get("webhook-key", VERSION)[1]["value"]),
                                 ("new", "old"))
                self.assertEqual(store.get("webhook-key")[1]["attributes"]["exp"], 5)
                self.assertEqual(store.get("more")[1]["value"], "m")
                self.assertEqual(stand_ins.secret("old-key"), "of then")
                self.assertGreater(len(stand_ins.secret("partner-key")), 20)
                with self.assertRaises(SecretError):
                    store.get("old")
            for bad in ('[]', '{"a":1}', '{"a":{}}', '{"a":{"value":"b","other":1}}', "{"):
                path.write_text(bad, "utf-8")
                with self.assertRaises(probe.AppError):
                    read_secrets(path)

    def test_a_sample_is_signed(self):
        with tempfile.TemporaryDirectory() as folder:
            function = Function.from_json("hook", {"bindings": [probe.HTTP_IN]}, pathlib.Path(folder))
            (pathlib.Path(folder) / "sample.headers").write_text(
                "# what is sent\nX-Signature-256: sha256={hmac-sha256:webhook-key}\n\nX-Event: made\n", "utf-8")
            method, headers = sample_request(function, b'{"a":1}', {"webhook-key": "k"}.__getitem__)
            expected = hmac.new(b"k", b'{"a":1}', hashlib.sha256).hexdigest()
            self.assertEqual((method, headers), ("POST", [
                ("Content-Type", "application/json"), ("X-Signature-256", f"sha256={expected}"), ("X-Event", "made")]))
            self.assertIn("{hmac-sha256:webhook-key}", sample_request(function, b"x")[1][1][1])

    def test_a_partner_that_says_no_name(self):
        with CertificateAuthority() as authority, Partner(authority=authority) as partner:
            with Client(partner.url, authority.certificate) as client:
                self.assertEqual(client.ask("GET", "/a").json(), {"method": "GET", "path": "/a", "bytes": 0})


# an app that does all by itself what the runtime's broker does: checks a signature, sends a message and an order
HANDLER = r'''
import base64, hashlib, hmac, http.server, json, os, sys, urllib.parse
sys.path.insert(0, %r)
from test_stand_ins import Client

def ask(url, method, headers, body=None):
    with Client(url, trust) as client:
        return client.ask(method, url.partition(urllib.parse.urlsplit(url).netloc)[2], headers, body)

def token(resource):
    answer = ask(os.environ["IDENTITY_ENDPOINT"] + "?api-version=2019-08-01&resource=" + resource, "GET",
                 {"X-IDENTITY-HEADER": os.environ["IDENTITY_HEADER"]})
    return {"Authorization": "Bearer " + answer.json()["access_token"], "x-ms-version": "2023-11-03"}

def secret(name):
    url = "https://" + os.environ["KEY_VAULT_NAME"] + development["vaultSuffix"] + "/secrets/" + name
    return ask(url + "?api-version=7.4", "GET", token("https://vault.localhost")).json()["value"]

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(404)
        self.end_headers()
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        expected = "sha256=" + hmac.new(secret("webhook-key").encode(), body, hashlib.sha256).hexdigest()
        status = 401
        if self.headers["X-Signature-256"] == expected:
            message = "<QueueMessage><MessageText>" + base64.b64encode(body).decode() + "</MessageText></QueueMessage>"
            status = ask(development["destinations"]["orders-queue"] + "messages", "POST",
                         token("https://storage.azure.com"), message).status
            status = max(status, ask(development["destinations"]["partner"] + "orders", "POST",
                                     {"x-api-key": secret("the-partner-key")}, body).status)
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def log_message(self, *arguments):
        pass

development = json.load(open(os.environ["AZFN_DEVELOPMENT"]))
trust = development["certificateAuthority"]
http.server.HTTPServer(("127.0.0.1", int(os.environ["FUNCTIONS_CUSTOMHANDLER_PORT"])), Handler).serve_forever()
''' % str(probe.HERE)


class Tool(StandInTestCase):
    def write_app(self, secrets):
        folder = self.temporary_folder()
        description = {"defaultExecutablePath": sys.executable, "arguments": ["-B", "handler.py"]}
        for name, document in [
                ("host.json", {"customHandler": {"description": description, "enableForwardingHttpRequest": True}}),
                ("azfn.json", POLICY), ("local.secrets.json", secrets), ("hook/function.json", {"bindings": [
                    {**probe.HTTP_IN, "methods": ["post"]}, {"type": "http", "direction": "out", "name": "res"}]})]:
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(json.dumps(document), "utf-8")
        (folder / "handler.py").write_text(HANDLER, "utf-8")
        (folder / "hook" / "sample.dat").write_text('{"id":"A-17"}', "utf-8")
        (folder / "hook" / "sample.headers").write_text("X-Signature-256: sha256={hmac-sha256:webhook-key}\n", "utf-8")
        return folder

    def run_tool(self, *arguments):
        return subprocess.run([sys.executable, "-B", str(TOOL), *arguments], capture_output=True, text=True, timeout=60,
                              check=False)

    def test_demo(self):
        folder = self.write_app({"webhook-key": "the webhook's key"})
        result = self.run_tool("demo", "--app-root", str(folder))
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        for line in ("secret webhook-key: as given", "secret partner-key: a random value, made now",
                     "[identity] GET token for https://vault.localhost 200", "[vault] GET secrets/webhook-key 200",
                     "[queue] POST orders/messages 201", "[partner] POST /v1/orders 201", "answer: 201 Created"):
            self.assertIn(line, result.stdout)
        self.assertNotIn("the webhook's key", result.stdout)
        result = self.run_tool("demo", "--app-root", str(folder), "--destination-fail", "partner=503")
        self.assertEqual(result.returncode, 1)
        self.assertIn("answer: 503", result.stdout)
        result = self.run_tool("demo", "--app-root", str(folder), "--no-stand-ins")
        self.assertEqual(result.returncode, 1)
        self.assertIn("KeyError: 'AZFN_DEVELOPMENT'", result.stdout + result.stderr)

    def test_start_prints_a_line_that_is_signed_and_invoke_signs(self):
        folder = self.write_app({"webhook-key": "k"})
        process = subprocess.Popen([sys.executable, "-B", str(TOOL), "start", "--port", "0", "--app-root", str(folder)],
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.addCleanup(lambda: (process.send_signal(signal.SIGINT), process.communicate(timeout=20)))
        for line in process.stdout:
            if line.startswith("curl"):
                break
        signature = hmac.new(b"k", b'{"id":"A-17"}', hashlib.sha256).hexdigest()
        self.assertIn(f"-H 'X-Signature-256: sha256={signature}' --data-binary @", line)
        url = line.split()[-1]
        with Client(url) as client:
            self.assertEqual(client.ask("POST", "/api/hook", {"X-Signature-256": f"sha256={signature}"},
                                        '{"id":"A-17"}').status, 201)
            self.assertEqual(client.ask("POST", "/api/hook", {"X-Signature-256": "none"}, "{}").status, 401)
        result = self.run_tool("invoke", "hook", "--input", "another text", "--url", url.rpartition("/api")[0])
        self.assertEqual((result.returncode, "HTTP 201" in result.stdout), (0, True), result.stdout)

    def start(self, *arguments, policy=POLICY):
        folder = self.temporary_folder()
        (folder / "azfn.json").write_text(json.dumps(policy), "utf-8")
        process = subprocess.Popen([sys.executable, "-B", str(TOOL), "identity", "--app-root", str(folder), *arguments],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder)
        self.addCleanup(lambda: (process.kill(), process.communicate()))
        return process

    def read_values(self, process):
        text = ""
        for line in process.stdout:
            text += line
            if line == "}\n":
                break
        return json.loads(text)["Values"]

    def test_identity_alone(self):
        process = self.start("--vault-fail", "429,retry-after=1:1", "--identity-fail", "500:1",
                             "--destination-fail", "partner=503", "--destination-fail", "orders-queue=500:1")
        values = self.read_values(process)
        def token():
            with Client(values["IDENTITY_ENDPOINT"]) as client:
                path = urllib.parse.urlsplit(values["IDENTITY_ENDPOINT"]).path
                return client.ask("GET", path + "?api-version=2019-08-01&resource=https://vault.azure.net",
                                  {"X-IDENTITY-HEADER": values["IDENTITY_HEADER"]})
        self.assertEqual(token().status, 500)
        header = {"Authorization": "Bearer " + token().json()["access_token"]}
        development = json.loads(pathlib.Path(values["AZFN_DEVELOPMENT"]).read_text("utf-8"))
        with Client(f"https://{values['KEY_VAULT_NAME']}{development['vaultSuffix']}",
                    development["certificateAuthority"]) as client:
            path = "/secrets/webhook-key?api-version=7.4"
            self.assertEqual(client.ask("GET", path, header).headers["Retry-After"], "1")
            value = client.ask("GET", path, header).json()["value"]
        with Client(development["destinations"]["partner"], development["certificateAuthority"]) as client:
            self.assertEqual(client.ask("POST", "/v1/orders").status, 503)
        process.send_signal(signal.SIGINT)
        _, log = process.communicate(timeout=20)
        self.assertEqual(process.returncode, 0, log)
        for line in ("[vault] GET secrets/webhook-key 429 (told to: 429)\n[vault] GET secrets/webhook-key 200\n",
                     "[identity] GET token for https://vault.azure.net 200\n", "[partner] POST /v1/orders 503"):
            self.assertIn(line, log)
        self.assertIn("secret webhook-key: a random value, made now", log)
        for hidden in (value, values["IDENTITY_HEADER"], header["Authorization"]):
            self.assertNotIn(hidden, log)
        self.assertFalse(pathlib.Path(values["AZFN_DEVELOPMENT"]).exists())

    def test_options_that_can_not_be_used(self):
        for arguments, text in [(["--vault-fail", "nothing"], "--vault-fail: 'nothing' is not a status"),
                                (["--destination-fail", "none=503"], "nothing stands in for 'none'"),
                                (["--destination", "a"], "'a' is not NAME="),
                                (["--secrets-file", "none.json"], "none.json")]:
            process = self.start(*arguments)
            _, log = process.communicate(timeout=20)
            self.assertEqual(process.returncode, 1)
            self.assertRegex(log, re.escape(text))


if __name__ == "__main__":
    unittest.main()
