"""What becomes of the environment: settings for those who are granted them, and an honest word about the rest."""

import json
import os
import resource
import subprocess
import unittest

import probe
from azfn_local.handler_process import free_port
from probe import Roles, ask
from secret_search import Search

CANARY = "canary-0123456789"
POLICY = {
    "secrets": {"key": {"reference": "@Microsoft.KeyVault(VaultName=%VAULT%;SecretName=s)"}},
    "functions": {"Ask": {"settings": ["ORDER_REGION", "EMPTY", "UNSET", "ORDER_TABLE"]},
                  "Block": {"settings": ["ORDER_TABLE"]}, "BlockQueue": {}},
}
NEEDED = {"VAULT": "my-vault"}  # without it there is no start
SETTINGS = {"ORDER_REGION": "west=1 \u00e9", "ORDER_TABLE": "orders", "EMPTY": "", "VAULT": "my-vault",
            "OTHER": CANARY}
# what a test's own environment has is not of interest
PLAIN = {"inherit": {"PATH": os.environ.get("PATH", "/bin")}}


def setting(name, path="/api/Ask"):
    return ask(f"setting={name} reply", path=path)


class TestCase(probe.TestCase):
    def started(self, *, env, policy=None):
        return self.probe_app(env={**NEEDED, **env}, policy=policy or POLICY, handler_options=PLAIN)

    def run_to_end(self, *, env, policy):
        """Exit code and lines of one that does not start."""
        app = probe.write_app(self.temporary_folder() / "app", probe.PROBE_APP / "probe_handler",
                              probe.probe_functions(), policy=policy)
        done = subprocess.run([str(app / "handler")], cwd=app, capture_output=True, timeout=30, check=False,
                              env={"FUNCTIONS_CUSTOMHANDLER_PORT": str(free_port()), **NEEDED, **env})
        return done.returncode, (done.stdout + done.stderr).decode().splitlines()

    def events(self, handler, event):
        return [json.loads(line.text) for line in handler.lines if f'"event":"{event}"' in line.text]

    def assert_no_canary(self, handler):
        self.assertEqual([line.text for line in handler.lines if CANARY in line.text], [])


class Settings(TestCase):
    def test_a_function_reads_those_that_it_is_granted(self):
        with self.started(env=SETTINGS) as handler:
            expected = {"ORDER_REGION": "[west=1 \u00e9]", "ORDER_TABLE": "[orders]", "EMPTY": "[]", "UNSET": "absent"}
            for name, body in expected.items():
                self.assertEqual(handler.request(setting(name)).body.decode(), body)
            self.assertEqual(handler.request(setting("ORDER_TABLE", "/api/Block")).body, b"[orders]")
            self.assertEqual(self.events(handler, "authz_fail:setting"), [])

    def test_others_are_refused_with_one_event_at_once_for_each(self):
        refused = [("/api/Ask", "OTHER"), ("/api/Ask", "VAULT"), ("/api/Ask", "PATH"), ("/api/Block", "ORDER_REGION")]
        with self.started(env=SETTINGS) as handler:
            for _ in range(3):
                for path, name in refused:
                    self.assertEqual(handler.request(setting(name, path)).body, b"absent")
            handler.request(ask("log=done reply"))
            handler.wait_for_line("done")
            events = self.events(handler, "authz_fail:setting")
            self.assertEqual([(event["level"], f"/api/{event['function']}", event["description"].split(": ")[1])
                              for event in events], [("ERROR", path, name) for path, name in refused])
            self.assertEqual(events[0]["invocation_id"], "ask-1")
            self.assert_no_canary(handler)

    def test_a_flood_of_refusals_is_bounded(self):
        with self.started(env=SETTINGS) as handler:
            handler.request(ask(" ".join(f"setting=X{number}" for number in range(300)) + " log=done reply"))
            handler.wait_for_line("done")
            self.assertEqual(len(self.events(handler, "authz_fail:setting")), 64)
            self.assertEqual(len(self.events(handler, "authz_fail:others")), 1)

    def test_a_new_worker_has_them_too(self):
        with self.started(env=SETTINGS) as handler:
            with self.assertRaises(Exception):
                handler.request(ask("exit=7"))
            handler.wait_for_line("exit code 7")
            self.assertEqual(handler.request(setting("ORDER_TABLE")).body, b"[orders]")

    @unittest.skipUnless(probe.IS_ROOT, "needs root")
    def test_nothing_of_the_environment_is_left(self):
        env = {**SETTINGS, "IDENTITY_HEADER": CANARY, "IDENTITY_ENDPOINT": "http://127.0.0.1:1/"}
        with self.started(env=env) as handler:
            for process in Roles(handler.pid).all():
                self.assertEqual((process.folder / "environ").read_bytes().strip(b"\0"), b"")

    def test_a_value_of_several_lines_stops_the_start(self):
        code, lines = self.run_to_end(env={"ORDER_TABLE": f"a\n{CANARY}"}, policy=POLICY)
        self.assertEqual(code, 1)
        self.assertIn("the setting ORDER_TABLE: expected a value of one line", lines[-1])
        self.assertNotIn(CANARY, "\n".join(lines))

    def test_a_setting_that_looks_like_a_secret_is_named(self):
        env = {"ORDER_REGION": f"Server=x;Password={CANARY}", "UNSET": f"https://x:{CANARY}@y", "ORDER_TABLE": "orders"}
        with self.started(env=env) as handler:
            [event] = self.events(handler, "sensitive_read:setting")
            self.assertEqual((event["level"], event["description"].rsplit(": ", 1)[1]), ("WARN", "ORDER_REGION, UNSET"))
            self.assert_no_canary(handler)

    def test_a_reference_that_was_not_resolved_is_named(self):
        with self.started(env={"ORDER_REGION": "@Microsoft.KeyVault(VaultName=v;SecretName=s)"}) as handler:
            [event] = self.events(handler, "input_validation_fail:setting")
            self.assertEqual((event["level"], event["description"].rsplit(": ", 1)[1]), ("WARN", "ORDER_REGION"))


