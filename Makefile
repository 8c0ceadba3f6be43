# flask2ban: `make help` lists the targets.
SHELL := /bin/bash
.DEFAULT_GOAL := help

BIN     := bin
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X main.release=$(VERSION)
# Measured under the load of bench-peers (make pgo). Its name is not default.pgo, so that tests are
# not compiled with it: that takes three times as long.
PGO     := cmd/flask2ban/cpu.pgo
APT     := python3-flask gunicorn python3-httpbin python3-gevent python3-waitress \
           python3-flask-socketio python3-websocket python3-gevent-websocket bash-completion \
           python3-prometheus-client curl redis-server systemd systemd-container slowhttptest python3-websockets \
           uvicorn python3-hypercorn python3-eventlet python3-asgiref uwsgi-core uwsgi-plugin-python3 \
           nginx libnginx-mod-stream caddy haproxy prometheus tmux chromium zsh fish
# A count, not a time: Go below 1.27 can report the end of a time as a failure (golang/go#75804).
FUZZTIME ?= 200000x

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run
run: build flask ## install Flask if missing, build, and serve examples/hello on :8080, protected
	@echo "serving examples/hello on http://localhost:8080 - end with Ctrl-C"
	$(BIN)/flask2ban examples/hello/app.py --listen :8080

.PHONY: build
build: ## build the binaries into bin/
	CGO_ENABLED=0 go build -trimpath -pgo=$(PGO) -ldflags '$(LDFLAGS)' -o $(BIN)/ ./cmd/...

.PHONY: flask
flask: ## make sure that some Python here can import Flask
	@.ci/install-flask

.PHONY: deps
deps: ## install what the tests need (apt; no-op where it is there)
	@.ci/install-test-deps $(APT)

.PHONY: test
test: deps ## install what the tests need and run all of them with the race detector
	go test -race -timeout 45m ./...

.PHONY: lint
lint: ## gofmt, go vet, staticcheck, go.mod tidy
	@out=$$(gofmt -l $$(git ls-files '*.go')); test -z "$$out" || { echo "gofmt needed: $$out"; exit 1; }
	go vet ./...
	go tool staticcheck ./...
	go mod tidy -diff

.PHONY: fuzz
fuzz: ## run each fuzz target FUZZTIME (200000x) times
	@grep -rlE --include='*_test.go' '^func Fuzz' . | while read -r f; do \
	  for t in $$(grep -oE '^func (Fuzz[A-Za-z0-9_]*)' $$f | cut -d' ' -f2); do \
	    echo "== $$t in $$(dirname $$f)"; \
	    go test $$(dirname $$f) -run '^$$' -fuzz "^$$t\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x || exit 1; \
	  done; done

.PHONY: bench
bench: ## run the Go benchmarks
	go test -run '^$$' -bench . -benchmem ./...

.PHONY: bench-peers
bench-peers: ## install and measure nginx, HAProxy, Caddy beside us; write bench/RESULTS.md
	go run ./bench/peers -dir bench $(PEERS)

.PHONY: pgo
pgo: ## measure anew what flask2ban's CPU time goes to, for the compiler (two minutes)
	go run ./bench/peers -dir bench -rounds 1 -length 4s -only '^(forward|refuse|accept|scan|down|up|tls|h2c)' -profile $(CURDIR)/$(PGO)

.PHONY: bench-overload
bench-overload: ## measure priority and goodput of an overloaded app beside nginx, HAProxy; write bench/OVERLOAD.md
	go run ./bench/peers -overload -rounds 3 -length 15s -dir bench $(OVERLOAD)

.PHONY: bench-workers
bench-workers: deps build ## measure what --workers brings, fixed and elastic; write bench/WORKERS.md (three minutes)
	go run ./bench/workers $(WORKERS)

.PHONY: screenshots
screenshots: deps ## take the pictures of the status page in docs/images anew (Chromium; three minutes)
	SCREENSHOTS=$(CURDIR)/docs/images go test ./internal/e2e -run '^TestStatusPageScreenshots$$' -count 1 -v

.PHONY: smuggling
smuggling: ## send requests that parsers disagree on; write bench/SMUGGLING.md
	go run ./bench/smuggling

.PHONY: faults
faults: deps build ## break real apps under load in every way, then 10 calm minutes; write bench/FAULTS.md (20 min)
	go run ./bench/faults -out bench/FAULTS.md $(FAULTS)

.PHONY: docs
docs: ## write docs/reference and docs/man from the commands, settings and metrics
	go test ./cmd/... ./internal/metrics -run ReferenceIsCurrent -update

.PHONY: clean
clean: ## remove what the build made
	rm -rf $(BIN)
