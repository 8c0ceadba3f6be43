package replay

import (
	"net/netip"

	"github.com/flask2ban/flask2ban/routes"
)

// record is one request as an access log tells of it. Its texts are parts of
// the log's own text: whoever keeps one beyond the batch clones it.
type record struct {
	// time is in nanoseconds since 1970.
	time int64
	// addr is the address in the line, forwarded the header that a proxy
	// before it had set, where the log has it.
	addr      netip.Addr
	forwarded string
	// client is whom the request counts against; the zero Prefix for a peer
	// without an address.
	client netip.Prefix
	// host is empty where the log has none. method is empty where the request
	// line was none.
	host, method, target string
	// status is 0 where no answer was sent.
	status int
	// soft says that the line has a mark of a request that others may have
	// caused (see proxy/marks.go).
	soft    bool
	agent   string
	verdict routes.Verdict
}

// format is a kind of access log.
type format uint8

// The formats. Those after combined and common are told apart by their shape
// alone; gunicorn, nginx and Apache all write combined.
const (
	unknownFormat format = iota
	combined
	common
	werkzeug
	nginxJSON
	caddyJSON
	formats // how many there are
)

var formatNames = [formats]string{"unknown", "combined", "common", "Werkzeug", "nginx JSON", "Caddy JSON"}

func (f format) String() string { return formatNames[f] }

// parse reads one line without its end. The error is one of a few fixed ones,
// so that a log of garbage costs no memory.
func parse(line string, r *record) (format, error) {
	*r = record{}
	if line[0] == '{' {
		return parseJSON(line, r)
	}
	return parseCommon(line, r)
}

// noReferer are the values that stand for none.
func noReferer(s string) bool { return s == "" || s == "-" || s == "null" }
