package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/flask2ban/flask2ban/internal/cmdline"
	"github.com/flask2ban/flask2ban/internal/replay"
)

// replayProgress is the line that a person watches while logs are replayed.
type replayProgress struct {
	out   io.Writer // nil where nobody watches
	drawn bool
}

// watchReplay has r tell of its progress on a terminal's standard error, and
// with -f of bans on the standard output.
func (c *cli) watchReplay(r *replay.Config, v replayView) *replayProgress {
	p := &replayProgress{}
	if cmdline.IsTerminal(c.stderr) && !v.follow {
		p.out = c.stderr
		r.Progress = p.draw
	}
	if v.follow && !v.json && v.html != "-" {
		r.Banned = func(e replay.Event) {
			fmt.Fprintf(c.stdout, "%s ban %s for %v after %s %s\n",
				e.Ban.Since.Format(time.RFC3339), e.Ban.Client.Addr(), e.Ban.Until.Sub(e.Ban.Since), cmdline.Printable(e.Path), cmdline.Printable(e.Agent))
		}
	}
	return p
}

// draw writes the line anew.
func (p *replayProgress) draw(n replay.Progress) {
	rate := float64(n.Lines) / max(n.Took.Seconds(), 1e-3)
	line := fmt.Sprintf("%d lines, %.0f/s", n.Lines, rate)
	if n.Passes > 1 {
		line = fmt.Sprintf("pass %d of %d: %s", n.Pass, n.Passes, line)
	}
	if n.Size > 0 && n.Read > 0 {
		done := min(1, float64(n.Read)/float64(n.Size))
		// Earlier passes took as long as this one will.
		all := (float64(n.Pass-1) + done) / float64(n.Passes)
		left := time.Duration(float64(n.Took) * (1 - all) / all).Round(time.Second)
		line = fmt.Sprintf("[%s] %3.0f%%  %s, %v left", bar(all), 100*all, line, left)
	}
	fmt.Fprintf(p.out, "\r\x1b[K%s", line)
	p.drawn = true
}

// barWidth is that of the bar, in columns.
const barWidth = 20

// bar draws a part of 1.
func bar(part float64) string {
	full := int(part * barWidth)
	return strings.Repeat("#", full) + strings.Repeat(".", barWidth-full)
}

// end takes the line away.
func (p *replayProgress) end() {
	if p.drawn {
		fmt.Fprint(p.out, "\r\x1b[K")
	}
}
