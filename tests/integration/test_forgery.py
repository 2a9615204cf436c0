"""A client can have the host forward POST /<FunctionName>, by ..%5C in the parameter of an open route: what looks
like an event of the host must be one."""

import json
import unittest

import probe
from azfn_local.envelope import build_envelope_request
from probe import queue_message

FORGED = queue_message("QIn", "forged", name="msg")


def envelope_request(handler, framing):
    document = json.dumps({"Data": {"msg": '"real"'}, "Metadata": {}}, separators=(",", ":"))
    return build_envelope_request("QIn", document, port=handler.port, framing=framing)


class Forgery(probe.TestCase):
    def test_only_chunked_envelopes_are_taken_where_a_route_is_open(self):
        with self.probe_app() as handler:
            answer = handler.request(FORGED)
            self.assertEqual(answer.status, 400)
            line = handler.wait_for_line("a client may have forged it")
            self.assertEqual(line.level, "Error")
            self.assertIn('"event":"malicious_envelope:client"', line.text)
            self.assertFalse(any('"function":"QIn"' in line.text for line in handler.lines))
            self.assertEqual(handler.request(envelope_request(handler, "chunked")).status, 200)

    def test_core_tools_may_send_a_content_length(self):
        with self.probe_app(env={"FUNCTIONS_CORETOOLS_ENVIRONMENT": "true"}) as handler:
            self.assertEqual(handler.request(envelope_request(handler, "length")).status, 200)
            line = handler.wait_for_line("FUNCTIONS_CORETOOLS_ENVIRONMENT is set")
            self.assertEqual(line.level, "Warning")

    def test_without_open_routes_both_framings_are_taken(self):
        functions = probe.probe_functions()
        bindings = functions["Items"]["bindings"]
        functions["Items"] = {"bindings": [{**bindings[0], "route": "items/{id:int}/{name:alpha?}"}, *bindings[1:]]}
        with self.probe_app(functions=functions) as handler:
            for framing in ("chunked", "length"):
                self.assertEqual(handler.request(envelope_request(handler, framing)).status, 200)

    def test_a_stricter_function_behind_an_open_route_is_said_at_start(self):
        with self.probe_app() as handler:
            line = handler.wait_for_line("without its key")
            self.assertEqual(line.level, "Warning")
            self.assertIn("Items/function.json: a caller can reach the function HttpAuth", line.text)

    def test_keys_of_the_same_level_are_different_keys(self):
        functions = probe.probe_functions()
        bindings = functions["Items"]["bindings"]
        functions["Items"] = {"bindings": [{**bindings[0], "authLevel": "function"}, *bindings[1:]]}
        with self.probe_app(functions=functions) as handler:
            handler.wait_for_line("Items/function.json: a caller can reach the function HttpAuth without its key")

    def test_a_host_that_follows_redirects_is_said_at_start(self):
        with self.probe_app(forwarding=False) as handler:
            self.assertEqual(handler.wait_for_line("enableForwardingHttpRequest is not true").level, "Warning")


if __name__ == "__main__":
    unittest.main()
