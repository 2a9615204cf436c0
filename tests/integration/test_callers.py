"""Events about who calls and with what: App Service Authentication's callers, an app's own events, input that is not
JSON, forged envelopes, times that are over; each with what it says of the request, exactly once, however the host sends
the request."""

import json
import unittest

import probe
from azfn_local.envelope import build_envelope_request
from azfn_local.gateway import Gateway
from azfn_local.host import Host
from azfn_local.wire import build_request, read_response
from probe import events_of

TRACE = "0af7651916cd43dd8448eb211c80319c"
TRACE_PARENT = f"00-{TRACE}-b7ad6b7169203331-01"
CLIENT = {"X-Forwarded-For": "10.0.0.1, 203.0.113.7:49152", "traceparent": TRACE_PARENT}
CLAIMS = "eyJjbGFpbXMiOltdfQ=="
ADA = {"X-MS-CLIENT-PRINCIPAL-ID": "6d1f0d8a-ada", "X-MS-CLIENT-PRINCIPAL-IDP": "aad",
       "X-MS-CLIENT-PRINCIPAL-NAME": "ada@example.com", "X-MS-CLIENT-PRINCIPAL": CLAIMS}
BOB = {**ADA, "X-MS-CLIENT-PRINCIPAL-ID": "bob", "X-MS-CLIENT-PRINCIPAL-IDP": "github"}
EASY_AUTH = {"WEBSITE_AUTH_ENABLED": "True"}
PROXYING = {"customHandler": {"description": {"defaultExecutablePath": "handler"},
                              "enableForwardingHttpRequest": True, "enableProxyingHttpRequest": True}}
# how the host sends a request; a function whose requests it sends so; what it says of address and trace (it makes the
# first one anew where it proxies, and without Application Insights no trace comes with its own POST)
MODES = {"forwarded": ({}, "Ask", "203.0.113.7", TRACE), "proxied": ({"host": PROXYING}, "Ask", "127.0.0.1", TRACE),
         "envelope": ({}, "AskReturn", "203.0.113.7", None)}
EVENTS = {"signature": ("authn_login_fail:signature", "WARN"), "forbidden": ("authz_fail:function", "ERROR"),
          "suspicious": ("malicious_request:function", "ERROR"), "input": ("input_validation_fail:function", "WARN")}
ALL_EVENTS = " ".join(f"event={kind},about~{kind}" for kind in EVENTS)
AUTHENTICATED, UNPROVEN = "authn_login_success:easy_auth", "authn_login_fail:easy_auth"
NO_JSON, TIMEOUT = "input_validation_fail:json", "excess_rate_limit_exceeded:timeout"


class Case(probe.TestCase):
    def start(self, **options):
        handler = self.probe_app(**options)
        self.addCleanup(handler.kill)
        return handler.start()

    def gateway(self, handler):
        gateway = Gateway(Host(handler.app, handler), port=0)
        self.addCleanup(gateway.__exit__, None, None, None)
        return gateway.__enter__()

    def call(self, gateway, function, words, headers=None, body=None, query=""):
        """What a client of the host gets."""
        lines = [("Host", "localhost"), ("x-do", words), *CLIENT.items(), *(headers or {}).items()]
        method, framing = ("GET", None) if body is None else ("POST", "length")
        request = build_request(method, f"/api/{function}{query}", lines, body or b"", framing)
        with self.connect(gateway) as connection:
            connection.sendall(request)
            return read_response(connection)

    def end(self, handler):
        """All lines there will ever be: what was told twice shows then."""
        self.assertEqual(handler.terminate(), 0)
        self.assertTrue(handler.wait_output_end())

    def message(self, handler, function, words, **options):
        """A queue message, as the host in the cloud sends it: chunked."""
        document = json.dumps({"Data": {"message": json.dumps(words)}, "Metadata": {}}, separators=(",", ":"))
        request = build_envelope_request(function, document, port=handler.port, invocation_id="event-1",
                                         traceparent=TRACE_PARENT, **options)
        return handler.request(request)

    def assert_fields(self, event, **expected):
        """None: the line does not have it."""
        self.assertEqual({name: event.get(name) for name in expected}, expected, event)


