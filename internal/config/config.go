// Package config knows every setting of flask2ban: flags override the
// environment, which overrides the file, which overrides a preset, which
// overrides the defaults.
//
// Settings is the one table of them. The flags, --help, the environment's
// names, the file's keys, "flask2ban config" and the reference documentation
// all follow from it.
package config

import (
	"net/netip"
	"time"
)

// Config is the effective configuration. Make it with Load or Default: the zero
// value lacks the defaults.
type Config struct {
	// App is the program as gunicorn and "flask --app" name it: a .py file, a
	// directory or module:object. Empty with Upstream.
	App string
	// Command is the server command given after "--"; empty means that we
	// choose how to start App.
	Command []string
	// Upstream is the URL of an app that we don't start; empty means we do.
	Upstream string
	// Python is the interpreter's path; empty means to look for one.
	Python string
	// User and Group run the app when we are root; empty means SUDO_UID's or
	// the owner of App.
	User, Group string
	// Env is added to the app's environment, each NAME=value.
	Env []string
	// Chdir is the app's working directory; empty means ours.
	Chdir string
	// Umask is the app's file mode mask in octal; empty means ours.
	Umask string
	// NoFile bounds the open files of each of the app's processes; 0 means
	// our own bound.
	NoFile int
	// Workers is how many instances run.
	Workers Workers
	// NoOverlap ends an instance before its successor starts.
	NoOverlap bool
	// Watch replaces the app when its source has changed.
	Watch bool
	// HealthPath is what the app is asked where it may hang; empty means
	// that the hook answers.
	HealthPath string
	// HangAfter is how long a route of unknown pace may hold everything up;
	// 0 means the default. AnswerTimeout is how long any request may take
	// until its answer begins; 0 means for ever.
	HangAfter, AnswerTimeout time.Duration
	// MemoryMax, MaxAge and MaxRequests are when an instance is replaced; 0
	// means never.
	MemoryMax   Size
	MaxAge      time.Duration
	MaxRequests int
	// AllowDebugger leaves Werkzeug's interactive debugger as the app set it.
	AllowDebugger bool
	// NoProxyFix leaves request.remote_addr, scheme and host in the app as
	// our connection's.
	NoProxyFix bool
	// StartTimeout is how long an instance may take until it is ready, and
	// StopTimeout how long running requests may take at the end.
	StartTimeout, StopTimeout time.Duration
	// AppConcurrency is how many requests the app gets at a time: 0 is for
	// what its server says, or is found out; Unlimited for no limit.
	AppConcurrency int

	// Listen are the public addresses, as host:port or :port, with http:// or
	// https:// before it where that is given; see Listeners.
	Listen []string
	// Hosts are the Host names answered to; empty means all.
	Hosts []string
	// MaxHeaderBytes bounds a request's header, MaxBody its body (0: no
	// limit). Both are in bytes.
	MaxHeaderBytes, MaxBody Size
	// ReadHeaderTimeout bounds how long a client takes to send a header, and
	// IdleTimeout how long its connection stays open without a request.
	ReadHeaderTimeout, IdleTimeout time.Duration
	// Hold is how long a request waits while no instance of the app is
	// ready; 0 answers 503 at once.
	Hold time.Duration
	// QueueWait is how long a request waits at most for a busy app.
	QueueWait time.Duration

	// MaxConnections bounds the open connections.
	MaxConnections int
	// MinRate is the least rate of a client, in bytes a second; 0 means any.
	MinRate Size
	// BufferBodies holds request bodies until they are complete.
	BufferBodies bool
	// H2C speaks HTTP/2 without TLS to who begins with it.
	H2C bool

	// TLSCert and TLSKey are PEM files; empty means none.
	TLSCert, TLSKey string
	// ACMEDomains are the names to get certificates for; empty means none.
	// ACMEEmail may be empty; ACMEDirectory is the authority's URL.
	ACMEDomains              []string
	ACMEEmail, ACMEDirectory string
	// ACMEEABKid and ACMEEABKeyFile bind to an account that the authority gave;
	// both or neither are empty.
	ACMEEABKid, ACMEEABKeyFile string
	// NoHTTPSRedirect serves HTTP where HTTPS is spoken too.
	NoHTTPSRedirect bool
	// HSTS is Strict-Transport-Security's max-age; 0 means none.
	HSTS time.Duration

	// TrustedProxies are the proxies whose forwarding headers are believed.
	TrustedProxies []netip.Prefix
	// ClientHeader carries the client's address behind them.
	ClientHeader string
	// ProxyProtocol takes it from their PROXY protocol headers.
	ProxyProtocol bool
	// IPv4Prefix and IPv6Prefix are the sizes of the network that counts as
	// one client.
	IPv4Prefix, IPv6Prefix int
	// IPv6Widest is the shortest prefix that bans of IPv6 clients grow to.
	IPv6Widest int
	// BanPrivate lets private and known CDN addresses be banned.
	BanPrivate bool
	// Ignore are clients that are never banned.
	Ignore []Peer
	// Resolvers are the DNS servers that know clients' names; empty means
	// the system's.
	Resolvers []string

	// Observe judges, counts and logs, but refuses nobody (mode: observe).
	Observe bool
	// Preset is the base that the settings start from.
	Preset string
	// MaxRetry is the score that blocks, FindTime the window it is counted in.
	MaxRetry float64
	FindTime time.Duration
	// BanTime is the first block's length, doubled for each further one up to
	// BanTimeMax.
	BanTime, BanTimeMax time.Duration
	// Penalty is what blocked clients get.
	Penalty string
	// MaxClients bounds how many clients are remembered.
	MaxClients int
	// Kernel drops told clients in the packet filter; KernelKeep leaves them
	// there when we end.
	Kernel, KernelKeep bool
	// Weights are the evidence kinds' weights that differ from their default.
	Weights map[string]float64
	// Rules are the operator's policy rules, in the file's order.
	Rules []Rule

	// Prefix is where the app is mounted (SCRIPT_NAME), without a trailing
	// slash; empty at the root.
	Prefix string
	// Werkzeug is the version whose matching to follow; empty means the
	// app's own, or the newest known.
	Werkzeug string
	// RouteGrace is how long a route that the app's former version had is no
	// evidence.
	RouteGrace time.Duration
	// Benign and Honeypaths extend the built-in lists of paths, which
	// NoDefaultLists leaves out.
	Benign, Honeypaths []string
	NoDefaultLists     bool

	// File is the configuration file that was read; empty for none.
	File string
	// State is the state directory; empty means the platform's.
	State string
	// Store is where bans are kept: bolt, memory or a redis:// URL.
	Store string
	// Admin is the address of metrics, API and status page; empty for none.
	Admin string
	// LogJSON writes log lines as JSON; LogLevel is debug, info, warn or
	// error.
	LogJSON  bool
	LogLevel string
	// Notify is the webhook that is told of events, a secret; empty for none.
	// NotifyTemplate is its text/template, empty for JSON, and NotifyOn the
	// kinds of events, empty for all.
	Notify, NotifyTemplate string
	NotifyOn               []string
	// AccessLog is a path, "-" for standard output, empty for none.
	AccessLog string

	origins map[string]Origin
}

// Size is a number of bytes.
type Size int64

// A Layer is one of the places that settings come from.
type Layer uint8

// The layers; a later one overrides an earlier one.
const (
	FromDefault Layer = iota
	FromPreset
	FromFile
	FromEnvironment
	FromFlag
)

// Origin says where a setting's value came from.
type Origin struct {
	Layer Layer
	// Place names it for a person: "default", "preset strict",
	// "flask2ban.yaml:3:1", "FLASK2BAN_LISTEN", "--listen".
	Place string
}

// Origin says where the value of the setting with this key came from. An
// unknown key has the default's.
func (c *Config) Origin(key string) Origin {
	if o, ok := c.origins[key]; ok {
		return o
	}
	return Origin{Place: "default"}
}

// Default is the configuration of someone who set nothing.
func Default() *Config {
	c := &Config{origins: map[string]Origin{}}
	for _, s := range settings {
		// A test holds that every default is valid.
		_ = s.bind.set(c, s.defaults())
	}
	return c
}
