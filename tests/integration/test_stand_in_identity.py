"""The stand-in for the managed identity endpoint."""

import base64
import json
import time
import unittest

import probe  # noqa: F401: where azfn_local lies
from azfn_local import ManagedIdentity
from stand_in_case import StandInTestCase


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


if __name__ == "__main__":
    unittest.main()
