"""Events of what functions use and are refused: secrets, destinations, settings; and of the services behind."""

import re
import unittest

import probe
from azfn_local.http_head import HttpAnswer
from event_case import OF_ASK, TRACE_PARENT, ServicesCase, also, event, event_at_end, many

VERSION = re.compile("[0-9a-f]{32}")
NOT_GRANTED = "azfn.json does not grant it"
API_KEY = "canary-api-key"
OF_401 = "it refuses its credential with status 401"
OF_403 = "it refuses what was asked with status 403"


def reference(name):
    return {"reference": f"@Microsoft.KeyVault(VaultName=dev;SecretName={name})"}


def destination(name, secret="api-key", **more):
    return {"url": f"https://{name}.example/v1/", "methods": ["GET", "POST"],
            "authenticate": {"header": "x-api-key", "secret": secret} if secret else "none", **more}


def first_and_count(level, name, **fields):
    """What happens twice: a line that names who asked, and at the end one that stands for the second time."""
    def declare(test):
        return event(level, "broker", name, **OF_ASK, **fields)(
            event_at_end(level, "broker", name, **fields, count=1)(test))
    return declare


class PolicyCase(ServicesCase):
    def ask(self, handler, words, times=1):
        """The error that the last one of these words was answered with."""
        for _ in range(times):
            answer = handler.request(probe.ask(f"{words} reply", headers=TRACE_PARENT))
            self.assertEqual(answer.status, 200, answer.body)
        return answer.body.split()[0].decode().removeprefix("AZFN_").removeprefix("ERROR_")


class Grants(PolicyCase):
    POLICY = {"secrets": {name: reference(name) for name in ("key", "other")},
              "destinations": {"partner": destination("partner", secret=None),
                               "closed": destination("closed", secret=None)},
              "functions": {"Ask": {"secrets": ["key"], "destinations": ["partner"], "settings": ["ORDER_REGION"]}}}

    @also("authn_token_created:managed_identity", "sensitive_read:key_vault")
    @event("INFO", "broker", "sensitive_read:secret", **OF_ASK, secret="key", secret_version=VERSION)
    @event_at_end("INFO", "broker", "sensitive_read:secret", function="Ask", secret="key", secret_version=VERSION,
                  count=2)
    @event("ERROR", "broker", "authz_fail:secret", **OF_ASK, secret="other", reason=NOT_GRANTED)
    @event_at_end("ERROR", "broker", "authz_fail:secret", function="Ask", secret="other", reason=NOT_GRANTED, count=1)
    def test_a_secret(self):
        handler = self.start_services(self.POLICY)
        self.assertEqual(self.ask(handler, "secret=key", times=3), "OK")
        self.assertEqual(self.ask(handler, "secret=other", times=2), "FORBIDDEN")

    @event("INFO", "broker", "sensitive_read:destination", **OF_ASK, destination="partner")
    @event_at_end("INFO", "broker", "sensitive_read:destination", function="Ask", destination="partner", count=2)
    @event("ERROR", "broker", "authz_fail:destination", **OF_ASK, destination="closed", reason=NOT_GRANTED)
    @event_at_end("ERROR", "broker", "authz_fail:destination", function="Ask", destination="closed",
                  reason=NOT_GRANTED, count=1)
    @event("WARN", "broker", "input_validation_fail:destination", **OF_ASK, destination="partner", reason=str)
    @event_at_end("WARN", "broker", "input_validation_fail:destination", function="Ask", destination="partner",
                  reason=str, count=1)
    def test_a_destination(self):
        handler = self.start_services(self.POLICY)
        self.assertEqual(self.ask(handler, "request=partner,GET,x", times=3), "OK")
        self.assertEqual(self.ask(handler, "request=closed,GET,x", times=2), "FORBIDDEN")
        self.assertEqual(self.ask(handler, "request=partner,DELETE,x", times=2), "FORBIDDEN")

    @event("ERROR", "worker", "authz_fail:setting", **OF_ASK, setting="OTHER")
    @event_at_end("ERROR", "worker", "authz_fail:setting", function="Ask", setting="OTHER", count=2)
    def test_a_setting(self):
        handler = self.start_services(self.POLICY)
        self.ask(handler, "setting=OTHER", times=3)

    @event("ERROR", "worker", "authz_fail:others")
    @event_at_end("ERROR", "worker", "authz_fail:others", count=15)
    @many("authz_fail:setting")
    def test_more_settings_than_are_told_one_by_one(self):
        handler = self.start_services(self.POLICY)
        self.ask(handler, " ".join(f"setting=X{number}" for number in range(80)))

    @event("ERROR", "worker", "authz_fail:others")
    @event_at_end("ERROR", "worker", "authz_fail:others", count=15)
    @many("authz_fail:setting")
    def test_more_settings_than_are_told_one_by_one_of_a_function_on_a_thread(self):
        handler = self.start_services(self.POLICY)
        words = " ".join(f"setting=X{number}" for number in range(80))
        self.assertEqual(handler.request(probe.ask(f"{words} reply", path="/api/Block")).status, 200)

    @event("ERROR", "broker", "authz_fail:others")
    @event_at_end("ERROR", "broker", "authz_fail:others", count=43)
    @many("authz_fail:secret", "excess_rate_limit_exceeded:log")
    def test_more_refusals_than_are_told_one_by_one(self):
        names = [f"s{number}" for number in range(150)]  # for each of two functions
        handler = self.start_services({"secrets": {name: reference(name) for name in names}})
        words = " ".join(f"secret={name}" for name in names)
        self.assertEqual(self.ask(handler, words), "FORBIDDEN")
        self.assertEqual(handler.request(probe.queue_message("AskQueue", f"{words} succeed")).status, 200)


