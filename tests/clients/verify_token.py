"""Verifies an access token as another service would: from the published keys alone, with PyJWT.

Arguments: the server's URL, the algorithm, the issuer and the audience. The token comes on standard input.
"""

import json
import sys

import jwt

base, algorithm, issuer, audience = sys.argv[1:]
token = sys.stdin.readline().strip()

keys = jwt.PyJWKClient(f"{base}/.well-known/jwks.json")
key = keys.get_signing_key_from_jwt(token)
required = ["iss", "sub", "aud", "exp", "iat", "jti", "client_id"]


def verify(token, **changes):
    expected = {"issuer": issuer, "audience": audience, "algorithms": [algorithm], **changes}
    return jwt.decode(token, key.key, options={"require": required}, **expected)


claims = verify(token)
header = jwt.get_unverified_header(token)
assert header["typ"] == "at+jwt" and header["alg"] == algorithm, header

# That it verifies means something: nothing else does.
head, payload, signature = token.split(".")
other = signature[:-8] + ("A" * 8 if signature[-8:] != "A" * 8 else "B" * 8)
for refused, changes in [
    (f"{head}.{payload}.{other}", {}),
    (token, {"issuer": issuer + "x"}),
    (token, {"audience": audience + "x"}),
    (token, {"algorithms": ["HS256"]}),
]:
    try:
        verify(refused, **changes)
    except jwt.InvalidTokenError:
        continue
    raise SystemExit(f"verified with {changes}")

print(json.dumps(claims))
