package main

import "github.com/flask2ban/flask2ban/internal/cmdline"

// release is the version where the linker sets it:
// go build -ldflags "-X main.release=v1.2.3".
var release string

func version() string { return cmdline.Version(release) }
