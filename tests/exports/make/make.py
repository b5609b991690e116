"""Makes the exports beside this folder, with the libraries that made the hashes in them.

    python3 -m venv v && v/bin/pip install -r requirements.txt && v/bin/python make.py

Salts are chance, so another run makes other files. The password is PASSWORD everywhere, but in Firebase's, which is
the example of its own documentation.
"""

import base64
import csv
import hashlib
import io
import json
import os
import pathlib
import sqlite3
import tempfile

PASSWORD = "correct horse battery staple"
FOLDER = pathlib.Path(__file__).resolve().parent.parent


def b64(data):
    return base64.b64encode(data).decode()


def write_csv(name, header, rows):
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    (FOLDER / name).write_text(out.getvalue())


def django():
    import django
    from django.conf import settings

    path = tempfile.mktemp()
    settings.configure(
        INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes"],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": path}},
        USE_TZ=True,
        PASSWORD_HASHERS=[
            f"django.contrib.auth.hashers.{name}PasswordHasher"
            for name in ["PBKDF2", "PBKDF2SHA1", "Argon2", "BCryptSHA256", "Scrypt"]
        ],
    )
    django.setup()
    from django.contrib.auth.hashers import make_password
    from django.contrib.auth.models import User
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    User.objects.create_superuser("ada", "Ada@Example.org", PASSWORD, first_name="Ada", last_name="Lovelace")
    for name, hasher in [("grace", "argon2"), ("edsger", "bcrypt_sha256"), ("barbara", "scrypt"), ("kurt", "pbkdf2_sha1")]:
        user = User.objects.create_user(name, f"{name}@example.org")
        user.password = make_password(PASSWORD, hasher=hasher)
        user.is_active = name != "edsger"
        user.save()
    User.objects.create_user("alan", "alan@example.org", first_name="Alan")
    User.objects.create_user("nobody", "", PASSWORD)
    database = sqlite3.connect(path)
    columns = "id,password,last_login,is_superuser,username,first_name,last_name,email,is_staff,is_active,date_joined"
    write_csv("django.csv", columns.split(","), database.execute(f"SELECT {columns} FROM auth_user ORDER BY id"))
    os.remove(path)


def fastapi_users():
    from fastapi_users.password import PasswordHelper
    from pwdlib import PasswordHash
    from pwdlib.hashers.bcrypt import BcryptHasher

    of_today = PasswordHelper()
    of_yesterday = PasswordHelper(PasswordHash((BcryptHasher(rounds=6),)))
    rows = [
        ["ada@example.org", of_today.hash(PASSWORD), "t", "t", "t", "0d2f4f0e-6a0b-4c7a-9a55-7f3f2c9e1d10", "Ada"],
        ["grace@example.org", of_yesterday.hash(PASSWORD), "f", "f", "f", "5f8f8c44-1f0c-4e58-8f3d-0b6f0b0a9b7e", ""],
    ]
    header = ["email", "hashed_password", "is_active", "is_superuser", "is_verified", "id", "first_name"]
    write_csv("fastapi-users.csv", header, rows)


