// Package live keeps the route table in force while the daemon runs: what the
// source says, what the running app reports, what was learned from its
// answers, and what an earlier version of the app had.
package live

import (
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/flask2ban/flask2ban/routes"
)

// Config is what a Table begins with.
type Config struct {
	// Project is what the source says. Required.
	Project *routes.Project
	// Lists are the benign and honeypath lists.
	Lists routes.Lists
	// Retired gives the routes that an earlier version of the app had and
	// the project lacks, while they are in their grace; nil means none.
	Retired func(*routes.Project) []routes.Route
	// Log takes what an operator should know. Required.
	Log *slog.Logger
	// Changed, where set, is called after each change with the project as
	// it is now.
	Changed func(*routes.Project)
}

// Table is the route table in force. It is safe for concurrent use.
type Table struct {
	config Config
	now    atomic.Pointer[state]

	mu      sync.Mutex // one change at a time
	static  *routes.Project
	urlMap  *routes.URLMap
	learned []routes.Route
}

// state is what readers see, replaced whole.
type state struct {
	table     *routes.Table
	project   *routes.Project
	confirmed bool
}

// maxLearned bounds the learned routes.
const maxLearned = 1000

// New returns a Table with what the source says.
func New(c Config) (*Table, error) {
	t := &Table{config: c, static: c.Project}
	if err := t.rebuild(); err != nil {
		return nil, err
	}
	return t, nil
}

// Current returns the table in force, and whether the running app has
// confirmed that it is complete.
func (t *Table) Current() (*routes.Table, bool) {
	s := t.now.Load()
	return s.table, s.confirmed
}

// Project returns what the table in force is made of.
func (t *Table) Project() *routes.Project { return t.now.Load().project }

// SetURLMap takes the running app's own report.
func (t *Table) SetURLMap(m routes.URLMap) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.urlMap = &m
	t.warn(t.rebuild())
}

// Learn adds a route that the app answered on though the table lacked it. A
// rule that makes no table is reported and forgotten.
func (t *Table) Learn(rule, method string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	before := t.learned
	t.learned = withLearned(before, rule, method)
	if len(before) > 0 && &t.learned[0] == &before[0] {
		return
	}
	if err := t.rebuild(); err != nil {
		t.learned = before
		t.warn(err)
	}
}

// withLearned returns learned with a rule's method added: the same slice where
// there is nothing to add or no room, else a new one.
func withLearned(learned []routes.Route, rule, method string) []routes.Route {
	i := slices.IndexFunc(learned, func(r routes.Route) bool { return r.Rule == rule })
	switch {
	case i >= 0 && slices.Contains(learned[i].Methods, method), i < 0 && len(learned) >= maxLearned:
		return learned
	case i >= 0:
		next := slices.Clone(learned)
		next[i].Methods = append(slices.Clone(next[i].Methods), method)
		slices.Sort(next[i].Methods)
		return next
	}
	return append(slices.Clone(learned), routes.Route{
		Rule: rule, Methods: withHead(method), Source: routes.Learned,
		StrictSlashes: true, MergeSlashes: true, Defaults: map[string]any{},
	})
}

func withHead(method string) []string {
	if method == "GET" || method == "HEAD" {
		return []string{"GET", "HEAD", "OPTIONS"}
	}
	return []string{method, "OPTIONS"}
}

func (t *Table) warn(err error) {
	if err != nil {
		t.config.Log.Error("the route table could not be renewed; the old one stays in force", "error", err)
	}
}

// rebuild makes the table anew and puts it in force. The caller holds mu,
// except in New.
func (t *Table) rebuild() error {
	project, confirmed := t.static, false
	if t.urlMap != nil {
		var diff routes.Diff
		project, diff = t.static.Merge(*t.urlMap)
		confirmed = project.Complete
		t.log(diff)
	}
	if len(t.learned) > 0 {
		p := *project
		p.Routes = append(slices.Clip(p.Routes), t.learned...)
		project = &p
	}
	var retired []routes.Route
	if t.config.Retired != nil {
		retired = t.config.Retired(project)
	}
	table, err := routes.NewTable(routes.TableConfig{Project: project, Retired: retired, Lists: t.config.Lists})
	if err != nil {
		return err
	}
	t.now.Store(&state{table: table, project: project, confirmed: confirmed})
	if t.config.Changed != nil {
		t.config.Changed(project)
	}
	return nil
}

// log says what the app has and its source does not show, and the reverse.
func (t *Table) log(d routes.Diff) {
	t.config.Log.Info("the app has reported its routes",
		"confirmed", len(d.Confirmed), "only in the running app", len(d.RuntimeOnly), "only in the source", len(d.StaticOnly))
}
