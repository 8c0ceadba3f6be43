package replay

import (
	"encoding/json"
	"io"
	"time"
)

// reportJSON is what programs get. Its names are a contract (DESIGN section 8).
type reportJSON struct {
	Lines   int          `json:"lines"`
	Skipped int          `json:"skipped"`
	Clients int          `json:"clients"`
	Banned  []bannedJSON `json:"banned"`
	// Sweep is there where one was asked for.
	Sweep []sweepJSON `json:"sweep,omitempty"`
}

type bannedJSON struct {
	Client     string    `json:"client"`
	FirstBan   time.Time `json:"first_ban"`
	Bans       int       `json:"bans"`
	Requests   int       `json:"requests"`
	Refused    int       `json:"refused"`
	Score      float64   `json:"score"`
	Rule       string    `json:"rule"`
	KnownShare float64   `json:"known_share"`
}

type sweepJSON struct {
	Setting     string `json:"setting"`
	Clients     int    `json:"clients"`
	LikelyWrong int    `json:"likely_wrong"`
	Bans        int    `json:"bans"`
	Requests    int    `json:"requests"`
	Refused     int    `json:"refused"`
}

// WriteJSON writes the report as one object on one line.
func (r *Report) WriteJSON(w io.Writer) error {
	out := reportJSON{Lines: r.Lines, Skipped: r.Skipped, Clients: r.Clients, Banned: []bannedJSON{}}
	for _, b := range r.Banned {
		out.Banned = append(out.Banned, bannedJSON{
			b.Client, b.FirstBan, b.Bans, b.Requests, b.Refused, b.Score, b.Rule, b.KnownShare,
		})
	}
	for _, o := range r.Sweep {
		out.Sweep = append(out.Sweep, sweepJSON{o.Name, o.Clients, o.Wrong, o.Bans, o.Requests, o.Refused})
	}
	return json.NewEncoder(w).Encode(out)
}
