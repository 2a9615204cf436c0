"""Azurite's queue service in place of our own stand-in, where npm has installed it."""

import contextlib
import os
import shutil
import signal
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request

from .app import AppError
from .handler_process import free_port
from .queue_storage import ACCOUNT, SERVICE_VERSION

START_TIMEOUT_S = 60


class Azurite:
    """Listens when this is made. folder: for its files. AppError where it can't be started."""

    def __init__(self, authority, identity, folder):
        self._identity = identity
        self._trust = ssl.create_default_context(cadata=authority.certificate)
        self.port = free_port()
        self.url = f"https://127.0.0.1:{self.port}"
        program = shutil.which("azurite-queue")
        command = [program] if program else ["npx", "--no-install", "azurite-queue"]
        certificate, key = authority.leaf_files()
        try:
            self._process = subprocess.Popen(
                [*command, "--oauth", "basic", "--cert", str(certificate), "--key", str(key), "--queuePort",
                 str(self.port), "--location", str(folder), "--silent", "--disableTelemetry"],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                process_group=0)
        except FileNotFoundError as error:
            raise AppError("--azurite needs azurite, which npm installs") from error
        try:
            self._wait()
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGTERM)  # npx has a child
        self._process.wait()
        self._process.stderr.close()

    def create(self, queue):
        """False: it was there."""
        token = self._identity.issuer.issue("https://storage.azure.com", client_id=self._identity.client_id,
                                            principal_id=self._identity.principal_id)
        request = urllib.request.Request(f"{self.url}/{ACCOUNT}/{queue}", method="PUT", headers={
            "Authorization": f"Bearer {token}", "x-ms-version": SERVICE_VERSION, "Content-Length": "0"})
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}),
                                             urllib.request.HTTPSHandler(context=self._trust))
        try:
            with opener.open(request, timeout=20) as response:
                return response.status == 201
        except urllib.error.HTTPError as error:
            raise AppError(f"azurite: queue {queue}: HTTP {error.code}") from error

    def _wait(self):
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise AppError(f"azurite ended: {self._process.stderr.read().strip()[-500:]}")
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return
            time.sleep(0.05)
        raise AppError("azurite did not listen in time")
