"""All that an app's secrets and destinations need, on this machine: a managed identity, a Key Vault, the services that
destinations lead to, and the file that tells the handler's broker where they are.

    document = {"secrets": {"key": {"reference": "@Microsoft.KeyVault(VaultName=dev;SecretName=key)"}}}
    with StandIns(document, secrets={"key": "a value"}) as stand_ins:
        with Handler(app, env=stand_ins.env) as handler:
            stand_ins.vault.fail("503:2")
"""

import contextlib
import json
import os
import pathlib
import secrets as random_values
import shutil
import stat
import tempfile
import urllib.parse

from .app import AppError
from .azurite import Azurite
from .certificates import CertificateAuthority
from .identity import ManagedIdentity
from .key_vault import KeyVault
from .partner import Partner
from .policy import Policy
from .queue_storage import ACCOUNT, QueueStorage
from .secret_store import SecretError

DEFAULT_SETTINGS = {"KEY_VAULT_NAME": "dev", "STORAGE_ACCOUNT": ACCOUNT}
# by these the broker knows Azure, where it refuses stand-ins; but a developer's container may have them, too
_AMBIGUOUS_MARKERS = ("CONTAINER_NAME", "KUBERNETES_SERVICE_HOST")
_ATTRIBUTES = {"value", "enabled", "nbf", "exp", "contentType", "versions"}


