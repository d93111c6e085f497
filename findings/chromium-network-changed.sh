#!/usr/bin/env bash
# Finding: Chromium gives up requests to 127.0.0.1 when any other network interface of the machine comes up: of twelve at
# once, those that wait for one of a host's six connections among them, with net::ERR_NETWORK_CHANGED, though loopback has
# not changed. A page whose scripts are fetched just then stays dead. Containers bring and take such interfaces all the
# time, so browser tests beside container tests fail now and then.
#
# Needs root, iproute2 and Debian's chromium. Seen with Chromium 156 driven by playwright 1.65: 10 of 12 failed, with
# net::ERR_ABORTED and net::ERR_NETWORK_CHANGED.
set -euo pipefail

work=$(mktemp -d)
trap 'ip link delete seen0 2>/dev/null || true; rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet playwright==1.65.2
cat >"$work/ask.py" <<'PYTHON'
import http.server
import subprocess
import threading
import time

from playwright.sync_api import sync_playwright


class Slow(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path.startswith("/slow"):
            time.sleep(5)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Slow)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_address[1]}"


def change():
    time.sleep(1)
    for what in ("add seen0 type veth peer name seen1", "set seen1 up", "set seen0 up"):
        subprocess.run(["ip", "link", *what.split()], check=True)
    subprocess.run(["ip", "address", "add", "192.0.2.1/32", "dev", "seen0"], check=True)


with sync_playwright() as tools:
    browser = tools.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
    page = browser.new_page()
    page.goto(url)
    failures = []
    page.on("requestfailed", lambda request: failures.append(request.failure))
    threading.Thread(target=change).start()
    page.evaluate("Promise.all([...Array(12)].map((_, number) => fetch(`/slow?${number}`).catch(() => null)))")
    print(f"{len(failures)} of 12 failed:", *sorted(set(failures)))
PYTHON
seen=$("$work/venv/bin/python" "$work/ask.py")
echo "Chromium, an interface comes up meanwhile: $seen"
[[ $seen == *net::ERR_NETWORK_CHANGED* ]]
