"""The stand-ins for destinations, and the parts that all stand-ins are made of."""

import base64
import hashlib
import hmac
import json
import os
import pathlib
import shutil
import socket
import stat
import tempfile
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
from stand_in_case import POLICY, VERSION, Client, StandInTestCase


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


if __name__ == "__main__":
    unittest.main()
