package e2e

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/flask2ban/flask2ban/internal/testbed"
)

// TestDocs walks through README and docs as a newcomer would. What follows a
// marker is done, in the page's order:
//
//	<!-- file NAME -->     the block is written to that file
//	<!-- serve [URL] -->   the block's command runs until the page ends, or until
//	                       another serves the same URL; it is awaited until URL (else
//	                       flask2ban's /readyz) answers, or tcp://HOST:PORT accepts
//	<!-- serve as COMMAND --> as above, with COMMAND in place of the block's
//	<!-- run -->           bash runs the block's "$ " lines; the others are the output
//
// A command that only looks ("status"), and one before which the page has the reader
// sleep, is given again for a while: what it tells may come a moment later.
//
// In what is expected, "..." stands for anything in a line or, alone, for any lines;
// times, durations, process numbers and ports are compared by their shape.
func TestDocs(t *testing.T) {
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	walked := 0
	for _, path := range append(pages, "../../README.md") {
		blocks := markedBlocks(t, path)
		if len(blocks) == 0 {
			continue
		}
		walked++
		t.Run(filepath.Base(path), func(t *testing.T) {
			w := newTour(t)
			for _, b := range blocks {
				w.do(b)
			}
		})
	}
	if walked < 2 {
		t.Errorf("%d pages have marked blocks, want README.md and several in docs", walked)
	}
}

// block is a code block with its marker.
type block struct {
	line      int // of the marker
	verb, arg string
	lines     []string
}

var marker = regexp.MustCompile(`^<!-- (file|serve|run)(?: (.*))? -->$`)

// markedBlocks are the page's code blocks, fenced or indented, that follow a
// marker.
func markedBlocks(t *testing.T, path string) []block {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var found []block
	lines := strings.Split(string(text), "\n")
	for i := 0; i < len(lines); i++ {
		m := marker.FindStringSubmatch(lines[i])
		if m == nil {
			continue
		}
		b := block{line: i + 1, verb: m[1], arg: m[2]}
		for i++; i < len(lines) && lines[i] == ""; i++ {
		}
		if b.lines = codeBlock(lines[i:]); len(b.lines) == 0 {
			t.Fatalf("%s:%d: no code block follows the marker", path, b.line)
		}
		found = append(found, b)
	}
	return found
}

// codeBlock is the code block that lines begin with.
func codeBlock(lines []string) []string {
	var code []string
	if strings.HasPrefix(lines[0], "```") {
		for _, l := range lines[1:] {
			if strings.HasPrefix(l, "```") {
				break
			}
			code = append(code, l)
		}
		return code
	}
	for _, l := range lines {
		if l != "" && !strings.HasPrefix(l, "    ") {
			break
		}
		code = append(code, strings.TrimPrefix(l, "    "))
	}
	for len(code) > 0 && code[len(code)-1] == "" {
		code = code[:len(code)-1]
	}
	return code
}

// tour is one page's work directory, environment and servers.
type tour struct {
	t       *testing.T
	dir     string
	env     []string
	ports   *strings.Replacer
	servers map[string]func() // what ends the server, by the URL it serves
}

// readyURL is where flask2ban says that it is ready, as the documents name it.
const readyURL = "http://127.0.0.1:9180/readyz"

