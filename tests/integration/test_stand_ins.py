"""All stand-ins together, as the tool starts them."""

import hashlib
import hmac
import json
import pathlib
import re
import signal
import subprocess
import sys
import unittest
import urllib.parse

import probe
from stand_in_case import POLICY, Client, StandInTestCase

TOOL = pathlib.Path(__file__).resolve().parent.parent.parent / "tools" / "azfn-local" / "azfn-local"

HANDLER = r'''
import base64, hashlib, hmac, http.server, json, os, sys, urllib.parse
sys.path.insert(0, %r)
from stand_in_case import Client

def ask(url, method, headers, body=None):
    with Client(url, trust) as client:
        return client.ask(method, url.partition(urllib.parse.urlsplit(url).netloc)[2], headers, body)

def token(resource):
    answer = ask(os.environ["IDENTITY_ENDPOINT"] + "?api-version=2019-08-01&resource=" + resource, "GET",
                 {"X-IDENTITY-HEADER": os.environ["IDENTITY_HEADER"]})
    return {"Authorization": "Bearer " + answer.json()["access_token"], "x-ms-version": "2023-11-03"}

def secret(name):
    url = "https://" + os.environ["KEY_VAULT_NAME"] + development["vaultSuffix"] + "/secrets/" + name
    return ask(url + "?api-version=7.4", "GET", token("https://vault.localhost")).json()["value"]

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(404)
        self.end_headers()
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        expected = "sha256=" + hmac.new(secret("webhook-key").encode(), body, hashlib.sha256).hexdigest()
        status = 401
        if self.headers["X-Signature-256"] == expected:
            message = "<QueueMessage><MessageText>" + base64.b64encode(body).decode() + "</MessageText></QueueMessage>"
            status = ask(development["destinations"]["orders-queue"] + "messages", "POST",
                         token("https://storage.azure.com"), message).status
            status = max(status, ask(development["destinations"]["partner"] + "orders", "POST",
                                     {"x-api-key": secret("the-partner-key")}, body).status)
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def log_message(self, *arguments):
        pass

development = json.load(open(os.environ["AZFN_DEVELOPMENT"]))
trust = development["certificateAuthority"]
http.server.HTTPServer(("127.0.0.1", int(os.environ["FUNCTIONS_CUSTOMHANDLER_PORT"])), Handler).serve_forever()
''' % str(probe.HERE)


