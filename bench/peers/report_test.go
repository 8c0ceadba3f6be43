package main

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

func sampleReport() report {
	round := func(cpu float64) measurement {
		return measurement{rate: 1000, cpu: cpu, p50: time.Millisecond, p99: 20 * time.Millisecond, rss: 30 << 20}
	}
	return report{
		machine: machine{cpu: "Test CPU", cores: 2, at: time.Unix(0, 0).UTC(), versions: []string{"nginx 1.22.1"}},
		options: options{rounds: 3, length: time.Second, only: regexp.MustCompile("")},
		peers:   []string{"nginx", "HAProxy", "Caddy", "flask2ban"},
		results: []result{
			{scenario: scenario{name: "forward", title: "Forward <&>", about: "About it."}, rounds: map[string][]measurement{
				"nginx":     {round(20), round(18), round(40)},
				"Caddy":     {round(100), round(90), round(110)},
				"flask2ban": {round(50), round(55), round(45)},
			}},
			{scenario: scenario{name: "accept", title: "Accept"}, rounds: map[string][]measurement{
				"HAProxy": {round(10)}, "flask2ban": {round(13)},
			}},
			{scenario: scenario{name: "probe", title: "Probe"}, rounds: map[string][]measurement{
				"nginx": {round(500)}, "flask2ban": {round(50)},
			}},
			{scenario: scenario{name: "refuse", title: "Refuse"}, rounds: map[string][]measurement{
				"flask2ban": {round(20)},
			}},
		},
	}
}

func TestTable(t *testing.T) {
	r := sampleReport()
	want := "| flask2ban | 1000 | 50.0 (45.0-55.0) | 2.50 | - | 0.50 | 1.00 ms | 20 ms | 30 | 0 |\n"
	if got := r.table(r.results[0]); !strings.Contains(got, want) {
		t.Errorf("got\n%swant the line\n%s", got, want)
	}
	if got := r.table(r.results[1]); strings.Contains(got, "\n| nginx |") {
		t.Errorf("a peer without the scenario is in the table:\n%s", got)
	}
}

func TestTargets(t *testing.T) {
	got := sampleReport().targets()
	for _, want := range []string{
		"| forward, × Caddy | 0.60 | 0.500 | met |\n",
		"| forward, × nginx | 3.00 | 2.500 | met |\n",
		"| accept, × HAProxy | 1.20 | 1.300 | missed |\n",
		"| probe, × nginx | 0.05 | 0.100 | missed |\n",
		"| probe-close, × nginx | 0.05 | - | not measured |\n",
		"| refuse, × nginx's probe | 0.05 | 0.040 | met |\n",
		"| accept, × nginx's probe-close | 0.05 | - | not measured |\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("got\n%swant the line\n%s", got, want)
		}
	}
}

func TestSummarise(t *testing.T) {
	s := summarise([]measurement{{cpu: 5, wrong: 1}, {cpu: 1, wrong: 2}, {cpu: 3}, {cpu: 4}})
	if s.cpu != 3.5 || s.least != 1 || s.most != 5 || s.wrong != 3 {
		t.Errorf("%+v", s)
	}
	if s := summarise(nil); s.cpu != 0 || s.most != 0 {
		t.Errorf("of nothing: %+v", s)
	}
}

func TestPlotIsXML(t *testing.T) {
	d := xml.NewDecoder(strings.NewReader(plot(sampleReport())))
	bars := 0
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if e, ok := token.(xml.StartElement); ok && e.Name.Local == "rect" {
			bars++
		}
	}
	if bars != 9 { // the ground, and eight bars
		t.Errorf("%d rectangles, want 9", bars)
	}
	for _, st := range starters {
		if colours[st.name] == "" {
			t.Errorf("%s has no colour", st.name)
		}
	}
}

func TestSaveKeepsWhatOthersWrote(t *testing.T) {
	dir := t.TempDir()
	r := sampleReport()
	if err := r.save(dir); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "RESULTS.md")
	first, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const before, after = "# Before\n", "# Overload, by hand\n"
	if err := os.WriteFile(path, []byte(before+string(first)+after), 0o644); err != nil {
		t.Fatal(err)
	}
	r.machine.cpu = "Another CPU"
	if err := r.save(dir); err != nil {
		t.Fatal(err)
	}
	second, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text := string(second)
	if !strings.HasPrefix(text, before) || !strings.HasSuffix(text, after) {
		t.Errorf("what stood around was lost:\n%s", text)
	}
	if strings.Contains(text, "Test CPU") || strings.Count(text, "Another CPU") != 1 {
		t.Errorf("the generated part was not replaced:\n%s", text)
	}
	if _, err := os.Stat(filepath.Join(dir, "results.svg")); err != nil {
		t.Error(err)
	}
}

func TestShort(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0.00 ms", 1234 * time.Microsecond: "1.23 ms", 45 * time.Millisecond: "45 ms", 2 * time.Second: "2000 ms",
	} {
		if got := short(d); got != want {
			t.Errorf("%v is %q, want %q", d, got, want)
		}
	}
}
