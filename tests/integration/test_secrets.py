"""Secrets from Key Vault to a function and no further: the real handler with the stand-ins for identity and vault."""

import contextlib
import hashlib
import hmac
import json
import socket
import struct
import threading
import time
import unittest

import probe

KEYS = ("key", "other", "s-403", "s-404", "s-disabled", "s-expired", "s-audience", "s-redirect", "s-garbage", "s-empty",
        "s-truncated", "s-endless", "s-503", "s-429", "s-wrong")


def reference(name, version=None):
    return {"reference": f"@Microsoft.KeyVault(VaultName=dev;SecretName={name}" +
                         (f";SecretVersion={version}" if version else "") + ")"}


def policy(**more):
    return {"secrets": {name: reference(name) for name in KEYS},
            "functions": {"Ask": {"secrets": [name for name in KEYS if name != "other"], "maxConcurrent": 5000}}, **more}


def signature(value):
    return hmac.new(value.encode(), b"probe", hashlib.sha256).hexdigest()


class Case(probe.TestCase):
    def start(self, document=None, secrets=None, *, stand_in_options=None, **options):
        document = document or policy()
        self.services = self.stand_ins(document, secrets=secrets or {"key": "canary-value"},
                                       **(stand_in_options or {}))
        handler = self.probe_app(policy=document, env=self.services.env, **options)
        self.addCleanup(handler.kill)
        return handler.start()

    def ask(self, handler, words):
        response = handler.request(probe.ask(words))
        return response.status, response.body.decode()

    def secret(self, handler, name="key"):
        """(error, version, signature) as the function had them."""
        status, text = self.ask(handler, f"secret={name} reply")
        self.assertEqual(status, 200, text)
        return (text.split(" ") + ["", ""])[:3]

    def await_secret(self, handler):
        """Of the next worker: connections of the last one are in the pool."""
        def is_served():
            with contextlib.suppress(probe.WireError):
                return self.secret(handler)[0] == "AZFN_OK"
            return False

        probe.wait_until(is_served, what="an answer")

    def events(self, handler, event):
        return [json.loads(line.text) for line in handler.lines if f'"event":"{event}' in line.text]


class SecretTests(Case):
    def test_a_secret_comes_with_one_token_and_one_request_and_stays(self):
        handler = self.start()
        for _ in range(3):
            error, version, got = self.secret(handler)
            self.assertEqual((error, got), ("AZFN_OK", signature("canary-value")))
            self.assertEqual(len(version), 32)
        self.assertEqual((self.services.identity.request_count, self.services.vault.request_count), (1, 1))
        handler.wait_for_line('"event":"sensitive_read:secret')
        reads = self.events(handler, "sensitive_read:secret")
        self.assertEqual(len(reads), 1, reads)
        self.assertEqual(reads[0]["function"], "Ask")
        self.assertIn(version, reads[0]["description"])

    def test_what_is_not_granted_is_refused_and_an_event(self):
        handler = self.start()
        for name in ("other", "unheard-of"):
            self.assertEqual(self.secret(handler, name)[0], "AZFN_ERROR_FORBIDDEN")
            line = json.loads(handler.wait_for_line(
                lambda line, name=name: "authz_fail:secret" in line.text and name in line.text).text)
            self.assertEqual(line["function"], "Ask")
        self.assertEqual((self.services.identity.request_count, self.services.vault.request_count), (0, 0))

    def test_a_thousand_askers_cause_one_token_and_one_vault_request(self):
        handler = self.start()
        self.services.vault.fail("hold:1")
        responses = []
        connections = [self.connect(handler) for _ in range(100)]
        for connection in connections:
            connection.sendall(probe.ask("secrets=10:key reply"))
        self.services.vault.wait_for_requests(1)
        self.services.vault.release()
        for connection in connections:
            responses.append(probe.read_response(connection, "GET"))
        self.assertEqual({response.status for response in responses}, {200})
        self.assertEqual({response.body.split(b" ")[2].decode() for response in responses}, {signature("canary-value")})
        self.assertEqual((self.services.identity.request_count, self.services.vault.request_count), (1, 1))

    def test_preloaded_ones_are_there_before_anybody_asks(self):
        document = policy()
        document["secrets"]["key"]["preload"] = True
        self.start(document)
        self.services.vault.wait_for_requests(1)
        self.assertEqual(list(self.services.vault.counts), ["GET /secrets/key"])

    def test_a_version_is_asked_for_by_its_number(self):
        version = "0123456789abcdef0123456789abcdef"
        document = {"secrets": {"pinned": reference("key", version)}, "functions": {"Ask": {"secrets": ["pinned"]}}}
        handler = self.start(document, {"pinned": {"versions": {version: "old"}}})
        self.services.set_secret("pinned", "new")
        self.assertEqual(self.secret(handler, "pinned"), ["AZFN_OK", version, signature("old")])

    def test_the_largest_value_that_a_vault_takes_arrives(self):
        handler = self.start(secrets={"key": "x" * 25600})
        self.assertEqual(self.secret(handler)[2], signature("x" * 25600))

    def test_an_invocation_that_is_gone_leaves_nothing(self):
        handler = self.start()
        self.services.vault.fail("hold:1")
        with socket.create_connection(("127.0.0.1", handler.port)) as connection:
            connection.sendall(probe.ask("secret=key reply"))
            self.services.vault.wait_for_requests(1)
        self.services.vault.release()
        self.assertEqual(self.secret(handler)[0], "AZFN_OK")

    def test_a_worker_that_dies_while_it_waits_costs_nobody_else_anything(self):
        handler = self.start()
        self.services.vault.fail("hold:1")
        connection = self.connect(handler)
        connection.sendall(probe.ask("secret=key reply"))
        self.services.vault.wait_for_requests(1)
        with self.connect(handler) as other:
            other.sendall(probe.ask("crash"))
            self.assertEqual(other.recv(1), b"")
        self.services.vault.release()
        self.await_secret(handler)


