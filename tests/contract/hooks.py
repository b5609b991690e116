"""What schemathesis has to know of Roster: who is signed in, and what data of a kind no schema can describe.

Every case is sent by somebody who is signed in at that moment: a case may have signed out or removed whoever sent the one before.
"""

import itertools
import os

import requests
import schemathesis

BASE = os.environ["ROSTER_URL"]
CLIENT = (os.environ["ROSTER_CLIENT_ID"], os.environ["ROSTER_CLIENT_SECRET"])
PASSWORD = "plum-orbit-canvas-47"

numbers = itertools.count()
session = requests.Session()


def sign_in():
    email = f"person-{os.getpid()}-{next(numbers)}@example.com"
    made = session.post(f"{BASE}/users/", json={"email": email, "password": PASSWORD}, timeout=30)
    made.raise_for_status()
    answer = session.post(f"{BASE}/login", json={"email": email, "password": PASSWORD}, timeout=30)
    answer.raise_for_status()
    return answer.json()["access_token"]


@schemathesis.auth(refresh_interval=None)
class SignedIn:
    """The bearer token of a living session, or a service's credentials where those are asked for."""

    token = None

    def get(self, case, context):
        if case.path == "/oauth/introspect":
            return CLIENT
        alive = self.token and session.get(
            f"{BASE}/users/me", headers={"Authorization": f"Bearer {self.token}"}, timeout=30
        ).status_code == 200
        if not alive:
            SignedIn.token = sign_in()
        return self.token

    def set(self, case, data, context):
        case.headers = case.headers or {}
        if data is CLIENT:
            case.headers["Authorization"] = requests.auth._basic_auth_str(*CLIENT)
        else:
            case.headers["Authorization"] = f"Bearer {data}"


@schemathesis.serializer("application/x-ndjson", "text/csv")
def as_text(context, value):
    """A file of rows is sent as it is."""
    return value if isinstance(value, bytes) else str(value).encode()


# An address that nobody has, and a password that isn't easy to guess: neither can be said in a schema, so that data which
# the schema allows registers somebody now and then.
@schemathesis.hook
def map_body(context, body):
    if context.operation.label == "POST /users/" and isinstance(body, dict):
        if isinstance(body.get("email"), str):
            body["email"] = f"case-{os.getpid()}-{next(numbers)}@example.com"
        if isinstance(body.get("password"), str):
            body["password"] = "velvet-harbor-cinder-52"
    return body
