"""Hashes as their own libraries write them, one a line: format, password, hash, separated by tabs.

    pip install -r requirements.txt && npm install && (python make.py && node make.mjs && java Make.java) > foreign.txt

Python 3.11 or 3.12 on Linux with libxcrypt 4.4 (`crypt` is gone from 3.13); OpenJDK 17. Salts are random: made again, the file differs.
"""

import base64
import crypt
import hashlib
import os
import struct
import warnings

import django
from django.conf import settings

warnings.simplefilter("ignore")
settings.configure()
django.setup()

from django.contrib.auth import hashers
from firebase_scrypt.firebasescrypt import encrypt, generate_derived_key
from passlib import hash as passlib_hash
from werkzeug.security import generate_password_hash

# The second is in NFC, is changed by NFKC, and has bytes over 127 in every place of a four-byte word.
PASSWORDS = {"ascii": "correct horse", "wide": "crème ﬁne №1 кафе́ 🦊"}
# For formats that cut passwords or run longer with them.
LONG = {"empty": "", "long": "l0ng" * 50}


def line(name, password, text):
    print(name, password, text, sep="\t")


def aspnet_v3(password, prf, iterations, salt, length):
    """Microsoft.AspNetCore.Identity's PasswordHasher, HashPasswordV3, by its documented layout; held against its own vectors in
    published.rs."""
    name = ["sha1", "sha256", "sha512"][prf]
    subkey = hashlib.pbkdf2_hmac(name, password.encode(), salt, iterations, length)
    blob = b"\x01" + struct.pack(">III", prf, iterations, len(salt)) + salt + subkey
    return base64.b64encode(blob).decode()


def fbscrypt(password, cost, rounds, separator, signer, salt):
    """firebase-scrypt's digest in the text form of Supabase's GoTrue."""
    encoded = lambda data: base64.b64encode(data).decode()
    digest = encrypt(signer, generate_derived_key(password, salt, separator, rounds, cost))
    return (
        f"$fbscrypt$v=1,n={cost},r={rounds},p=1,ss={encoded(separator)},sk={encoded(signer)}"
        f"${encoded(salt)}${encoded(digest)}"
    )


for key, text in (PASSWORDS | LONG).items():
    line("django bcrypt_sha256", key, hashers.BCryptSHA256PasswordHasher().encode(text, b"$2b$04$abcdefghijklmnopqrstuu"))
    for hasher in (hashers.PBKDF2PasswordHasher(), hashers.PBKDF2SHA1PasswordHasher()):
        line(f"django {hasher.algorithm}", key, hasher.encode(text, hasher.salt(), 1000))
    line("passlib pbkdf2-sha256", key, passlib_hash.pbkdf2_sha256.using(rounds=1000).hash(text))
    line("passlib ldap_salted_sha1", key, passlib_hash.ldap_salted_sha1.hash(text))
    for prefix in ("$5$", "$6$"):
        line(f"libxcrypt {prefix}", key, crypt.crypt(text, prefix + "rounds=1000$saltstring"))

for key, text in PASSWORDS.items():
    line("libxcrypt $2x$", key, crypt.crypt(text, "$2x$04$abcdefghijklmnopqrstuu"))
    line("libxcrypt $2a$", key, crypt.crypt(text, "$2a$04$abcdefghijklmnopqrstuu"))
    line("libxcrypt $5$", key, crypt.crypt(text, "$5$saltstringsaltst"))
    line("libxcrypt $6$", key, crypt.crypt(text, "$6$saltstringsaltst"))
    line("libxcrypt $6$", key, crypt.crypt(text, "$6$s"))
    line("passlib sha256_crypt", key, passlib_hash.sha256_crypt.using(rounds=1001).hash(text))
    line("passlib sha512_crypt", key, passlib_hash.sha512_crypt.using(rounds=5000).hash(text))
    line("passlib ldap_sha512_crypt", key, passlib_hash.ldap_sha512_crypt.using(rounds=1000).hash(text))
    line("django bcrypt", key, hashers.BCryptPasswordHasher().encode(text, b"$2b$04$abcdefghijklmnopqrstuu"))
    argon2 = hashers.Argon2PasswordHasher()
    argon2.time_cost, argon2.memory_cost, argon2.parallelism = 1, 64, 8
    line("django argon2", key, argon2.encode(text, argon2.salt()))
    line("django pbkdf2_sha256", key, hashers.PBKDF2PasswordHasher().encode(text, "salt"))
    line("django scrypt", key, hashers.ScryptPasswordHasher().encode(text, hashers.ScryptPasswordHasher().salt(), 2**10))
    line("passlib scrypt", key, passlib_hash.scrypt.using(rounds=10, salt_size=16).hash(text))
    line("passlib pbkdf2", key, passlib_hash.pbkdf2_sha1.using(rounds=1000).hash(text))
    line("passlib pbkdf2-sha512", key, passlib_hash.pbkdf2_sha512.using(rounds=1000).hash(text))
    line("passlib ldap_salted_sha256", key, passlib_hash.ldap_salted_sha256.hash(text))
    line("passlib ldap_salted_sha512", key, passlib_hash.ldap_salted_sha512.using(salt_size=16).hash(text))
    line("werkzeug scrypt", key, generate_password_hash(text))
    line("werkzeug pbkdf2", key, generate_password_hash(text, "pbkdf2:sha256:1000"))
    line("werkzeug pbkdf2", key, generate_password_hash(text, "pbkdf2:sha1:1000", 8))
    line("werkzeug pbkdf2", key, generate_password_hash(text, "pbkdf2:sha512:1000"))
    for prf, iterations, length in ((0, 1000, 32), (1, 10_000, 32), (2, 100_000, 32), (2, 1000, 64)):
        line("aspnet v3", key, aspnet_v3(text, prf, iterations, os.urandom(16), length))
    line("firebase", key, fbscrypt(text, 10, 8, b"\x07", os.urandom(64), os.urandom(16)))
    line("firebase", key, fbscrypt(text, 14, 8, b"\x07", os.urandom(64), os.urandom(12)))
