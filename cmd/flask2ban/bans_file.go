package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/flask2ban/flask2ban/ban"
	"github.com/flask2ban/flask2ban/internal/admin"
	"github.com/flask2ban/flask2ban/internal/cmdline"
	"github.com/flask2ban/flask2ban/internal/config"
)

func (c *cli) bansExportCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Print the bans in force, to import elsewhere",
		Example: cmdline.Example(
			"flask2ban bans export > bans.jsonl",
			"flask2ban bans export --format plain > blocklist.txt"),
		Args: cmdline.Arguments(),
	}
	dir := c.program().StateFlag(cmd)
	format := cmd.Flags().String("format", "jsonl", "jsonl (one JSON object a line) or plain (one client a line)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		write, ok := exportFormats()[*format]
		if !ok {
			return cmdline.Usagef("--format %s: want jsonl or plain", *format)
		}
		client, err := c.daemon(cmd.Context(), *dir)
		if err != nil {
			return err
		}
		defer client.Close()
		bans, err := client.Bans(cmd.Context())
		if err != nil {
			return err
		}
		return export(c.stdout, bans, write)
	}
	return cmd
}

func exportFormats() map[string]func(io.Writer, ban.Ban) error {
	return map[string]func(io.Writer, ban.Ban) error{
		"jsonl": func(w io.Writer, b ban.Ban) error { return json.NewEncoder(w).Encode(b) },
		"plain": func(w io.Writer, b ban.Ban) error {
			_, err := fmt.Fprintln(w, ban.FormatClient(b.Client))
			return err
		},
	}
}

func export(w io.Writer, bans []ban.Ban, write func(io.Writer, ban.Ban) error) error {
	out := bufio.NewWriter(w)
	for _, b := range bans {
		if err := write(out, b); err != nil {
			return err
		}
	}
	return out.Flush()
}

func (c *cli) bansImportCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Ban what a file lists",
		Long: `FILE holds what "flask2ban bans export" printed, or one address or CIDR a line;
empty lines and what follows # are skipped. FILE - is the standard input. Bad
lines are reported and do not stop the rest.`,
		Example: cmdline.Example(
			"flask2ban bans import bans.jsonl",
			"curl -s https://example.org/blocklist.txt | flask2ban bans import - --for 1d --reason 'blocklist of example.org'"),
		Args: cmdline.Arguments("FILE"),
	}
	dir := c.program().StateFlag(cmd)
	long := cmd.Flags().String("for", "", "how `long` where the file doesn't say until when; default: 1h")
	reason := cmd.Flags().String("reason", "", "why, where the file doesn't say")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if _, err := config.ParseDuration(*long); *long != "" && err != nil {
			return cmdline.Usagef("--for: %w", err)
		}
		in, err := c.open(args[0])
		if err != nil {
			return err
		}
		defer in.Close()
		client, err := c.daemon(cmd.Context(), *dir)
		if err != nil {
			return err
		}
		defer client.Close()
		i := importer{client: client, duration: *long, reason: *reason, file: args[0], stderr: c.stderr}
		return errors.Join(i.read(cmd.Context(), in), i.report(c.stdout))
	}
	return cmd
}

// open opens a file, "-" being the standard input.
func (c *cli) open(path string) (io.ReadCloser, error) {
	if path == "-" {
		return io.NopCloser(c.stdin), nil
	}
	return os.Open(path)
}

// importer bans line by line.
type importer struct {
	client                *admin.Client
	duration, reason      string
	file                  string
	stderr                io.Writer
	banned, expired, fail int
}

// exported is what is read back of an exported ban.
type exported struct {
	Client string    `json:"client"`
	Until  time.Time `json:"until"`
	Reason string    `json:"reason"`
}

func (i *importer) read(ctx context.Context, r io.Reader) error {
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		line, _, _ := strings.Cut(lines.Text(), "#")
		if strings.HasPrefix(line, "{") {
			line = lines.Text() // a reason may hold a #
		}
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		if err := i.line(ctx, line); errors.Is(err, admin.ErrNotRunning) || ctx.Err() != nil {
			return err
		} else if err != nil {
			i.fail++
			fmt.Fprintf(i.stderr, "%s:%d: %v\n", i.file, n, err)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("read %s: %w", i.file, err)
	}
	return nil
}

func (i *importer) line(ctx context.Context, line string) error {
	o := admin.Order{Client: line, Duration: i.duration, Reason: i.reason}
	if strings.HasPrefix(line, "{") {
		var e exported
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			return fmt.Errorf("not a line of flask2ban bans export: %w", err)
		}
		if !e.Until.IsZero() && e.Until.Before(time.Now()) {
			i.expired++
			return nil
		}
		o.Client, o.Until = e.Client, e.Until
		if e.Reason != "" {
			o.Reason = e.Reason
		}
	}
	if _, err := i.client.Ban(ctx, o); err != nil {
		return err
	}
	i.banned++
	return nil
}

// report sums up; a line that failed makes the command fail.
func (i *importer) report(w io.Writer) error {
	fmt.Fprintf(w, "%d banned, %d already over, %d bad\n", i.banned, i.expired, i.fail)
	if i.fail > 0 {
		return &cmdline.ExitError{Code: cmdline.Failed}
	}
	return nil
}
