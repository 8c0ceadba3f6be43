# flask2ban with Python and Flask beside it: for an app mounted at /app, or as a
# sidecar with --upstream, where the Python is not used.
#
#   docker build -t flask2ban .
#   docker run -p 80:8080 -v ./myapp:/app:ro -v flask2ban:/state flask2ban app.py
#   docker run ... flask2ban --upstream http://app:5000 /app/app.py

FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=dev
RUN CGO_ENABLED=0 go build -trimpath -pgo=cmd/flask2ban/cpu.pgo -ldflags "-s -w -X main.release=${VERSION}" -o /out/ ./cmd/...

FROM debian:bookworm-slim
RUN apt-get update \
 && apt-get install -y --no-install-recommends python3-flask gunicorn ca-certificates \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 10001 --create-home --home-dir /home/app app \
 && install -d -o app -g app -m 0700 /state
COPY --from=build /out/ /usr/local/bin/
USER app
WORKDIR /app
ENV FLASK2BAN_LISTEN=:8080 \
    FLASK2BAN_STATE=/state \
    PYTHONUNBUFFERED=1
VOLUME /state
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s CMD ["flask2ban", "status", "--state", "/state"]
ENTRYPOINT ["flask2ban"]
