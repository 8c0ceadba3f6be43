package admin_test

import (
	"strings"
	"testing"
	"time"

	"github.com/flask2ban/flask2ban/internal/admin"
	"github.com/flask2ban/flask2ban/internal/metrics"
	"github.com/flask2ban/flask2ban/routes"
)

func TestOverviewOverTheAPI(t *testing.T) {
	m, p := metrics.New("x"), project()
	d := run(t, func(c *admin.Config) {
		c.Counters = m
		c.Project = func() *routes.Project { return p }
	})
	m.Request("/", "GET", 200, time.Millisecond, 0)
	d.add(t, "192.0.2.1", time.Hour)
	d.add(t, "192.0.2.2", time.Hour)
	got, err := d.client.Overview(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if got.Status.App != "app.py" || got.BansTotal != 2 || len(got.Bans) != 1 || len(got.Clients) != 1 || got.Routes[0].Hits != 1 || got.RoutesTotal != 2 {
		t.Errorf("got %+v", got)
	}
	if h, err := d.client.History(t.Context(), time.Time{}); err != nil || h == nil || len(h) != 0 {
		t.Errorf("history before the first sample: %v, %v", h, err)
	}
}

func TestOverviewRefusesNonsense(t *testing.T) {
	d := run(t)
	for path, want := range map[string]string{
		"/api/v1/overview?limit=x":     `limit \"x\": write a number from 0 to 1000`,
		"/api/v1/overview?limit=-1":    `limit \"-1\"`,
		"/api/v1/overview?limit=99999": `limit \"99999\"`,
		"/api/v1/history?since=now":    `since \"now\": write a time such as 2026-01-02T03:04:05Z`,
	} {
		if got := request(t, "GET", d.local, path, ""); got.status != 400 || !strings.Contains(got.body, want) {
			t.Errorf("%s: got %+v", path, got)
		}
	}
	if got := request(t, "GET", d.public, "/api/v1/overview", ""); got.status != 401 {
		t.Errorf("from anywhere, without the token: %+v", got)
	}
}
