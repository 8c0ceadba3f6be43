package replay

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/flask2ban/flask2ban/internal/clientip"
	"github.com/flask2ban/flask2ban/routes"
)

// realLog is the real log's text.
func realLog(tb testing.TB) []byte {
	tb.Helper()
	f, err := os.Open("testdata/access_mixed.log.gz")
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		tb.Fatal(err)
	}
	text, err := io.ReadAll(z)
	if err != nil {
		tb.Fatal(err)
	}
	return text
}

// resolver is one that knows no addresses of this machine.
func resolver(tb testing.TB, c clientip.Config) *clientip.Resolver {
	tb.Helper()
	c.Interfaces = noInterfaces
	r, err := clientip.New(c)
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

// site is a table for the real log: an app with a few routes.
func site(tb testing.TB, rules ...string) *routes.Table {
	tb.Helper()
	p := &routes.Project{Complete: true}
	for _, rule := range rules {
		p.Routes = append(p.Routes, routes.Route{
			Rule: rule, Methods: []string{"GET", "HEAD", "OPTIONS"}, Endpoint: rule, StrictSlashes: true, MergeSlashes: true,
		})
	}
	t, err := routes.NewTable(routes.TableConfig{Project: p, Lists: routes.DefaultLists()})
	if err != nil {
		tb.Fatal(err)
	}
	return t
}

// BenchmarkReplay replays 200,000 real lines; its metric is the one that the
// issue asks for, 300,000 lines a second on two cores.
func BenchmarkReplay(b *testing.B) {
	const copies = 20
	text := bytes.Repeat(realLog(b), copies)
	path := filepath.Join(b.TempDir(), "access.log")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		b.Fatal(err)
	}
	app := site(b, "/", "/blog/<path:p>", "/presentations/<path:p>", "/projects/<path:p>", "/files/<path:p>",
		"/images/<name>", "/style2.css", "/reset.css", "/articles/<path:p>", "/misc/<path:p>", "/test.xml", "/robots.txt")
	for name, table := range map[string]*routes.Table{"app": app, "learn": nil} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			lines, before := 0, cpu(b)
			for b.Loop() {
				r, err := Run(b.Context(), Config{
					Logs: []string{path}, Table: table, Lists: routes.DefaultLists(), Clients: resolver(b, clientip.Config{}),
				})
				if err != nil {
					b.Fatal(err)
				}
				lines += r.Lines
			}
			b.ReportMetric(float64(lines)/b.Elapsed().Seconds(), "lines/s")
			b.ReportMetric(float64(cpu(b)-before)/float64(lines), "cpu-ns/line")
		})
	}
}

// cpu is the processor time used so far: what a line costs whatever else runs
// on the machine.
func cpu(tb testing.TB) time.Duration {
	tb.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkParse is the cost of one line by its format.
func BenchmarkParse(b *testing.B) {
	for name, line := range map[string]string{"combined": combinedLine, "nginx": nginxLine, "caddy": caddyLine} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(line)))
			var r record
			for b.Loop() {
				if _, err := parse(line, &r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
