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
	root := c.rootCommand()
	want, err := reference.Man(root)
	if err != nil {
		t.Fatal(err)
	}
	if err := reference.Hold("../../docs/man", want, *update); err != nil {
		t.Error(err)
	}
	page := map[string][]byte{"flasksupervisor.md": reference.Commands(root)}
	if err := reference.Hold("../../docs/reference", page, *update); err != nil {
		t.Error(err)
	}
}
