"""For tests of the stand-ins: a policy, and a client that trusts them."""

import http.client
import json
import socket
import ssl
import urllib.parse

import probe

VERSION = "0123456789abcdef0123456789abcdef"
POLICY = {
    "secrets": {
        "webhook-key": {"reference": "@Microsoft.KeyVault(VaultName=%KEY_VAULT_NAME%;SecretName=webhook-key)"},
        "partner-key": {"reference": "@Microsoft.KeyVault(VaultName=%KEY_VAULT_NAME%;SecretName=the-partner-key)"},
        "old-key": {"reference": f"@Microsoft.KeyVault(SecretUri=https://other.vault.azure.net/secrets/old/{VERSION})"},
    },
    "destinations": {
        "orders-queue": {"url": "https://%STORAGE_ACCOUNT%.queue.core.windows.net/orders/", "methods": ["POST"],
                         "authenticate": {"managedIdentity": "https://storage.azure.com"}},
        "partner": {"url": "https://api.partner.example/v1/", "methods": ["POST"],
                    "authenticate": {"header": "x-api-key", "secret": "partner-key"}},
        "graph": {"url": "https://graph.example", "methods": ["GET"],
                  "authenticate": {"managedIdentity": "https://graph.example/"}},
        "open": {"url": "https://open.example/", "methods": ["GET"], "authenticate": "none"},
    },
}


class Answer:
    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    def json(self):
        return json.loads(self.body)


class Client:
    """One kept connection. Names below localhost lead to this machine, as in curl."""

    def __init__(self, url, trust=None, timeout=20):
        parts = urllib.parse.urlsplit(url)
        self._host = parts.netloc
        connection = socket.create_connection(("127.0.0.1", parts.port), timeout=timeout)
        try:
            if parts.scheme == "https":
                context = ssl.create_default_context(cadata=trust)
                context.minimum_version = ssl.TLSVersion.TLSv1_2
                connection = context.wrap_socket(connection, server_hostname=parts.hostname)
        except BaseException:
            connection.close()
            raise
        self._http = http.client.HTTPConnection("127.0.0.1", parts.port)
        self._http.sock = connection

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._http.close()

    def ask(self, method, target, headers=None, body=None):
        self._http.request(method, target, body, {"Host": self._host, **(headers or {})})
        return Answer(self._http.getresponse())


class StandInTestCase(probe.TestCase):
    def ask(self, server, method, target, headers=None, body=None, *, host=None, timeout=20):
        url = server.url if host is None else f"https://{host}:{server.port}"
        trust = server.authority.certificate if server.authority else None
        with Client(url, trust, timeout) as client:
            return client.ask(method, target, headers, body)