class FailureTests(Case):
    def test_each_failure_of_the_vault_has_its_error_and_an_event(self):
        now = int(time.time())
        handler = self.start(policy(limits={"secretRefreshMs": 3600000}), {
            "key": "v", "s-disabled": {"value": "v", "enabled": False}, "s-expired": {"value": "v", "exp": now - 10}})
        self.services.vault.store("dev").delete("s-404")
        self.services.vault.store("dev").purge("s-404")
        for failure in ("403=ForbiddenByRbac@s-403", "wrong-audience@s-audience", "redirect@s-redirect",
                        "garbage@s-garbage", "empty@s-empty", "truncated@s-truncated", "endless@s-endless",
                        "503@s-503", "429@s-429", "wrong-type@s-wrong"):
            self.services.vault.fail(failure)
        expected = {"s-403": "FORBIDDEN", "s-404": "NOT_FOUND", "s-disabled": "FORBIDDEN", "s-expired": "FORBIDDEN",
                    "s-audience": "FORBIDDEN", "s-redirect": "UNAVAILABLE", "s-garbage": "UNAVAILABLE",
                    "s-empty": "UNAVAILABLE", "s-truncated": "UNAVAILABLE", "s-endless": "LIMIT",
                    "s-503": "UNAVAILABLE", "s-429": "UNAVAILABLE", "s-wrong": "UNAVAILABLE"}
        got = {}

        def get(name):
            got[name] = self.secret(handler, name)[0].removeprefix("AZFN_ERROR_")

        threads = [threading.Thread(target=get, args=(name,)) for name in expected]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(got, expected)
        events = {"s-403": "refused", "s-404": "missing", "s-disabled": "refused", "s-expired": "expired",
                  "s-audience": "refused"}
        for name in expected:
            kind = events.get(name, "failed")
            handler.wait_for_line(lambda line, name=name, kind=kind: f'"sensitive_read:key_vault_{kind}"' in line.text
                                  and f'"secret":"{name}"' in line.text)
        self.assertEqual(self.secret(handler)[0], "AZFN_OK")
        # no for good is not asked again
        self.assertEqual(self.services.vault.counts["GET /secrets/s-403"], 1)
        self.assertEqual(self.services.vault.counts["GET /secrets/s-404"], 1)
        self.assertGreater(self.services.vault.counts["GET /secrets/s-503"], 1)
        self.assertGreater(self.services.vault.counts["GET /secrets/s-429"], 1)

    def test_an_identity_that_fails_for_a_while_is_asked_again(self):
        handler = self.start()
        self.services.identity.fail("500:2")
        self.assertEqual(self.secret(handler)[0], "AZFN_OK")
        self.assertEqual(self.services.identity.request_count, 3)

    def test_an_identity_that_the_app_does_not_have_is_an_error_at_once(self):
        document = policy(identity={"clientId": "00000000-0000-0000-0000-000000000001"})
        handler = self.start(document, stand_in_options={
            "identity_options": {"known_ids": ["00000000-0000-0000-0000-000000000002"]}})
        self.assertEqual(self.secret(handler)[0], "AZFN_ERROR_FORBIDDEN")
        handler.wait_for_line("authn_login_fail:managed_identity")
        self.assertEqual(self.services.identity.request_count, 1)

    def test_without_an_endpoint_the_start_says_so_and_functions_get_an_error(self):
        document = policy()
        self.services = self.stand_ins(document, secrets={"key": "v"})
        env = {name: value for name, value in self.services.env.items() if not name.startswith("IDENTITY_")}
        handler = self.probe_app(policy=document, env=env)
        self.addCleanup(handler.kill)
        handler.start()
        handler.wait_for_line("authn_login_fail:managed_identity")
        self.assertIn(self.secret(handler)[0], ("AZFN_ERROR_UNAVAILABLE", "AZFN_ERROR_FORBIDDEN"))

    def test_a_vault_that_is_down_is_no_harm_to_what_is_cached(self):
        handler = self.start(policy(limits={"secretRefreshMs": 1000}))
        self.assertEqual(self.secret(handler)[0], "AZFN_OK")
        self.services.vault.fail("down")
        self.services.vault.close_connections()
        handler.wait_for_line("sensitive_read:key_vault_stale", timeout=30)
        for _ in range(20):
            self.assertEqual(self.secret(handler)[2], signature("canary-value"))
        self.services.set_secret("key", "after the outage")
        self.services.vault.recover()
        probe.wait_until(lambda: self.secret(handler)[2] == signature("after the outage"), timeout=60,
                         what="the new value")

    def test_staleness_has_a_limit(self):
        handler = self.start(policy(limits={"secretRefreshMs": 1000, "secretStaleMs": 500}))
        self.assertEqual(self.secret(handler)[0], "AZFN_OK")
        self.services.vault.fail("503")
        probe.wait_until(lambda: self.secret(handler)[0] == "AZFN_ERROR_UNAVAILABLE", timeout=60, what="the limit")

    def test_a_certificate_that_is_not_trusted_is_no_vault(self):
        handler = self.start()
        self.services.vault.fail("certificate=other-authority")
        self.assertIn(self.secret(handler)[0], ("AZFN_ERROR_FORBIDDEN", "AZFN_ERROR_UNAVAILABLE"))
        self.assertEqual(self.services.vault.request_count, 0)

    def test_a_wrong_module_or_setting_is_said_at_the_start(self):
        document = policy()
        document["secrets"]["key"]["reference"] = "@Microsoft.KeyVault(VaultName=%NOT_THERE%;SecretName=key)"
        handler = self.probe_app(policy=document)
        with self.assertRaises(probe.HandlerError):
            handler.start()
        self.assertIn("NOT_THERE", "".join(line.text for line in handler.lines))