func newTour(t *testing.T) *tour {
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	w := &tour{t: t, dir: publicDir(t, nil), servers: map[string]func(){}}
	var ports []string
	for _, port := range []string{"8080", "9180", "8081", "9181", "8443", "8000", "5000", "6379"} {
		_, free, _ := strings.Cut(freePort(t), ":")
		ports = append(ports, port, free)
	}
	w.ports = strings.NewReplacer(ports...)
	for name, target := range map[string]string{"examples": example(t, ""), "bin": filepath.Dir(path)} {
		if err := os.Symlink(target, filepath.Join(w.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	// A terminal shows no progress; a pipe would.
	w.write(".curlrc", "silent\nshow-error\n")
	w.env = append(os.Environ(), "PATH="+filepath.Dir(path)+":"+os.Getenv("PATH"), "CURL_HOME="+w.dir,
		"HOME="+w.dir, "TERM=dumb", "FLASK2BAN_STATE="+w.dir+"/state", "FLASKSUPERVISOR_STATE="+w.dir+"/supervisor",
		w.ports.Replace("FLASK2BAN_ADMIN=127.0.0.1:9180"), w.ports.Replace("FLASK2BAN_LISTEN=:8080"))
	t.Cleanup(func() {
		for _, end := range w.servers {
			end()
		}
	})
	return w
}

func (w *tour) write(name, text string) {
	path := filepath.Join(w.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		w.t.Fatal(err)
	}
}

func (w *tour) do(b block) {
	w.t.Helper()
	switch b.verb {
	case "file":
		w.write(b.arg, w.ports.Replace(strings.Join(b.lines, "\n")+"\n"))
	case "serve":
		w.serve(b)
	case "run":
		w.run(b)
	}
}

// step is one command with what it should print.
type step struct{ command, want string }

func steps(lines []string) []step {
	var list []step
	for i := 0; i < len(lines); i++ {
		command, found := strings.CutPrefix(lines[i], "$ ")
		switch {
		case found:
			for strings.HasSuffix(command, `\`) && i+1 < len(lines) {
				i++
				command += "\n" + lines[i]
			}
			list = append(list, step{command: command})
		case len(list) > 0:
			list[len(list)-1].want += lines[i] + "\n"
		}
	}
	return list
}

func (w *tour) run(b block) {
	w.t.Helper()
	list := steps(b.lines)
	if len(list) == 0 {
		w.t.Fatalf("line %d: no line of the block begins with \"$ \"", b.line)
	}
	for _, s := range list {
		want := expectation(w.ports.Replace(s.want))
		got, err := w.output(s.command)
		for end := time.Now().Add(patience); looks.MatchString(s.command) && !want.MatchString(normal(got)) && time.Now().Before(end); {
			got, err = w.output(s.command)
		}
		if !want.MatchString(normal(got)) {
			w.t.Fatalf("line %d: $ %s\nprinted (%v):\n%s\nwant:\n%s", b.line, s.command, err, got, s.want)
		}
	}
}

// looks matches commands that may be given again.
var looks = regexp.MustCompile(`^((flask2ban|flasksupervisor) status|sleep \d+;)\s?`)

// output is what a command prints on both of its outputs.
func (w *tour) output(command string) (string, error) {
	cmd := w.command(command)
	var got strings.Builder
	cmd.Stdout, cmd.Stderr = &got, &got
	watchdog := time.AfterFunc(2*time.Minute, func() { cmd.Process.Kill() })
	defer watchdog.Stop()
	err := cmd.Run()
	return got.String(), err
}

func (w *tour) command(line string) *exec.Cmd {
	cmd := exec.Command("bash", "-c", w.ports.Replace(line))
	cmd.Dir, cmd.Env = w.dir, w.env
	return cmd
}

// serve starts the block's command, and waits until it is ready and has
// printed what is expected.
func (w *tour) serve(b block) {
	w.t.Helper()
	list := steps(b.lines)
	url := b.arg
	if command, found := strings.CutPrefix(b.arg, "as "); found {
		list, url = []step{{command: command}}, ""
	}
	if url == "" {
		url = readyURL
	}
	if len(list) != 1 {
		w.t.Fatalf("line %d: %d commands to serve, want 1", b.line, len(list))
	}
	if end := w.servers[url]; end != nil {
		end()
	}
	p, err := testbed.Start("the server", w.command("exec "+list[0].command))
	if err != nil {
		w.t.Fatal(err)
	}
	w.servers[url] = func() {
		delete(w.servers, url)
		if err := p.Stop(patience); err != nil {
			w.t.Error(err)
		}
	}
	want := expectation(w.ports.Replace(list[0].want) + "...\n")
	if err := p.Await(w.t.Context(), 2*patience, "it is ready, and says what the page says", func() bool {
		return answers(w.ports.Replace(url)) && want.MatchString(normal(p.Log.String()))
	}); err != nil {
		w.t.Fatalf("line %d: %v\nwant:\n%s", b.line, err, strings.Join(b.lines, "\n"))
	}
}

// answers says whether a server is there; flask2ban must also be ready.
func answers(url string) bool {
	if addr, found := strings.CutPrefix(url, "tcp://"); found {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			conn.Close()
		}
		return err == nil
	}
	client := http.Client{Timeout: 5 * time.Second}
	res, err := client.Get(url)
	if err != nil {
		return false
	}
	defer res.Body.Close()
	io.Copy(io.Discard, res.Body)
	return res.StatusCode != http.StatusServiceUnavailable
}

// shapes are what differs from run to run.
var shapes = []struct {
	of   *regexp.Regexp
	name string
}{
	{regexp.MustCompile(`\r`), ""},
	{regexp.MustCompile(`\b\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)?`), "TIME"},
	{regexp.MustCompile(`\b[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT`), "TIME"},
	{regexp.MustCompile(`(\b\d\d-\d\d )?\b\d\d:\d\d(:\d\d)?\b`), "TIME"},
	{regexp.MustCompile(`\b(\d+(\.\d+)? ?(ns|µs|ms|s|m|h|d|w))+\b`), "DURATION"},
	{regexp.MustCompile(`(Retry-After: |process |pid[ =:]+)\d+`), "${1}N"},
	{regexp.MustCompile(`(localhost|127\.\d+\.\d+\.\d+|\[::\]|0\.0\.0\.0):\d+`), "${1}:PORT"},
	{regexp.MustCompile(`[ \t]+`), " "},
	{regexp.MustCompile(`(?m)^ | $`), ""},
}

// normal is text with the times and numbers of one run replaced by their shape.
func normal(text string) string {
	for _, s := range shapes {
		text = s.of.ReplaceAllString(text, s.name)
	}
	return text
}

// expectation is a pattern for the normal form of an output.
func expectation(want string) *regexp.Regexp {
	var p strings.Builder
	p.WriteString(`\A`)
	for line := range strings.Lines(normal(want)) {
		line = strings.TrimSuffix(line, "\n")
		if strings.TrimSpace(line) == "..." {
			p.WriteString(`(?:.*\n)*`)
			continue
		}
		fmt.Fprintf(&p, "%s\\n", strings.ReplaceAll(regexp.QuoteMeta(line), `\.\.\.`, `.*`))
	}
	p.WriteString(`\n*\z`)
	return regexp.MustCompile(p.String())
}

// TestExpectation holds what the pages' test would let pass.
func TestExpectation(t *testing.T) {
	for _, c := range []struct {
		want, got string
		match     bool
	}{
		{"a 10m0s\n", "a   9m59s\n", true},
		{"pid 12 at 2026-01-02 03:04:05\n", "pid 7 at 2027-02-03T04:05:06Z\n", true},
		{"one ... four\n", "one two three four\n", true},
		{"one\n...\nfour\n", "one\ntwo\nthree\nfour\n", true},
		{"one\n...\nfour\n", "one\nfour\n", true},
		{"one\n", "one\ntwo\n", false},
		{"one\n", "", false},
		{"score 5\n", "score 6\n", false},
		{"blocked\n", "not blocked\n", false},
	} {
		if got := expectation(c.want).MatchString(normal(c.got)); got != c.match {
			t.Errorf("%q for %q: %v, want %v", c.got, c.want, got, c.match)
		}
	}
}
