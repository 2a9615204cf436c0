"""The stand-in for Key Vault."""

import contextlib
import http.client
import json
import resource
import ssl
import threading
import time
import unittest
import urllib.parse

import probe
from azfn_local import CertificateAuthority
from stand_in_case import POLICY, VERSION, Client, StandInTestCase


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


if __name__ == "__main__":
    unittest.main()
