package main

import (
	"context"
	"io"

	"github.com/flask2ban/flask2ban/internal/admin"
	"github.com/flask2ban/flask2ban/internal/cmdline"
)

// cli is one run of the command line.
type cli struct {
	getenv         func(string) string
	stdin          io.Reader
	stdout, stderr io.Writer
	// root looks for state where a daemon of root keeps it.
	root bool
}

// program is what flask2ban has in common with flasksupervisor.
func (c *cli) program() cmdline.Program {
	return cmdline.Program{
		Name: "flask2ban", Version: version(),
		Getenv: c.getenv, Stdin: c.stdin, Stdout: c.stdout, Stderr: c.stderr, Root: c.root,
	}
}

func (c *cli) run(ctx context.Context, args []string) int {
	return c.program().Run(ctx, c.rootCommand(), args)
}

// daemon returns a client of the running daemon; see [cmdline.Program.Daemon].
func (c *cli) daemon(ctx context.Context, dir string) (*admin.Client, error) {
	return c.program().Daemon(ctx, dir)
}
