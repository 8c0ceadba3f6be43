package replay

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"math"
	"strings"
	"time"
)

//go:embed page.html
var pageText string

// page is parsed once; html/template escapes what the log says by where it
// stands.
var page = template.Must(template.New("page").Funcs(template.FuncMap{
	"thousands": thousands, "percent": percent, "number": number, "upTo": upTo, "printable": printable,
	"share":   share,
	"second":  func(t time.Time) string { return t.Format(textTime) },
	"methods": func(m []string) string { return strings.Join(m, " ") },
	"why":     func(b Banned) string { return b.why() },
}).Parse(pageText))

// htmlRows bounds the rows of each table of the page.
const htmlRows = 500

// pageData is what the page shows.
type pageData struct {
	*Report
	Between string
	Rate    string
	Wrong   int
	Shown   []Banned
	More    int
	Costs   []Path
	Routes  []routeRow
	Chart   *chart
	Bars    []bar
}

// routeRow is a route that nobody asked for.
type routeRow struct{ Methods, Rule, From string }

// WriteHTML writes the report as one page without anything from elsewhere:
// style and pictures are in it, there is no script. Everything that the log
// says is escaped. Errors are the writer's.
func (r *Report) WriteHTML(w io.Writer) error {
	d := pageData{
		Report: r, Between: strings.TrimPrefix(r.between(), ", "), Rate: thousands(int(math.Min(r.rate(), math.MaxInt32))),
		Wrong: r.likelyWrong(), Shown: r.Banned[:min(len(r.Banned), htmlRows)], More: max(0, len(r.Banned)-htmlRows),
		Costs: r.Paths[:min(len(r.Paths), htmlRows)], Chart: r.timeline.chart(), Bars: r.bars(),
	}
	for _, u := range r.Unused[:min(len(r.Unused), htmlRows)] {
		from := string(u.Source)
		if u.File != "" {
			from = fmt.Sprintf("%s:%d", u.File, u.Line)
		}
		d.Routes = append(d.Routes, routeRow{strings.Join(u.Methods, " "), u.Host + u.Rule, from})
	}
	return page.Execute(w, d)
}

// The size of the picture over time, in its own units.
const (
	chartWidth  = 960
	chartHeight = 220
	chartTop    = 12
	chartFloor  = 190
	chartLeft   = 52
)

// chart is the picture of what happened when.
type chart struct {
	// Width of a part, in words.
	Each string
	// Known, Unknown and Refused are the outlines of areas, one on the other.
	Known, Unknown, Refused string
	Bans                    []mark
	Ticks                   []mark
	Levels                  []level
}

// mark is something at one place of the time axis.
type mark struct {
	X      float64
	Label  string
	Anchor string
}

// level is a line across with its number.
type level struct {
	Y     float64
	Label string
}

// chart draws the timeline; nil where there is nothing to see.
func (l *timeline) chart() *chart {
	if len(l.parts) == 0 {
		return nil
	}
	top := 1
	for _, p := range l.parts {
		top = max(top, p.known+p.unknown)
	}
	c := &chart{Each: words(l.width)}
	y := func(n int) float64 { return chartFloor - float64(n)/float64(top)*(chartFloor-chartTop) }
	outline := func(of func(part) int) string {
		var b strings.Builder
		fmt.Fprintf(&b, "M%d %d", chartLeft, chartFloor)
		for i, p := range l.parts {
			fmt.Fprintf(&b, "L%.1f %.1fL%.1f %.1f", l.x(i), y(of(p)), l.x(i+1), y(of(p)))
		}
		fmt.Fprintf(&b, "L%.1f %dZ", l.x(len(l.parts)), chartFloor)
		return b.String()
	}
	c.Unknown = outline(func(p part) int { return p.known + p.unknown })
	c.Known = outline(func(p part) int { return p.known })
	c.Refused = outline(func(p part) int { return p.refused })
	for i, p := range l.parts {
		if p.bans > 0 {
			c.Bans = append(c.Bans, mark{X: (l.x(i) + l.x(i+1)) / 2, Label: plural(p.bans, "ban") + ", " + l.time(i)})
		}
	}
	c.Ticks = l.ticks()
	for i := range 3 {
		n := top * i / 2
		c.Levels = append(c.Levels, level{y(n), thousands(n)})
	}
	return c
}

// ticks are up to five times along the axis.
func (l *timeline) ticks() []mark {
	var ticks []mark
	last := len(l.parts) - 1
	for i := range 5 {
		at := i * last / 4
		if i > 0 && at == (i-1)*last/4 {
			continue
		}
		m := mark{l.x(at), l.time(at), "middle"}
		switch i {
		case 0:
			m.Anchor = "start"
		case 4:
			m.X, m.Anchor = chartWidth, "end"
		}
		ticks = append(ticks, m)
	}
	return ticks
}

// x is where the i-th part begins.
func (l *timeline) x(i int) float64 {
	return chartLeft + float64(i)/float64(len(l.parts))*(chartWidth-chartLeft)
}

func (l *timeline) time(i int) string {
	layout := "2 Jan 15:04"
	if l.width >= 24*time.Hour {
		layout = "2 Jan 2006"
	}
	return l.begin.Add(time.Duration(i) * l.width).Format(layout)
}

// words writes a width as people do.
func words(d time.Duration) string {
	switch {
	case d < time.Hour:
		return plural(int(d.Minutes()), "minute")
	case d < 48*time.Hour:
		return strings.TrimSuffix(fmt.Sprintf("%.1f", d.Hours()), ".0") + " hours"
	}
	return fmt.Sprintf("%.0f days", d.Hours()/24)
}

// bar is a setting of the sweep as a picture.
type bar struct {
	Outcome
	// Y is the bar's place; Right and Wrong are the lengths of its parts.
	Y, Right, Bad float64
	End           float64
}

const (
	barHeight = 26
	barLength = 540
	barLeft   = 150
)

func (r *Report) bars() []bar {
	most := 1
	for _, o := range r.Sweep {
		most = max(most, o.Clients)
	}
	var bars []bar
	for i, o := range r.Sweep {
		length := func(n int) float64 { return barLength * float64(n) / float64(most) }
		bars = append(bars, bar{o, float64(i * barHeight), length(o.Clients - o.Wrong), length(o.Wrong), barLeft + length(o.Clients) + 8})
	}
	return bars
}

// BarsHeight is the height of the sweep's picture.
func (d pageData) BarsHeight() int { return len(d.Bars) * barHeight }
