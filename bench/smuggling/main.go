// Command smuggling sends requests that two parsers may read differently
// through flask2ban, to a recording upstream, gunicorn and Werkzeug, and writes
// what each made of them to bench/SMUGGLING.md.
package main

import (
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
)

//go:embed app.py
var source []byte

func main() {
	out := flag.String("o", "bench/SMUGGLING.md", "file to write")
	flag.Parse()
	if err := run(*out); err != nil {
		fmt.Fprintln(os.Stderr, "smuggling:", err)
		os.Exit(1)
	}
}

func run(out string) error {
	rows, err := measure(payloads)
	if err != nil {
		return err
	}
	if err := os.WriteFile(out, []byte(table(rows)), 0o644); err != nil {
		return err
	}
	var all []error
	for _, r := range rows {
		if wrong := r.wrong(); wrong != "" {
			all = append(all, fmt.Errorf("%s: %s", r.payload.name, wrong))
		}
	}
	return errors.Join(all...)
}

// row is one payload and what became of it.
type row struct {
	payload payload
	answer  string // our answers' statuses, with the recording upstream
	raw     []string
	flask   [2][]string // gunicorn, Werkzeug
}

// wrong says what of a row must not be; empty where it is as it should be.
func (r row) wrong() string {
	if len(r.raw) > r.payload.requests {
		return fmt.Sprintf("%d requests reached the upstream", len(r.raw))
	}
	for _, line := range r.raw {
		if strings.Contains(line, "AMBIGUOUS") {
			return "ambiguous at the upstream: " + line
		}
	}
	for i, seen := range r.flask {
		if len(seen) > r.payload.requests {
			return fmt.Sprintf("%s saw %d requests", servers[i], len(seen))
		}
		for _, line := range seen {
			if body := bodyOf(line); !r.payload.broken && !anyBody(r.raw, body) || strings.Contains(line, "smuggled") && r.payload.requests == 1 && r.payload.broken {
				return fmt.Sprintf("%s saw another body than the recorder: %s", servers[i], line)
			}
		}
	}
	return ""
}

// bodyOf is the quoted body at a line's end, without its quotes.
func bodyOf(line string) string {
	line, _, _ = strings.Cut(line, "; ")
	parts := strings.SplitN(line, " ", 3)
	return strings.Trim(parts[len(parts)-1], `"'`)
}

func anyBody(lines []string, body string) bool {
	for _, l := range lines {
		if bodyOf(l) == body {
			return true
		}
	}
	return false
}

var servers = [2]string{"gunicorn", "Werkzeug"}

const preface = `# Request smuggling

What flask2ban made of each payload, and what reached the app: never more
requests than were meant, never another boundary, never anything that another
parser could read otherwise. Written by

    make smuggling

The recording upstream notes method, target and body as they came over the wire,
and is told to find fault; the Flask apps what Python made of them ("same" where
that is the same method and body, and the path of that target). Refused requests
never reached anybody. What net/http refuses though a lenient server would take
it: ` + "`/search/100%`" + ` (a percent that is no escape), blanks before a colon, two
unlike lengths.

| payload | our answer | at the recording upstream | Flask, gunicorn | Flask, Werkzeug |
|---|---|---|---|---|
`

func table(rows []row) string {
	var b strings.Builder
	b.WriteString(preface)
	for _, r := range rows {
		if r.payload.broken {
			fmt.Fprintf(&b, "| %s | %s | %s | likewise | likewise |\n", r.payload.name, r.answer, "nothing, or the request cut off")
			continue
		}
		fmt.Fprintf(&b, "| %s | %s | %s |", r.payload.name, r.answer, cell(r.raw))
		for _, seen := range r.flask {
			if fmt.Sprint(bodies(seen)) == fmt.Sprint(bodies(r.raw)) && len(seen) > 0 {
				b.WriteString(" same |")
			} else {
				b.WriteString(" " + cell(seen) + " |")
			}
		}
		b.WriteString("\n")
	}
	return b.String()
}

func bodies(lines []string) (all []string) {
	for _, l := range lines {
		all = append(all, strings.Fields(l)[0]+" "+bodyOf(l))
	}
	return all
}

func cell(lines []string) string {
	if len(lines) == 0 {
		return "nothing"
	}
	quoted := make([]string, len(lines))
	for i, l := range lines {
		quoted[i] = "`" + strings.ReplaceAll(l, "|", `\|`) + "`"
	}
	return strings.Join(quoted, "<br>")
}