class RotationTests(Case):
    def test_a_rotation_under_load_fails_nobody_and_arrives_within_the_refresh_time(self):
        handler = self.start(policy(limits={"secretRefreshMs": 1000}))
        self.assertEqual(self.secret(handler)[2], signature("canary-value"))
        stop = threading.Event()
        results = []

        def load():
            with socket.create_connection(("127.0.0.1", handler.port)) as connection:
                while not stop.is_set():
                    connection.sendall(probe.ask("secret=key reply"))
                    response = probe.read_response(connection, "GET")
                    results.append((time.monotonic(), response.status, response.body.split(b" ")[2].decode()))

        threads = [threading.Thread(target=load) for _ in range(8)]
        for thread in threads:
            thread.start()
        rotated = []
        for number in range(3):
            self.services.set_secret("key", f"value {number}")
            rotated.append(time.monotonic())
            probe.wait_until(lambda: results and results[-1][2] == signature(f"value {number}"), timeout=30,
                             what="the rotation")
        stop.set()
        for thread in threads:
            thread.join()
        self.assertEqual({status for _, status, _ in results}, {200})
        first = [min(at for at, _, got in results if got == signature(f"value {number}")) for number in range(3)]
        for number in range(3):
            self.assertLess(first[number] - rotated[number], 10, "slow machines aside, about a second")
        order = {signature("canary-value"): 0, **{signature(f"value {number}"): number + 1 for number in range(3)}}
        values = [order[got] for _, _, got in sorted(results)]
        self.assertEqual(set(values), {0, 1, 2, 3})


