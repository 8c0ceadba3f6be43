package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/flask2ban/flask2ban/ban"
)

// sharedBan tells of a ban that no request of ours brought about: several
// instances' evidence did, or another instance decided it and counts it.
func (s *service) sharedBan(b ban.Ban, here bool) {
	level, message := slog.LevelInfo, "banned by another instance"
	if here {
		level, message = slog.LevelWarn, "banned"
		s.metrics.Banned(b.Rule)
	}
	s.log.Log(context.Background(), level, message,
		"client", b.Client, "rule", b.Rule, "reason", b.Reason, "count", b.Count,
		"until", b.Until.UTC().Format(time.RFC3339))
}
