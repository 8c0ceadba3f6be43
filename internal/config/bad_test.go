package config

import (
	"errors"
	"strings"
	"testing"
)

// TestBadFile has the exact error of each mistake that a person may make.
func TestBadFile(t *testing.T) {
	tests := []struct {
		name, file string
		want       []string
	}{
		{"unknown key", "maxretries: 5\n", []string{`f.yaml:1:1: maxretries: unknown key (did you mean "maxretry"?)`}},
		{"underscore", "max_retry: 5\n", []string{`f.yaml:1:1: max_retry: unknown key (did you mean "maxretry"?)`}},
		{"plural", "trusted_proxies: []\n", []string{`f.yaml:1:1: trusted_proxies: unknown key (did you mean "trusted-proxy"?)`}},
		{"swapped letters", "litsen: :80\n", []string{`f.yaml:1:1: litsen: unknown key (did you mean "listen"?)`}},
		{"upper case", "Listen: ':80'\n", []string{`f.yaml:1:1: Listen: unknown key (did you mean "listen"?)`}},
		{"nothing near", "colour: red\n", []string{`f.yaml:1:1: colour: unknown key`}},
		{"key that breaks lines", "\"a\\nb\": 1\n", []string{`f.yaml:1:1: "a\nb": unknown key`}},
		{"key that is no text", "[a, b]: 1\n", []string{`f.yaml:1:1: "": unknown key`}},
		{"a file naming a file", "config: other.yaml\n", []string{`f.yaml:1:1: config: unknown key`}},
		{"merge key", "<<: {maxretry: 1}\n", []string{`f.yaml:1:1: "<<": unknown key`}},
		{"duplicate", "mode: observe\nmaxretry: 5\nmode: enforce\n", []string{`f.yaml:3:1: mode: is set twice; first at f.yaml:1:1`}},
		{"many at once", "mode: off\nfoo: 1\nmaxretry: x\n", []string{
			`f.yaml:1:7: mode: want enforce or observe, not "off"`,
			`f.yaml:2:1: foo: unknown key`,
			`f.yaml:3:11: maxretry: want a number from 0.5 to 1000000, not "x"`}},

		{"no YAML", "listen: [\n", []string{`f.yaml:1:1: not YAML: did not find expected node content`}},
		{"tab", "a:\n\tb: 1\n", []string{`f.yaml:2:1: not YAML: found character that cannot start any token; indent with spaces, not tabs`}},
		{"tab at the start", "\tb: 1\n", []string{`f.yaml:1:1: not YAML: found character that cannot start any token; indent with spaces, not tabs`}},
		{"list at the top", "- a\n", []string{`f.yaml:1:1: want "key: value" lines`}},
		{"text at the top", "hello\n", []string{`f.yaml:1:1: want "key: value" lines`}},
		{"two documents", "mode: observe\n---\nmode: enforce\n", []string{`f.yaml:1:1: holds more than one document; remove the "---" line`}},
		{"too large", "# " + strings.Repeat("x", maxFile), []string{`f.yaml: is larger than 1MiB`}},

		{"no value", "maxretry:\n", []string{`f.yaml:1:10: maxretry: has no value; give one or remove the key`}},
		{"null", "state: ~\n", []string{`f.yaml:1:8: state: has no value; give one or remove the key`}},
		{"empty", "state: ''\n", []string{`f.yaml:1:8: state: want a value, not an empty one; leave the setting out instead`}},
		{"zero byte", "state: \"a\\0b\"\n", []string{`f.yaml:1:8: state: contains a zero byte`}},
		{"list for one", "maxretry: [1, 2]\n", []string{`f.yaml:1:11: maxretry: want one value, not a list`}},
		{"mapping for one", "maxretry: {a: 1}\n", []string{`f.yaml:1:11: maxretry: want one value, not a mapping`}},
		{"mapping for many", "listen: {a: 1}\n", []string{`f.yaml:1:9: listen: want a value or a list of values, not a mapping`}},
		{"list in a list", "listen:\n  - [a]\n", []string{`f.yaml:2:5: listen: want one value, not a list`}},
		{"alias", "state: &x /a\nstore: *x\n", []string{`f.yaml:2:8: store: is an alias (*x); write the value itself`}},
		{"empty list", "listen: []\n", []string{`f.yaml:1:1: listen: want at least one address`}},

		{"bool", "ban-private: yes\n", []string{`f.yaml:1:14: ban-private: want true or false, not "yes"`}},
		{"integer", "ipv6-prefix: 64.5\n", []string{`f.yaml:1:14: ipv6-prefix: want a whole number from 16 to 128, not "64.5"`}},
		{"integer range", "ipv6-prefix: 129\n", []string{`f.yaml:1:14: ipv6-prefix: want a whole number from 16 to 128, not "129"`}},
		{"IPv4 size", "ipv4-prefix: 0\n", []string{`f.yaml:1:14: ipv4-prefix: want a whole number from 8 to 32, not "0"`}},
		{"number", "maxretry: .nan\n", []string{`f.yaml:1:11: maxretry: want a number from 0.5 to 1000000, not ".nan"`}},
		{"NaN in words", "maxretry: NaN\n", []string{`f.yaml:1:11: maxretry: want a number from 0.5 to 1000000, not "NaN"`}},
		{"choice", "preset: strickt\n", []string{`f.yaml:1:9: preset: want gentle, standard, strict or api, not "strickt" (did you mean "strict"?)`}},
		{"log level", "log-level: warning\n", []string{`f.yaml:1:12: log-level: want debug, info, warn or error, not "warning" (did you mean "warn"?)`}},
		{"log format", "log-format: jsno\n", []string{`f.yaml:1:13: log-format: want text or json, not "jsno" (did you mean "json"?)`}},
		{"duration without unit", "bantime: 600\n", []string{`f.yaml:1:10: bantime: want a duration such as 90s, 10m, 12h, 1d or 1w, not "600"`}},
		{"duration in words", "bantime: 1 week\n", []string{`f.yaml:1:10: bantime: want a duration such as 90s, 10m, 12h, 1d or 1w, not "1 week"`}},
		{"negative duration", "bantime: -1s\n", []string{`f.yaml:1:10: bantime: want a duration such as 90s, 10m, 12h, 1d or 1w, not "-1s"`}},
		{"too short", "bantime: 1ms\n", []string{`f.yaml:1:10: bantime: want at least 1s, not "1ms"`}},
		{"too long", "bantime: 99999w\n", []string{`f.yaml:1:10: bantime: "99999w" is too long: at most 146 years`}},
		{"size", "max-body: 1XB\n", []string{`f.yaml:1:11: max-body: want a size such as 512KB, 1MB or 2GiB, not "1XB"`}},
		{"size range", "max-header-bytes: 1B\n", []string{`f.yaml:1:19: max-header-bytes: want 4KiB to 16MiB, not "1B"`}},
		{"size beyond", "max-body: 99999999999GiB\n", []string{`f.yaml:1:11: max-body: "99999999999GiB" is too large`}},

		{"port alone", "listen: 8080\n", []string{`f.yaml:1:9: listen: want host:port or :port, not "8080" (did you mean ":8080"?)`}},
		{"no port", "listen: localhost\n", []string{`f.yaml:1:9: listen: want host:port or :port, not "localhost"`}},
		{"port in words", "listen: localhost:http\n", []string{`f.yaml:1:9: listen: port "http" of "localhost:http": want a number from 0 to 65535`}},
		{"one of many", "listen: [':80', ':99999']\n", []string{`f.yaml:1:17: listen: port "99999" of ":99999": want a number from 0 to 65535`}},
		{"listen twice", "listen: [':80', ':80']\n", []string{`f.yaml:1:1: listen: has :80 twice`}},
		{"admin public", "listen: 0.0.0.0:80\nadmin: 0.0.0.0:80\n", []string{`f.yaml:2:1: admin: is a public address too (listen): metrics and API need their own`}},
		{"admin word", "admin: none\n", []string{`f.yaml:1:8: admin: want host:port or :port, not "none"`}},
		{"host with scheme", "host: https://example.org\n", []string{`f.yaml:1:7: host: want a host name without scheme, port and wildcard, not "https://example.org"`}},
		{"host with a quote", "host: 'a\"b'\n", []string{`f.yaml:1:7: host: want a host name without scheme, port and wildcard, not "a\"b"`}},
		{"host with a line's end", "host: \"a\\rb\"\n", []string{`f.yaml:1:7: host: want a host name without scheme, port and wildcard, not "a\rb"`}},
		{"host with an empty label", "host: a..b\n", []string{`f.yaml:1:7: host: want a host name without scheme, port and wildcard, not "a..b"`}},
		{"host beyond IDNA", "host: \"a\u202eb.example\"\n", []string{`f.yaml:1:7: host: want a host name without scheme, port and wildcard, not "a\u202eb.example"`}},
		{"address with a zone for a host", "host: fe80::1%eth0\n", []string{`f.yaml:1:7: host: want a host name without scheme, port and wildcard, not "fe80::1%eth0"`}},
		{"certificate for an address", "acme-domain: '[2001:db8::1]'\n", []string{`f.yaml:1:14: acme-domain: want a domain name such as example.org, without wildcard, not "[2001:db8::1]"`}},
		{"certificate for a word", "acme-domain: localhost\n", []string{`f.yaml:1:14: acme-domain: want a domain name such as example.org, without wildcard, not "localhost"`}},
		{"upstream without scheme", "upstream: 127.0.0.1:5000\n", []string{`f.yaml:1:11: upstream: want a URL such as http://127.0.0.1:5000, not "127.0.0.1:5000"`}},
		{"upstream with path", "upstream: http://a/b\n", []string{`f.yaml:1:11: upstream: "http://a/b": want scheme, host and port only`}},
		{"upstream's password is not shown", "upstream: http://u:secret@a/\n", []string{`f.yaml:1:11: upstream: "http://u:xxxxx@a/": want scheme, host and port only`}},
		{"upstream and its start", "upstream: http://127.0.0.1:5000\nuser: www-data\n", []string{`f.yaml:2:1: user: has no effect with upstream (f.yaml:1:1): we don't start that app`}},
		{"user", "user: 'a b'\n", []string{`f.yaml:1:7: user: want a user or group name, or its number, not "a b"`}},

		{"account without key", "acme-domain: a.example\nlisten: [':80', ':443']\nacme-eab-kid: k\n", []string{`f.yaml:3:1: acme-eab-kid: needs acme-eab-key-file, the file of that account's key`}},
		{"account without authority", "acme-eab-kid: k\nacme-eab-key-file: f\n", []string{`f.yaml:1:1: acme-eab-kid: has no effect without acme-domain, the name to get a certificate for`}},
		{"cidr", "ignore: [192.0.2.0/24, 192.0.2]\n", []string{`f.yaml:1:24: ignore: want an address or a CIDR such as 192.0.2.0/24, not "192.0.2"`}},
		{"cidr with host bits", "ignore: 10.1.2.3/8\n", []string{`f.yaml:1:9: ignore: "10.1.2.3/8" has bits beyond its size (did you mean "10.0.0.0/8"?)`}},
		{"cidr with zone", "ignore: fe80::1%eth0\n", []string{`f.yaml:1:9: ignore: want an address or a CIDR such as 192.0.2.0/24, not "fe80::1%eth0"`}},
		{"network's name", "trusted-proxy: cloudflair\n", []string{`f.yaml:1:16: trusted-proxy: want an address, a CIDR or a network's name, not "cloudflair" (did you mean "cloudflare"?)`}},
		{"header", "trusted-proxy: 10.0.0.1\nclient-header: X Real IP\n", []string{`f.yaml:2:16: client-header: want a header name such as X-Forwarded-For, not "X Real IP"`}},
		{"header without proxy", "client-header: X-Real-IP\n", []string{`f.yaml:1:1: client-header: has no effect without trusted-proxy: name the proxy that sets it`}},
		{"proxy protocol without proxy", "proxy-protocol: true\n", []string{`f.yaml:1:1: proxy-protocol: has no effect without trusted-proxy: name the proxy that sends the header`}},
		{"kernel behind a proxy", "trusted-proxy: 10.0.0.1\nkernel: true\n", []string{`f.yaml:2:1: kernel: has no effect behind trusted-proxy: its packets are the proxy's own, not the client's`}},
		{"keep without kernel", "kernel-keep: true\n", []string{`f.yaml:1:1: kernel-keep: has no effect without kernel`}},
		{"bantime-max", "bantime: 2d\nbantime-max: 1d\n", []string{`f.yaml:2:1: bantime-max: is shorter than bantime (2d)`}},
		{"bantime-max, other one set", "bantime: 2w\n", []string{`f.yaml:1:1: bantime: is longer than bantime-max (1w)`}},

		{"store", "store: blot\n", []string{`f.yaml:1:8: store: want bolt, memory or redis://host:port/db, not "blot" (did you mean "bolt"?)`}},
		{"store's scheme", "store: mysql://u:secret@h/d\n", []string{`f.yaml:1:8: store: want bolt, memory or redis://host:port/db, not "mysql://u:xxxxx@h/d"`}},
		{"prefix", "prefix: shop\n", []string{`f.yaml:1:9: prefix: want a path that begins with a slash, not "shop"`}},
		{"werkzeug", "werkzeug: '>=2'\n", []string{`f.yaml:1:11: werkzeug: want a version such as 2.2.2, not ">=2"`}},
		{"werkzeug, long", "werkzeug: 1.2.3.4.5\n", []string{`f.yaml:1:11: werkzeug: want a version such as 2.2.2, not "1.2.3.4.5"`}},

		{"weights", "weights: 5\n", []string{`f.yaml:1:10: weights: want a mapping of kinds of evidence to weights, such as {bad_value: 1}`}},
		{"weight's kind", "weights:\n  bad_valu: 1\n", []string{`f.yaml:2:3: weights: "bad_valu" is no kind of evidence (did you mean "bad_value"?)`}},
		{"weight's name", "weights:\n  Login!: 1\n", []string{`f.yaml:2:3: weights: "Login!" is no kind of evidence: want one of unexpected_path, unexpected_method, bad_value, honeypath, server_error, or a name in lower case that the app reports`}},
		{"weight", "weights: {bad_value: -1}\n", []string{`f.yaml:1:11: weights: bad_value: want a number from 0 to 1000000, not "-1"`}},
		{"weight missing", "weights:\n  bad_value:\n", []string{`f.yaml:2:13: weights: has no value; give one or remove the key`}},
		{"weight twice", "weights:\n  bad_value: 1\n  bad_value: 2\n", []string{`f.yaml:3:3: weights: bad_value is set twice; first at f.yaml:2:3`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { wantErrors(t, Check(yamlFile(t, tt.file)), tt.want) })
	}
}

// TestBadRules is the same for rules.
func TestBadRules(t *testing.T) {
	tests := []struct {
		name, file string
		want       []string
	}{
		{"no list", "rules: {}\n", []string{`f.yaml:1:8: rules: want a list of rules`}},
		{"no rule", "rules: [block]\n", []string{`f.yaml:1:9: rules[0]: want a rule with name and action`}},
		{"nothing", "rules: [{}]\n", []string{`f.yaml:1:9: rules[0]: lacks name`, `f.yaml:1:9: rules[0]: lacks action`}},
		{"unknown key", "rules:\n- {name: a, action: throttle, rat: 5, in_flight: 1}\n", []string{`f.yaml:2:31: rules[0].rat: unknown key (did you mean "rate"?)`}},
		{"unknown match", "rules:\n- {name: a, action: ignore, match: {peer: [192.0.2.1]}}\n", []string{`f.yaml:2:37: rules[0].match.peer: unknown key (did you mean "peers"?)`}},
		{"duplicate key", "rules:\n- name: a\n  name: b\n  action: throttle\n  rate: 1\n", []string{`f.yaml:3:3: rules[0].name: is set twice; first at f.yaml:2:3`}},
		{"same name", "rules:\n- {name: a, action: throttle, rate: 5}\n- {name: a, action: throttle, rate: 6}\n", []string{`f.yaml:3:4: rules[1].name: "a" names another rule already`}},
		{"built-in name", "rules: [{name: unexpected, action: throttle, rate: 5}]\n", []string{`f.yaml:1:16: rules[0].name: "unexpected" is a built-in rule's name`}},
		{"name", "rules: [{name: a b, action: throttle, rate: 5}]\n", []string{`f.yaml:1:16: rules[0].name: want a name of letters, digits, - and _, not "a b"`}},
		{"action", "rules: [{name: a, action: ban, match: {methods: PUT}}]\n", []string{`f.yaml:1:27: rules[0].action: want block, throttle, priority or ignore, not "ban"`}},
		{"another's key", "rules: [{name: a, action: throttle, rate: 5, bantime: 1h}]\n", []string{`f.yaml:1:46: rules[0].bantime: belongs to action block, not to throttle`}},
		{"no limit", "rules: [{name: a, action: throttle}]\n", []string{`f.yaml:1:9: rules[0]: throttle lacks a limit: rate, connections, connection_rate or in_flight`}},
		{"no class", "rules: [{name: a, action: priority}]\n", []string{`f.yaml:1:9: rules[0]: priority lacks class: high, normal or low`}},
		{"block everyone", "rules: [{name: a, action: block}]\n", []string{`f.yaml:1:9: rules[0]: block lacks match: it would apply to everyone`}},
		{"ignore everyone", "rules: [{name: a, action: ignore}]\n", []string{`f.yaml:1:9: rules[0]: ignore lacks match: it would apply to everyone`}},
		{"empty match", "rules: [{name: a, action: block, match: {}}]\n", []string{`f.yaml:1:41: rules[0].match: want some of peers, evidence, routes, methods, status`}},
		{"rate", "rules: [{name: a, action: throttle, rate: 5/w}]\n", []string{`f.yaml:1:43: rules[0].rate: want a rate such as 10/s or 100/m, not "5/w"`}},
		{"rate of none", "rules: [{name: a, action: throttle, rate: 0}]\n", []string{`f.yaml:1:43: rules[0].rate: want a rate such as 10/s or 100/m, not "0"`}},
		{"status", "rules: [{name: a, action: block, match: {status: [404, 6xx]}}]\n", []string{`f.yaml:1:56: rules[0].match.status: want a status such as 404 or 4xx, not "6xx"`}},
		{"method", "rules: [{name: a, action: block, match: {methods: [post]}}]\n", []string{`f.yaml:1:52: rules[0].match.methods: want a method in upper case such as POST, not "post"`}},
		{"route", "rules: [{name: a, action: block, match: {routes: [login]}}]\n", []string{`f.yaml:1:51: rules[0].match.routes: want a route as "flask2ban routes" prints it, such as /user/<name>, not "login"`}},
		{"peer", "rules: [{name: a, action: block, match: {peers: ['*.example.org']}}]\n", []string{`f.yaml:1:50: rules[0].match.peers: want an address, a CIDR or a host name such as .example.org, not "*.example.org"`}},
		{"peer like an address", "rules: [{name: a, action: block, match: {peers: [192.0.2.300]}}]\n", []string{`f.yaml:1:50: rules[0].match.peers: want an address or a CIDR such as 192.0.2.0/24, not "192.0.2.300"`}},
		{"kind", "rules: [{name: a, action: block, match: {evidence: honeypot}}]\n", []string{`f.yaml:1:52: rules[0].match.evidence: "honeypot" is no kind of evidence (did you mean "honeypath"?)`}},
		{"kind missing", "rules: [{name: a, action: block, match: {evidence: ''}}]\n", []string{`f.yaml:1:52: rules[0].match.evidence: "" is no kind of evidence: want one of unexpected_path, unexpected_method, bad_value, honeypath, server_error, or a name in lower case that the app reports`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { wantErrors(t, Check(yamlFile(t, tt.file)), tt.want) })
	}
}

// TestBadElsewhere has the errors of flags and environment.
func TestBadElsewhere(t *testing.T) {
	tests := []struct {
		name string
		args []string
		env  map[string]string
		want []string
	}{
		{"flag", []string{"--maxretry=x"}, nil, []string{`--maxretry: want a number from 0.5 to 1000000, not "x"`}},
		{"flag's choice", []string{"--mode", "observ"}, nil, []string{`--mode: want enforce or observe, not "observ" (did you mean "observe"?)`}},
		{"bool flag", []string{"--ban-private=1"}, nil, []string{`--ban-private: want true or false, not "1"`}},
		{"one of many", []string{"--ignore", "192.0.2.1,nonsense"}, nil, []string{`--ignore: want an address, a CIDR or a host name such as .example.org, not "nonsense"`}},
		{"variable", nil, map[string]string{"FLASK2BAN_LISTEN": "80"}, []string{`FLASK2BAN_LISTEN: want host:port or :port, not "80" (did you mean ":80"?)`}},
		{"both", []string{"--hold", "1"}, map[string]string{"FLASK2BAN_FINDTIME": "1"}, []string{
			`--hold: want a duration such as 90s, 10m, 12h, 1d or 1w, not "1"`,
			`FLASK2BAN_FINDTIME: want a duration such as 90s, 10m, 12h, 1d or 1w, not "1"`}},
		{"bad below a good one", []string{"--maxretry=5"}, map[string]string{"FLASK2BAN_MAXRETRY": "x"}, []string{`FLASK2BAN_MAXRETRY: want a number from 0.5 to 1000000, not "x"`}},
		{"conflict", []string{"--upstream=http://a:1", "--start-timeout=5s"}, nil, []string{`--start-timeout: has no effect with upstream (--upstream): we don't start that app`}},
		{"conflict of layers", []string{"--upstream=http://a:1"}, map[string]string{"FLASK2BAN_USER": "me"}, []string{`FLASK2BAN_USER: has no effect with upstream (--upstream): we don't start that app`}},
		{"names of flags", []string{"--tls-cert=c", "--listen=:443"}, nil, []string{`--tls-cert: needs --tls-key, the file of its private key (the same file where that holds both)`}},
		{"names of variables", nil, map[string]string{"FLASK2BAN_TLS_KEY": "k"}, []string{`FLASK2BAN_TLS_KEY: has no effect without FLASK2BAN_TLS_CERT, the file of its certificate`}},
		{"names of both: the flag", []string{"--listen=:443"}, map[string]string{"FLASK2BAN_HSTS": "1d"}, []string{
			`--listen: :443 needs a certificate: give --tls-cert and --tls-key, or --acme-domain to get one; or http://:443 to speak HTTP there`,
			`FLASK2BAN_HSTS: has no effect without HTTPS: give FLASK2BAN_TLS_CERT or FLASK2BAN_ACME_DOMAIN`}},
		{"no HTTPS address", []string{"--tls-cert=c", "--tls-key=k", "--listen=:80"}, nil, []string{`--tls-cert: has no effect: no address of --listen speaks HTTPS; add --listen :443`}},
		{"out of an authority's reach", []string{"--acme-domain=shop.example"}, nil, []string{
			`--acme-domain: needs --listen :443 (or :80 beside another): the authority asks there whether the name is ours; where these ports are mapped to others, write them as https://:8080`}},
		{"the default is in the way", []string{"--listen=127.0.0.1:9180"}, nil, []string{`default: admin: is a public address too (--listen): metrics and API need their own`}},
		{"longer than the default", []string{"--bantime=2w"}, nil, []string{`--bantime: is longer than --bantime-max (1w)`}},
		{"unknown preset", []string{"--preset=x"}, nil, []string{`--preset: want gentle, standard, strict or api, not "x"`}},
		{"proxy", []string{"--trusted-proxy=10.0.0.1/8"}, nil, []string{`--trusted-proxy: "10.0.0.1/8" has bits beyond its size (did you mean "10.0.0.0/8"?)`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Load(flags(t, tt.args...), env(tt.env), "")
			wantErrors(t, err, tt.want)
		})
	}
}

// A bad file and a bad flag are told of together.
func TestBadEverywhere(t *testing.T) {
	_, err := Load(flags(t, "--hold=x"), noEnv, yamlFile(t, "mode: x\n"))
	wantErrors(t, err, []string{
		`f.yaml:1:7: mode: want enforce or observe, not "x"`,
		`--hold: want a duration such as 90s, 10m, 12h, 1d or 1w, not "x"`})
}

func TestErrorType(t *testing.T) {
	var e *Error
	if err := Check(yamlFile(t, "maxretries: 5\n")); !errors.As(err, &e) {
		t.Fatalf("got %T, want an *Error within", err)
	}
	want := Error{Place: "f.yaml:1:1", Key: "maxretries", Problem: "unknown key", Nearest: "maxretry"}
	if *e != want {
		t.Errorf("got %+v, want %+v", *e, want)
	}
}

func wantErrors(t *testing.T, err error, want []string) {
	t.Helper()
	got := ""
	if err != nil {
		got = err.Error()
	}
	if got != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
}

// TestWebhookIsSecret: neither a mistake in it nor the effective configuration
// shows it, and a template's mistake is told with its place.
func TestWebhookIsSecret(t *testing.T) {
	for content, want := range map[string]string{
		"notify: ftp://hunter2\n":                                 "f.yaml:1:9: notify: want a URL such as https://hooks.example.org/..., not what is given",
		"notify: https://a b/hunter2\n":                           "not shown here",
		"notify-template: '{{.Txet}}'\n":                          "f.yaml:1:18: notify-template: template: notify-template:1:2: executing",
		"notify: https://x.example/hunter2\nnotify-on: crashed\n": "notify-on: want ban, unban, app_down",
	} {
		_, errs := load([]byte(content))
		if len(errs) != 1 || !strings.Contains(errs[0].Error(), want) || strings.Contains(errs[0].Error(), "hunter2") {
			t.Errorf("%s: got %v", content, errs)
		}
	}
	c, errs := load([]byte("notify: https://user:hunter2@x.example/hunter2?token=hunter2\n"))
	var b strings.Builder
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	if err := c.WriteEffective(&b); err != nil || strings.Contains(b.String(), "hunter2") || !strings.Contains(b.String(), "notify: https://x.example/xxxxx") {
		t.Errorf("%v: %s", err, &b)
	}
}
