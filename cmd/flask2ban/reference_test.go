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
	root := c.rootCommand()
	want, err := reference.Man(root)
	if err != nil {
		t.Fatal(err)
	}
	if err := reference.Hold("../../docs/man", want, *update); err != nil {
		t.Error(err)
	}
	pages := map[string][]byte{
		"commands.md": reference.Commands(root),
		"settings.md": reference.Settings(),
	}
	if err := reference.Hold("../../docs/reference", pages, *update); err != nil {
		t.Error(err)
	}
}
