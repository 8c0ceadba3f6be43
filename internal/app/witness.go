package app

import (
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"net/url"
	"strings"
)

// secrets are the names of the two headers between us and the hook, new with
// each start of ours: who doesn't know them can neither say where a request
// came from nor read what the app's routing said.
type secrets struct {
	request, response string // in canonical form
}

func newSecrets() secrets { return secrets{request: secretName(), response: secretName()} }

// secretName is "F2b-" and 128 random bits. crypto/rand doesn't fail.
func secretName() string {
	var random [16]byte
	rand.Read(random[:])
	return http.CanonicalHeaderKey("F2b-" + hex.EncodeToString(random[:]))
}

// Prepare writes the secret header that tells the hook who asks: a list with
// the one value that [Forwarded.AppendTo] makes. It is not copied.
func (a *App) Prepare(out *http.Request, value []string) {
	out.Header[a.secrets.request] = value
}

// AppendTo adds to b id, client, scheme and host, separated by blanks.
func (f Forwarded) AppendTo(b []byte) []byte {
	b = append(b, word(f.ID)...)
	b = append(b, ' ')
	if f.Client.IsValid() {
		b = f.Client.Unmap().WithZone("").AppendTo(b)
	}
	b = append(b, ' ')
	b = append(b, word(f.Scheme)...)
	b = append(b, ' ')
	return append(b, word(f.Host)...)
}

// word is s without what would end it or break the header. A host that has
// such characters is no host.
func word(s string) string {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || c == '"' || c == '\\' {
			return ""
		}
	}
	return s
}

// Witness takes the hook's header off h, which goes on to the client, and
// returns what it says.
func (a *App) Witness(h http.Header) Witness {
	values, ok := h[a.secrets.response]
	if !ok {
		return Witness{}
	}
	delete(h, a.secrets.response)
	if len(values) == 0 {
		return Witness{}
	}
	return parseWitness(values[len(values)-1])
}

// routings are the letters of the hook's testimony (hook/flask2ban_hook/witness.py).
var routings = map[string]Routing{"U": Unrouted, "F": Found, "N": NotFound, "M": MethodNotAllowed, "R": Redirect}

func parseWitness(value string) Witness {
	letter, rest, _ := strings.Cut(value, " ")
	routing, known := routings[letter]
	if !known {
		return Witness{}
	}
	rule, rest, _ := strings.Cut(rest, " ")
	endpoint, exception, _ := strings.Cut(rest, " ")
	return Witness{
		Present: true, Routing: routing,
		Rule: unquote(rule), Endpoint: unquote(endpoint), Exception: unquote(exception),
	}
}

func unquote(s string) string {
	if strings.IndexByte(s, '%') < 0 {
		return s
	}
	if plain, err := url.PathUnescape(s); err == nil {
		return plain
	}
	return s
}
