package config

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/flask2ban/flask2ban/internal/clientip"
	"go.yaml.in/yaml/v3"
)

// proxies binds trusted-proxy: a CIDR, or a network's name for all its ranges.
type proxies struct{}

func (proxies) kind() string            { return "cidr" }
func (proxies) many() bool              { return true }
func (proxies) split(s string) []string { return atCommas(s) }

func (proxies) check(s string) error {
	_, err := parseProxy(s)
	return err
}

func (p proxies) set(c *Config, texts []string) error {
	c.TrustedProxies = nil
	for _, s := range texts {
		prefixes, err := parseProxy(s)
		if err != nil {
			return err
		}
		c.TrustedProxies = append(c.TrustedProxies, prefixes...)
	}
	return nil
}

func (proxies) texts(c *Config) []string {
	var texts []string
	for _, p := range c.TrustedProxies {
		texts = append(texts, formatCIDR(p))
	}
	return texts
}

func parseProxy(s string) ([]netip.Prefix, error) {
	if prefixes, ok := clientip.Network(s); ok {
		return prefixes, nil
	}
	p, err := parseCIDR(s)
	if err == nil {
		return []netip.Prefix{p}, nil
	}
	if near := Nearest(s, clientip.Networks()); near != "" {
		return nil, &suggestion{problem: fmt.Sprintf("want an address, a CIDR or a network's name, not %q", s), nearest: near}
	}
	return nil, err
}

// evidenceKinds are those that the proxy itself finds; an app may report more
// under names of its own.
var evidenceKinds = []string{"unexpected_path", "unexpected_method", "bad_value", "honeypath", "server_error"}

// weight is the range of one kind's weight.
var weight = number(0, 1e6)

// weights binds the map of evidence kinds; its texts are "kind=weight".
type weights struct{}

func (weights) kind() string            { return "map" }
func (weights) many() bool              { return true }
func (weights) split(s string) []string { return whole(s) }

func (weights) check(s string) error {
	kind, value, _ := strings.Cut(s, "=")
	if err := checkKind(kind); err != nil {
		return err
	}
	if _, err := weight.parse(value); err != nil {
		return fmt.Errorf("%s: %w", kind, err)
	}
	return nil
}

func (w weights) set(c *Config, texts []string) error {
	for _, s := range texts {
		if err := w.check(s); err != nil {
			return err
		}
		kind, value, _ := strings.Cut(s, "=")
		if c.Weights == nil {
			c.Weights = map[string]float64{}
		}
		c.Weights[kind], _ = weight.parse(value)
	}
	return nil
}

func (weights) texts(c *Config) []string {
	var texts []string
	for _, kind := range slices.Sorted(maps.Keys(c.Weights)) {
		texts = append(texts, kind+"="+formatNumber(c.Weights[kind]))
	}
	return texts
}

// checkKind takes built-in kinds and names that an app may report, but not a
// slip of a built-in one.
func checkKind(kind string) error {
	if slices.Contains(evidenceKinds, kind) {
		return nil
	}
	bad := fmt.Sprintf("%q is no kind of evidence", kind)
	if near := Nearest(kind, evidenceKinds); near != "" {
		return &suggestion{problem: bad, nearest: near}
	}
	if kind == "" || len(kind) > 40 || strings.Trim(kind, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" {
		return fmt.Errorf("%s: want one of %s, or a name in lower case that the app reports", bad, strings.Join(evidenceKinds, ", "))
	}
	return nil
}

// setNode reads "kind: weight" pairs, over what a preset gave.
func (w weights) setNode(r *reader, n *yaml.Node, key string, c *Config) {
	if n.Kind != yaml.MappingNode {
		r.complain(n, key, errors.New("want a mapping of kinds of evidence to weights, such as {bad_value: 1}"))
		return
	}
	places := map[string]string{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		kind, value := n.Content[i], n.Content[i+1]
		text := kind.Value + "=" + value.Value
		switch first, again := places[kind.Value], places[kind.Value] != ""; {
		case again:
			r.complain(kind, key, fmt.Errorf("%s is set twice; first at %s", kind.Value, first))
		case scalarError(value, false) != nil:
			r.complain(value, key, scalarError(value, false))
		case w.check(text) != nil:
			r.complain(kind, key, w.check(text))
		default:
			_ = w.set(c, []string{text}) // checked
		}
		places[kind.Value] = r.place(kind)
	}
}
