package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// report is what a run found.
type report struct {
	machine machine
	options options
	peers   []string
	results []result
}

// print writes the tables for a person at a terminal.
func (r report) print(w io.Writer) {
	for _, res := range r.results {
		fmt.Fprintf(w, "\n%s (%s)\n%s", res.scenario.title, res.scenario.name, r.table(res))
	}
	fmt.Fprintf(w, "\n%s", r.targets())
}

// Where the generated part of RESULTS.md begins and ends; the rest is left alone.
const (
	beginMark = "<!-- bench-peers: begin (written by make bench-peers) -->\n"
	endMark   = "<!-- bench-peers: end -->\n"
)

// save writes RESULTS.md's generated part and the plot.
func (r report) save(dir string) error {
	if err := os.WriteFile(filepath.Join(dir, "results.svg"), []byte(plot(r)), 0o644); err != nil {
		return err
	}
	path := filepath.Join(dir, "RESULTS.md")
	old, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	return os.WriteFile(path, []byte(splice(string(old), r.markdown())), 0o644)
}

// splice puts the generated part in the place of the former one, or at the
// beginning of a page that has none.
func splice(page, part string) string {
	part = beginMark + part + endMark
	head, rest, ok := strings.Cut(page, beginMark)
	if !ok {
		return part + page
	}
	_, tail, ok := strings.Cut(rest, endMark)
	if !ok {
		return head + part
	}
	return head + part + tail
}

func (r report) markdown() string {
	var b strings.Builder
	m := r.machine
	fmt.Fprintf(&b, "# flask2ban beside its peers\n\n")
	fmt.Fprintf(&b, "`make bench-peers`, %s: median of %d interleaved rounds of %s each. CPU is user and system time of the proxy's own processes (`/proc/PID/stat`), by request; least and most of the rounds in brackets. The load generator, the upstreams and the proxy share the machine's cores, so requests/s and latency are those of a saturated machine: compare them within a table, not with other machines. Configurations: [conf/](conf/).\n\n", m.at.Format("2006-01-02 15:04 UTC"), r.options.rounds, r.options.length)
	fmt.Fprintf(&b, "Machine: %s, %d cores, %s of memory, %s, Linux %s. ", m.cpu, m.cores, m.memory, m.system, m.kernel)
	fmt.Fprintf(&b, "Versions: %s. Thruster is missing: the Go module proxy does not serve it.\n\n", strings.Join(m.versions, ", "))
	fmt.Fprintf(&b, "![CPU by request](results.svg)\n\n## Targets\n\n%s\n", r.targets())
	for _, res := range r.results {
		fmt.Fprintf(&b, "## %s\n\n%s\n\n%s\n", res.scenario.title, res.scenario.about, r.table(res))
	}
	return b.String()
}

// table is one scenario in Markdown.
func (r report) table(res result) string {
	var b strings.Builder
	b.WriteString("| proxy | requests/s | CPU µs/request | × nginx | × HAProxy | × Caddy | p50 | p99 | RSS MB | other answers |\n")
	b.WriteString("|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n")
	for _, name := range r.peers {
		rounds, ok := res.rounds[name]
		if !ok {
			continue
		}
		s := summarise(rounds)
		fmt.Fprintf(&b, "| %s | %.0f | %s (%s-%s) | %s | %s | %s | %s | %s | %.0f | %d |\n", name,
			s.rate, figure(s.cpu), figure(s.least), figure(s.most),
			res.ratio(name, "nginx"), res.ratio(name, "HAProxy"), res.ratio(name, "Caddy"),
			short(s.p50), short(s.p99), float64(s.rss)/(1<<20), s.wrong)
	}
	return b.String()
}

// figure is a number with about three digits.
func figure(v float64) string {
	if v >= 100 {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.1f", v)
}

func short(d time.Duration) string {
	if d < 10*time.Millisecond {
		return fmt.Sprintf("%.2f ms", d.Seconds()*1000)
	}
	return fmt.Sprintf("%.0f ms", d.Seconds()*1000)
}

// times is the CPU of one peer in terms of another's; false where one lacks.
func (res result) times(name, of string) (float64, bool) { return res.timesIn(name, res, of) }

// timesIn is the same where the other's is of another scenario.
func (res result) timesIn(name string, other result, of string) (float64, bool) {
	base := summarise(other.rounds[of]).cpu
	if len(res.rounds[name]) == 0 || base == 0 {
		return 0, false
	}
	return summarise(res.rounds[name]).cpu / base, true
}

func (res result) ratio(name, of string) string {
	v, ok := res.times(name, of)
	if !ok {
		return "-"
	}
	return fmt.Sprintf("%.2f", v)
}

// goals are the project's targets for flask2ban's CPU, in terms of a peer's in
// the same scenario or, where one is named, in another: a probe is answered by
// our 404 or, once its sender is banned, by 403 or at accept.
var goals = []struct {
	scenario, of, in string
	most             float64
}{
	{"forward", "Caddy", "", 0.60},
	{"forward", "nginx", "", 3},
	{"refuse", "nginx", "", 2},
	{"refuse-close", "nginx", "", 2},
	{"accept", "HAProxy", "", 1.2},
	{"probe", "nginx", "", 1. / 20},
	{"probe-close", "nginx", "", 1. / 20},
	{"refuse", "nginx", "probe", 1. / 20},
	{"accept", "nginx", "probe-close", 1. / 20},
}

// targets compares flask2ban with its goals.
func (r report) targets() string {
	var b strings.Builder
	b.WriteString("| flask2ban's CPU | at most | is | |\n|---|---:|---:|---|\n")
	for _, g := range goals {
		of, in := g.of, g.scenario
		if g.in != "" {
			of, in = of+"'s "+g.in, g.in
		}
		is, verdict := "-", "not measured"
		if v, ok := r.named(g.scenario).timesIn("flask2ban", r.named(in), g.of); ok {
			is, verdict = fmt.Sprintf("%.3f", v), "missed"
			if v <= g.most {
				verdict = "met"
			}
		}
		fmt.Fprintf(&b, "| %s, × %s | %.2f | %s | %s |\n", g.scenario, of, g.most, is, verdict)
	}
	return b.String()
}

// named is a scenario's result; the zero one where it was not measured.
func (r report) named(scenario string) result {
	for _, res := range r.results {
		if res.scenario.name == scenario {
			return res
		}
	}
	return result{}
}
