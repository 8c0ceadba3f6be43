package config

import (
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"

	"github.com/flask2ban/flask2ban/internal/clientip"
	"github.com/flask2ban/flask2ban/internal/notify"
)

var (
	address    = checked("host:port", checkAddress)
	domainName = checked("name", checkDomain)
	email      = checked("address", checkEmail)
	httpsURL   = checked("url", checkHTTPSURL)
	account    = checked("name", checkAccount)
	headerName = checked("header", checkHeaderName)
	hostName   = codec[string]{name: "name", parse: parseHostName, text: itself}
	version    = checked("version", checkVersion)
	httpURL    = codec[string]{name: "url", parse: parseHTTPURL, text: masked}
	store      = codec[string]{name: "bolt|memory|redis://...", parse: parseStore, text: masked}
)

// listenAddress is an address with or without a scheme before it.
var listenAddress = checked("host:port", func(s string) error {
	scheme, addr := cutScheme(s)
	if scheme != "" && scheme != "http" && scheme != "https" {
		return fmt.Errorf("want http:// or https:// before an address, not %q", s)
	}
	return checkAddress(addr)
})

// adminAddress is an address, or "off" for none.
var adminAddress = codec[string]{
	name: "host:port",
	parse: func(s string) (string, error) {
		if s == "off" {
			return "", nil
		}
		return s, checkAddress(s)
	},
	text: func(s string) string {
		if s == "" {
			return "off"
		}
		return s
	},
}

func checkAddress(s string) error {
	_, port, err := net.SplitHostPort(s)
	if err != nil {
		problem := fmt.Sprintf("want host:port or :port, not %q", s)
		if _, err := strconv.ParseUint(s, 10, 16); err == nil {
			return &suggestion{problem: problem, nearest: ":" + s}
		}
		return errors.New(problem)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("port %q of %q: want a number from 0 to 65535", port, s)
	}
	return nil
}

// checkAccount takes what useradd does, and numeric ids.
func checkAccount(s string) error {
	if s == "" || strings.ContainsAny(s, ":/, \t\n\x00") || strings.HasPrefix(s, "-") {
		return fmt.Errorf("want a user or group name, or its number, not %q", s)
	}
	return nil
}

func checkHeaderName(s string) error {
	if !clientip.ValidHeader(s) {
		return fmt.Errorf("want a header name such as X-Forwarded-For, not %q", s)
	}
	return nil
}

// parseHostName takes a Host header's name without its port, and returns it as
// browsers send it: IDNA's ASCII, and brackets around an IPv6 address.
func parseHostName(s string) (string, error) {
	if a, err := netip.ParseAddr(strings.Trim(s, "[]")); err == nil && a.Zone() == "" {
		if a.Is6() {
			return "[" + a.String() + "]", nil
		}
		return a.String(), nil
	}
	name, err := s, error(nil)
	if strings.ContainsFunc(s, func(r rune) bool { return r >= utf8.RuneSelf }) {
		name, err = idna.Lookup.ToASCII(s) // else it is not asked: it refuses names with _
	}
	if err != nil || name == "" || len(name) > 253 || strings.ContainsFunc(name, notOfHost) || strings.HasPrefix(name, ".") || strings.Contains(name, "..") {
		return "", fmt.Errorf("want a host name without scheme, port and wildcard, not %q", s)
	}
	return name, nil
}

func notOfHost(r rune) bool {
	return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.')
}

// checkDomain takes names that an authority can certify by asking us.
func checkDomain(s string) error {
	name, err := parseHostName(s)
	_, address := netip.ParseAddr(strings.Trim(s, "[]"))
	if err != nil || address == nil || !strings.Contains(strings.Trim(name, "."), ".") {
		return fmt.Errorf("want a domain name such as example.org, without wildcard, not %q", s)
	}
	return nil
}

func checkEmail(s string) error {
	if a, err := mail.ParseAddress(s); err != nil || a.Address != s {
		return fmt.Errorf("want an e-mail address such as admin@example.org, not %q", s)
	}
	return nil
}

func checkHTTPSURL(s string) error {
	if u, err := url.Parse(s); err != nil || u.Scheme != "https" || u.Host == "" {
		return fmt.Errorf("want a URL that begins with https://, not %q", s)
	}
	return nil
}

func checkVersion(s string) error {
	parts := strings.Split(s, ".")
	for _, p := range parts {
		if p == "" || len(p) > 4 || strings.Trim(p, "0123456789") != "" {
			return fmt.Errorf("want a version such as 2.2.2, not %q", s)
		}
	}
	if len(parts) > 4 {
		return fmt.Errorf("want a version such as 2.2.2, not %q", s)
	}
	return nil
}

// urlPrefix drops the trailing slash: "/" means the root.
var urlPrefix = codec[string]{name: "path", text: itself, parse: func(s string) (string, error) {
	if !strings.HasPrefix(s, "/") || strings.ContainsAny(s, "?#\x00") {
		return "", fmt.Errorf("want a path that begins with a slash, not %q", s)
	}
	return strings.TrimRight(s, "/"), nil
}}

func parseHTTPURL(s string) (string, error) {
	bad := fmt.Errorf("want a URL such as http://127.0.0.1:5000, not %q", masked(s))
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return "", bad
	}
	if strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return "", fmt.Errorf("%q: want scheme, host and port only", masked(s))
	}
	return u.Scheme + "://" + u.Host, nil
}

// storeWords are the stores without an address.
var storeWords = []string{"bolt", "memory"}

// webhook is a URL whose path and query are as secret as a password.
var webhook = codec[string]{name: "url", parse: parseWebhook, text: maskedWebhook}

func parseWebhook(s string) (string, error) {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return "", errors.New("want a URL such as https://hooks.example.org/..., not what is given, which is not shown here as it may be a secret")
	}
	return s, nil
}

func maskedWebhook(s string) string {
	u, err := url.Parse(s)
	if err != nil || s == "" {
		return ""
	}
	return u.Scheme + "://" + u.Host + "/xxxxx"
}

// notifyTemplate is tried with an example as it is read.
var notifyTemplate = checked("template", func(s string) error {
	_, err := notify.ParseTemplate(s)
	return err
})

// redisSchemes are the URLs that go-redis takes.
var redisSchemes = map[string]bool{"redis": true, "rediss": true, "unix": true}

func parseStore(s string) (string, error) {
	if !strings.Contains(s, ":") {
		return s, oneOf(s, append(storeWords[:len(storeWords):len(storeWords)], "redis://host:port/db"))
	}
	u, err := url.Parse(s)
	if err != nil || !redisSchemes[u.Scheme] || u.Host == "" && u.Path == "" {
		return "", fmt.Errorf("want bolt, memory or redis://host:port/db, not %q", masked(s))
	}
	return s, nil
}

// masked hides the password of a URL. What is no URL, but may have one, is
// hidden from its last slash to its last @.
func masked(s string) string {
	if u, err := url.Parse(s); err == nil {
		return u.Redacted()
	}
	at := strings.LastIndex(s, "@")
	if at < 0 {
		return s
	}
	begin := strings.Index(s, "//")
	if begin < 0 || begin > at {
		begin = -2
	}
	return s[:begin+2] + "xxxxx" + s[at:]
}
