"""A mail server made of aiosmtpd that keeps what it gets, for end-to-end tests.

  FOLDER=mails PORT=0 python smtp_run.py    each mail becomes a file in FOLDER: 1.eml, 2.eml, …

With CERT and KEY (files in PEM) it takes mail by STARTTLS only; with LOGIN and PASSWORD only from who
signs in. Ends on SIGTERM, and by itself after MAX_SECONDS, so that a broken test run leaves nothing behind.
"""

import asyncio
import os
import resource
import signal
import ssl
import sys
from pathlib import Path

from aiosmtpd.smtp import SMTP, AuthResult

HOST = "127.0.0.1"
MAX_MEMORY_BYTES = 1 << 30
MAX_MAIL_BYTES = 1 << 20


class Keeper:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.count = 0

    async def handle_DATA(self, _server, _session, envelope):
        self.count += 1
        # Whole when it has its name.
        new = self.folder / f"{self.count}.new"
        new.write_bytes(envelope.content)
        new.rename(self.folder / f"{self.count}.eml")
        return "250 OK"


def main() -> None:
    folder = os.environ.get("FOLDER")
    max_seconds = int(os.environ.get("MAX_SECONDS", "3600"))
    if not folder or not 0 < max_seconds <= 86_400:
        sys.exit("usage: FOLDER=mails [PORT=0] [MAX_SECONDS=3600] python smtp_run.py")
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM):
        signal.signal(number, lambda *_: sys.exit(0))
    signal.alarm(max_seconds)

    options = {"data_size_limit": MAX_MAIL_BYTES, "enable_SMTPUTF8": True}
    if certificate := os.environ.get("CERT"):
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate, os.environ["KEY"])
        options |= {"tls_context": context, "require_starttls": True}
    if login := os.environ.get("LOGIN"):
        known = (login.encode(), os.environ["PASSWORD"].encode())

        def authenticate(_server, _session, _envelope, _mechanism, given):
            # Not handled: the server answers 535 itself.
            is_known = (given.login, given.password) == known
            return AuthResult(success=is_known, handled=False)

        options |= {"authenticator": authenticate, "auth_required": True}

    async def serve() -> None:
        keeper = Keeper(Path(folder))
        loop = asyncio.get_running_loop()
        port = int(os.environ.get("PORT", "0"))
        server = await loop.create_server(lambda: SMTP(keeper, loop=loop, **options), HOST, port)
        address = server.sockets[0].getsockname()
        print(f"listening on {HOST}:{address[1]}", flush=True)
        await server.serve_forever()

    asyncio.run(serve())


if __name__ == "__main__":
    main()
