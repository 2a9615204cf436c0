"""Events of what looks like an attack on the handler itself, of protections that are off, and of the environment."""

import json
import re
import resource
import signal
import socket
import unittest

import probe
from event_case import OF_ASK, TRACE_PARENT, EventCase, also, event
from probe import ask, wait_until

LAYERS_HANDLER = probe.PROBE_APP / "probe_layers_handler"
CANARY = "canary-0123456789"
KEY = {"reference": "@Microsoft.KeyVault(VaultName=dev;SecretName=key)"}
# of a managed identity that nobody asks
NO_IDENTITY = {"IDENTITY_ENDPOINT": "http://127.0.0.1:1/", "IDENTITY_HEADER": CANARY}
INSIGHTS = {"APPLICATIONINSIGHTS_CONNECTION_STRING": f"InstrumentationKey={CANARY}"}
HOST_JSON = probe.DEFAULT_APP / "host.json"  # as it is shipped
needs_sandbox = unittest.skipIf(probe.IS_SANITIZED, "a build with sanitizers has no sandbox")


class ProtectionCase(EventCase):
    def start_with_layers(self, layers):
        app = self.app(LAYERS_HANDLER)
        (app / "sandbox-layers").write_text(layers, "utf-8")
        return self.handler(app).start()


class Malice(ProtectionCase):
    @needs_sandbox
    @event("ERROR", "broker", "malicious_syscall:worker", **OF_ASK, system_call="openat", system_call_number=int)
    @also("sys_restart:worker", "sys_startup:worker", "sys_startup:worker")
    def test_a_call_that_the_workers_sandbox_forbids(self):
        self.assert_no_answer(self.start(), ask("syscall=openat reply", headers=TRACE_PARENT))

    @needs_sandbox
    @event("ERROR", "broker", "malicious_syscall:broker", system_call_number=int)
    def test_a_call_that_the_brokers_sandbox_forbids(self):
        handler = self.start_with_layers("all")
        handler._wanted_end = True
        handler.signal(signal.SIGUSR1)
        self.assertEqual(handler.wait_exit(), 1)

    @event("ERROR", "broker", "malicious_frame:worker", **OF_ASK, reason="it sent a malformed frame")
    @also("sys_restart:worker", "sys_startup:worker", "sys_startup:worker")
    def test_a_frame_that_is_none(self):
        self.assert_no_answer(self.start(), ask("raw=\\x01\\x00\\x00\\x00\\xff\\x00\\x00\\x00x hang",
                                                headers=TRACE_PARENT))

    @needs_sandbox
    @event("ERROR", "broker", "malicious_socket:worker", reason=re.compile(".*listen.*"))
    @event("ERROR", "worker", "sys_crash:worker_start")
    @event("WARN", "broker", "sys_crash:worker", exit_code=3, **OF_ASK)
    # the old worker's accept() fails, for no limit
    @event("WARN", "worker", "excess_rate_limit_exceeded:connections", reason="new connections wait")
    @also("sys_restart:worker", "sys_monitor_disabled:sandbox")
    def test_a_socket_that_an_earlier_worker_has_sabotaged(self):
        handler = self.start_with_layers("none")
        handler._wanted_end = True
        with self.connect(handler) as connection, socket.socket() as taker:
            taker.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            connection.sendall(ask("syscall=shutdown delay=200 exit=3", headers=TRACE_PARENT))
            wait_until(lambda: probe.takes(taker, handler.port), what="a socket that does not listen any more")
            self.assertEqual(handler.wait_exit(), 200)  # the host makes a new one at once


