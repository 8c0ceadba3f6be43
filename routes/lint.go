package routes

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// The checks of LintProject, as Finding.Check names them. Those about the
// source as a whole (debug on) are the extractor's and come through
// Project.Lint.
const (
	CheckDuplicate  = "duplicate"   // two routes of the same rule and method
	CheckShadowed   = "shadowed"    // another rule answers all that this one could
	CheckCatchAll   = "catch-all"   // nothing is unexpected below it
	CheckUnresolved = "unresolved"  // nothing is unexpected anywhere
	CheckConsole    = "console"     // an interactive console in the URL map
	CheckSecret     = "secret"      // a secret, or a place for one, in a URL
	CheckNoHandler  = "no-handler"  // no method is answered
	CheckMethod     = "method"      // a method that HTTP does not know
	CheckBadRule    = "broken-rule" // Werkzeug refuses the rule
)

// LintProject returns what is questionable about an app's routes, ordered by
// place. A project without findings returns nil.
func LintProject(p *Project) []Finding {
	out := slices.Clone(p.Lint)
	t, err := NewTable(TableConfig{Project: p})
	if err != nil {
		return append(out, Finding{Check: CheckBadRule, Message: err.Error()})
	}
	for _, check := range []func(*Table) []Finding{lintBroken, lintShadows, lintOpen, lintRules} {
		out = append(out, check(t)...)
	}
	slices.SortStableFunc(out, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.File, b.File), a.Line-b.Line, cmp.Compare(a.Check, b.Check))
	})
	return out
}

// finding makes a finding about one route.
func finding(r *Route, check, format string, args ...any) Finding {
	return Finding{File: r.File, Line: r.Line, Check: check, Message: fmt.Sprintf(format, args...)}
}

// lintBroken reports the rules that Werkzeug would refuse at start.
func lintBroken(t *Table) []Finding {
	var out []Finding
	compiler := ruleCompiler{t.options, t.behaviour}
	for i := range t.routes {
		if _, err := compiler.compile(&t.routes[i], 0); err != nil {
			out = append(out, finding(&t.routes[i], CheckBadRule, "%s: %v", t.routes[i].Rule, err))
		}
	}
	return out
}

// lintOpen reports what disables protection.
func lintOpen(t *Table) []Finding {
	var out []Finding
	if r := t.catchAll; r != nil {
		out = append(out, finding(r, CheckCatchAll, "%s matches nearly every path, so unknown paths are no evidence for %s", r.Rule, methodWords(r.Methods)))
	}
	for _, u := range t.unresolved {
		if strings.Trim(u.Prefix, "/") == "" {
			out = append(out, Finding{File: u.File, Line: u.Line, Check: CheckUnresolved,
				Message: "routes may be registered anywhere here, so no unknown path is evidence: " + u.Reason})
		}
	}
	return out
}

// lintRules checks each rule by itself.
func lintRules(t *Table) []Finding {
	var out []Finding
	for _, r := range t.rules {
		if r.route.BuildOnly {
			continue
		}
		out = append(out, lintMethods(r)...)
		out = append(out, lintSecrets(r)...)
		if strings.TrimRight(r.route.Rule, "/") == "/console" {
			out = append(out, finding(r.route, CheckConsole, "%s is where Werkzeug's interactive debugger has its console; flask2ban refuses it unless --allow-debugger", r.route.Rule))
		}
	}
	return out
}

// knownMethods are those of RFC 9110, RFC 5789 and RFC 4918 (WebDAV) and its
// relatives.
var knownMethods = map[string]bool{
	"GET": true, "HEAD": true, "POST": true, "PUT": true, "DELETE": true, "PATCH": true, "OPTIONS": true, "TRACE": true,
	"CONNECT": true, "PROPFIND": true, "PROPPATCH": true, "MKCOL": true, "COPY": true, "MOVE": true, "LOCK": true,
	"UNLOCK": true, "REPORT": true, "SEARCH": true, "QUERY": true, "PURGE": true, "LINK": true, "UNLINK": true, "MKCALENDAR": true,
}

func lintMethods(r *rule) []Finding {
	if r.route.Methods == nil {
		return nil
	}
	var out []Finding
	handled := false
	for _, m := range r.route.Methods {
		handled = handled || m != "OPTIONS"
		if !knownMethods[m] {
			out = append(out, finding(r.route, CheckMethod, "%s: %q is no method of HTTP", r.route.Rule, m))
		}
	}
	if !handled && !r.route.WebSocket {
		out = append(out, finding(r.route, CheckNoHandler, "%s answers no method but OPTIONS: its view has no handler", r.route.Rule))
	}
	return out
}

var (
	// secretName are variables whose value should not be in a URL, where logs
	// and referrers keep it. A token alone is usual in one-time links.
	secretName = regexp.MustCompile(`(?i)^(?:.*_)?(?:password|passwd|passphrase|secret|api_?key|access_token|private_key)$`)
	// secretText is a literal segment that looks like one: long, no word, with
	// digits and letters mixed.
	secretText = regexp.MustCompile(`^[A-Za-z0-9_-]{20,}$`)
)

func lintSecrets(r *rule) []Finding {
	var out []Finding
	for _, v := range r.variables {
		if secretName.MatchString(v.name) {
			out = append(out, finding(r.route, CheckSecret, "%s takes %q from the URL, where logs, proxies and referrers keep it", r.route.Rule, v.name))
		}
	}
	for _, segment := range strings.Split(r.route.Rule, "/") {
		if secretText.MatchString(segment) && mixed(segment) {
			out = append(out, finding(r.route, CheckSecret, "a segment of %s looks like a secret; everyone who sees a log has it", shorten(r.route.Rule, segment)))
		}
	}
	return out
}

// mixed says that letters and digits alternate more often than names and dates
// do.
func mixed(text string) bool {
	changes, wasDigit := 0, false
	for i := range len(text) {
		if digit := text[i]-'0' <= 9; digit != wasDigit {
			changes++
			wasDigit = digit
		}
	}
	return changes >= minChanges
}

const minChanges = 5

// shorten keeps a secret out of the finding's own text.
func shorten(rule, segment string) string {
	return strings.Replace(rule, segment, segment[:4]+"…", 1)
}