class Environment(TestCase):
    SECRETS = {"PARTNER_PASSWORD": CANARY, "Orders": f"AccountName=a;AccountKey={CANARY}",
               "APPSETTING_PARTNER_PASSWORD": CANARY}
    PLATFORM = {"AzureWebJobsStorage": f"AccountName=a;AccountKey={CANARY}", "IDENTITY_HEADER": CANARY}

    def test_secrets_there_are_told_by_their_names(self):
        with self.started(env={**self.SECRETS, **self.PLATFORM}) as handler:
            [own] = self.events(handler, "sensitive_read:environment")
            [platform] = self.events(handler, "sensitive_read:platform_environment")
            self.assertEqual((own["level"], platform["level"]), ("WARN", "INFO"))
            self.assertEqual(set(own["variables"].split(", ")), {"PARTNER_PASSWORD", "Orders"})
            self.assertEqual(set(platform["variables"].split(", ")), set(self.PLATFORM))
            self.assert_no_canary(handler)

    def test_the_one_secret_that_is_kept_lies_in_the_brokers_locked_memory(self):
        if not probe.IS_ROOT or probe.IS_SANITIZED:
            self.skipTest("needs root, and memory without a sanitizer's copies")
        with self.started(env={"IDENTITY_HEADER": CANARY, "IDENTITY_ENDPOINT": "http://127.0.0.1:1/"}) as handler:
            roles = Roles(handler.pid)
            search = Search({"IDENTITY_HEADER": CANARY})
            self.assertEqual([search.in_process(process) for process in roles.all()[1:]], [[], []])
            found = search.in_process(roles.broker)
            self.assertEqual([each for each in found if not each.is_protected()], [])
            self.assertNotEqual(found, [])

    def test_without_secrets_nothing_is_said(self):
        with self.started(env={"ORDER_REGION": "west", "AzureWebJobsStorage__accountName": "a"}) as handler:
            handler.wait_for_line("sys_startup")
            self.assertEqual(self.events(handler, "sensitive_read:environment"), [])

    def test_azfn_json_may_refuse_them(self):
        policy = {**POLICY, "secretsInEnvironment": "refuse"}
        code, lines = self.run_to_end(env={**self.SECRETS, **self.PLATFORM}, policy=policy)
        self.assertEqual(code, 1)
        self.assertIn("PARTNER_PASSWORD", lines[-1])
        self.assertIn("sys_crash:start", lines[-1])
        self.assertNotIn("IDENTITY_HEADER", lines[-1])
        self.assertNotIn(CANARY, "\n".join(lines))
        with self.started(env=self.PLATFORM, policy=policy) as handler:
            self.assertEqual(handler.request(ask("reply")).status, 200)


class Weaknesses(TestCase):
    def write(self, text):
        path = self.temporary_folder() / "development.json"
        path.write_text(text, "utf-8")
        return str(path)

    def test_each_start_says_that_the_switch_is_on(self):
        path = self.write('{"vaultSuffix": ".vault.localhost:8443"}')
        with self.started(env={"AZFN_DEVELOPMENT": path, "WEBSITE_SITE_NAME": "orders"}) as handler:
            line = handler.wait_for_line("sys_monitor_disabled:development")
            self.assertEqual((line.level, json.loads(line.text)["appid"]), ("Warning", "orders"))

    def test_memory_that_may_not_be_locked_is_told(self):
        def limit():
            resource.setrlimit(resource.RLIMIT_MEMLOCK, (0, 0))

        options = {**PLAIN, "preexec_fn": limit}
        if probe.IS_ROOT:  # whom no limit of this kind binds
            options.update(user=61803, group=61803, extra_groups=[])
        with self.probe_app(env={}, handler_options=options) as handler:
            self.assertEqual(handler.wait_for_line("sys_monitor_disabled:memory_lock").level, "Warning")

    def test_without_it_nothing_is_said(self):
        with self.started(env={}) as handler:
            handler.wait_for_line("sys_startup")
            self.assertEqual(self.events(handler, "sys_monitor_disabled:development"), [])

    def test_it_is_refused_where_the_platform_is(self):
        path = self.write("{}")
        code, lines = self.run_to_end(env={"AZFN_DEVELOPMENT": path, "WEBSITE_INSTANCE_ID": "0123"}, policy=POLICY)
        self.assertEqual(code, 1)
        self.assertIn("AZFN_DEVELOPMENT is set", lines[-1])
        self.assertIn("WEBSITE_INSTANCE_ID", lines[-1])

    def test_what_is_wrong_with_it_is_named(self):
        path = self.write('{"vault": 1}')
        code, lines = self.run_to_end(env={"AZFN_DEVELOPMENT": path}, policy=POLICY)
        self.assertEqual(code, 1)
        self.assertIn("development.json:1: /vault: expected one of", lines[-1])


if __name__ == "__main__":
    unittest.main()
