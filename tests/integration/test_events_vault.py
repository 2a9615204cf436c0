"""Events of the managed identity and of Key Vault: what the broker gets or does not get, and uses meanwhile."""

import re
import time
import unittest

import probe
from event_case import TIME, ServicesCase, also, event, event_at_end, maybe

AUDIENCE = "https://vault.localhost"  # of the stand-in
VERSION = re.compile("[0-9a-f]{32}")
LONG_AGO = 1577836800


def of(secret, reason=None, **more):
    return {"secret": secret, **({"reason": re.compile(reason)} if reason else {}), **more}


class VaultCase(ServicesCase):
    NAMES = ("key",)

    def start_with(self, values=None, limits=None, **options):
        document = {"secrets": {name: {"reference": f"@Microsoft.KeyVault(VaultName=dev;SecretName={name})"}
                                for name in self.NAMES},
                    "functions": {"Ask": {"secrets": list(self.NAMES)}}, "limits": limits or {}}
        return self.start_services(document, secrets={name: "canary-value" for name in self.NAMES} | (values or {}),
                                   **options)

    def ask_for(self, handler, name="key"):
        return handler.request(probe.ask(f"secret={name} reply")).body.split()[0].decode()

    def ask_until_asked(self, handler, stand_in, name="key"):
        """What can't be had for good is not asked for again at once."""
        before = stand_in.request_count

        def is_asked():
            time.sleep(0.05)  # each writes a line, of which there may not be too many
            self.ask_for(handler, name)
            return stand_in.request_count > before

        probe.wait_until(is_asked, 20, f"{stand_in.name} to be asked again")

    @staticmethod
    def wait_for_failure(stand_in):
        """Another request, and its end, which comes before the next one."""
        stand_in.wait_for_requests(stand_in.request_count + 2)

    @property
    def store(self):
        return self.services.vault.store("dev")


class Failures(VaultCase):
    NAMES = ("s-403", "s-404", "s-disabled", "s-expired")

    @event("INFO", "broker", "authn_token_created:managed_identity", resource=AUDIENCE, expires_at=TIME)
    @event("WARN", "broker", "sensitive_read:key_vault_refused", **of("s-403", r"Key Vault answered 403 \(Forbidden.*"))
    @event("WARN", "broker", "sensitive_read:key_vault_refused", **of("s-disabled", ".*403.*SecretDisabled.*"))
    @event_at_end("WARN", "broker", "sensitive_read:key_vault_refused", **of("s-403", ".*403.*", count=1))
    @event_at_end("WARN", "broker", "sensitive_read:key_vault_refused", **of("s-disabled", ".*403.*", count=1))
    @event("WARN", "broker", "sensitive_read:key_vault_missing", **of("s-404", ".*404 \\(SecretNotFound.*"))
    @event_at_end("WARN", "broker", "sensitive_read:key_vault_missing", **of("s-404", ".*404.*", count=1))
    @event("WARN", "broker", "sensitive_read:key_vault_expired", **of("s-expired", ".*expired.*"))
    @event_at_end("WARN", "broker", "sensitive_read:key_vault_expired", **of("s-expired", ".*expired.*", count=1))
    def test_what_the_vault_does_not_give(self):
        handler = self.start_with({"s-disabled": {"value": "v", "enabled": False},
                                   "s-expired": {"value": "v", "exp": LONG_AGO}})
        self.store.delete("s-404")
        self.services.vault.fail("403=ForbiddenByRbac@s-403")
        for _ in range(2):
            errors = [self.ask_for(handler, name).removeprefix("AZFN_ERROR_") for name in self.NAMES]
            self.assertEqual(errors, ["FORBIDDEN", "NOT_FOUND", "FORBIDDEN", "FORBIDDEN"])
        for name in self.NAMES:
            self.ask_until_asked(handler, self.services.vault, name)


