package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/flask2ban/flask2ban/internal/app"
	"github.com/flask2ban/flask2ban/internal/cmdline"
	"github.com/flask2ban/flask2ban/internal/config"
	"github.com/flask2ban/flask2ban/routes"
)

// routesView is what "routes" prints of a project.
type routesView struct {
	format  string
	runtime bool
	lint    bool
	old     string
}

// routeFormats are the values of --format.
func (c *cli) routeFormats() map[string]func(*routes.Project, io.Writer) error {
	return map[string]func(*routes.Project, io.Writer) error{
		"table": func(p *routes.Project, w io.Writer) error {
			return p.WriteTable(w, routes.TableFormat{Width: terminalWidth(w)})
		},
		"json":    (*routes.Project).WriteJSON,
		"openapi": (*routes.Project).WriteOpenAPI,
	}
}

func (c *cli) routesCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "routes APP",
		Short: "List the URLs that an app permits, and where each comes from",
		Long: `The routes are read from the source; nothing of the app is run unless
--runtime asks it too. With --lint the exit code is 1 where there is a finding,
with --diff where the app lost a route.`,
		Example: cmdline.Example(
			"flask2ban routes app.py",
			"flask2ban routes hello:app --format json > routes.json",
			"flask2ban routes hello:app --diff routes.json      # what the next deploy takes away",
			"flask2ban routes app.py --runtime --format openapi"),
		Args: cmdline.Arguments("APP"),
	}
	var v routesView
	load := sourceFlags(cmd.Flags())
	formats := slices.Sorted(maps.Keys(c.routeFormats()))
	cmd.Flags().StringVar(&v.format, "format", "table", "how to print them: "+strings.Join(formats, ", "))
	_ = cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions(formats, cobra.ShellCompDirectiveNoFileComp))
	cmd.Flags().BoolVar(&v.runtime, "runtime", false, "run the app until it would serve, and ask it as well")
	cmd.Flags().BoolVar(&v.lint, "lint", false, "print what is doubtful about the routes instead")
	cmd.Flags().StringVar(&v.old, "diff", "", "print what changed since the `file` that --format json wrote instead")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		switch f := cmd.Flags(); {
		case c.routeFormats()[v.format] == nil:
			return cmdline.Usagef("--format %s: want one of %s", v.format, strings.Join(formats, ", "))
		case v.lint && v.old != "" || f.Changed("format") && (v.lint || v.old != ""):
			return cmdline.Usagef("--format, --lint and --diff: each prints something else, choose one")
		}
		cfg, err := load(c, args[0])
		if err != nil {
			return err
		}
		return c.printRoutes(cmd.Context(), cfg, v)
	}
	return cmd
}

func (c *cli) printRoutes(ctx context.Context, cfg *config.Config, v routesView) error {
	project, err := c.readProject(ctx, cfg, app.Python{})
	if err != nil {
		return err
	}
	if v.runtime {
		project, err = c.askApp(ctx, cfg, project)
	} else {
		err = mustHaveApp(project)
	}
	switch {
	case err != nil:
		return err
	case v.lint:
		return c.printLint(project)
	case v.old != "":
		return c.printDiff(v.old, project)
	}
	return c.routeFormats()[v.format](project, c.stdout)
}

// askApp adds what the running app says of its routes.
func (c *cli) askApp(ctx context.Context, cfg *config.Config, p *routes.Project) (*routes.Project, error) {
	m, err := app.Inspect(ctx, app.Config{App: cfg.App, Python: cfg.Python, Output: c.stderr})
	if err != nil {
		return nil, err
	}
	merged, _ := p.Merge(m)
	return merged, nil
}

func (c *cli) printLint(p *routes.Project) error {
	findings := routes.LintProject(p)
	for _, f := range findings {
		fmt.Fprintf(c.stdout, "%s:%d: %s (%s)\n", f.File, f.Line, f.Message, f.Check)
	}
	if len(findings) > 0 {
		return &cmdline.ExitError{Code: cmdline.Failed}
	}
	return nil
}

func (c *cli) printDiff(path string, p *routes.Project) error {
	f, err := os.Open(path)
	if err != nil {
		return cmdline.Usagef("--diff: %w", err)
	}
	defer f.Close()
	old, err := routes.ReadJSON(f)
	if err != nil {
		return cmdline.Usagef("--diff %s: %w; write it with flask2ban routes APP --format json", path, err)
	}
	diff := routes.DiffProjects(old, p)
	if _, err := diff.WriteTo(c.stdout); err != nil {
		return err
	}
	if len(diff.Removed) > 0 {
		return &cmdline.ExitError{Code: cmdline.Failed}
	}
	return nil
}

// terminalWidth is w's width in columns, 0 where w is no terminal.
func terminalWidth(w io.Writer) int {
	f, ok := w.(*os.File)
	if !ok {
		return 0
	}
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0
	}
	return int(size.Col)
}
