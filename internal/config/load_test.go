package config

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/spf13/pflag"
)

// byValue compares configurations without where the values came from.
var byValue = cmp.Options{
	cmpopts.IgnoreUnexported(Config{}),
	cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
}

// noEnv is an empty environment.
func noEnv(string) string { return "" }

// env is an environment from a map.
func env(m map[string]string) func(string) string {
	return func(name string) string { return m[name] }
}

// flags parses a command line with all our flags.
func flags(t testing.TB, args ...string) *pflag.FlagSet {
	t.Helper()
	fs := pflag.NewFlagSet("flask2ban", pflag.ContinueOnError)
	AddFlags(fs)
	if err := fs.Parse(args); err != nil {
		t.Fatal(err)
	}
	return fs
}

// yamlFile writes a configuration file into a directory of its own and makes
// that the current one, so that errors name it "f.yaml".
func yamlFile(t testing.TB, content string) string {
	t.Helper()
	t.Chdir(t.TempDir())
	if err := os.WriteFile("f.yaml", []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return "f.yaml"
}

func TestDefaults(t *testing.T) {
	c, err := Load(nil, noEnv, "")
	if err != nil {
		t.Fatal(err)
	}
	want := &Config{
		Workers: Workers{1, 1}, AnswerTimeout: 2 * time.Minute, StartTimeout: time.Minute, StopTimeout: 30 * time.Second, QueueWait: 30 * time.Second,
		Listen: []string{":8080"}, MaxHeaderBytes: 64 << 10, MaxConnections: 20_000, MinRate: 500,
		ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, Hold: 30 * time.Second,
		ClientHeader: "X-Forwarded-For", IPv4Prefix: 32, IPv6Prefix: 64, IPv6Widest: 48,
		Preset: "standard", MaxRetry: 5, FindTime: 10 * time.Minute, BanTime: 10 * time.Minute,
		BanTimeMax: 7 * 24 * time.Hour, Penalty: "reject", MaxClients: 1_000_000,
		ACMEDirectory: "https://acme-v02.api.letsencrypt.org/directory",
		RouteGrace:    7 * 24 * time.Hour,
		Store:         "bolt", Admin: "127.0.0.1:9180", LogLevel: "info",
	}
	if diff := cmp.Diff(want, c, byValue); diff != "" {
		t.Error(diff)
	}
}

func TestFullFile(t *testing.T) {
	c, err := Load(nil, noEnv, "testdata/full.yaml")
	if err != nil {
		t.Fatal(err)
	}
	fastly, _ := parseProxy("fastly")
	prefix := netip.MustParsePrefix
	want := &Config{
		App: "shop.wsgi:app", Command: []string{"gunicorn", "--workers", "2", "shop:create_app('a,b')"},
		Python: ".venv/bin/python", User: "www-data", Env: []string{"DATABASE_URL=sqlite:///shop.db"}, Chdir: "/srv/shop", Umask: "027", NoFile: 4096,
		Workers: Workers{1, 8}, NoOverlap: true, Watch: true, HealthPath: "/healthz", HangAfter: 20 * time.Second,
		AnswerTimeout: 10 * time.Minute, MemoryMax: 512 << 20, MaxAge: 24 * time.Hour, MaxRequests: 10000,
		Group: "33", AllowDebugger: true, NoProxyFix: true,
		StartTimeout: 2 * time.Minute, StopTimeout: 45 * time.Second, AppConcurrency: 8, QueueWait: 10 * time.Second,
		Listen: []string{":80", "[::1]:8080"}, Hosts: []string{"example.org", "192.0.2.7"},
		MaxHeaderBytes: 128 << 10, MaxBody: 100e6, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute,
		MaxConnections: 5000, MinRate: 2000, BufferBodies: true,
		H2C: true, ACMEDomains: []string{"example.org", "www.example.org"}, ACMEEmail: "admin@example.org",
		ACMEDirectory: "https://ca.example:14000/dir", ACMEEABKid: "kid-1", ACMEEABKeyFile: "/etc/flask2ban/eab.key", NoHTTPSRedirect: true, HSTS: 365 * 24 * time.Hour,
		TrustedProxies: append([]netip.Prefix{prefix("10.0.0.0/8"), prefix("2001:db8::1/128")}, fastly...),
		ClientHeader:   "Forwarded",
		ProxyProtocol:  true, IPv4Prefix: 24, IPv6Prefix: 56, IPv6Widest: 56, BanPrivate: true,
		Ignore: []Peer{{Prefix: prefix("192.0.2.0/24")}, {Prefix: prefix("198.51.100.7/32")}, {Host: ".googlebot.com"}}, Resolvers: []string{"127.0.0.1:53"},
		Observe: true, Preset: "strict", MaxRetry: 2.5, FindTime: 36 * time.Hour, BanTime: time.Hour,
		BanTimeMax: 28 * 24 * time.Hour, Penalty: "too_many", MaxClients: 5000,
		Weights: map[string]float64{"bad_value": 1, "login_failed": .25},
		Rules: []Rule{
			{Name: "crawlers", Place: "testdata/full.yaml:59:5", Action: "ignore",
				Match: Match{Peers: []Peer{{Host: ".googlebot.com"}, {Prefix: prefix("66.249.64.0/19")}}}},
			{Name: "login", Place: "testdata/full.yaml:62:5", Action: "block", MaxRetry: 10, FindTime: time.Minute,
				BanTime: time.Hour, Penalty: "tarpit",
				Match: Match{Routes: []string{"/login"}, Methods: []string{"POST"}, Status: []StatusRange{{401, 401}, {400, 499}}}},
			{Name: "everyone", Place: "testdata/full.yaml:72:5", Action: "throttle", Rate: 100. / 60, Burst: 50,
				Connections: 20, ConnectionRate: 5, InFlight: 10, Observe: true},
			{Name: "office", Place: "testdata/full.yaml:80:5", Action: "priority", Class: "high",
				Match: Match{Peers: []Peer{{Prefix: prefix("2001:db8:2::/48")}}, Evidence: []string{"unexpected_path"}}},
		},
		Prefix: "/shop", Werkzeug: "2.2.2", RouteGrace: 3 * 24 * time.Hour,
		Benign: []string{"/status.txt"}, Honeypaths: []string{"/old-admin/**", "!/wp-login.php"}, NoDefaultLists: true,
		File: "testdata/full.yaml", State: "/var/lib/flask2ban/shop", Store: "redis://:secret@127.0.0.1:6379/0",
		LogJSON: true, LogLevel: "debug", AccessLog: "-",
		Notify: "https://hooks.example.org/T0/B0/secret", NotifyTemplate: `{"text": {{json .Text}}}`,
		NotifyOn: []string{"ban", "crash_loop"},
	}
	if diff := cmp.Diff(want, c, byValue); diff != "" {
		t.Error(diff)
	}
	if err := Check("testdata/full.yaml"); err != nil {
		t.Error(err)
	}
}

// exclusive are the keys that exclude others of the file above.
var exclusive = []string{"upstream", "config", "tls-cert", "tls-key"}

// The file above has every key but those.
func TestFullFileIsFull(t *testing.T) {
	content, err := os.ReadFile("testdata/full.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range Settings() {
		if !slices.Contains(exclusive, s.Key) && !strings.Contains(string(content), "\n"+s.Key+":") {
			t.Errorf("testdata/full.yaml lacks %s", s.Key)
		}
	}
}

func TestLayers(t *testing.T) {
	file := yamlFile(t, "preset: strict\nfindtime: 2h\nmaxretry: 7\nbantime: 3h\n")
	c, err := Load(flags(t, "--bantime", "5h", "--listen", ":1,:2", "--listen=:3"),
		env(map[string]string{"FLASK2BAN_MAXRETRY": "8", "FLASK2BAN_BANTIME": "4h", "FLASK2BAN_IGNORE": "192.0.2.1, 192.0.2.2"}), file)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		key   string
		want  string
		layer Layer
		place string
	}{
		{"idle-timeout", "2m", FromDefault, "default"},
		{"bantime-max", "4w", FromPreset, "preset strict"},
		{"findtime", "2h", FromFile, "f.yaml:2:1"},
		{"maxretry", "8", FromEnvironment, "FLASK2BAN_MAXRETRY"},
		{"ignore", "192.0.2.1 192.0.2.2", FromEnvironment, "FLASK2BAN_IGNORE"},
		{"bantime", "5h", FromFlag, "--bantime"},
		{"listen", ":1 :2 :3", FromFlag, "--listen"},
		{"no such key", "", FromDefault, "default"},
	}
	for _, tt := range tests {
		if s, ok := lookup(tt.key); ok {
			if got := strings.Join(s.Text(c), " "); got != tt.want {
				t.Errorf("%s: got %q, want %q", tt.key, got, tt.want)
			}
		}
		if got := c.Origin(tt.key); got.Layer != tt.layer || got.Place != tt.place {
			t.Errorf("%s: got origin %+v, want %d %s", tt.key, got, tt.layer, tt.place)
		}
	}
}

