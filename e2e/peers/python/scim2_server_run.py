"""A SCIM 2.0 service provider made of scim2-server and its in-memory store, for end-to-end tests.

  TOKEN=secret PORT=0 python scim2_server_run.py    the provider is then at http://127.0.0.1:PORT/v2

The package's own command does the same, but for a free port: it prints the port it was told.
Ends on SIGTERM, and by itself after MAX_SECONDS, so that a broken test run leaves nothing behind.
"""

import os
import resource
import signal
import sys
from wsgiref.simple_server import WSGIRequestHandler, make_server

from scim2_server.memory import InMemoryStorage
from scim2_server.testserver.application import BEARER_TOKEN_SCHEME, BearerTokenApplication
from scim2_server.testserver.cli import ThreadingWSGIServer
from scim2_server.utils import load_default_provider

HOST = "127.0.0.1"
MAX_MEMORY_BYTES = 2 << 30
MAX_BODY_BYTES = 4 << 20


class QuietHandler(WSGIRequestHandler):
    timeout = 30

    def log_message(self, *_):
        pass


class Server(ThreadingWSGIServer):
    # The standard five would leave clients waiting when many of them connect at a time.
    request_queue_size = 128


def bounded(application):
    """The package bounds the bodies of bulk requests only."""

    def answer(environ, start_response):
        if int(environ.get("CONTENT_LENGTH") or 0) > MAX_BODY_BYTES:
            start_response("413 Content Too Large", [("Content-Length", "0")])
            return [b""]
        return application(environ, start_response)

    return answer


def main() -> None:
    token = os.environ.get("TOKEN")
    port = int(os.environ.get("PORT", "0"))
    max_seconds = int(os.environ.get("MAX_SECONDS", "3600"))
    if not token or not 0 < max_seconds <= 86_400:
        sys.exit("usage: TOKEN=secret [PORT=0] [MAX_SECONDS=3600] python scim2_server_run.py")

    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM):
        signal.signal(number, lambda *_: sys.exit(0))
    signal.alarm(max_seconds)

    provider = load_default_provider()
    provider.config.authentication_schemes = [BEARER_TOKEN_SCHEME]
    application = BearerTokenApplication(InMemoryStorage(), provider, bearer_tokens=[token])
    served = bounded(application)
    with make_server(HOST, port, served, Server, QuietHandler) as server:
        print(f"listening on http://{HOST}:{server.server_port}", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