class StandIns:
    """document: of azfn.json. secrets: by azfn.json's name, or else by the name in the vault, each a value or an object
    {value, enabled, nbf, exp, contentType, versions: {version: value or object}}; what azfn.json refers to and is not
    there gets a random value. settings: of the app, os.environ where None; what they lack for %NAME% gets a value,
    where any does. urls: of destinations that are not to be stood in for. identity_options and vault_options go to
    ManagedIdentity and KeyVault. on_request(line) and on_note(line): what a person may want to see. All listen when
    this is made."""

    def __init__(self, document=None, *, secrets=None, settings=None, urls=None, azurite=False, on_request=None,
                 on_note=None, identity_options=None, vault_options=None):
        known = dict(os.environ if settings is None else settings)
        defaults = {**Policy.default_settings(document or {}), **DEFAULT_SETTINGS}
        self._own_settings = {**(settings or {}),
                              **{name: value for name, value in defaults.items() if not known.get(name)}}
        settings = {**known, **self._own_settings}
        self.default_vault = settings["KEY_VAULT_NAME"]
        self.policy = Policy(document or {}, settings)
        self.queue = None      # a QueueStorage, or Azurite
        self.partners = {}     # destination -> Partner
        self.urls = dict(urls or {})
        self._on_request = on_request
        self._note = on_note or (lambda line: None)
        with contextlib.ExitStack() as stack:
            self._open = stack.enter_context
            vaults = {reference.vault for reference in self.policy.secrets.values()}
            self.authority = self._open(CertificateAuthority(sorted(f"{vault}.vault.localhost" for vault in vaults)))
            self.identity = self._open(ManagedIdentity(on_request=on_request, **{
                "known_ids": self.policy.identity_ids or None, **(identity_options or {})}))
            self.vault = self._open(KeyVault(self.identity, authority=self.authority, on_request=on_request,
                                             **(vault_options or {})))
            self._fill_vault(dict(secrets or {}))
            for name, destination in self.policy.destinations.items():
                if name not in self.urls:
                    self.urls[name] = self._stand_in_for(name, destination, azurite)
            self.folder = self._write_files(stack)
            for name in sorted(self.policy.missing):
                self._note(f"the setting {name}, which azfn.json needs, is not set")
            self._stack = stack.pop_all()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self._stack.close()

    @property
    def certificate_file(self):
        """The authority's certificate, for clients that take a file."""
        return self.folder / "authority.pem"

    @property
    def development_file(self):
        return self.folder / "development.json"

    @property
    def env(self):
        """What the handler's environment needs."""
        return {**self.identity.env, "AZFN_DEVELOPMENT": str(self.development_file), **self._own_settings,
                **{name: "" for name in _AMBIGUOUS_MARKERS if name in os.environ}}

    def secret(self, name):
        """The value that azfn.json's secret has now. KeyError, SecretError."""
        reference = self.policy.secrets[name]
        return self.vault.store(reference.vault).get(reference.name, reference.version)[1]["value"]

    def set_secret(self, name, value, **attributes):
        """A new version of azfn.json's secret, see SecretStore.set()."""
        reference = self.policy.secrets[name]
        return self.vault.store(reference.vault).set(reference.name, value, **attributes)

    def servers(self):
        """All that can be told to fail."""
        return [self.identity, self.vault, *([self.queue] if isinstance(self.queue, QueueStorage) else []),
                *self.partners.values()]

    def destination_server(self, name):
        """Who stands in for a destination, or None."""
        destination = self.policy.destinations.get(name)
        if destination and destination.is_queue_storage and isinstance(self.queue, QueueStorage):
            return self.queue
        return self.partners.get(name)

    def recover(self):
        for server in self.servers():
            server.recover()

    def _fill_vault(self, values):
        for name, reference in self.policy.secrets.items():
            store = self.vault.store(reference.vault)
            is_given = name in values
            _store_secret(store, reference.name, values.pop(name, random_values.token_urlsafe(24)), reference.version)
            self._note(f"secret {name}: {'as given' if is_given else 'a random value, made now'}")
        for name, value in values.items():
            _store_secret(self.vault.store(self.default_vault), name, value)
            self._note(f"secret {name}: as given; azfn.json does not have it")

    def _stand_in_for(self, name, destination, azurite):
        """The URL of who stands in for a destination."""
        path = urllib.parse.urlsplit(destination.url).path
        if destination.is_queue_storage:
            queue = path.strip("/").partition("/")[0]
            if self.queue is None:
                self.queue = self._open(
                    Azurite(self.authority, self.identity, self._folder_for_azurite()) if azurite else
                    QueueStorage(self.identity, authority=self.authority, on_request=self._on_request))
            if queue:
                self.queue.create(queue)
            return f"{self.queue.url}/{ACCOUNT}{path or '/'}"
        is_known = destination.secret in self.policy.secrets
        partner = self._open(Partner(
            authority=self.authority, name=name, on_request=self._on_request,
            header=destination.header if is_known else None, value=lambda: self._secret_or_none(destination.secret),
            identity=self.identity if destination.audience else None,
            audience=(destination.audience or "").rstrip("/")))
        self.partners[name] = partner
        return partner.url + (path or "/")

    def _secret_or_none(self, name):
        try:
            return self.secret(name)
        except SecretError:
            return None

    def _folder_for_azurite(self):
        return self._open(tempfile.TemporaryDirectory(prefix="azfn-local-azurite-"))

    def _write_files(self, stack):
        """Nothing in them is secret, and the handler may run as another user."""
        folder = pathlib.Path(tempfile.mkdtemp(prefix="azfn-local-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        folder.chmod(stat.S_IRWXU | stat.S_IRGRP | stat.S_IXGRP | stat.S_IROTH | stat.S_IXOTH)
        document = {"certificateAuthority": self.authority.certificate, "vaultSuffix": self.vault.suffix,
                    "destinations": self.urls}
        for name, text in (("authority.pem", self.authority.certificate), ("development.json", json.dumps(document))):
            (folder / name).write_text(text, "utf-8")
            (folder / name).chmod(stat.S_IRUSR | stat.S_IWUSR | stat.S_IRGRP | stat.S_IROTH)
        return folder


def read_secrets(path):
    """The secrets of a file, for StandIns. AppError."""
    try:
        document = json.loads(pathlib.Path(path).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise AppError(f"{path}: {error}") from error
    if not isinstance(document, dict):
        raise AppError(f"{path}: is not a JSON object")
    for name, value in document.items():
        try:
            _check_secret(value)
        except ValueError as error:
            raise AppError(f"{path}: {name}: {error}") from error
    return document


def _check_secret(value):
    if isinstance(value, str):
        return
    if not isinstance(value, dict) or not set(value) <= _ATTRIBUTES or not ("value" in value or value.get("versions")):
        raise ValueError(f"is neither a string nor an object with {', '.join(sorted(_ATTRIBUTES))}")
    for version in value.get("versions", {}).values():
        _check_secret(version)


def _store_secret(store, name, value, version=None):
    _check_secret(value)
    value = {"value": value} if isinstance(value, str) else value
    for each, item in value.get("versions", {}).items():
        _store_secret(store, name, item, each.lower())
    # a reference to a version that is given by itself needs no other
    if "value" in value:
        store.set(name, value["value"], version=version.lower() if version else None, nbf=value.get("nbf"),
                  enabled=value.get("enabled", True), exp=value.get("exp"), content_type=value.get("contentType"))
