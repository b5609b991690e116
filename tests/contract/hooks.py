"""What schemathesis has to know of Roster: who is signed in, who there is, and what data of a kind no schema can describe.

Every case is sent by somebody who is signed in at that moment: a case may have signed out or removed whoever sent the one before.
Under /admin that is an admin, elsewhere somebody with an account and no role.
"""

import itertools
import json
import os
import subprocess
import threading

import requests
import schemathesis
from schemathesis.core.parameters import ParameterLocation
from schemathesis.generation.meta import TestPhase

BASE = os.environ["ROSTER_URL"]
CLIENT = (os.environ["ROSTER_CLIENT_ID"], os.environ["ROSTER_CLIENT_SECRET"])
PROGRAM = os.environ["ROSTER_PROGRAM"]
PASSWORD = "plum-orbit-canvas-47"

# Files of rows.
TEXTS = ("application/x-ndjson", "text/csv")

numbers = itertools.count()
session = requests.Session()
lock = threading.Lock()


def new_email(kind):
    return f"{kind}-{os.getpid()}-{next(numbers)}@example.com"


def send(method, path, token=None, **arguments):
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return session.request(method, f"{BASE}{path}", headers=headers, timeout=30, **arguments)


def sign_in(email):
    answer = send("POST", "/login", json={"email": email, "password": PASSWORD})
    answer.raise_for_status()
    return answer.json()["access_token"]


def register(kind):
    email = new_email(kind)
    made = send("POST", "/users/", json={"email": email, "password": PASSWORD})
    made.raise_for_status()
    return made.json()["id"], email


def person():
    return sign_in(register("person")[1])


def admin():
    """As an operator makes one: nothing that a case does can keep that from working."""
    email = new_email("admin")
    command = [PROGRAM, "users", "create", email, "--role", "admin", "--password-stdin"]
    subprocess.run(command, input=f"{PASSWORD}\n", text=True, check=True, capture_output=True, timeout=60)
    return sign_in(email)


class Identity:
    """Somebody who is signed in; somebody else as soon as that isn't so any more."""

    def __init__(self, make, roles):
        self.make, self.roles, self.token = make, roles, None

    def living(self):
        if self.token is not None:
            me = send("GET", "/users/me", self.token)
            if me.status_code == 200 and me.json()["roles"] == self.roles:
                return self.token
        self.token = self.make()
        return self.token


PERSON, ADMIN = Identity(person, []), Identity(admin, ["admin"])
# No case is sent by this one. The last admin can be neither removed nor demoted: so no case meets that by chance.
KEEPER = Identity(admin, ["admin"])


class Target:
    """An account that is there, is open and has a session: what admins act on."""

    id = None

    @classmethod
    def living(cls):
        """Its id and its ETag."""
        with lock:
            seen = cls.seen()
            if seen is None:
                cls.id, email = register("target")
                sign_in(email)
                seen = cls.seen()
            return cls.id, seen.headers["ETag"]

    @classmethod
    def seen(cls):
        """How an admin sees it, where it is still of use."""
        if cls.id is None:
            return None
        answer = send("GET", f"/admin/users/{cls.id}", KEEPER.token)
        if answer.status_code in (401, 403):
            answer = send("GET", f"/admin/users/{cls.id}", KEEPER.living())
        is_there = answer.status_code == 200
        return answer if is_there and answer.json()["status"] == "active" and answer.json()["sessions"] else None


@schemathesis.auth(refresh_interval=None)
class SignedIn:
    """The bearer token of a living session, or a service's credentials where those are asked for."""

    def get(self, case, context):
        if case.path == "/oauth/introspect":
            return CLIENT
        with lock:
            return (ADMIN if case.path.startswith("/admin/") else PERSON).living()

    def set(self, case, data, context):
        case.headers = case.headers or {}
        if data is CLIENT:
            case.headers["Authorization"] = requests.auth._basic_auth_str(*CLIENT)
        else:
            case.headers["Authorization"] = f"Bearer {data}"


@schemathesis.serializer(*TEXTS)
def as_text(context, value):
    """A file of rows is sent as it is."""
    return value if isinstance(value, bytes) else str(value).encode()


def is_made_up(case, location):
    """Whether this part of a case is as the document allows it, and comes from nowhere but chance."""
    if case.meta is None:
        return True
    return case.meta.phase.name is not TestPhase.STATEFUL and not case.meta.is_negative_at(location)


def hits(text, of=4):
    """All but one of so many: chosen by the data, so that the same data is the same case."""
    return sum(str(text).encode()) % of != 0


# Of accounts and their states there are too many for any to be met by chance. Most cases about an account are about one that
# there is, and most conditional ones name its present state. In sequences of calls, ids come from the calls before.
@schemathesis.hook
def before_call(context, case, kwargs):
    parameters, headers = case.path_parameters or {}, case.headers or {}
    if not case.path.startswith("/admin/"):
        return
    if "{id}" in case.path and is_made_up(case, ParameterLocation.PATH) and hits(parameters.get("id")):
        parameters["id"], tag = Target.living()
        if headers.get("If-Match") and is_made_up(case, ParameterLocation.HEADER) and hits(headers["If-Match"]):
            headers["If-Match"] = tag
    if case.media_type in TEXTS and case.path == "/admin/import" and not isinstance(case.body, (str, bytes)):
        # On its way a text has no other type than that, whatever it was made of.
        case.body = str(case.body)
    if case.path == "/admin/import" and is_made_up(case, ParameterLocation.BODY) and hits(case.body):
        row = {"email": new_email("moved"), "display_name": "Ada"}
        query = case.query or {}
        query.pop("from", None)
        if case.media_type == "text/csv":
            case.body = "\n".join([",".join(row), ",".join(row.values()), ""])
        else:
            case.body = row if case.media_type == "application/json" else json.dumps(row) + "\n"


# An address that nobody has, and a password that isn't easy to guess: neither can be said in a schema, so that data which
# the schema allows makes an account now and then.
@schemathesis.hook
def map_body(context, body):
    if context.operation.label in ("POST /users/", "POST /admin/users", "PATCH /admin/users/{id}") and isinstance(body, dict):
        if isinstance(body.get("email"), str):
            body["email"] = new_email("case")
        if isinstance(body.get("password"), str):
            body["password"] = "velvet-harbor-cinder-52"
    return body