func TestFileNamedBy(t *testing.T) {
	yamlFile(t, "maxretry: 7\n")
	fromEnv := env(map[string]string{"FLASK2BAN_CONFIG": "f.yaml"})
	for name, load := range map[string]func() (*Config, error){
		"argument":    func() (*Config, error) { return Load(nil, noEnv, "f.yaml") },
		"flag":        func() (*Config, error) { return Load(flags(t, "--config", "f.yaml"), noEnv, "") },
		"environment": func() (*Config, error) { return Load(nil, fromEnv, "") },
	} {
		c, err := load()
		if err != nil {
			t.Fatal(err)
		}
		if c.MaxRetry != 7 || c.File != "f.yaml" {
			t.Errorf("by %s: got maxretry %v of %q, want 7 of f.yaml", name, c.MaxRetry, c.File)
		}
	}
}

func TestFileMissing(t *testing.T) {
	_, err := Load(nil, noEnv, filepath.Join("no", "such.yaml"))
	const want = "read configuration: open no/such.yaml: no such file or directory"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestPresets(t *testing.T) {
	for _, name := range presetNames {
		c, err := Load(flags(t, "--preset", name), noEnv, "")
		if err != nil {
			t.Fatal(err)
		}
		if c.Preset != name {
			t.Errorf("got preset %s, want %s", c.Preset, name)
		}
		for key, texts := range presets[name] {
			s, ok := lookup(key)
			if !ok {
				t.Errorf("preset %s sets %s, which is no setting", name, key)
				continue
			}
			if got := s.Text(c); !cmp.Equal(got, texts) {
				t.Errorf("preset %s, %s: got %v, want %v", name, key, got, texts)
			}
		}
	}
	if len(presets) != len(presetNames) {
		t.Errorf("got %d presets and %d names", len(presets), len(presetNames))
	}
}

// A preset lies below the file, wherever it was named.
func TestPresetBelowFile(t *testing.T) {
	file := yamlFile(t, "maxretry: 9\nweights: {honeypath: 4}\n")
	for name, load := range map[string]func() (*Config, error){
		"flag":        func() (*Config, error) { return Load(flags(t, "--preset=api"), noEnv, file) },
		"environment": func() (*Config, error) { return Load(nil, env(map[string]string{"FLASK2BAN_PRESET": "api"}), file) },
	} {
		c, err := load()
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]float64{"bad_value": .25, "unexpected_method": .25, "honeypath": 4}
		if c.MaxRetry != 9 || !cmp.Equal(c.Weights, want) {
			t.Errorf("by %s: got maxretry %v, weights %v", name, c.MaxRetry, c.Weights)
		}
	}
}

