package main

import (
	"flag"
	"io"
	"os"
	"testing"

	"github.com/flask2ban/flask2ban/internal/reference"
)

var update = flag.Bool("update", false, "write the reference documentation anew")

// TestReferenceIsCurrent holds docs/ to the commands and settings.
func TestReferenceIsCurrent(t *testing.T) {
	c := &cli{getenv: func(string) string { return "" }, stdin: os.Stdin, stdout: io.Discard, stderr: io.Discard}
	if err := reference.HoldProgram("../../docs", "commands.md", c.rootCommand(), map[string][]byte{"settings.md": reference.Settings()}, *update); err != nil {
		t.Error(err)
	}
}
