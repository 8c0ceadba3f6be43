#!/usr/bin/env bash
# Runs the test-suite of psf/requests against httpbin directly and through
# flask2ban, and compares test by test.
#
#   bench/requests.sh DIR    a checkout of psf/requests at the version of
#                            Debian's python3-requests (2.28.1)
#
# Needs: python3-requests python3-pytest python3-pytest-httpbin
# python3-pytest-mock python3-socks python3-trustme python3-httpbin gunicorn
set -euo pipefail
suite=$(realpath "${1:?a checkout of psf/requests}")
root=$(realpath "$(dirname "$0")/..")
work=$(mktemp -d)
python=/usr/bin/python3 # Debian's, which has the packages
pids=()
trap 'for p in "${pids[@]}"; do kill "$p" 2>/dev/null || true; done; wait; rm -rf "$work"' EXIT

(cd "$root" && go build -o "$work/flask2ban" ./cmd/flask2ban)
read -r app front < <("$python" - <<'PY'
import socket
socks = [socket.socket() for _ in range(2)]
for s in socks:
    s.bind(("127.0.0.1", 0))
print(*[s.getsockname()[1] for s in socks])
PY
)
gunicorn --threads 8 -b "127.0.0.1:$app" httpbin:app >"$work/gunicorn.log" 2>&1 &
pids+=($!)
"$work/flask2ban" "$("$python" -c 'import httpbin.core; print(httpbin.core.__file__)')" --upstream "http://127.0.0.1:$app" \
  --listen "127.0.0.1:$front" --admin off --state "$work/state" >"$work/flask2ban.log" 2>&1 &
pids+=($!)
for port in "$app" "$front"; do
  for _ in $(seq 100); do (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && break; sleep 0.1; done
done

# The suite's own server is replaced by one that runs already.
cp -r "$suite" "$work/suite"
sed -i -e '1i import os' -e 's/^def httpbin(httpbin):/def httpbin():/' \
  -e 's/return prepare_url(httpbin)$/return prepare_url(type("Running", (), {"url": os.environ["HTTPBIN"]}))/' "$work/suite/tests/conftest.py"
run() {
  (cd "$work/suite" && HTTPBIN="http://127.0.0.1:$2" PYTHONPATH="$work/suite" timeout 280 \
    "$python" -m pytest -q -p no:cacheprovider -rA tests >"$work/$1.log" 2>&1) || true
  grep -E '^(PASSED|FAILED|ERROR|SKIPPED|XFAIL|XPASS) ' "$work/$1.log" | sed 's/ - .*//' | sort >"$work/$1.results" || true
  printf '%-8s %s\n' "$1" "$(tail -1 "$work/$1.log")"
}
run direct "$app"
run through "$front"
[ -s "$work/direct.results" ] || { tail -20 "$work/direct.log"; exit 1; }
if diff "$work/direct.results" "$work/through.results"; then echo "the same, test by test"; else exit 1; fi
