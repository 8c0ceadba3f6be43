package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/pflag"

	"github.com/flask2ban/flask2ban/internal/app"
	"github.com/flask2ban/flask2ban/internal/cmdline"
	"github.com/flask2ban/flask2ban/internal/config"
	"github.com/flask2ban/flask2ban/routes"
	"github.com/flask2ban/flask2ban/routes/extract"
)

// sourceFlags are the settings that say how an app's source is read.
func sourceFlags(f *pflag.FlagSet) (load func(c *cli, name string) (*config.Config, error)) {
	var all pflag.FlagSet
	config.AddFlags(&all, config.GroupApp, config.GroupRoutes)
	for _, key := range []string{"python", "prefix", "werkzeug", "benign", "honeypath", "no-default-lists"} {
		f.AddFlag(all.Lookup(key))
	}
	return func(c *cli, name string) (*config.Config, error) {
		cfg, err := config.Load(f, c.getenv, "")
		if err != nil {
			return nil, cmdline.Usage(err)
		}
		cfg.App = name
		return cfg, nil
	}
}

// readProject reads the routes of cfg's app from its source. The app's
// interpreter tells Werkzeug's version and where packages lie. Where python is
// zero one is looked for; without any the newest version known is followed.
func (c *cli) readProject(ctx context.Context, cfg *config.Config, python app.Python) (*routes.Project, error) {
	entry, err := extract.Resolve(cfg.App)
	if err != nil {
		return nil, cmdline.Usage(err)
	}
	if python.Path == "" {
		python, err = findPython(ctx, cfg, entry)
		if err != nil && cfg.Python != "" {
			return nil, cmdline.Usage(err)
		}
	}
	project, err := extract.Read(ctx, entry, extract.Options{
		Werkzeug: orText(cfg.Werkzeug, python.Werkzeug), Prefix: cfg.Prefix, Path: python.SysPath,
	})
	switch {
	case errors.Is(err, extract.ErrNoEntry):
		return nil, cmdline.Usage(err)
	case err != nil:
		return nil, fmt.Errorf("read the routes of %s: %w", cfg.App, err)
	}
	return project, nil
}

// mustHaveApp refuses a source without an app: its table would answer every
// question with "unresolved".
func mustHaveApp(p *routes.Project) error {
	if p.NoApp == "" {
		return nil
	}
	return cmdline.Usagef("%s (flask2ban routes APP --runtime asks an app that is only made as it runs)", p.NoApp)
}

func findPython(ctx context.Context, cfg *config.Config, entry extract.Entry) (app.Python, error) {
	search := app.Search{Python: cfg.Python, Dir: entry.Dir}
	if entry.File == "" {
		search.Module, _, _ = strings.Cut(entry.Module, ".")
	}
	return app.FindPython(ctx, search)
}

// readTable makes the table that the daemon would begin with.
func (c *cli) readTable(ctx context.Context, cfg *config.Config) (*routes.Table, error) {
	project, err := c.readProject(ctx, cfg, app.Python{})
	if err != nil {
		return nil, err
	}
	if err := mustHaveApp(project); err != nil {
		return nil, err
	}
	return routes.NewTable(routes.TableConfig{Project: project, Lists: lists(cfg)})
}

// lists are the paths judged by name alone.
func lists(cfg *config.Config) routes.Lists {
	var l routes.Lists
	if !cfg.NoDefaultLists {
		l = routes.DefaultLists()
	}
	l.Benign = append(l.Benign, cfg.Benign...)
	l.Honeypaths = append(l.Honeypaths, cfg.Honeypaths...)
	return l
}
