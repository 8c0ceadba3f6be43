package main

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/flask2ban/flask2ban/ban"
	"github.com/flask2ban/flask2ban/internal/app"
	"github.com/flask2ban/flask2ban/internal/cmdline"
	"github.com/flask2ban/flask2ban/internal/notify"
)

func (s *service) openNotify(context.Context) (err error) {
	if s.config.Notify == "" {
		return nil
	}
	s.notify, err = notify.New(notify.Config{
		URL: s.config.Notify, Template: s.config.NotifyTemplate, Kinds: s.config.NotifyOn,
		App: cmp.Or(s.config.App, s.config.Upstream), Log: s.log,
	})
	return cmdline.Usage(err)
}

// watchBans tells of bans, whoever decided them.
func (s *service) watchBans(ctx context.Context) error {
	return s.notify.WatchBans(ctx, func(now time.Time) []notify.Client {
		bans := s.engine.Bans(now)
		list := make([]notify.Client, len(bans))
		for i, b := range bans {
			list[i] = told(b)
		}
		return list
	})
}

func told(b ban.Ban) notify.Client {
	return notify.Client{Client: b.Client, Rule: b.Rule, Reason: b.Reason, Until: b.Until, Observed: b.Observed}
}

// notifyStore tells when the store begins to fail, and when it works again.
func (s *service) notifyStore(err error) {
	was := s.storeFails.Swap(err != nil)
	switch {
	case err != nil && !was:
		s.notify.Tell(notify.Event{Kind: notify.StoreFailing, At: time.Now(), Text: "bans can't be saved: " + err.Error()})
	case err == nil && was:
		s.notify.Tell(notify.Event{Kind: notify.StoreWorks, At: time.Now(), Text: "bans are saved again"})
	}
}

// notifySidecar tells of an app of somebody else's that is away, and why; and with
// nil of its return.
func (s *service) notifySidecar(why error) {
	e := notify.Event{Kind: notify.AppUp, At: time.Now(), Text: "the app is up again"}
	if why != nil {
		e.Kind, e.Text = notify.AppDown, "the app is down: "+why.Error()
	}
	s.notify.Tell(e)
}

// appTeller tells of the app's troubles and of their end, from its states.
type appTeller struct {
	mu       sync.Mutex
	restarts int
	down     bool
	looping  bool
}

func (a *appTeller) tell(n *notify.Notifier, st app.State) {
	a.mu.Lock()
	defer a.mu.Unlock()
	say := func(kind notify.Kind, format string, args ...any) {
		n.Tell(notify.Event{Kind: kind, At: time.Now(), Text: fmt.Sprintf(format, args...)})
	}
	if st.Restarts > a.restarts {
		say(notify.AppRestart, "the app was started again (restart %d): it ended with %s", st.Restarts, orText(st.LastExit, "no word"))
		a.restarts = st.Restarts
	}
	reason := orText(st.Reason, "no reason known")
	switch st.Name {
	case app.Restarting:
		if !a.down {
			say(notify.AppDown, "the app is down: %s", reason)
		}
		a.down = true
	case app.CrashLoop:
		if !a.looping {
			say(notify.CrashLoop, "the app ends again and again: %s", reason)
		}
		a.down, a.looping = true, true
	case app.Ready:
		if a.down {
			say(notify.AppUp, "the app is up again")
		}
		a.down, a.looping = false, false
	}
}
