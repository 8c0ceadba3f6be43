package notify

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"text/template"
	"time"
)

// DefaultTemplate is the whole message as JSON.
const DefaultTemplate = `{{json .}}`

// functions are what templates have besides text/template's own.
var functions = template.FuncMap{
	// json writes a value as JSON: a text with its quotes.
	"json": func(v any) (string, error) {
		var b bytes.Buffer
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		err := enc.Encode(v)
		return strings.TrimSuffix(b.String(), "\n"), err
	},
	// slack escapes what Slack would take for markup, mentions included
	// (https://docs.slack.dev/messaging/formatting-message-text).
	"slack": strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace,
}

// ParseTemplate reads a template and tries it, so that a mistake is found at
// the start and not with the first event.
func ParseTemplate(text string) (*template.Template, error) {
	t, err := template.New("notify-template").Option("missingkey=error").Funcs(functions).Parse(text)
	if err != nil {
		return nil, err
	}
	example := Message{Event: Ban, At: time.Unix(0, 0).UTC(), App: "app.py", Machine: "web1", Text: "an example", Count: 1,
		Clients: []Client{{Client: netip.MustParsePrefix("192.0.2.1/32"), Rule: "unexpected", Reason: "an example"}}}
	if _, err := render(t, example); err != nil {
		return nil, err
	}
	return t, nil
}

// maxBody bounds a message's body, in bytes: a template can repeat.
const maxBody = 64 << 10

func render(t *template.Template, m Message) ([]byte, error) {
	var b bytes.Buffer
	if err := t.Execute(&b, m); err != nil {
		return nil, err
	}
	if b.Len() > maxBody {
		return nil, fmt.Errorf("the message is %d bytes long, more than %d", b.Len(), maxBody)
	}
	return b.Bytes(), nil
}

// summaries are how several events of a kind are told of in one line.
var summaries = map[Kind]string{Ban: "clients banned", Unban: "clients no longer banned"}

// text says in one line what is in the pile.
func (p *pile) text(kind Kind) string {
	last := p.first[len(p.first)-1]
	if p.count == 1 {
		return printable(last.Text)
	}
	what, ok := summaries[kind]
	if !ok {
		return printable(fmt.Sprintf("%d times: %s", p.count, last.Text))
	}
	const named = 10
	var names []string
	for _, e := range p.first[:min(len(p.first), named)] {
		if e.Client != nil {
			names = append(names, clientText(e.Client.Client))
		}
	}
	text := fmt.Sprintf("%d %s: %s", p.count, what, strings.Join(names, ", "))
	if more := p.count - len(names); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// printable shows control characters as escapes.
func printable(s string) string {
	if quoted := strconv.QuoteToGraphic(s); quoted != `"`+s+`"` {
		return quoted[1 : len(quoted)-1]
	}
	return s
}

// clientText writes an address without the length that goes without saying.
func clientText(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}