def supabase():
    import bcrypt

    def hashed():
        return bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(6, prefix=b"2a")).decode()

    users = [
        {
            "id": "8d3a1c1e-4a0f-4f0c-9a53-1f6c5f6f2a01", "aud": "authenticated", "role": "authenticated",
            "email": "ada@example.org", "encrypted_password": hashed(),
            "email_confirmed_at": "2024-01-15 10:30:00.123456+00", "confirmation_token": "still-good",
            "recovery_token": "", "last_sign_in_at": "2024-05-31 09:30:00.5+00",
            "raw_app_meta_data": {"provider": "email", "providers": ["email"], "role": "admin"},
            "raw_user_meta_data": {"full_name": "Ada Lovelace", "role": "admin", "supabase": {"role": "admin"}},
            "is_super_admin": None, "created_at": "2024-01-15 10:29:00+00", "updated_at": "2024-05-31 09:30:00.5+00",
            "phone": None, "banned_until": None, "is_sso_user": False, "deleted_at": None, "is_anonymous": False,
        },
        {
            "id": "8d3a1c1e-4a0f-4f0c-9a53-1f6c5f6f2a02", "aud": "authenticated", "role": "authenticated",
            "email": "grace@example.org", "encrypted_password": "", "email_confirmed_at": None,
            "confirmation_token": "", "recovery_token": "", "last_sign_in_at": None,
            "raw_app_meta_data": {"provider": "github", "providers": ["github"]}, "raw_user_meta_data": {},
            "is_super_admin": None, "created_at": "2024-01-16 00:00:00+00", "updated_at": "2024-01-16 00:00:00+00",
            "phone": None, "banned_until": "2123-01-01 00:00:00+00", "is_sso_user": False, "deleted_at": None,
            "is_anonymous": False,
        },
        {
            "id": "8d3a1c1e-4a0f-4f0c-9a53-1f6c5f6f2a03", "aud": "authenticated", "role": "authenticated",
            "email": "gone@example.org", "encrypted_password": "", "email_confirmed_at": None,
            "confirmation_token": "", "recovery_token": "", "last_sign_in_at": None, "raw_app_meta_data": {},
            "raw_user_meta_data": {}, "is_super_admin": None, "created_at": "2024-01-16 00:00:00+00",
            "updated_at": "2024-01-16 00:00:00+00", "phone": None, "banned_until": "2020-01-01 00:00:00+00",
            "is_sso_user": False, "deleted_at": "2024-02-01 00:00:00+00", "is_anonymous": False,
        },
    ]
    (FOLDER / "supabase.json").write_text(json.dumps(users, indent=1) + "\n")
    cell = lambda v: "" if v is None else ("t" if v else "f") if isinstance(v, bool) else json.dumps(v) if isinstance(v, dict) else v
    write_csv("supabase.csv", list(users[0]), [[cell(value) for value in user.values()] for user in users])


def firebase():
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    key = base64.b64decode("jxspr8Ki0RYycVU8zykbdLGjFQ3McFUH0uiiTvC8pVMXAn210wjLNmdZJzxUECKbm0QsEmYUSDzZvpjeJ9WmXA==")
    separator, salt = b"\x07", base64.b64decode("42xEC+ixf3L2lw==")
    derived = hashlib.scrypt(b"user1password", salt=salt + separator, n=1 << 14, r=8, p=1, maxmem=64 << 20, dklen=64)
    cipher = Cipher(algorithms.AES(derived[:32]), modes.CTR(bytes(16))).encryptor()
    digest = cipher.update(key) + cipher.finalize()
    assert b64(digest) == "lSrfV15cpx95/sZS2W9c9Kp6i/LVgQNDNC/qzrCnh1SAyZvqmZqAjTdn3aoItz+VHjoZilo78198JAdRuid5lQ=="
    (FOLDER / "firebase-config.txt").write_text(
        "hash_config {\n  algorithm: SCRYPT,\n"
        f"  base64_signer_key: {b64(key)},\n  base64_salt_separator: {b64(separator)},\n"
        "  rounds: 8,\n  mem_cost: 14,\n}\n"
    )
    users = [
        {
            "localId": "kRtp9sVmYxQ3b1W2c5u8", "email": "ada@example.org", "emailVerified": True,
            "passwordHash": base64.urlsafe_b64encode(digest).decode(), "salt": base64.urlsafe_b64encode(salt).decode(),
            "displayName": "Ada Lovelace", "lastSignedInAt": "1717147800500", "createdAt": "1705314600000",
            "disabled": False, "customAttributes": '{"admin":true}',
            "providerUserInfo": [
                {"providerId": "google.com", "rawId": "1157", "email": "ada@example.org", "displayName": "Ada"}
            ],
        },
        {
            "localId": "0aZ", "emailVerified": False, "phoneNumber": "+15555550100", "createdAt": "1705314600000",
            "disabled": False, "providerUserInfo": [],
        },
        {
            "localId": "1bY", "email": "grace@example.org", "emailVerified": False, "createdAt": "1705314600000",
            "disabled": True, "providerUserInfo": [],
        },
    ]
    (FOLDER / "firebase.json").write_text(json.dumps({"users": users}, indent=2) + "\n")