func TestSetApp(t *testing.T) {
	tests := []struct {
		args    []string
		dash    int
		app     string
		command []string
		wantErr string
	}{
		{nil, -1, "", nil, ""},
		{[]string{"app.py"}, -1, "app.py", nil, ""},
		{[]string{"app.py", "gunicorn", "-w", "2", "a,b"}, 1, "app.py", []string{"gunicorn", "-w", "2", "a,b"}, ""},
		{[]string{"gunicorn"}, 0, "", []string{"gunicorn"}, ""},
		{[]string{"a.py", "b.py"}, -1, "", nil, `want one APP, not 2 (a.py b.py); a server's own command goes after "--"`},
	}
	for _, tt := range tests {
		fs := flags(t)
		err := SetApp(fs, tt.args, tt.dash)
		if tt.wantErr != "" {
			if err == nil || err.Error() != tt.wantErr {
				t.Errorf("%v: got %v, want %s", tt.args, err, tt.wantErr)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		c, err := Load(fs, noEnv, "")
		if err != nil {
			t.Fatal(err)
		}
		if c.App != tt.app || !cmp.Equal(c.Command, tt.command, cmpopts.EquateEmpty()) {
			t.Errorf("%v: got %q, %q", tt.args, c.App, c.Command)
		}
		if tt.app != "" && c.Origin("app").Place != "APP" {
			t.Errorf("got origin %v, want APP", c.Origin("app"))
		}
	}
	if err := SetApp(pflag.NewFlagSet("", pflag.ContinueOnError), []string{"app.py"}, -1); err != nil {
		t.Errorf("got %v for a flag set without our flags, want nothing done", err)
	}
}

// Flags of single-valued settings may be given again: the last counts.
func TestFlagGivenAgain(t *testing.T) {
	c, err := Load(flags(t, "--maxretry=3", "--maxretry=4"), noEnv, "")
	if err != nil || c.MaxRetry != 4 {
		t.Errorf("got %v, %v, want 4", c, err)
	}
}

func TestUsageText(t *testing.T) {
	usage := flags(t).FlagUsages()
	for _, s := range Settings() {
		if shown := strings.Contains(usage, "--"+s.Key+" ") || strings.Contains(usage, "--"+s.Key+"["); shown != (!s.FileOnly && !s.Hidden) {
			t.Errorf("--%s: got shown %t", s.Key, shown)
		}
	}
	const want = `(default 127.0.0.1:9180)`
	if !strings.Contains(usage, want) {
		t.Errorf("usage lacks %s:\n%s", want, usage)
	}
	fs := pflag.NewFlagSet("", pflag.ContinueOnError)
	AddFlags(fs, GroupDaemon, GroupClient)
	if fs.Lookup("state") == nil || fs.Lookup("ignore") == nil || fs.Lookup("listen") != nil {
		t.Errorf("groups are not heeded:\n%s", fs.FlagUsages())
	}
	if _, err := Load(fs, noEnv, ""); err != nil {
		t.Error(err)
	}
}

// Foreign flags with a name of ours are left alone.
func TestForeignFlag(t *testing.T) {
	fs := pflag.NewFlagSet("", pflag.ContinueOnError)
	fs.String("listen", "", "")
	if err := fs.Parse([]string{"--listen", "nonsense"}); err != nil {
		t.Fatal(err)
	}
	if c, err := Load(fs, noEnv, ""); err != nil || c.Listen[0] != ":8080" {
		t.Errorf("got %v, %v", c, err)
	}
}

// TestHostsAreAsBrowsersSendThem: else a name is configured that nobody asks for.
func TestHostsAreAsBrowsersSendThem(t *testing.T) {
	for give, want := range map[string]string{
		"example.org": "example.org", "Example.ORG": "Example.ORG", "shop_1": "shop_1", "example.org.": "example.org.",
		"münchen.example": "xn--mnchen-3ya.example", "BÜCHER.example": "xn--bcher-kva.example", "xn--mnchen-3ya.example": "xn--mnchen-3ya.example",
		"192.0.2.7": "192.0.2.7", "::1": "[::1]", "[::1]": "[::1]", "2001:DB8:0::1": "[2001:db8::1]",
	} {
		c, err := Load(flags(t, "--host="+give), noEnv, "")
		if err != nil || len(c.Hosts) != 1 || c.Hosts[0] != want {
			t.Errorf("%s: got %v, %v, want %s", give, c, err, want)
		}
	}
	rule := "rules: [{name: a, action: ignore, match: {peers: [%s]}}]\n"
	for give, want := range map[string]string{
		"Crawl.Example.org": "crawl.example.org", ".example.org": ".example.org", "crawl.example.org.": "crawl.example.org",
		".bücher.example": ".xn--bcher-kva.example",
	} {
		c, err := Load(nil, noEnv, yamlFile(t, fmt.Sprintf(rule, give)))
		if err != nil || c.Rules[0].Match.Peers[0].Host != want {
			t.Errorf("peer %s: got %+v, %v, want %s", give, c, err, want)
		}
	}
}
