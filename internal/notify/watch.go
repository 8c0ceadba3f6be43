package notify

import (
	"context"
	"fmt"
	"net/netip"
	"time"
)

const (
	// watchEvery is how often bans are looked at, at least; each look is followed
	// by a pause of watchShare times what it took.
	watchEvery = time.Second
	watchShare = 50
)

// WatchBans tells of bans as they come and go, whoever decided them, until ctx
// ends. It looks at the list of those in force, so that nothing waits for it;
// those in force when it begins are no news.
func (n *Notifier) WatchBans(ctx context.Context, list func(now time.Time) []Client) error {
	known := byClient(list(time.Now()))
	timer := time.NewTimer(watchEvery)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-timer.C:
			bans := byClient(list(now))
			n.differ(now, known, bans)
			known = bans
			timer.Reset(max(watchEvery, watchShare*time.Since(now)))
		}
	}
}

func byClient(list []Client) map[netip.Prefix]Client {
	bans := make(map[netip.Prefix]Client, len(list))
	for _, c := range list {
		bans[c.Client] = c
	}
	return bans
}

// differ tells what is new, and what is gone.
func (n *Notifier) differ(now time.Time, before, after map[netip.Prefix]Client) {
	for prefix, c := range after {
		if _, ok := before[prefix]; ok {
			continue
		}
		what := "banned"
		if c.Observed {
			what = "would be banned (mode observe)"
		}
		n.Tell(Event{Kind: Ban, At: now, Client: &c, Text: fmt.Sprintf("%s %s until %s by %s: %s",
			clientText(prefix), what, c.Until.UTC().Format(time.RFC3339), c.Rule, c.Reason)})
	}
	for prefix, c := range before {
		if _, ok := after[prefix]; ok {
			continue
		}
		why := "its ban was lifted"
		if !now.Before(c.Until) {
			why = "its ban is over"
		}
		n.Tell(Event{Kind: Unban, At: now, Client: &c, Text: fmt.Sprintf("%s is no longer banned: %s", clientText(prefix), why)})
	}
}
