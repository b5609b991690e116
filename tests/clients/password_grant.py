"""Signs in at /login as any OAuth 2.0 client would, with Authlib's password grant, and calls the API.

Arguments: the server's URL, an e-mail address. The password comes on standard input.
"""

import json
import sys

from authlib.integrations.requests_client import OAuth2Session

base, email = sys.argv[1:]
password = sys.stdin.readline().strip()

session = OAuth2Session(client_id="any", client_secret="any", scope="profile")
token = session.fetch_token(f"{base}/login", username=email, password=password, grant_type="password")
assert token["token_type"].lower() == "bearer", token
assert token["expires_in"] > 0 and not token.is_expired(), token

# The session sends the token by itself from now on.
profile = session.get(f"{base}/users/me")
profile.raise_for_status()
renamed = session.put(f"{base}/users/me", json={"display_name": "Signed in by Authlib"})
renamed.raise_for_status()
print(json.dumps(renamed.json()))
