"""A mail server and a system that takes webhooks, both over TLS, for the tests of notices.

Its one argument is JSON: certificate, key, a folder, user and password. What comes is appended to `mails.jsonl` and
`hooks.jsonl` of the folder. `control.json` there says what it does: `mail` is a refusal such as `451 later`; `hooks` has a
status by path; `slow` names a path that never answers. It is read anew each time.
"""

import asyncio
import json
import pathlib
import ssl
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from aiosmtpd.smtp import SMTP, AuthResult

settings = json.loads(sys.argv[1])
folder = pathlib.Path(settings["folder"])
lock = threading.Lock()


def control():
    with lock:
        return json.loads((folder / "control.json").read_text())


def keep(name, what):
    with lock, open(folder / name, "a") as file:
        file.write(json.dumps(what) + "\n")


def context():
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(settings["certificate"], settings["key"])
    return made


class Mails:
    async def handle_DATA(self, server, session, envelope):
        refusal = control().get("mail")
        keep("tries.jsonl", {"to": envelope.rcpt_tos})
        if refusal:
            return refusal
        keep("mails.jsonl", {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "message": envelope.content.decode(),
            "tls": session.ssl["cipher"][1] if session.ssl else None,
        })
        return "250 OK"


def authenticated(server, session, envelope, mechanism, data):
    right = data.login.decode() == settings["user"] and data.password.decode() == settings["password"]
    return AuthResult(success=right)


class Hooks(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        orders = control()
        if orders.get("slow") == self.path:
            keep("tries.jsonl", {"path": self.path})
            time.sleep(600)
        status = orders.get("hooks", {}).get(self.path, 204)
        keep("hooks.jsonl", {
            "path": self.path,
            "status": status,
            "headers": {name.lower(): value for name, value in self.headers.items()},
            "body": body,
        })
        self.send_response(status)
        if status // 100 == 3:
            self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


async def main():
    def smtp():
        return SMTP(
            Mails(), tls_context=context(), require_starttls=True, authenticator=authenticated, auth_required=True)

    mails = await asyncio.get_running_loop().create_server(smtp, "127.0.0.1", 0)
    hooks = ThreadingHTTPServer(("127.0.0.1", 0), Hooks)
    hooks.daemon_threads = True
    # The handshake belongs to the thread of its connection.
    hooks.socket = context().wrap_socket(hooks.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=hooks.serve_forever, daemon=True).start()
    ports = {"smtp": mails.sockets[0].getsockname()[1], "https": hooks.server_address[1]}
    print(json.dumps(ports), flush=True)
    # It ends with the test that started it.
    await asyncio.to_thread(sys.stdin.read)


asyncio.run(main())