class Off(ProtectionCase):
    @event("WARN", "broker", "sys_monitor_disabled:sandbox", reason="azfn.json")
    def test_the_sandbox_by_azfn_json(self):
        self.start(policy={"sandbox": "report"})

    @needs_sandbox
    @event("WARN", "broker", "sys_monitor_disabled:sandbox", reason="built for tests")
    def test_the_sandbox_in_a_program_for_tests(self):
        self.start_with_layers("limits")

    @needs_sandbox
    @event("WARN", "broker", "sys_monitor_disabled:landlock_files")
    @event("WARN", "broker", "sys_monitor_disabled:landlock_network")
    @event("WARN", "broker", "sys_monitor_disabled:landlock_scope")
    @event("INFO", "broker", "sys_startup", azfn_version=str, build=str, functions=int, port=int, broker_user=int,
           worker_user=int, layers_on="seccomp, limits", layers_off="landlock_files, landlock_network, landlock_scope")
    def test_landlock_on_an_old_kernel(self):
        self.start_with_layers("all landlock_version=-1")

    @event("WARN", "worker", "sys_monitor_disabled:memory_lock", bytes=lambda found: found > 1 << 20)
    @event("WARN", "broker", "sys_monitor_disabled:memory_lock", bytes=lambda found: found > 1 << 20)
    @also("sensitive_read:platform_environment")
    def test_memory_that_may_not_be_locked(self):
        options = {"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_MEMLOCK, (0, 0))}
        if probe.IS_ROOT:  # whom no limit of this kind binds
            options.update(user=61803, group=61803, extra_groups=[])
        self.start(policy={"secrets": {"key": KEY}, "functions": {"Ask": {"secrets": ["key"]}}}, env=NO_IDENTITY,
                   handler_options=options)

    @event("WARN", "broker", "sys_monitor_disabled:host_settings", reason="redirects are followed")
    def test_redirects_that_the_host_follows(self):
        self.start(forwarding=False)

    @event("WARN", "broker", "sys_monitor_disabled:host_settings", reason="a key can be got around", function="Items")
    def test_a_route_by_which_keys_are_got_around(self):
        self.start(functions=probe.probe_functions())

    @event("WARN", "broker", "sys_monitor_disabled:host_settings", reason="a key can be got around", function="Items")
    @event("WARN", "broker", "sys_monitor_disabled:host_settings", reason="events can be forged")
    def test_events_that_core_tools_have_a_client_forge(self):
        self.start(functions=probe.probe_functions(), env={"FUNCTIONS_CORETOOLS_ENVIRONMENT": "true"})

    @event("WARN", "broker", "sys_monitor_disabled:host_settings", reason="lines are sampled")
    @event("WARN", "broker", "sys_monitor_disabled:host_settings", reason="lines are dropped by their level")
    @also("sensitive_read:platform_environment")
    def test_lines_that_do_not_reach_who_looks_at_them(self):
        self.start(host={"logging": {"logLevel": {"Host": "Warning"}}}, env=INSIGHTS)

    @also("sensitive_read:platform_environment")
    def test_lines_that_do(self):
        self.start(host={"logging": json.loads(HOST_JSON.read_text("utf-8"))["logging"]}, env=INSIGHTS)

    def test_lines_where_nobody_samples(self):
        self.start()

    @event("WARN", "broker", "sys_monitor_disabled:host_settings", reason="lines are dropped by their level")
    def test_lines_that_an_app_setting_drops(self):
        self.start(env={"AzureFunctionsJobHost__logging__logLevel__default": "None"})

    @event("WARN", "broker", "sys_monitor_disabled:host_settings", reason="lines are sampled")
    @also("sensitive_read:platform_environment")
    def test_lines_that_an_app_setting_has_sampled(self):
        name = "azurefunctionsjobhost__Logging__ApplicationInsights__SamplingSettings__ExcludedTypes"
        self.start(host={"logging": json.loads(HOST_JSON.read_text("utf-8"))["logging"]},
                   env={**INSIGHTS, name: "Request"})

    @event("WARN", "broker", "sys_monitor_disabled:development")
    def test_stand_ins(self):
        path = self.temporary_folder() / "development.json"
        path.write_text(json.dumps({"vaultSuffix": ".vault.localhost:8443"}), "utf-8")
        self.start(env={"AZFN_DEVELOPMENT": str(path)})


def are(*names):
    """In any order."""
    return lambda found: sorted(found.split(", ")) == sorted(names)


class Environment(EventCase):
    @event("WARN", "broker", "sensitive_read:environment", variables=are("Orders", "PARTNER_PASSWORD"))
    @event("INFO", "broker", "sensitive_read:platform_environment",
           variables=are("AzureWebJobsStorage", "IDENTITY_HEADER"))
    def test_secrets_that_are_there(self):
        self.start(env={"PARTNER_PASSWORD": CANARY, "Orders": f"AccountName=a;AccountKey={CANARY}",
                        "AzureWebJobsStorage": f"AccountName=a;AccountKey={CANARY}", "IDENTITY_HEADER": CANARY})

    @event("WARN", "broker", "sensitive_read:setting", variables="ORDER_REGION")
    @event("WARN", "broker", "input_validation_fail:setting", variables="ORDER_TABLE")
    @also("sensitive_read:environment")
    def test_settings_that_are_given_to_functions(self):
        self.start(policy={"functions": {"Ask": {"settings": ["ORDER_REGION", "ORDER_TABLE"]}}}, env={
            "ORDER_REGION": f"Server=x;Password={CANARY}",
            "ORDER_TABLE": "@Microsoft.KeyVault(VaultName=v;SecretName=s)"})


if __name__ == "__main__":
    unittest.main()
