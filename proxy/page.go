package proxy

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"html/template"
	"maps"
	"net/http"
	"strings"
	"sync"
	"time"
)

//go:embed page.html
var pageHTML string

var pageTemplate = template.Must(template.New("page").Parse(pageHTML))

// pageData is what one of our own pages says. Title is required.
type pageData struct {
	Title  string
	Text   string
	Reason string
	// Until is shown where it is set.
	Until time.Time
	// Client is the address that the page is about.
	Client string
	// Refresh makes a browser ask again after so many seconds.
	Refresh int
}

// page answers with one of our own pages: JSON where the client asks for it,
// else HTML.
func (x *exchange) page(status int, p pageData) {
	head := x.Header()
	if wantsJSON(first(x.request.Header, "Accept")) {
		maps.Copy(head, jsonHeader)
		x.WriteHeader(status)
		x.body(p.json(status))
		return
	}
	maps.Copy(head, htmlHeader)
	x.WriteHeader(status)
	x.body(x.handler.pages.html(p))
}

// The headers of our pages; all answers share their values.
var (
	htmlHeader = http.Header{
		"Cache-Control":           {"no-store"},
		"X-Content-Type-Options":  {"nosniff"},
		"Content-Type":            {"text/html; charset=utf-8"},
		"Content-Security-Policy": {"default-src 'none'; style-src 'unsafe-inline'"},
	}
	jsonHeader = http.Header{
		"Cache-Control":          {"no-store"},
		"X-Content-Type-Options": {"nosniff"},
		"Content-Type":           {"application/json"},
	}
)

// pages keeps what always looks the same: few pages name a client.
type pages struct{ known sync.Map } // pageData → []byte

func (k *pages) html(p pageData) []byte {
	if page, ok := k.known.Load(p); ok {
		return page.([]byte)
	}
	var b bytes.Buffer
	if err := pageTemplate.Execute(&b, p); err != nil {
		// The template is ours and its data are strings; a test renders all.
		return []byte(template.HTMLEscapeString(p.Title))
	}
	if p.Reason == "" && p.Client == "" {
		k.known.Store(p, b.Bytes())
	}
	return b.Bytes()
}

func (x *exchange) body(b []byte) {
	if x.request.Method != http.MethodHead {
		x.Write(b) // an error means that the client has left
	}
}

func (p pageData) json(status int) []byte {
	v := struct {
		Error  string `json:"error"`
		Status int    `json:"status"`
		Reason string `json:"reason,omitempty"`
		Until  string `json:"until,omitempty"`
		Client string `json:"client,omitempty"`
	}{Error: p.Title, Status: status, Reason: p.Reason, Client: p.Client}
	if !p.Until.IsZero() {
		v.Until = p.Until.UTC().Format(time.RFC3339)
	}
	b, err := json.Marshal(v)
	if err != nil {
		return []byte("{}\n")
	}
	return append(b, '\n')
}

// wantsJSON says whether an Accept header names JSON and not HTML.
func wantsJSON(accept string) bool {
	return strings.Contains(accept, "json") && !strings.Contains(accept, "text/html")
}

// contextWithTimeout is a timeout that a leaving client does not cut short.
func contextWithTimeout(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), d)
}
