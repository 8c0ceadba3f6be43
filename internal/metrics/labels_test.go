package metrics

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	dto "github.com/prometheus/client_model/go"
)

// label values of one family, in the family's order.
func values(f *dto.MetricFamily, name string) []string {
	var all []string
	for _, m := range f.GetMetric() {
		for _, l := range m.GetLabel() {
			if l.GetName() == name {
				all = append(all, l.GetValue())
			}
		}
	}
	return all
}

func TestMethodsAreBounded(t *testing.T) {
	m := New("x")
	for _, method := range []string{"GET", "PATCH", "PROPFIND", "get", "", "A\nB", strings.Repeat("X", 1000)} {
		m.Request("/", method, 200, 0, 0)
	}
	got := values(families(t, m)["flask2ban_http_requests_total"], "method")
	if diff := cmp.Diff([]string{"GET", "PATCH", "other"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestCodesAreBounded(t *testing.T) {
	m := New("x")
	for code := -5; code < 1200; code++ {
		m.Request("/status/<codes>", "GET", code, 0, 0)
	}
	f := families(t, m)["flask2ban_http_requests_total"]
	codes := values(f, "code")
	if len(codes) != maxCodes+1 || total(f) != 1205 {
		t.Errorf("got %d codes of %v requests, want %d of 1205", len(codes), total(f), maxCodes+1)
	}
	for _, c := range codes {
		if len(c) != 3 && c != other {
			t.Errorf("got code %q", c)
		}
	}
}

func TestRoutesAreBounded(t *testing.T) {
	m := New("x")
	for i := range maxRoutes + 100 {
		m.Request(fmt.Sprintf("/%d", i), "GET", 200, 0, 0)
	}
	f := families(t, m)["flask2ban_http_requests_total"]
	if got := len(f.GetMetric()); got != maxRoutes+1 || total(f) != maxRoutes+100 {
		t.Errorf("got %d routes of %v requests, want %d of %d", got, total(f), maxRoutes+1, maxRoutes+100)
	}
	if m.Route("/beyond") != m.Route("/too") {
		t.Error("routes beyond the bound have collectors of their own")
	}
	if m.Route("/7") == m.Route("/8") {
		t.Error("known routes have lost theirs")
	}
}

func TestExceptionsAreBounded(t *testing.T) {
	m := New("x")
	for range 2 {
		for i := range maxExceptions + 50 {
			m.Exception(fmt.Sprintf("Error%d", i))
		}
	}
	f := families(t, m)["flask2ban_app_exceptions_total"]
	if got := len(f.GetMetric()); got != maxExceptions+1 || total(f) != 2*(maxExceptions+50) {
		t.Errorf("got %d types of %v, want %d", got, total(f), maxExceptions+1)
	}
	for _, metric := range f.GetMetric() {
		want := 2.
		if metric.GetLabel()[0].GetValue() == other {
			want = 100
		}
		if got := metric.GetCounter().GetValue(); got != want {
			t.Errorf("%v: got %v, want %v", metric.GetLabel(), got, want)
		}
	}
}

func TestPairsAreBounded(t *testing.T) {
	m := New("x")
	for i := range maxRules + 10 {
		m.Refused("reject", fmt.Sprint("rule", i))
	}
	f := families(t, m)["flask2ban_refused_total"]
	if got := len(f.GetMetric()); got != maxRules+1 {
		t.Errorf("got %d pairs, want %d", got, maxRules+1)
	}
	if got := values(f, "penalty"); got[0] != other && got[len(got)-1] != other {
		t.Errorf("got no %q among the penalties", other)
	}
}

// A pattern that isn't UTF-8, or endless, is a label all the same.
func TestLabel(t *testing.T) {
	for _, s := range []string{"", "/x", "/\xff\xfe", strings.Repeat("é", 500), strings.Repeat("x", maxLabel), "a" + strings.Repeat("é", maxLabel)} {
		got := label(s)
		if !utf8.ValidString(got) || len(got) > maxLabel+len("…") {
			t.Errorf("%q: got %q", s, got)
		}
		if len(s) <= maxLabel && utf8.ValidString(s) && got != s {
			t.Errorf("%q was changed to %q", s, got)
		}
	}
	m := New("x")
	m.Request("/\xff", "GET", 200, 0, 0)
	m.Exception("\xff")
	if got := values(families(t, m)["flask2ban_http_requests_total"], "route"); got[0] != "/�" {
		t.Errorf("got %q", got)
	}
}

// An empty second label is a value too.
func TestEmptyLabels(t *testing.T) {
	m := New("x")
	m.Refused("reject", "")
	m.Refused("", "")
	m.Banned("")
	all := families(t, m)
	if got := len(all["flask2ban_refused_total"].GetMetric()); got != 2 {
		t.Errorf("got %d pairs, want 2", got)
	}
	if got := len(all["flask2ban_bans_total"].GetMetric()); got != 1 {
		t.Errorf("got %d rules, want 1", got)
	}
}
