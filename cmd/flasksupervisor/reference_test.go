package main

import (
	"flag"
	"io"
	"os"
	"testing"

	"github.com/flask2ban/flask2ban/internal/cmdline"
	"github.com/flask2ban/flask2ban/internal/reference"
)

var update = flag.Bool("update", false, "write the reference documentation anew")

// TestReferenceIsCurrent holds docs/ to the commands.
func TestReferenceIsCurrent(t *testing.T) {
	c := &cli{cmdline.Program{
		Name: "flasksupervisor", Getenv: func(string) string { return "" },
		Stdin: os.Stdin, Stdout: io.Discard, Stderr: io.Discard,
	}}
	if err := reference.HoldProgram("../../docs", "flasksupervisor.md", c.rootCommand(), nil, *update); err != nil {
		t.Error(err)
	}
}
