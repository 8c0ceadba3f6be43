package page

import (
	"bytes"
	"embed"
	"fmt"
	"hash/fnv"
	"html/template"
	"io/fs"
	"math"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/flask2ban/flask2ban/ban"
)

//go:embed templates/*.html
var templateFiles embed.FS

//go:embed assets
var assetFiles embed.FS

// parseTemplates makes one template a view, each with the layout and the common
// pieces.
func parseTemplates() (map[string]*template.Template, error) {
	common, err := template.New("").Funcs(functions()).ParseFS(templateFiles, "templates/layout.html", "templates/pieces.html")
	if err != nil {
		return nil, fmt.Errorf("status page: %w", err)
	}
	names := []string{"client", "signin", "refused"}
	for _, v := range views() {
		names = append(names, v.name)
	}
	all := map[string]*template.Template{}
	for _, name := range names {
		t, err := common.Clone()
		if err == nil {
			t, err = t.ParseFS(templateFiles, "templates/"+name+".html")
		}
		if err != nil {
			return nil, fmt.Errorf("status page: %w", err)
		}
		all[name] = t
	}
	return all, nil
}

func functions() template.FuncMap {
	return template.FuncMap{
		"visible": visible, "id": id, "count": count, "rate": rate, "duration": duration,
		"score": func(f float64) string { return strconv.FormatFloat(f, 'g', 4, 64) },
		"join":  strings.Join,
		"lines": func(list []string) string { return strings.Join(list, "\n") },
		"words": func(s string) string { return strings.ReplaceAll(s, "_", " ") },
		"args":  func(list ...any) []any { return list },
		"half":  func(f float64) float64 { return f / 2 },
		"above": func(f float64) float64 { return f * 1.01 }, // so that a full meter is beyond its high mark
		"asset": assetURL, "address": ban.FormatClient, "sentence": sentence, "methods": methods,
	}
}

// assetVersion changes with any asset, so that browsers may keep them.
var assetVersion = sync.OnceValue(func() string {
	h := fnv.New64a()
	_ = fs.WalkDir(assetFiles, ".", func(name string, d fs.DirEntry, err error) error { // embedded: never fails
		if err == nil && !d.IsDir() {
			data, _ := assetFiles.ReadFile(name)
			h.Write(data)
		}
		return err
	})
	return strconv.FormatUint(h.Sum64(), 36)
})

func assetURL(name string) string { return "/assets/" + name + "?v=" + assetVersion() }

// methods are those worth showing: HEAD and OPTIONS follow from the others.
func methods(list []string) []string {
	if list == nil {
		return []string{"any"}
	}
	var out []string
	for _, m := range list {
		if m != "HEAD" && m != "OPTIONS" || len(list) == 1 {
			out = append(out, m)
		}
	}
	return out
}

// visible shows what would be invisible or would turn the text around, as Go
// writes it; html/template does the rest.
func visible(s any) string {
	var b strings.Builder
	for _, r := range fmt.Sprint(s) {
		switch {
		case r == '\n' || r == '\t' || strconv.IsPrint(r):
			b.WriteRune(r)
		default:
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		}
	}
	return b.String()
}

// id names an element after what it shows, so that a live update finds it.
func id(kind string, of ...any) string {
	h := fnv.New64a()
	fmt.Fprint(h, of...)
	return kind + "-" + strconv.FormatUint(h.Sum64(), 36)
}

// count writes a number in groups of three.
func count(n any) string {
	text := fmt.Sprint(n)
	if f, ok := n.(float64); ok {
		text = strconv.FormatFloat(f, 'f', 0, 64)
	}
	sign := ""
	if strings.HasPrefix(text, "-") {
		sign, text = "-", text[1:]
	}
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "\u202f" + text[i:]
	}
	return sign + text
}

// rate writes how many a second, in as many digits as one wants to see.
func rate(f float64) string {
	switch {
	case f == 0:
		return "0"
	case f < 10:
		return strconv.FormatFloat(f, 'f', 1, 64)
	}
	return count(math.Round(f))
}

// duration writes seconds; those of nothing as a dash.
func duration(seconds float64) string {
	switch ms := seconds * 1000; {
	case seconds == 0:
		return "–"
	case ms < 10:
		return strconv.FormatFloat(ms, 'f', 1, 64) + " ms"
	case ms < 1000:
		return strconv.FormatFloat(ms, 'f', 0, 64) + " ms"
	case seconds < 60:
		return strconv.FormatFloat(seconds, 'f', 1, 64) + " s"
	}
	return span(time.Duration(seconds * float64(time.Second)))
}

// span is a length of time in its two largest units.
func span(d time.Duration) string {
	d = d.Round(time.Second)
	days, d := d/(24*time.Hour), d%(24*time.Hour)
	switch h, m, s := d/time.Hour, d%time.Hour/time.Minute, d%time.Minute/time.Second; {
	case days > 0:
		return fmt.Sprintf("%d d %d h", days, h)
	case h > 0:
		return fmt.Sprintf("%d h %d min", h, m)
	case m > 0:
		return fmt.Sprintf("%d min %d s", m, s)
	default:
		return fmt.Sprintf("%d s", s)
	}
}

// Left is how much time there is until t.
func (m model) Left(t time.Time) string { return span(max(0, t.Sub(m.At))) }

// Ago is how much time has passed since t.
func (m model) Ago(t time.Time) string { return span(max(0, m.At.Sub(t))) }

// Uptime is since when the daemon runs.
func (m model) Uptime() string {
	return span(time.Duration(m.Status.UptimeSeconds * float64(time.Second)))
}

// Clock is a time of today as such, an earlier one with its date.
func (m model) Clock(t time.Time) string {
	t, now := t.Local(), m.At.Local()
	if t.Year() == now.Year() && t.YearDay() == now.YearDay() {
		return t.Format("15:04:05")
	}
	return t.Format("2 Jan 15:04")
}

// render answers with a view's page.
func (p *Page) render(w http.ResponseWriter, r *http.Request, code int, view string, m model) {
	if m.Title == "" {
		m.Title = view
	}
	p.execute(w, code, view, "layout", m)
}

// refuse answers with a page that says why there is no other.
func (p *Page) refuse(w http.ResponseWriter, r *http.Request, code int, text string) {
	m := p.model(r, "refused")
	m.Title, m.Notice = http.StatusText(code), notice{text, true}
	p.render(w, r, code, "refused", m)
}

// execute writes a template, whole or not at all.
func (p *Page) execute(w http.ResponseWriter, code int, view, name string, data any) {
	var html bytes.Buffer
	if err := p.templates[view].ExecuteTemplate(&html, name, data); err != nil {
		p.config.Log.Error("status page", "view", view, "error", err)
		http.Error(w, "the page could not be made: see the log", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(code)
	_, _ = html.WriteTo(w) // fails when the browser has left
}

// asset serves what never changes while the daemon runs.
func (p *Page) asset(w http.ResponseWriter, r *http.Request) {
	name := path.Join("assets", r.PathValue("file"))
	if info, err := fs.Stat(assetFiles, name); err != nil || info.IsDir() {
		http.NotFound(w, r)
		return
	}
	if r.URL.Query().Get("v") == assetVersion() {
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	if strings.HasSuffix(name, ".LICENSE") {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	}
	http.ServeFileFS(w, r, assetFiles, name)
}
