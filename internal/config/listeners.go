package config

import (
	"net"
	"strings"
)

// A Listener is one public address with what is spoken there.
type Listener struct {
	// Addr is host:port or :port.
	Addr string
	// TLS says that HTTPS is spoken, else HTTP.
	TLS bool
}

// Listeners are the addresses of Listen. Where there is a certificate, or an
// authority to get one from, they speak HTTPS, but for port 80, whose only use
// is HTTP. A scheme before an address (http://:8080) decides it.
func (c *Config) Listeners() []Listener {
	listeners := make([]Listener, len(c.Listen))
	for i, s := range c.Listen {
		scheme, addr := cutScheme(s)
		tls := scheme == "https" || scheme == "" && c.Secure() && port(addr) != "80"
		listeners[i] = Listener{addr, tls}
	}
	return listeners
}

// Secure says whether there is a certificate, or will be.
func (c *Config) Secure() bool { return c.TLSCert != "" || len(c.ACMEDomains) > 0 }

// cutScheme splits http:// or https:// off an address to listen on.
func cutScheme(s string) (scheme, addr string) {
	if scheme, addr, found := strings.Cut(s, "://"); found {
		return scheme, addr
	}
	return "", s
}

func port(addr string) string {
	_, port, _ := net.SplitHostPort(addr)
	return port
}

// listenProblem is what is wrong with listen as a whole.
func listenProblem(c *Config) string {
	seen := map[string]bool{}
	for i, l := range c.Listeners() {
		scheme, _ := cutScheme(c.Listen[i])
		switch {
		case seen[l.Addr]:
			return "has " + l.Addr + " twice"
		case !c.Secure() && l.TLS, !c.Secure() && scheme == "" && port(l.Addr) == "443":
			return when(true, "%s needs a certificate: give {tls-cert} and {tls-key}, or {acme-domain} to get one; or http://%s to speak HTTP there", c.Listen[i], l.Addr)
		}
		seen[l.Addr] = true
	}
	return when(len(c.Listen) == 0, "want at least one address")
}

// unheard says why a certificate would never be used.
func unheard(c *Config) string {
	for _, l := range c.Listeners() {
		if l.TLS {
			return ""
		}
	}
	return "has no effect: no address of {listen} speaks HTTPS; add {listen} :443"
}

// unproven says why an authority could not reach us: it asks at port 443 or 80.
// Who writes a scheme has thought of it: another port may be mapped to those.
func unproven(c *Config) string {
	for _, s := range c.Listen {
		scheme, addr := cutScheme(s)
		if scheme != "" || port(addr) == "80" || port(addr) == "443" {
			return ""
		}
	}
	return when(true, "needs {listen} :443 (or :80 beside another): the authority asks there whether the name is ours; where these ports are mapped to others, write them as https://%s", c.Listen[0])
}