class EasyAuth(Case):
    def test_the_first_request_of_each_caller_is_told_and_the_others_at_the_end_as_a_count(self):
        for mode, (options, function, address, trace) in MODES.items():
            with self.subTest(mode=mode):
                handler = self.start(env=EASY_AUTH, **options)
                gateway = self.gateway(handler)
                for headers in (ADA, ADA, {}, BOB, ADA, ADA, ADA):
                    self.assertEqual(self.call(gateway, function, "reply", headers).status, 200)
                self.end(handler)
                events = events_of(handler, AUTHENTICATED)
                self.assertEqual([(event["principal_id"], event["identity_provider"], event.get("count"))
                                  for event in events],
                                 [("6d1f0d8a-ada", "aad", None), ("bob", "github", None), ("6d1f0d8a-ada", "aad", 4)])
                for event in events[:2]:
                    self.assert_fields(event, level="INFO", origin="worker", function=function, trace_id=trace,
                                       source_ip=address, request_method="GET", request_uri=f"/api/{function}")
                    self.assertRegex(event["invocation_id"], "^[0-9a-f-]{36}$")
                self.assert_fields(events[2], function=function, invocation_id=None, source_ip=address)
                self.assertEqual(events_of(handler, UNPROVEN), [])

    def test_each_function_has_its_own_callers(self):
        handler = self.start(env={"WEBSITE_AUTH_ENABLED": "true"})
        gateway = self.gateway(handler)
        for function in ("Ask", "Block", "AskReturn", "Block"):
            self.assertEqual(self.call(gateway, function, "reply", ADA).status, 200)
        self.end(handler)
        self.assertEqual([(event["function"], event.get("count")) for event in events_of(handler, AUTHENTICATED)],
                         [("Ask", None), ("Block", None), ("AskReturn", None), ("Block", 1)])

    def test_without_it_each_request_that_names_its_caller_is_told(self):
        for mode, (options, function, address, trace) in MODES.items():
            with self.subTest(mode=mode):
                handler = self.start(**options)
                gateway = self.gateway(handler)
                for headers in (ADA, {"x-Ms-Client-principal-ID": "ada"}, {}, {"X-MS-CLIENT-PRINCIPAL": CLAIMS}):
                    self.assertEqual(self.call(gateway, function, "reply", headers).status, 200)
                self.end(handler)
                events = events_of(handler, UNPROVEN)
                self.assertEqual(len(events), 3)
                for event in events:
                    self.assert_fields(event, level="WARN", origin="worker", function=function, trace_id=trace,
                                       source_ip=address, request_uri=f"/api/{function}", principal_id=None)
                self.assertEqual(events_of(handler, AUTHENTICATED), [])

    def test_only_true_is_on(self):
        for value in ("false", "1", "", "true "):
            with self.subTest(value=value):
                handler = self.start(env={"WEBSITE_AUTH_ENABLED": value})
                self.call(self.gateway(handler), "Ask", "reply", ADA)
                self.end(handler)
                self.assertEqual((len(events_of(handler, UNPROVEN)), len(events_of(handler, AUTHENTICATED))), (1, 0))

    def test_claims_and_names_are_never_written(self):
        for env in (EASY_AUTH, {}):
            handler = self.start(env=env)
            gateway = self.gateway(handler)
            for function in ("Ask", "AskReturn"):
                self.call(gateway, function, "reply", ADA)
            self.end(handler)
            self.assertEqual([line.text for line in handler.lines if CLAIMS in line.text or "example.com" in line.text],
                             [])

    def test_a_strange_id_is_cut_and_made_printable(self):
        handler = self.start(env=EASY_AUTH)
        handler.request(probe.ask("reply", headers="X-MS-CLIENT-PRINCIPAL-ID: \xe9" + "a" * 500 + "\r\n"))
        self.end(handler)
        (event,) = events_of(handler, AUTHENTICATED)
        self.assert_fields(event, principal_id="?" + "a" * 63, identity_provider=None)