class ChannelTests(Case):
    """What an attacker in the worker could send: frames of his own."""

    def frame(self, kind, payload):
        return struct.pack("<II", len(payload), kind) + payload

    def text(self, text):
        return struct.pack("<H", len(text)) + text.encode()

    def send(self, handler, data):
        words = "raw=" + "".join(f"\\x{byte:02x}" for byte in data)
        return self.ask(handler, f"{words} reply")

    def test_asking_by_hand_for_what_is_not_granted_is_refused_and_an_event(self):
        handler = self.start()
        for function, name in (("Ask", "other"), ("Nobody", "key"), ("StreamIn", "key"), ("", ""), ("Ask", "k" * 5000)):
            payload = struct.pack("<I", 0x7fff0001) + b"".join(map(self.text, (function, "id", "", name)))
            self.assertEqual(self.send(handler, self.frame(6, payload))[0], 200)
        handler.wait_for_line(lambda line: "authz_fail:secret" in line.text and "other" in line.text)
        handler.wait_for_line(lambda line: "authz_fail:secret" in line.text and "kkk..." in line.text)
        self.assertEqual(self.services.vault.request_count, 0)
        self.assertEqual(self.secret(handler)[0], "AZFN_OK")

    def test_malformed_frames_end_the_worker_and_not_the_broker(self):
        whole = struct.pack("<I", 1) + b"".join(map(self.text, ("Ask", "id", "", "key")))
        handler = self.start()
        broker = handler.pid
        bad = [self.frame(6, whole[:-1]), self.frame(6, whole + b"x"), self.frame(6, b""), self.frame(7, whole),
               self.frame(8, b"\x01\x00\x00\x00\x02"), self.frame(9, b"\x01"), self.frame(10, b""),
               self.frame(11, b""), self.frame(64, b""), self.frame(65, whole), self.frame(255, b"x" * 100),
               struct.pack("<II", 1 << 20, 6)]
        for index, data in enumerate(bad):
            with self.connect(handler) as connection:
                connection.sendall(probe.ask("raw=" + "".join(f"\\x{byte:02x}" for byte in data) + " never"))
                self.assertEqual(connection.recv(1), b"", data)
            probe.wait_until(lambda index=index: sum("malicious_frame:worker" in line.text for line in handler.lines) >
                             index, what="the event")
        self.assertEqual(handler.pid, broker)
        self.assertEqual(self.secret(handler)[0], "AZFN_OK")

    def test_a_flood_of_asks_that_nobody_reads_the_answers_of_is_bounded(self):
        document = policy()
        document["functions"]["Ask"]["timeoutMs"] = 3000
        handler = self.start(document, {"key": "x" * 25600})
        self.assertEqual(self.secret(handler)[0], "AZFN_OK")
        broker = probe.Process(handler.pid)
        # written from a function that never goes back to its loop until it is ended
        payload = struct.pack("<I", 0x7fff0001) + self.text("Ask") + self.text("id") + self.text("key")
        data = self.frame(6, payload)
        with self.connect(handler) as connection:
            connection.sendall(probe.ask("flood=" + "".join(f"\\x{byte:02x}" for byte in data) + " never"))
            connection.settimeout(60)
            connection.recv(1)
        if not probe.IS_SANITIZED:
            self.assertLess(int(broker.status()["VmHWM"][0]), 64 << 10)

        self.await_secret(handler)  # the flood may end within a frame, which then ends the worker


if __name__ == "__main__":
    unittest.main()