class Tool(StandInTestCase):
    def write_app(self, secrets):
        folder = self.temporary_folder()
        description = {"defaultExecutablePath": sys.executable, "arguments": ["-B", "handler.py"]}
        for name, document in [
                ("host.json", {"customHandler": {"description": description, "enableForwardingHttpRequest": True}}),
                ("azfn.json", POLICY), ("local.secrets.json", secrets), ("hook/function.json", {"bindings": [
                    {**probe.HTTP_IN, "methods": ["post"]}, {"type": "http", "direction": "out", "name": "res"}]})]:
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(json.dumps(document), "utf-8")
        (folder / "handler.py").write_text(HANDLER, "utf-8")
        (folder / "hook" / "sample.dat").write_text('{"id":"A-17"}', "utf-8")
        (folder / "hook" / "sample.headers").write_text("X-Signature-256: sha256={hmac-sha256:webhook-key}\n", "utf-8")
        return folder

    def run_tool(self, *arguments):
        return subprocess.run([sys.executable, "-B", str(TOOL), *arguments], capture_output=True, text=True, timeout=60,
                              check=False)

    def test_demo(self):
        folder = self.write_app({"webhook-key": "the webhook's key"})
        result = self.run_tool("demo", "--app-root", str(folder))
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        for line in ("secret webhook-key: as given", "secret partner-key: a random value, made now",
                     "[identity] GET token for https://vault.localhost 200", "[vault] GET secrets/webhook-key 200",
                     "[queue] POST orders/messages 201", "[partner] POST /v1/orders 201", "answer: 201 Created"):
            self.assertIn(line, result.stdout)
        self.assertNotIn("the webhook's key", result.stdout)
        result = self.run_tool("demo", "--app-root", str(folder), "--destination-fail", "partner=503")
        self.assertEqual(result.returncode, 1)
        self.assertIn("answer: 503", result.stdout)
        result = self.run_tool("demo", "--app-root", str(folder), "--no-stand-ins")
        self.assertEqual(result.returncode, 1)
        self.assertIn("KeyError: 'AZFN_DEVELOPMENT'", result.stdout + result.stderr)

    def test_start_prints_a_line_that_is_signed_and_invoke_signs(self):
        folder = self.write_app({"webhook-key": "k"})
        process = subprocess.Popen([sys.executable, "-B", str(TOOL), "start", "--port", "0", "--app-root", str(folder)],
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.addCleanup(lambda: (process.send_signal(signal.SIGINT), process.communicate(timeout=20)))
        for line in process.stdout:
            if line.startswith("curl"):
                break
        signature = hmac.new(b"k", b'{"id":"A-17"}', hashlib.sha256).hexdigest()
        self.assertIn(f"-H 'X-Signature-256: sha256={signature}' --data-binary @", line)
        url = line.split()[-1]
        with Client(url) as client:
            self.assertEqual(client.ask("POST", "/api/hook", {"X-Signature-256": f"sha256={signature}"},
                                        '{"id":"A-17"}').status, 201)
            self.assertEqual(client.ask("POST", "/api/hook", {"X-Signature-256": "none"}, "{}").status, 401)
        result = self.run_tool("invoke", "hook", "--input", "another text", "--url", url.rpartition("/api")[0])
        self.assertEqual((result.returncode, "HTTP 201" in result.stdout), (0, True), result.stdout)

    def start(self, *arguments, policy=POLICY):
        folder = self.temporary_folder()
        (folder / "azfn.json").write_text(json.dumps(policy), "utf-8")
        process = subprocess.Popen([sys.executable, "-B", str(TOOL), "identity", "--app-root", str(folder), *arguments],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder)
        self.addCleanup(lambda: (process.kill(), process.communicate()))
        return process

    def read_values(self, process):
        text = ""
        for line in process.stdout:
            text += line
            if line == "}\n":
                break
        return json.loads(text)["Values"]

    def test_identity_alone(self):
        process = self.start("--vault-fail", "429,retry-after=1:1", "--identity-fail", "500:1",
                             "--destination-fail", "partner=503", "--destination-fail", "orders-queue=500:1")
        values = self.read_values(process)
        def token():
            with Client(values["IDENTITY_ENDPOINT"]) as client:
                path = urllib.parse.urlsplit(values["IDENTITY_ENDPOINT"]).path
                return client.ask("GET", path + "?api-version=2019-08-01&resource=https://vault.azure.net",
                                  {"X-IDENTITY-HEADER": values["IDENTITY_HEADER"]})
        self.assertEqual(token().status, 500)
        header = {"Authorization": "Bearer " + token().json()["access_token"]}
        development = json.loads(pathlib.Path(values["AZFN_DEVELOPMENT"]).read_text("utf-8"))
        with Client(f"https://{values['KEY_VAULT_NAME']}{development['vaultSuffix']}",
                    development["certificateAuthority"]) as client:
            path = "/secrets/webhook-key?api-version=7.4"
            self.assertEqual(client.ask("GET", path, header).headers["Retry-After"], "1")
            value = client.ask("GET", path, header).json()["value"]
        with Client(development["destinations"]["partner"], development["certificateAuthority"]) as client:
            self.assertEqual(client.ask("POST", "/v1/orders").status, 503)
        process.send_signal(signal.SIGINT)
        _, log = process.communicate(timeout=20)
        self.assertEqual(process.returncode, 0, log)
        for line in ("[vault] GET secrets/webhook-key 429 (told to: 429)\n[vault] GET secrets/webhook-key 200\n",
                     "[identity] GET token for https://vault.azure.net 200\n", "[partner] POST /v1/orders 503"):
            self.assertIn(line, log)
        self.assertIn("secret webhook-key: a random value, made now", log)
        for hidden in (value, values["IDENTITY_HEADER"], header["Authorization"]):
            self.assertNotIn(hidden, log)
        self.assertFalse(pathlib.Path(values["AZFN_DEVELOPMENT"]).exists())

    def test_options_that_can_not_be_used(self):
        for arguments, text in [(["--vault-fail", "nothing"], "--vault-fail: 'nothing' is not a status"),
                                (["--destination-fail", "none=503"], "nothing stands in for 'none'"),
                                (["--destination", "a"], "'a' is not NAME="),
                                (["--secrets-file", "none.json"], "none.json")]:
            process = self.start(*arguments)
            _, log = process.communicate(timeout=20)
            self.assertEqual(process.returncode, 1)
            self.assertRegex(log, re.escape(text))


if __name__ == "__main__":
    unittest.main()