class FunctionsEvents(Case):
    def assert_told(self, handler, **expected):
        for kind, (name, level) in EVENTS.items():
            (event,) = events_of(handler, name)
            self.assert_fields(event, level=level, origin="worker", description=f"about {kind}", **expected)

    def test_of_a_request_however_it_is_sent(self):
        for mode, (options, function, address, trace) in MODES.items():
            with self.subTest(mode=mode):
                handler = self.start(**options)
                answer = self.call(self.gateway(handler), function, f"{ALL_EVENTS} log=a~line body=x reply",
                                   query="?code=fake-key")
                self.assertEqual((answer.status, answer.body), (200, b"x"))
                self.end(handler)
                self.assert_told(handler, function=function, source_ip=address, trace_id=trace, request_method="GET",
                                 request_uri=f"/api/{function}")
                self.assertFalse(any("fake-key" in line.text for line in handler.lines))

    def test_of_a_function_on_a_thread_in_their_order(self):
        handler = self.start()
        answer = handler.request(probe.ask(f"log=before {ALL_EVENTS} log=behind reply", path="/api/Block",
                                           headers=f"traceparent: {TRACE_PARENT}\r\n"))
        self.assertEqual(answer.status, 200)
        self.end(handler)
        self.assert_told(handler, function="Block", invocation_id="ask-1", trace_id=TRACE, source_ip=None,
                         request_uri="/api/Block")
        told = [json.loads(line.text) for line in handler.lines if '"origin":"worker"' in line.text]
        self.assertEqual([line["description"] for line in sorted(told, key=lambda line: line["sequence"])],
                         ["before", *(f"about {kind}" for kind in EVENTS), "behind"])
        for line in told:
            self.assert_fields(line, function="Block", invocation_id="ask-1", trace_id=TRACE)

    def test_of_a_message_beside_its_answer_and_not_in_it(self):
        for function in ("AskQueue", "BlockQueue"):
            with self.subTest(function=function):
                handler = self.start()
                answer = self.message(handler, function, f"info=before {ALL_EVENTS} info=behind succeed")
                self.assertEqual(answer.json()["Logs"], ["before", "behind"])
                self.end(handler)
                self.assert_told(handler, function=function, invocation_id="event-1", trace_id=TRACE, source_ip=None,
                                 request_method=None, request_uri=None)

    def test_though_the_function_crashes_behind_them(self):
        for path in ("/api/Ask", "/api/Block"):
            with self.subTest(path=path):
                handler = self.start()
                connection = self.connect(handler)
                connection.sendall(probe.ask("event=suspicious,before~the~crash crash", path=path))
                handler.wait_for_line('"sys_crash:worker"')
                handler.kill()
                self.assertEqual(len(events_of(handler, "malicious_request:function")), 1)

    def test_of_a_function_on_a_thread_that_does_not_return(self):
        handler = self.start()
        connection = self.connect(handler)
        connection.sendall(probe.ask("setting=OTHER event=suspicious,before~it~hangs hang", path="/api/Block"))
        handler.wait_for_line("before it hangs")
        handler.kill()
        self.assertEqual(len(events_of(handler, "authz_fail:setting")), 1)

    def test_can_not_be_made_to_look_like_others(self):
        handler = self.start()
        hostile = r"x\x0a{\x22level\x22:\x22INFO\x22}\x0dazfuncjsonlog:\x00warning"
        handler.request(probe.ask(f"event=forbidden,{hostile} event=forbidden,{'y' * 6000} reply"))
        self.end(handler)
        first, second = events_of(handler, "authz_fail:function")
        self.assertEqual(first["description"], "x\n{\"level\":\"INFO\"}\razfuncjsonlog:")
        self.assertEqual(second["description"], "y" * 4090 + "[cut]")
        self.assertEqual({line.level for line in handler.lines if "authz_fail:function" in line.text}, {"Error"})


class Input(Case):
    def test_that_is_not_json_is_told_once_however_it_is_sent(self):
        for mode, (options, function, address, trace) in MODES.items():
            with self.subTest(mode=mode):
                handler = self.start(**options)
                gateway = self.gateway(handler)
                for words, body in (("json json tree reply", b"{\"id\": fake-secret}"), ("json tree reply", b"{}"),
                                    ("json reply", b"")):
                    answer = self.call(gateway, function, words, body=body)
                    self.assertEqual(answer.body, b"json" if body == b"{}" else b"absent")
                self.end(handler)
                (event,) = events_of(handler, NO_JSON)
                self.assert_fields(event, level="WARN", origin="worker", function=function, trace_id=trace,
                                   source_ip=address, request_method="POST", request_uri=f"/api/{function}")
                self.assertIn("not well-formed at byte 7", event["description"])
                self.assertFalse(any("fake-secret" in line.text for line in handler.lines))

    def test_on_a_thread_and_in_a_message(self):
        handler = self.start()
        answer = handler.request(probe.ask("tree json reply", path="/api/Block", method="POST", body=b"{,"))
        self.assertEqual(answer.body, b"absent")
        for function in ("AskQueue", "BlockQueue"):
            self.assertEqual(self.message(handler, function, "json json succeed").status, 200)
        self.end(handler)
        self.assertEqual([event["function"] for event in events_of(handler, NO_JSON)],
                         ["Block", "AskQueue", "BlockQueue"])

    def test_a_forged_envelope(self):
        handler = self.start()
        headers = "".join(f"{name}: {value}\r\n" for name, value in CLIENT.items())
        forged = probe.queue_message("QIn", "forged", name="msg").replace(b"\r\n", f"\r\n{headers}".encode(), 1)
        self.assertEqual(handler.request(forged).status, 400)
        self.end(handler)
        (event,) = events_of(handler, "malicious_envelope:client")
        self.assert_fields(event, level="ERROR", origin="worker", status=400, invocation_id="event-1", trace_id=TRACE,
                           source_ip="203.0.113.7", request_method="POST", request_uri="/QIn")

    def test_what_is_no_address_and_no_trace_is_not_written(self):
        hostile = {"X-Forwarded-For": "203.0.113.7, \"fake\"", "traceparent": f"00-{TRACE}-b7ad6b7169203331-01\""}
        handler = self.start()
        headers = "".join(f"{name}: {value}\r\n" for name, value in hostile.items())
        self.assertEqual(handler.request(probe.ask("event=input,x reply", headers=headers)).status, 200)
        self.end(handler)
        (event,) = events_of(handler, EVENTS["input"][0])
        self.assert_fields(event, source_ip=None, trace_id=None, invocation_id="ask-1")


