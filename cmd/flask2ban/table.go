package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/pflag"

	"github.com/flask2ban/flask2ban/internal/app"
	"github.com/flask2ban/flask2ban/internal/config"
	"github.com/flask2ban/flask2ban/routes"
	"github.com/flask2ban/flask2ban/routes/extract"
)

// sourceFlags are the settings that say how an app's source is read.
func sourceFlags(f *pflag.FlagSet) (load func(c *cli, name string) (*config.Config, error)) {
	var all pflag.FlagSet
	config.AddFlags(&all, config.GroupApp, config.GroupRoutes)
	for _, key := range []string{"python", "prefix", "werkzeug"} {
		f.AddFlag(all.Lookup(key))
	}
	return func(c *cli, name string) (*config.Config, error) {
		cfg, err := config.Load(f, c.getenv, "")
		if err != nil {
			return nil, usage(err)
		}
		cfg.App = name
		return cfg, nil
	}
}

// readProject reads the routes of cfg's app from its source, and returns the
// app's interpreter. That, where there is one, tells Werkzeug's version and
// where packages lie; without one the newest version known is followed.
func (c *cli) readProject(ctx context.Context, cfg *config.Config) (*routes.Project, string, error) {
	o := extract.Options{Werkzeug: cfg.Werkzeug, Prefix: cfg.Prefix}
	entry, err := extract.Resolve(cfg.App)
	if err != nil {
		return nil, "", usage(err)
	}
	search := app.Search{Python: cfg.Python, Dir: entry.Dir}
	if entry.File == "" {
		search.Module, _, _ = strings.Cut(entry.Module, ".")
	}
	python, err := app.FindPython(ctx, search)
	switch {
	case err == nil:
		o.Path = python.SysPath
		o.Werkzeug = orText(o.Werkzeug, python.Werkzeug)
	case cfg.Python != "":
		return nil, "", usage(err)
	}
	project, err := extract.Read(ctx, entry, o)
	switch {
	case errors.Is(err, extract.ErrNoEntry):
		return nil, "", usage(err)
	case err != nil:
		return nil, "", fmt.Errorf("read the routes of %s: %w", cfg.App, err)
	}
	return project, python.Path, nil
}

// readTable makes the table that the daemon would begin with.
func (c *cli) readTable(ctx context.Context, cfg *config.Config) (*routes.Table, error) {
	project, _, err := c.readProject(ctx, cfg)
	if err != nil {
		return nil, err
	}
	return routes.NewTable(routes.TableConfig{Project: project, Lists: routes.DefaultLists()})
}
