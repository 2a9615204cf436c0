"""The secrets of a vault: names, versions, attributes, and what was deleted but can be recovered."""

import secrets
import threading
import time


class SecretError(Exception):
    """As Key Vault answers it: status, code and the inner code."""

    def __init__(self, status, code, message, inner=None):
        super().__init__(message)
        self.status, self.code, self.inner = status, code, inner


class SecretStore:
    """One vault. Names are found in any case and keep the spelling they came with first. A version is a dict:
    version, value, contentType?, tags?, and attributes {enabled, nbf?, exp?, created, updated}."""

    def __init__(self):
        self._lock = threading.RLock()
        self._live = {}     # lower-case name -> (name, versions, oldest first)
        self._deleted = {}  # the same, and when

    def set(self, name, value, *, version=None, enabled=True, nbf=None, exp=None, content_type=None, tags=None):
        """Adds a version, which is the newest then. A version that is there already is replaced."""
        with self._lock:
            if name.lower() in self._deleted:
                raise SecretError(409, "Conflict", f"Secret {name} is currently in a deleted but recoverable state, "
                                  "and its name cannot be reused; in this state, the secret can only be recovered or "
                                  "purged.", "ObjectIsDeletedButRecoverable")
            now = int(time.time())
            attributes = {"enabled": enabled, "created": now, "updated": now, "recoveryLevel": "Recoverable+Purgeable",
                          "recoverableDays": 90}
            attributes.update({key: moment for key, moment in (("nbf", nbf), ("exp", exp)) if moment is not None})
            entry = {"version": version or secrets.token_hex(16), "value": value, "attributes": attributes}
            if content_type is not None:
                entry["contentType"] = content_type
            if tags is not None:
                entry["tags"] = tags
            known, versions = self._live.get(name.lower(), (name, []))
            versions = [other for other in versions if other["version"] != entry["version"]] + [entry]
            self._live[name.lower()] = (known, versions)
            return known, entry

    def get(self, name, version=None):
        """(name, version's dict) of the newest or that version. SecretError."""
        with self._lock:
            known, versions = self._find(name, version)
            if not version:
                return known, versions[-1]
            found = next((entry for entry in versions if entry["version"] == version.lower()), None)
            if not found:
                raise _not_found(name, version)
            return known, found

    def versions(self, name):
        with self._lock:
            return self._find(name)

    def update(self, name, version, *, attributes=None, content_type=None, tags=None):
        """Changes what is not None; never the value."""
        with self._lock:
            known, entry = self.get(name, version)
            entry["attributes"].update({key: value for key, value in (attributes or {}).items()
                                        if key in ("enabled", "nbf", "exp")})
            entry["attributes"]["updated"] = int(time.time())
            if content_type is not None:
                entry["contentType"] = content_type
            if tags is not None:
                entry["tags"] = tags
            return known, entry

    def names(self):
        with self._lock:
            return [name for _, (name, _) in sorted(self._live.items())]

    def delete(self, name):
        """Softly: it can be recovered until it is purged."""
        with self._lock:
            known, versions = self._find(name)
            del self._live[name.lower()]
            self._deleted[name.lower()] = (known, versions, int(time.time()))
            return self.deleted(name)

    def deleted(self, name):
        """(name, versions, when)."""
        with self._lock:
            if name.lower() not in self._deleted:
                raise _not_found(name)
            return self._deleted[name.lower()]

    def deleted_names(self):
        with self._lock:
            return [item[0] for _, item in sorted(self._deleted.items())]

    def recover(self, name):
        with self._lock:
            known, versions, _ = self.deleted(name)
            del self._deleted[name.lower()]
            self._live[name.lower()] = (known, versions)
            return known, versions[-1]

    def purge(self, name):
        with self._lock:
            self.deleted(name)
            del self._deleted[name.lower()]

    def _find(self, name, version=None):
        if name.lower() not in self._live:
            raise _not_found(name, version)
        return self._live[name.lower()]


def _not_found(name, version=None):
    path = f"{name}/{version}" if version else name
    return SecretError(404, "SecretNotFound", f"A secret with (name/id) {path} was not found in this key vault. If you "
                       "recently deleted this secret you may be able to recover it using the correct recovery command.")
