"""A receiver of messages with a record of its own, in a process of its own. Run as a script: PORT-FILE RECORD-FILE.

Stdlib only. Each message is one line of JSON in the record before it is answered. ``/fail/CODE`` refuses with that
code, ``/hang`` never answers, anything else takes the message.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Handler(BaseHTTPRequestHandler):
    record: int

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        line = json.dumps({"path": self.path, "body": json.loads(body), "headers": dict(self.headers)}) + "\n"
        os.write(self.record, line.encode())  # one write, appended: whole or not at all
        parts = self.path.strip("/").split("/")
        if parts[0] == "hang":
            threading.Event().wait(60)
        code = int(parts[1]) if parts[0] == "fail" else 200
        self.send_response(code)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None: ...


def main(port_file: Path, record: Path) -> None:
    Handler.record = os.open(record, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    temporary = port_file.with_suffix(".new")
    temporary.write_text(str(server.server_address[1]))
    temporary.rename(port_file)
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    server.serve_forever()


def _leave_with_parent() -> None:
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
