package config

import (
	"fmt"
	"strconv"
	"strings"
)

var (
	ruleName = checked("name", checkRuleName)
	kind     = checked("kind", checkKind)
	route    = codec[string]{name: "route", parse: parseRoute, text: itself, split: whole}
	method   = checked("method", checkMethod)
)

// reservedRules are the built-in rules' names.
var reservedRules = map[string]bool{"unexpected": true, "suspect": true, "operator": true}

// checkRuleName takes what is a metric's label, a log's value and a word on a
// command line.
func checkRuleName(s string) error {
	if reservedRules[s] {
		return fmt.Errorf("%q is a built-in rule's name", s)
	}
	if s == "" || len(s) > 64 || strings.Trim(s, wordBytes) != "" {
		return fmt.Errorf("want a name of letters, digits, - and _, not %q", s)
	}
	return nil
}

const wordBytes = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"

// parseRoute takes a rule, which may have commas: /<any(a, b):x>.
func parseRoute(s string) (string, error) {
	if !strings.HasPrefix(s, "/") {
		return "", fmt.Errorf("want a route as \"flask2ban routes\" prints it, such as /user/<name>, not %q", s)
	}
	return s, nil
}

func checkMethod(s string) error {
	if s == "" || len(s) > 32 || strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ-_") != "" {
		return fmt.Errorf("want a method in upper case such as POST, not %q", s)
	}
	return nil
}

// peer is an address, a CIDR, or a host name.
var peer = codec[Peer]{
	name: "peer",
	parse: func(s string) (Peer, error) {
		if s == "" || strings.ContainsAny(s, ":/") || strings.Trim(s, "0123456789.") == "" {
			p, err := parseCIDR(s)
			return Peer{Prefix: p}, err
		}
		below := strings.HasPrefix(s, ".")
		name, err := parseHostName(strings.TrimPrefix(s, "."))
		name = strings.TrimSuffix(strings.ToLower(name), ".")
		if err != nil || !strings.Contains(name, ".") {
			return Peer{}, fmt.Errorf("want an address, a CIDR or a host name such as .example.org, not %q", s)
		}
		if below {
			name = "." + name
		}
		return Peer{Host: name}, nil
	},
	text: func(p Peer) string {
		if p.Host != "" {
			return p.Host
		}
		return formatCIDR(p.Prefix)
	},
}

// status is a number or a class: 404, 4xx.
var status = codec[StatusRange]{
	name: "status",
	parse: func(s string) (StatusRange, error) {
		if len(s) == 3 && s[0] >= '1' && s[0] <= '5' {
			if s[1:] == "xx" {
				from := int(s[0]-'0') * 100
				return StatusRange{from, from + 99}, nil
			}
			if n, err := strconv.ParseUint(s, 10, 16); err == nil {
				return StatusRange{int(n), int(n)}, nil
			}
		}
		return StatusRange{}, fmt.Errorf("want a status such as 404 or 4xx, not %q", s)
	},
	text: func(r StatusRange) string {
		if r.From == r.To {
			return strconv.Itoa(r.From)
		}
		return strconv.Itoa(r.From/100) + "xx"
	},
}

// rateUnits are the seconds of what a rate may be per.
var rateUnits = []struct {
	name    string
	seconds float64
}{{"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86400}}

// rate is a number per second, or per what stands after a slash: 10, 10/s,
// 100/m. It is kept per second.
var rate = codec[float64]{
	name: "rate",
	parse: func(s string) (float64, error) {
		count, unit, found := strings.Cut(s, "/")
		if !found {
			unit = "s"
		}
		n, err := strconv.ParseFloat(count, 64)
		for _, u := range rateUnits {
			if u.name == unit && err == nil && plainNumber(count) && n > 0 && n <= 1e9 {
				return n / u.seconds, nil
			}
		}
		return 0, fmt.Errorf("want a rate such as 10/s or 100/m, not %q", s)
	},
	text: formatRate,
}

// formatRate chooses the unit that gives a whole number, so that it reads back
// as the same rate.
func formatRate(perSecond float64) string {
	for _, u := range rateUnits {
		n := perSecond * u.seconds
		if n == float64(int64(n)) && n/u.seconds == perSecond {
			return formatNumber(n) + "/" + u.name
		}
	}
	return formatNumber(perSecond) + "/s"
}
