"""Lives with sessions as any OAuth 2.0 client would: Authlib refreshes by itself and revokes at the end.

Arguments: the server's URL, an e-mail address, a registered service's id. Its secret and the password come on standard
input, a line each.
"""

import json
import sys
import time

import requests
from authlib.integrations.base_client.errors import OAuthError
from authlib.integrations.requests_client import OAuth2Session

base, email, service_id = sys.argv[1:]
password, service_secret = sys.stdin.read().split()

metadata = requests.get(f"{base}/.well-known/oauth-authorization-server", timeout=30).json()
renewed = []


def keep(token, refresh_token=None, access_token=None):
    renewed.append((refresh_token, token["refresh_token"]))


session = OAuth2Session(
    client_id="a-page",
    token_endpoint=metadata["token_endpoint"],
    token_endpoint_auth_method="none",
    revocation_endpoint_auth_method="none",
    update_token=keep,
)
first = session.fetch_token(grant_type="password", username=email, password=password)
profile = session.get(f"{base}/users/me")
profile.raise_for_status()

# The library goes by the clock; it believes the access token to have expired, and gets another one before it calls.
session.token["expires_at"] = int(time.time()) - 1
session.get(f"{base}/users/me").raise_for_status()
assert renewed == [(first["refresh_token"], session.token["refresh_token"])], renewed
assert session.token["access_token"] != first["access_token"]
assert session.token["refresh_token"] != first["refresh_token"]

service = OAuth2Session(client_id=service_id, client_secret=service_secret)


def introspected(token):
    return service.introspect_token(metadata["introspection_endpoint"], token=token).json()


seen = introspected(session.token["access_token"])
assert seen["active"] and seen["sub"] == profile.json()["id"], seen

old = dict(session.token)
session.revoke_token(metadata["revocation_endpoint"], token=old["refresh_token"]).raise_for_status()
assert introspected(old["access_token"]) == {"active": False}
assert session.get(f"{base}/users/me").status_code == 401
try:
    session.refresh_token(metadata["token_endpoint"], refresh_token=old["refresh_token"])
except OAuthError as error:
    assert error.error == "invalid_grant", error
else:
    raise SystemExit("a revoked token was refreshed")

print(json.dumps({"sub": seen["sub"]}))
