"""An identity provider's keys: made here, published as a JSON Web Key Set, and tokens that they sign."""

import base64
import json
import os
import time

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa


def _text(number, size=None):
    size = size or (number.bit_length() + 7) // 8
    return base64.urlsafe_b64encode(number.to_bytes(size, "big")).rstrip(b"=").decode()


class ProviderKey:
    """A key pair of "RS256", "ES256" or "EdDSA"."""

    def __init__(self, algorithm, kid):
        self.algorithm, self.kid = algorithm, kid
        self.private = {"RS256": lambda: rsa.generate_private_key(65537, 2048),
                        "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
                        "EdDSA": ed25519.Ed25519PrivateKey.generate}[algorithm]()

    def jwk(self, **more):
        public = self.private.public_key()
        head = {"kid": self.kid, "alg": self.algorithm, "use": "sig"}
        if self.algorithm == "RS256":
            numbers = public.public_numbers()
            return {"kty": "RSA", **head, "n": _text(numbers.n), "e": _text(numbers.e), **more}
        if self.algorithm == "ES256":
            numbers = public.public_numbers()
            return {"kty": "EC", **head, "crv": "P-256", "x": _text(numbers.x, 32), "y": _text(numbers.y, 32), **more}
        raw = public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        return {"kty": "OKP", **head, "crv": "Ed25519", "x": _text(int.from_bytes(raw, "big"), 32), **more}

    def pem(self):
        return self.private.public_key().public_bytes(serialization.Encoding.PEM,
                                                      serialization.PublicFormat.SubjectPublicKeyInfo)

    def token(self, user, headers=None, **claims):
        now = int(time.time())
        body = {"sub": user, "aud": "checkout", "iat": now, "exp": now + 3600, **claims}
        return jwt.encode({name: value for name, value in body.items() if value is not None}, self.private,
                          algorithm=self.algorithm, headers={"kid": self.kid, **(headers or {})})


def publish(path, *jwks):
    """Writes the set as a whole: a file beside it, renamed over it."""
    with open(path + ".new", "w", encoding="ascii") as sink:
        json.dump({"keys": list(jwks)}, sink)
    os.replace(path + ".new", path)
