package page

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/maphash"
	"net/http"
	"sync"
	"time"
)

const (
	// refresh is how often an open page gets what has changed.
	refresh = 2 * time.Second
	// maxStreams are open at once; who asks for more is told to close some.
	maxStreams = 32
	// streamWrite is how long a browser may take to read what it was sent.
	streamWrite = 20 * time.Second
)

// live is all open streams.
type live struct {
	mu   sync.Mutex
	open int
	wake chan struct{} // closed when an action has changed something
}

// enter counts a stream in, or says that there are too many.
func (l *live) enter() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open >= maxStreams {
		return false
	}
	l.open++
	return true
}

func (l *live) leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open--
}

// changed has all streams look at once.
func (l *live) changed() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.wake != nil {
		close(l.wake)
		l.wake = nil
	}
}

// next is closed with the next change.
func (l *live) next() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.wake == nil {
		l.wake = make(chan struct{})
	}
	return l.wake
}

// stream sends a view's sections as they change, until the browser leaves or its
// session ends.
func (p *Page) stream(w http.ResponseWriter, r *http.Request) {
	fill := p.filler(r)
	if fill == nil {
		p.refuse(w, r, http.StatusNotFound, "There is no such view.")
		return
	}
	if !p.live.enter() {
		http.Error(w, "too many open pages: close some", http.StatusServiceUnavailable)
		return
	}
	defer p.live.leave()
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no") // nginx would hold the stream back
	s := &stream{page: p, request: r, writer: w, control: http.NewResponseController(w), fill: fill, sent: map[string]uint64{}}
	_ = s.control.SetReadDeadline(time.Time{}) // else the server takes the browser for gone
	s.run()
}

// stream is one open page.
type stream struct {
	page    *Page
	request *http.Request
	writer  http.ResponseWriter
	control *http.ResponseController
	fill    func() model
	sent    map[string]uint64 // a digest of the last of each event
	latest  time.Time         // the last sample sent
}

func (s *stream) run() {
	tick := time.NewTicker(refresh)
	defer tick.Stop()
	for ending := s.page.config.Ending(s.request); ; {
		changed := s.page.live.next()
		if !s.page.mayRead(s.request) || s.update() != nil {
			return
		}
		select {
		case <-s.request.Context().Done():
			return
		case <-ending:
			return
		case <-changed:
		case <-tick.C:
		}
	}
}

// update sends what has changed since the last time. Its error is the browser
// having left.
func (s *stream) update() error {
	_ = s.control.SetWriteDeadline(time.Now().Add(streamWrite))
	m := s.fill()
	for _, section := range []string{"head", "main"} {
		var html bytes.Buffer
		if err := s.page.templates[m.View].ExecuteTemplate(&html, section, m); err != nil {
			s.page.config.Log.Error("status page", "view", m.View, "error", err)
			return err
		}
		if err := s.send(section, html.Bytes()); err != nil {
			return err
		}
	}
	if m.View == "now" {
		if err := s.samples(); err != nil {
			return err
		}
	}
	// A comment keeps intermediaries from taking us for dead.
	if _, err := fmt.Fprint(s.writer, ":\n\n"); err != nil {
		return err
	}
	return s.control.Flush()
}

// streamSeed makes the digests of what was sent.
var streamSeed = maphash.MakeSeed()

// send writes one event, unless it was the last of its name.
func (s *stream) send(event string, data []byte) error {
	digest := maphash.Bytes(streamSeed, data)
	if s.sent[event] == digest {
		return nil
	}
	s.sent[event] = digest
	var out bytes.Buffer
	fmt.Fprintf(&out, "event: %s\n", event)
	for line := range bytes.Lines(data) {
		out.WriteString("data: ")
		out.Write(bytes.TrimRight(line, "\r\n"))
		out.WriteByte('\n')
	}
	out.WriteByte('\n')
	_, err := s.writer.Write(out.Bytes())
	return err
}

// samples sends what the plots lack, by column.
func (s *stream) samples() error {
	list := s.page.config.Overview.History(s.latest)
	if len(list) == 0 {
		return nil
	}
	s.latest = list[len(list)-1].At
	columns := map[string][]float64{}
	for _, v := range list {
		for name, value := range map[string]float64{
			"at": float64(v.At.Unix()), "requests": v.Requests, "errors": v.Errors, "refused": v.Refused,
			"p50": v.P50 * 1000, "p95": v.P95 * 1000, // in ms, as they are read
		} {
			columns[name] = append(columns[name], value)
		}
	}
	data, err := json.Marshal(columns)
	if err != nil {
		return err
	}
	return s.send("samples", data)
}
