"""Microsoft's clients for Node, unchanged, against the stand-ins: what satisfies them is like the real thing.

They are installed by npm; without node, npm or a registry this is skipped.
Two things are not as in the cloud: the local authority is trusted by NODE_EXTRA_CA_CERTS, and azure_sdk/localhost.js
lets names below localhost be found.
"""

import json
import os
import subprocess
import unittest

import npm_packages
import probe

SOURCE = probe.HERE / "azure_sdk"


class AzureSdk(probe.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.folder = npm_packages.install(SOURCE, probe.DEFAULT_APP.parent, "Microsoft's clients are not tried")

    def run_client(self, stand_ins, **more):
        environment = {"PATH": os.environ["PATH"], "NODE_PATH": str(self.folder / "node_modules"),
                       "NODE_EXTRA_CA_CERTS": str(stand_ins.certificate_file),
                       "TEST_VAULT_URL": stand_ins.vault.vault_url("dev"), **stand_ins.identity.env, **more}
        result = subprocess.run(["node", "--require", str(SOURCE / "localhost.js"), str(SOURCE / "secrets.js")],
                                env=environment, capture_output=True, text=True, timeout=120, check=False)
        self.assertEqual(result.returncode, 0, result.stderr)
        return json.loads(result.stdout)

    maxDiff = None

    def test_a_vault_from_the_first_secret_to_the_last(self):
        many = {f"name-{number:02}": "x" for number in range(30)}  # more than one page
        stand_ins = self.stand_ins(secrets={"given": "as given", **many})
        result = self.run_client(stand_ins)
        claims = stand_ins.identity.issuer.check(result.pop("token"), ["https://storage.azure.com"])
        self.assertEqual(claims["oid"], stand_ins.identity.principal_id)
        self.assertAlmostEqual(result.pop("tokenLifetime"), 86400, delta=60)
        self.assertEqual(result, {
            "given": "as given", "newest": "two", "firstVersion": "one", "contentType": "text/plain",
            "expires": "2037-01-01T00:00:00.000Z", "names": ["given", "made", *sorted(many)], "versions": 2,
            "disabled": "403 Forbidden", "none": "404 SecretNotFound", "gone": "404 SecretNotFound",
            "again": "409 Conflict", "deleted": ["made"], "recovered": "two", "purged": "404 SecretNotFound"})

    def test_failures_that_the_clients_stand(self):
        stand_ins = self.stand_ins(secrets={"given": "as given"})
        stand_ins.identity.fail("500:1")
        stand_ins.vault.fail("429,retry-after=0:1@given")
        stand_ins.vault.fail("503:2@given")
        self.assertEqual(self.run_client(stand_ins)["given"], "as given")

    def test_a_user_assigned_identity(self):
        stand_ins = self.stand_ins(secrets={"given": "x"}, identity_options={"known_ids": ["the-client-id"]})
        result = self.run_client(stand_ins, TEST_CLIENT_ID="the-client-id")
        self.assertEqual(stand_ins.identity.issuer.check(result["token"], ["https://storage.azure.com"])["appid"],
                         "the-client-id")


if __name__ == "__main__":
    unittest.main()
