package overview

import (
	"time"

	"github.com/flask2ban/flask2ban/ban"
	"github.com/flask2ban/flask2ban/internal/app"
	"github.com/flask2ban/flask2ban/routes"
)

// Info identifies a daemon. It is constant while the daemon runs.
type Info struct {
	Version string `json:"version"`
	// App is the APP of the command line.
	App string `json:"app"`
	// Mode is enforce or observe.
	Mode string `json:"mode"`
	PID  int    `json:"pid"`
	// StateDir is where bans and the token are kept.
	StateDir string `json:"state_dir"`
	// Listen are the public addresses as bound.
	Listen []string `json:"listen"`
	// Page is the URL of the status page; empty without --admin.
	Page string `json:"page,omitempty"`
	// Upstream is set in a sidecar only.
	Upstream string    `json:"upstream,omitempty"`
	Started  time.Time `json:"started"`
}

// statusEvents are as many as fit a screen.
const statusEvents = 10

// Status is how the daemon is.
type Status struct {
	Info
	// UptimeSeconds counts from Started.
	UptimeSeconds float64 `json:"uptime_seconds"`
	// Ready says that requests are forwarded; NotReady why not.
	Ready    bool   `json:"ready"`
	NotReady string `json:"not_ready,omitempty"`
	// Instance is how the app is; null in a sidecar.
	Instance *app.State `json:"instance"`
	// Events is what happened to the app last, the latest first; at most
	// statusEvents, with the stacks of its threads before a kill.
	Events  []app.Event `json:"events,omitempty"`
	Routes  RouteCounts `json:"routes"`
	Judging ban.Stats   `json:"judging"`
	// Queue is what is with the app and waits for it; null where nobody tells.
	Queue *Queue `json:"queue,omitempty"`
}

// Queue is how busy the app is.
type Queue struct {
	// Limit is how many requests may be with the app at a time; 0: no limit.
	Limit int `json:"limit"`
	// InFlight are with the app now.
	InFlight int `json:"in_flight"`
	// Held are the requests that wait for an app that starts or is away.
	Held int `json:"held"`
	// Waiting has the requests that wait, by class; classes without are left
	// out. LongestWaitSeconds is for how long the first of them has.
	Waiting            map[string]int `json:"waiting"`
	LongestWaitSeconds float64        `json:"longest_wait_seconds"`
}

// RouteCounts sums up the table.
type RouteCounts struct {
	Static     int `json:"static"`
	Runtime    int `json:"runtime"`
	Learned    int `json:"learned"`
	Unresolved int `json:"unresolved"`
	// Complete says that a path which is not in the table is not in the app.
	Complete bool `json:"complete"`
	// CatchAll is the rule, if any, that makes every path valid, so that
	// paths are no evidence.
	CatchAll string `json:"catch_all,omitempty"`
}

// Status tells how the daemon is now.
func (c *Collector) Status() Status {
	now := c.config.Now()
	st := Status{
		Info:          c.config.Info,
		UptimeSeconds: now.Sub(c.config.Info.Started).Round(time.Millisecond).Seconds(),
		Ready:         true,
		Judging:       c.judging(),
	}
	if c.config.Mode != nil {
		st.Mode = c.config.Mode()
	}
	if c.config.Ready != nil {
		if err := c.config.Ready(); err != nil {
			st.Ready, st.NotReady = false, err.Error()
		}
	}
	if c.config.AppState != nil {
		state := c.config.AppState()
		st.Instance = &state
		st.Events = firstOf(c.AppEvents(), statusEvents)
	}
	if c.config.Queue != nil {
		queue := c.config.Queue()
		st.Queue = &queue
	}
	if c.config.Table != nil {
		st.Routes = countRoutes(c.config.Table())
	}
	return st
}

func countRoutes(t *routes.Table) RouteCounts {
	c := RouteCounts{Unresolved: len(t.Unresolved()), Complete: t.Complete()}
	if all := t.CatchAll(); all != nil {
		c.CatchAll = all.Rule
	}
	for _, r := range t.Routes() {
		switch r.Source {
		case routes.Static:
			c.Static++
		case routes.Runtime:
			c.Runtime++
		case routes.Learned:
			c.Learned++
		}
	}
	return c
}