def keycloak():
    from argon2.low_level import Type, hash_secret_raw

    def credential(value, salt, data):
        return [{
            "id": "6f0b2f57-5a8e-4f43-8a35-6d8c0d2f7b10", "type": "password", "userLabel": "My password",
            "createdDate": 1705314600000,
            "secretData": json.dumps({"value": b64(value), "salt": b64(salt), "additionalParameters": {}}, separators=(",", ":")),
            "credentialData": json.dumps(data, separators=(",", ":")),
        }]

    def pbkdf2(algorithm, digest, iterations, length):
        salt = os.urandom(16)
        value = hashlib.pbkdf2_hmac(digest, PASSWORD.encode(), salt, iterations, length)
        return credential(value, salt, {"hashIterations": iterations, "algorithm": algorithm, "additionalParameters": {}})

    salt = os.urandom(16)
    value = hash_secret_raw(PASSWORD.encode(), salt, 5, 7168, 1, 32, Type.ID)
    parameters = {"hashLength": ["32"], "memory": ["7168"], "type": ["id"], "version": ["1.3"], "parallelism": ["1"]}
    argon2 = credential(value, salt, {"hashIterations": 5, "algorithm": "argon2", "additionalParameters": parameters})
    credentials = {
        "ada": argon2,
        "grace": pbkdf2("pbkdf2-sha512", "sha512", 30000, 64),
        "edsger": pbkdf2("pbkdf2-sha256", "sha256", 27500, 64),
        "barbara": pbkdf2("pbkdf2", "sha1", 20000, 64),
        "alan": [],
    }
    users = [
        {
            "id": f"c0ffee00-0000-4000-8000-00000000000{number}", "username": name, "firstName": name.title(),
            "lastName": "Example", "email": f"{name}@example.org", "emailVerified": number == 1,
            "attributes": {"locale": ["de"], "team": ["engines"]} if number == 1 else {},
            "createdTimestamp": 1705314600000 + number, "enabled": name != "edsger", "totp": False,
            "credentials": credentials[name], "disableableCredentialTypes": [], "requiredActions": [],
            "realmRoles": ["default-roles-shop", "editor", "admin", "Head of Sales"] if number == 1 else ["default-roles-shop"],
            "notBefore": 0, "groups": ["/staff"] if number == 1 else [],
        }
        for number, name in enumerate(credentials, 1)
    ]
    users.append({
        "id": "c0ffee00-0000-4000-8000-000000000009", "username": "service-account-shop", "emailVerified": False,
        "createdTimestamp": 1705314600000, "enabled": True, "serviceAccountClientId": "shop", "credentials": [],
        "realmRoles": ["default-roles-shop"],
    })
    realm = {"id": "shop", "realm": "shop", "enabled": True, "roles": {"realm": [{"name": "editor"}]}, "users": users, "clients": []}
    (FOLDER / "keycloak.json").write_text(json.dumps(realm, indent=2) + "\n")


def auth0():
    import bcrypt

    def hashed():
        return bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(6)).decode()

    salt = os.urandom(16)
    scrypt = hashlib.scrypt(PASSWORD.encode(), salt=salt, n=1 << 14, r=8, p=1, maxmem=64 << 20, dklen=64)
    lines = [
        {
            "_id": {"$oid": "60425dc43519d90068f82973"}, "email_verified": False, "email": "ada@example.org",
            "passwordHash": hashed(), "password_set_date": {"$date": "2021-03-05T16:32:52.903Z"}, "tenant": "dev-1",
            "connection": "Username-Password-Authentication", "_tmp_is_unique": True,
        },
        {
            "user_id": "auth0|60425dc43519d90068f82974", "email": "grace@example.org", "email_verified": True,
            "custom_password_hash": {"algorithm": "bcrypt", "hash": {"value": hashed()}},
            "given_name": "Grace", "family_name": "Hopper", "name": "grace@example.org", "nickname": "grace",
            "user_metadata": {"theme": "dark"}, "app_metadata": {"roles": ["admin"]}, "blocked": True,
            "created_at": "2021-03-05T16:00:00.000Z", "updated_at": "2021-03-06T16:00:00.000Z",
            "last_login": "2021-03-06T16:00:00.000Z",
        },
        {
            "user_id": "auth0|60425dc43519d90068f82975", "email": "barbara@example.org", "email_verified": True,
            "custom_password_hash": {
                "algorithm": "scrypt", "hash": {"value": scrypt.hex(), "encoding": "hex"},
                "salt": {"value": b64(salt), "encoding": "base64"}, "keylen": 64, "cost": 16384, "blockSize": 8,
                "parallelization": 1,
            },
            "name": "Barbara Liskov",
        },
        {
            "user_id": "auth0|60425dc43519d90068f82976", "email": "old@example.org", "email_verified": True,
            "custom_password_hash": {
                "algorithm": "md5", "hash": {"value": hashlib.md5(b"x").hexdigest(), "encoding": "hex"},
            },
        },
    ]
    (FOLDER / "auth0.jsonl").write_text("".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines))


for make in [django, fastapi_users, supabase, firebase, keycloak, auth0]:
    make()