class Services(PolicyCase):
    DESTINATIONS = {name: destination(name, secret) for name, secret in (
        ("broken", "api-key"), ("distrusting", "api-key"), ("closed", "api-key"), ("echoing", "api-key"),
        ("feigned", "api-key"), ("watchless", "short"), ("keyless", "refused"))}
    POLICY = {"secrets": {name: reference(name) for name in ("api-key", "short", "refused")},
              "destinations": DESTINATIONS, "functions": {"Ask": {"destinations": list(DESTINATIONS)}}}

    @also("authn_token_created:managed_identity", "sensitive_read:key_vault", "sensitive_read:key_vault",
          "sensitive_read:key_vault_refused")
    @many("sensitive_read:destination")
    @first_and_count("WARN", "sensitive_read:destination_failed", destination="broken", reason=str)
    @event("WARN", "broker", "authn_login_fail:destination", **OF_ASK, destination="distrusting", reason=OF_401)
    @event("WARN", "broker", "authn_login_fail:destination", **OF_ASK, destination="closed", reason=OF_403)
    @event_at_end("WARN", "broker", "authn_login_fail:destination", destination="closed", reason=OF_403, count=1)
    @event_at_end("WARN", "broker", "authn_login_fail:destination", destination="distrusting", reason=OF_401, count=1)
    @first_and_count("WARN", "authn_login_fail:credential", destination="keyless",
                     reason=re.compile("it can't be had: .*"))
    @first_and_count("ERROR", "malicious_certificate:destination", destination="feigned", reason=str)
    @event("ERROR", "broker", "malicious_echo:destination", **OF_ASK, destination="echoing",
           reason="a header of the answer was left out")
    @event("ERROR", "broker", "malicious_echo:destination", **OF_ASK, destination="echoing",
           reason="the answer was cut off")
    @event_at_end("ERROR", "broker", "malicious_echo:destination", destination="echoing", count=1,
                  reason="the answer was cut off")
    @event_at_end("ERROR", "broker", "malicious_echo:destination", destination="echoing", count=1,
                  reason="a header of the answer was left out")
    @first_and_count("WARN", "sys_monitor_disabled:destination", destination="watchless",
                     reason="its credential has fewer than 8 characters")
    def test_troubles_of_services(self):
        handler = self.start_services(self.POLICY, secrets={"api-key": API_KEY, "short": "1234567"})
        partners = self.services.partners
        partners["broken"].fail("broken")
        partners["distrusting"].fail("401")
        partners["closed"].fail("403")
        partners["feigned"].fail("certificate=wrong-host")
        partners["echoing"].answer_with = lambda request: HttpAnswer(
            200, "OK", [("X-Echo", API_KEY)], b"your key is " + API_KEY.encode())
        self.services.vault.fail("403=ForbiddenByRbac@refused")
        expected = {"broken": "UNAVAILABLE", "distrusting": "OK", "closed": "OK", "feigned": "FORBIDDEN",
                    "echoing": "FORBIDDEN", "watchless": "OK", "keyless": "FORBIDDEN"}
        self.assertEqual({name: self.ask(handler, f"request={name},POST,x", times=2) for name in expected}, expected)

    @first_and_count("WARN", "excess_rate_limit_exceeded:destination", destination="open",
                     reason="as many are in flight as azfn.json's limits allow")
    @also("sensitive_read:destination")
    def test_more_requests_than_the_limit(self):
        handler = self.start_services({"destinations": {"open": destination("open", secret=None)},
                                       "functions": {"Ask": {"destinations": ["open"]}},
                                       "limits": {"destinationRequests": 1}})
        partner = self.services.partners["open"]
        partner.fail("hold:1")
        held = self.connect(handler)
        held.sendall(probe.ask("request=open,POST,x reply"))
        partner.wait_for_requests(1)
        self.assertEqual(self.ask(handler, "request=open,POST,x", times=2), "LIMIT")
        partner.release()
        self.assertEqual(probe.read_response(held).status, 200)


if __name__ == "__main__":
    unittest.main()
