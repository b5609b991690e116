"""A real mail server (aiosmtpd) that prints what it takes: one JSON object a line, its port first.

    mail_server.py PORT TLS CERTIFICATE KEY USER PASSWORD SECONDS

TLS is none, starttls or start; without USER nobody has to sign in; SECONDS is how long it takes over each mail.
Mailboxes that begin with "no-such-user" don't exist.
"""

import asyncio
import json
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult

port, tls, certificate, key, user, password, seconds = sys.argv[1:]


class Handler:
    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("no-such-user"):
            return "550 5.1.1 There is no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        await asyncio.sleep(float(seconds))
        mail = {
            "to": envelope.rcpt_tos,
            "is_encrypted": session.ssl is not None or tls == "start",
            "user": session.auth_data.login.decode() if session.auth_data else None,
            "content": envelope.content.decode(),
        }
        print(json.dumps(mail), flush=True)
        return "250 Taken"


def authenticate(server, session, envelope, mechanism, data):
    is_right = (data.login, data.password) == (user.encode(), password.encode())
    return AuthResult(success=is_right, auth_data=data)


async def main():
    context = None
    if tls != "none":
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate, key)

    def protocol():
        return SMTP(
            Handler(),
            enable_SMTPUTF8=True,
            tls_context=context if tls == "starttls" else None,
            require_starttls=tls == "starttls",
            auth_required=bool(user),
            auth_require_tls=tls == "starttls",
            authenticator=authenticate,
        )

    server = await asyncio.get_running_loop().create_server(
        protocol, "127.0.0.1", int(port), ssl=context if tls == "start" else None
    )
    print(json.dumps({"port": server.sockets[0].getsockname()[1]}), flush=True)
    await server.serve_forever()


asyncio.run(main())
