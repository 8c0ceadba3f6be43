package main

import (
	"fmt"
	"html"
	"strings"
)

// The plot's measures, in pixels.
const (
	plotWidth  = 720
	labelWidth = 90
	valueWidth = 110
	barHeight  = 16
	barGap     = 4
	panelGap   = 34
)

// colours of the peers, told apart also by those who don't see red and green.
var colours = map[string]string{
	"nginx": "#0072b2", "HAProxy": "#56b4e9", "Caddy": "#e69f00", "flask2ban": "#d55e00",
}

// plot draws one panel a scenario: the CPU of each peer as a bar, with a
// whisker from the least to the most of its rounds. Each panel has its own
// scale, from 0.
func plot(r report) string {
	var b strings.Builder
	y := 40
	for _, res := range r.results {
		y = panel(&b, r.peers, res, y)
	}
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="system-ui, sans-serif" font-size="12">
<rect width="100%%" height="100%%" fill="#ffffff"/>
<text x="8" y="20" font-size="14" font-weight="bold">CPU µs a request: median, least to most of the rounds; less is better</text>
%s</svg>
`, plotWidth, y, plotWidth, y, b.String())
}

// panel draws a scenario from y on and returns where the next begins.
func panel(b *strings.Builder, peers []string, res result, y int) int {
	most := 0.0
	for _, rounds := range res.rounds {
		most = max(most, summarise(rounds).most)
	}
	if most == 0 {
		return y
	}
	scale := float64(plotWidth-labelWidth-valueWidth) / most
	fmt.Fprintf(b, "<text x=\"8\" y=\"%d\" font-weight=\"bold\">%s</text>\n", y+12, html.EscapeString(res.scenario.title))
	y += 20
	for _, name := range peers {
		rounds, ok := res.rounds[name]
		if !ok {
			continue
		}
		bar(b, name, summarise(rounds), scale, y)
		y += barHeight + barGap
	}
	return y + panelGap - 20
}

func bar(b *strings.Builder, name string, s summary, scale float64, y int) {
	middle := y + barHeight/2
	end := labelWidth + s.most*scale
	fmt.Fprintf(b, "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">%s</text>\n", labelWidth-6, middle+4, html.EscapeString(name))
	fmt.Fprintf(b, "<rect x=\"%d\" y=\"%d\" width=\"%.1f\" height=\"%d\" fill=\"%s\"/>\n", labelWidth, y, s.cpu*scale, barHeight, colours[name])
	fmt.Fprintf(b, "<line x1=\"%.1f\" y1=\"%d\" x2=\"%.1f\" y2=\"%d\" stroke=\"#333333\"/>\n", labelWidth+s.least*scale, middle, end, middle)
	fmt.Fprintf(b, "<text x=\"%.1f\" y=\"%d\">%s</text>\n", end+6, middle+4, figure(s.cpu))
}