class Secret(VaultCase):
    @also("authn_token_created:managed_identity", "sensitive_read:secret", "sensitive_read:secret")
    @event("INFO", "broker", "sensitive_read:key_vault", **of("key", secret_version=VERSION, expires_at=TIME))
    @event("INFO", "broker", "sensitive_read:key_vault_refreshed", **of("key", secret_version=VERSION, expires_at=TIME))
    @event("WARN", "broker", "sensitive_read:key_vault_stale", **of("key", "Key Vault: .*", secret_version=VERSION))
    @event("WARN", "broker", "sensitive_read:key_vault_stale", **of("key", "Key Vault: .*", secret_version=VERSION),
           count=int)
    @event("INFO", "broker", "sensitive_read:key_vault_recovered", **of("key"))
    @event("WARN", "broker", "sensitive_read:key_vault_missing", **of("key", ".*404 \\(SecretNotFound.*"))
    def test_a_life(self):
        tomorrow = int(time.time()) + 86400
        handler = self.start_with({"key": {"value": "old", "exp": tomorrow}}, {"secretRefreshMs": 1000})
        self.assertEqual(self.ask_for(handler), "AZFN_OK")
        self.services.set_secret("key", "new", exp=tomorrow)
        self.await_event(handler, "sensitive_read:key_vault_refreshed")
        self.assertEqual(self.ask_for(handler), "AZFN_OK")
        self.services.vault.fail("endless")
        self.await_event(handler, "sensitive_read:key_vault_stale")
        self.wait_for_failure(self.services.vault)
        self.services.vault.recover()
        self.await_event(handler, "sensitive_read:key_vault_recovered")
        self.store.delete("key")
        self.await_event(handler, "sensitive_read:key_vault_missing")
        self.assertEqual(self.ask_for(handler), "AZFN_ERROR_NOT_FOUND")

    @also("authn_token_created:managed_identity", "sensitive_read:key_vault", "sensitive_read:secret",
          "sensitive_read:key_vault_stale")
    @maybe("sensitive_read:key_vault_stale")
    @event("WARN", "broker", "sensitive_read:key_vault_expired", **of("key", secret_version=VERSION))
    @event("WARN", "broker", "sensitive_read:key_vault_failed", **of("key", "Key Vault: .*"))
    @event_at_end("WARN", "broker", "sensitive_read:key_vault_failed", **of("key", "Key Vault: .*"), count=int)
    def test_one_that_can_not_be_refreshed_for_too_long(self):
        handler = self.start_with(limits={"secretRefreshMs": 1000, "secretStaleMs": 500})
        self.assertEqual(self.ask_for(handler), "AZFN_OK")
        self.services.vault.fail("endless")
        self.await_event(handler, "sensitive_read:key_vault_expired")
        self.assertEqual(self.ask_for(handler), "AZFN_ERROR_LIMIT")
        self.wait_for_failure(self.services.vault)

    @also("authn_token_created:managed_identity", "sensitive_read:key_vault", "sensitive_read:secret")
    @event("WARN", "broker", "sensitive_read:key_vault_expired", **of("key", ".*expired.*", secret_version=VERSION))
    def test_one_that_expires_while_it_is_used(self):
        handler = self.start_with(limits={"secretRefreshMs": 1000})
        self.assertEqual(self.ask_for(handler), "AZFN_OK")
        self.store.update("key", None, attributes={"exp": LONG_AGO})
        self.await_event(handler, "sensitive_read:key_vault_expired")
        self.assertEqual(self.ask_for(handler), "AZFN_ERROR_FORBIDDEN")


    @also("authn_token_created:managed_identity", "sensitive_read:key_vault", "sensitive_read:secret")
    @event("ERROR", "broker", "malicious_certificate:key_vault", **of("key", "Key Vault: .*"))
    @event("WARN", "broker", "sensitive_read:key_vault_failed", **of("key", "Key Vault: .*"))
    @event("ERROR", "broker", "malicious_certificate:key_vault", **of("key", "Key Vault: .*"),
           count=lambda found: found >= 3)
    @maybe("sensitive_read:key_vault_failed")
    @event("INFO", "broker", "sensitive_read:key_vault_recovered", **of("key"))
    def test_a_certificate_that_is_not_trusted(self):
        handler = self.start_with()
        self.services.vault.fail("certificate=other-authority")
        self.assertEqual(self.ask_for(handler), "AZFN_ERROR_UNAVAILABLE")
        self.services.vault.recover()
        self.await_event(handler, "sensitive_read:key_vault_recovered")
        self.assertEqual(self.ask_for(handler), "AZFN_OK")


class Token(VaultCase):
    @also("sensitive_read:key_vault", "sensitive_read:secret")
    @event("INFO", "broker", "authn_token_created:managed_identity", resource=AUDIENCE, expires_at=TIME)
    @event("WARN", "broker", "authn_login_fail:managed_identity_stale", resource=AUDIENCE, expires_at=TIME,
           reason=re.compile("the managed identity endpoint: .*"))
    @event("WARN", "broker", "authn_login_fail:managed_identity_stale", resource=AUDIENCE, expires_at=TIME,
           reason=re.compile("the managed identity endpoint: .*"), count=int)
    @event("INFO", "broker", "authn_token_created:managed_identity_refreshed", resource=AUDIENCE, expires_at=TIME)
    @event("INFO", "broker", "authn_token_created:managed_identity_recovered", resource=AUDIENCE)
    def test_one_that_the_vault_does_not_take_any_more(self):
        # a token is not given up for another one before it is ten seconds old
        handler = self.start_with(limits={"secretRefreshMs": 10500})
        self.assertEqual(self.ask_for(handler), "AZFN_OK")
        self.services.vault.fail("401:1")
        self.services.identity.fail("endless")
        self.await_event(handler, "authn_login_fail:managed_identity_stale")
        self.wait_for_failure(self.services.identity)
        self.services.identity.recover()

    @event("WARN", "broker", "authn_login_fail:managed_identity", resource=AUDIENCE,
           reason=re.compile("the managed identity endpoint answered 400: .*"))
    @event_at_end("WARN", "broker", "authn_login_fail:managed_identity", resource=AUDIENCE,
                  reason=re.compile("the managed identity endpoint answered 400: .*"), count=1)
    @event("WARN", "broker", "sensitive_read:key_vault_refused", **of("key", "there is no token for .*"))
    @event_at_end("WARN", "broker", "sensitive_read:key_vault_refused", **of("key", "there is no token for .*"),
                  count=1)
    def test_one_that_is_refused(self):
        handler = self.start_with()
        self.services.identity.fail("400")
        for _ in range(2):
            self.assertEqual(self.ask_for(handler), "AZFN_ERROR_FORBIDDEN")
        self.ask_until_asked(handler, self.services.identity)

    @event("WARN", "broker", "authn_login_fail:managed_identity",
           reason=re.compile("the app has no managed identity: .*"))
    def test_an_app_without_an_identity(self):
        self.start(policy={"secrets": {"key": {"reference": "@Microsoft.KeyVault(VaultName=dev;SecretName=key)"}},
                           "functions": {"Ask": {"secrets": ["key"]}}})


if __name__ == "__main__":
    unittest.main()