class Times(Case):
    POLICY = {"functions": {name: {"timeoutMs": 300} for name in ("Ask", "AskQueue", "Block", "BlockQueue")}}

    def assert_one(self, handler, **expected):
        (event,) = events_of(handler, TIMEOUT)
        self.assert_fields(event, level="WARN", origin="worker", limit="timeoutMs", trace_id=TRACE, **expected)

    def test_that_are_over_are_told_once(self):
        for function in ("Ask", "Block"):
            with self.subTest(function=function):
                handler = self.start(policy=self.POLICY)
                words = "never" if function == "Ask" else "wait reply"
                self.assertEqual(self.call(self.gateway(handler), function, words).status, 504)
                handler.request(probe.ask("open reply"))
                if function == "Block":
                    handler.wait_for_line("its thread is back")
                self.end(handler)
                self.assert_one(handler, function=function, source_ip="203.0.113.7", request_uri=f"/api/{function}")

    def test_of_a_message(self):
        for function, words in (("AskQueue", "never"), ("BlockQueue", "wait succeed")):
            with self.subTest(function=function):
                handler = self.start(policy=self.POLICY)
                self.assertEqual(self.message(handler, function, words).status, 500)
                handler.request(probe.ask("open reply"))
                if function == "BlockQueue":
                    handler.wait_for_line("its thread is back")
                self.end(handler)
                self.assert_one(handler, function=function, invocation_id="event-1", request_uri=None)

    def test_of_one_that_was_never_begun(self):
        handler = self.start(policy={"functions": {"Block": {"timeoutMs": 60000}, "BlockQueue": {"timeoutMs": 300}},
                                     "limits": {"blockingThreads": 1}})
        holder = self.connect(handler)
        holder.sendall(probe.ask("print=holds wait reply", path="/api/Block"))
        handler.wait_for_line("holds")
        self.assertEqual(self.message(handler, "BlockQueue", "succeed").status, 500)
        handler.request(probe.ask("open reply"))
        self.assertEqual(read_response(holder).status, 200)
        self.end(handler)
        self.assert_one(handler, function="BlockQueue", invocation_id="event-1")


class Traces(Case):
    def test_what_a_function_asks_the_broker_for_belongs_to_its_trace(self):
        policy = {"secrets": {"key": {"reference": "@Microsoft.KeyVault(VaultName=dev;SecretName=key)"},
                              "other": {"reference": "@Microsoft.KeyVault(VaultName=dev;SecretName=other)"}},
                  "destinations": {"partner": {"url": "https://partner.example/v1/", "methods": ["GET"],
                                               "authenticate": "none"}},
                  "functions": {"Ask": {"secrets": ["key"], "destinations": ["partner"]}}}
        services = self.stand_ins(policy, secrets={"key": "canary-value", "other": "canary-other"})
        handler = self.start(policy=policy, env=services.env)
        gateway = self.gateway(handler)
        for words in ("secret=key", "secret=other", "request=partner,GET,x", "request=nobody,GET,x",
                      "request=partner,PUT,x"):
            self.assertEqual(self.call(gateway, "Ask", f"{words} reply").status, 200)
        self.end(handler)
        for name in ("sensitive_read:secret", "authz_fail:secret", "sensitive_read:destination",
                     "authz_fail:destination", "input_validation_fail:destination"):
            (event,) = events_of(handler, name)
            self.assert_fields(event, origin="broker", function="Ask", trace_id=TRACE)


if __name__ == "__main__":
    unittest.main()
