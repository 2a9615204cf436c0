"""Tokens as a managed identity gets them: JWTs, unsigned, of use on this machine only."""

import base64
import hashlib
import hmac
import json
import secrets
import time
import uuid


class TokenError(Exception):
    """Why a service does not take a token."""


class TokenIssuer:
    """Makes tokens and knows its own again: jti is made of the other claims with a key that only this issuer has."""

    def __init__(self):
        self.tenant_id = str(uuid.uuid4())
        self._key = secrets.token_bytes(32)

    def issue(self, audience, *, client_id, principal_id, lifetime_s=86400, not_before_s=-300, resource_id=None,
              padding_bytes=0):
        """A token for audience, with the claims that Azurite and our own stand-ins look at."""
        now = int(time.time())
        claims = {"aud": audience.rstrip("/"), "iss": f"https://sts.windows.net/{self.tenant_id}/", "iat": now - 300,
                  "nbf": now + not_before_s, "exp": now + lifetime_s, "appid": client_id, "appidacr": "2",
                  "idp": f"https://sts.windows.net/{self.tenant_id}/", "idtyp": "app", "oid": principal_id,
                  "sub": principal_id, "tid": self.tenant_id, "ver": "1.0", "uti": secrets.token_urlsafe(16)}
        if resource_id:
            claims["xms_mirid"] = resource_id
        if padding_bytes:
            claims["groups"] = "x" * padding_bytes
        claims["jti"] = self._mark(claims)
        return ".".join((_encode({"typ": "JWT", "alg": "none"}), _encode(claims), ""))

    def check(self, token, audiences):
        """The claims of a token of this issuer that is good now for one of audiences. TokenError says what is wrong."""
        parts = (token or "").split(".")
        if len(parts) != 3:
            raise TokenError("it is not a JWT")
        try:
            claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
            mark, now = claims.pop("jti"), time.time()
            if not hmac.compare_digest(mark, self._mark(claims)):
                raise TokenError("it was not made here")
            if not claims["nbf"] <= now < claims["exp"]:
                raise TokenError("it is expired" if now >= claims["exp"] else "it is not valid yet")
            if claims["aud"] not in audiences:
                raise TokenError(f"its audience is {claims['aud']}, not {audiences[0]}")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise TokenError("it is not a JWT of ours") from error
        return claims

    def check_header(self, authorization, audiences):
        """The same for the value of an Authorization header."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer":
            raise TokenError("there is no bearer token")
        return self.check(token.strip(), audiences)

    def _mark(self, claims):
        text = json.dumps(claims, sort_keys=True).encode()
        return hmac.new(self._key, text, hashlib.sha256).hexdigest()


def _encode(document):
    text = json.dumps(document, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()
