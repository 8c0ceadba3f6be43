package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/flask2ban/flask2ban/internal/metrics"
)

// exampleFile is the text of a file under examples/.
func exampleFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "examples", filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// changed replaces what an example has by what a test needs, each of which must
// be there.
func changed(t *testing.T, text string, pairs ...string) string {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(text, pairs[i]) {
			t.Fatalf("the example lacks %q", pairs[i])
		}
		text = strings.ReplaceAll(text, pairs[i], pairs[i+1])
	}
	return text
}

// passes runs a command that must succeed, and returns what it printed.
func passes(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(need(t, name), args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v: %s", name, args, err, out)
	}
	return string(out)
}

// fronts are the examples of proxies before us: each starts one at addr that
// passes on to behind. Flags are what its README says.
var fronts = map[string]struct {
	flags string
	start func(t *testing.T, addr, behind string)
}{
	"nginx": {"--trusted-proxy 127.0.0.1", func(t *testing.T, addr, behind string) {
		startNginx(t, addr, changed(t, exampleFile(t, "nginx/nginx.conf"), "server 127.0.0.1:8080;", "server "+behind+";", "listen 80;", "listen "+addr+";"))
	}},
	"nginx stream": {"--trusted-proxy 127.0.0.1 --proxy-protocol", func(t *testing.T, addr, behind string) {
		if _, err := os.Stat("/usr/lib/nginx/modules/ngx_stream_module.so"); err != nil {
			t.Skip("nginx's stream module is not installed (libnginx-mod-stream)")
		}
		startNginx(t, addr, changed(t, exampleFile(t, "proxy-protocol/nginx-stream.conf"), "proxy_pass 127.0.0.1:8080;", "proxy_pass "+behind+";",
			"listen 80;", "listen "+addr+";", "modules/", "/usr/lib/nginx/modules/"))
	}},
	"haproxy": {"--trusted-proxy 127.0.0.1 --proxy-protocol", func(t *testing.T, addr, behind string) {
		dir := t.TempDir()
		conf := write(t, dir, "haproxy.cfg", changed(t, exampleFile(t, "proxy-protocol/haproxy.cfg"), "127.0.0.1:8080 send", behind+" send", "bind :80", "bind "+addr))
		passes(t, dir, "haproxy", "-c", "-f", conf)
		serve(t, dir, addr, nil, "haproxy", "-f", conf)
	}},
}

// startNginx checks a whole configuration and runs it.
func startNginx(t *testing.T, addr, text string) {
	t.Helper()
	dir := t.TempDir()
	conf := write(t, dir, "nginx.conf", text)
	args := []string{"-c", conf, "-e", dir + "/error.log", "-g", "daemon off; user root; pid " + dir + "/nginx.pid;"}
	passes(t, dir, "nginx", append(args, "-t")...)
	serve(t, dir, addr, nil, append([]string{"nginx"}, args...)...)
}

// TestExampleFronts: behind each of the proxies, the client is who connects to
// the proxy, whatever it says of itself; the proxy is never banned.
func TestExampleFronts(t *testing.T) {
	for name, front := range fronts {
		t.Run(name, func(t *testing.T) {
			d := start(t, example(t, "hello"), "", append([]string{"app.py"}, strings.Fields(front.flags)...)...)
			addr := freePort(t)
			front.start(t, addr, d.addr)
			d.addr = addr // clients go there from now on
			scanner, visitor := d.from("127.0.3.1"), d.from("127.0.3.2")
			visitor.want(200, "/")
			scanner.want(404, "/.env", "X-Forwarded-For", "127.0.3.2", "X-Real-IP", "127.0.3.2")
			if status, _ := scanner.get("/"); status == 200 {
				t.Error("the scanner is served")
			}
			visitor.want(200, "/2020", "X-Forwarded-For", "127.0.3.1")
			wantBans(t, d, "127.0.3.1")
		})
	}
}

var metricName = regexp.MustCompile(`\b(?:flask2ban|go|process)_[a-z0-9_]+\b`)

// designed are the metrics of the design's section 8.
var designed = []string{
	"flask2ban_http_requests_total", "flask2ban_http_request_duration_seconds", "flask2ban_proxy_overhead_seconds",
	"flask2ban_http_requests_in_flight", "flask2ban_evidence_total", "flask2ban_refused_total", "flask2ban_bans_total",
	"flask2ban_bans_active", "flask2ban_clients_tracked", "flask2ban_queue_depth", "flask2ban_queue_wait_seconds",
	"flask2ban_routes", "flask2ban_routes_unresolved", "flask2ban_app_up", "flask2ban_app_restarts_total",
	"flask2ban_app_exceptions_total", "flask2ban_build_info",
}

// exported are the names that a Metrics exports once everything has happened.
func exported(t *testing.T) []string {
	t.Helper()
	m := metrics.New("test")
	m.Watch(metrics.Gauges{
		Bans: func() int { return 1 }, Clients: func() int { return 1 }, Unresolved: func() int { return 1 },
		Routes: func() map[string]int { return map[string]int{"static": 1} }, AppUp: func() bool { return true },
	})
	m.Request("/", "GET", 200, 1, 1)
	m.Evidence("unexpected_path")
	m.Refused("reject", "unexpected")
	m.Banned("unexpected")
	m.Restarted("crash")
	m.Exception("ValueError")
	m.Queue("normal").Enter()
	m.Queue("normal").Leave(1)
	families, err := m.Registry().Gather()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range families {
		names = append(names, f.GetName())
	}
	return names
}

// TestExamplePrometheus: the alerts and the scrape configuration are valid, the
// alerts go off when they should, and every metric that they or the dashboard
// ask for, or the design names, is exported.
func TestExamplePrometheus(t *testing.T) {
	dir := filepath.Join("..", "..", "examples", "prometheus")
	passes(t, dir, "promtool", "check", "rules", "flask2ban.rules.yml")
	passes(t, dir, "promtool", "check", "config", "prometheus.yml")
	passes(t, dir, "promtool", "test", "rules", "flask2ban.tests.yml")
	have := exported(t)
	for _, name := range designed {
		if !slices.Contains(have, name) {
			t.Errorf("%s of the design is not exported", name)
		}
	}
	for _, file := range []string{"flask2ban.rules.yml", "grafana-dashboard.json"} {
		text := exampleFile(t, "prometheus/"+file)
		names := metricName.FindAllString(text, -1)
		if len(names) < 8 {
			t.Errorf("%s names only %v", file, names)
		}
		for _, name := range names {
			plain := strings.TrimSuffix(name, "_bucket")
			if !slices.Contains(have, plain) {
				t.Errorf("%s asks for %s, which is not exported", file, name)
			}
		}
	}
}

// TestExampleDashboard: what Grafana needs of a dashboard is there, and each
// expression is one that Prometheus takes.
func TestExampleDashboard(t *testing.T) {
	var d struct {
		Title, UID string
		Panels     []struct {
			ID      int
			Title   string
			GridPos struct{ X, Y, W, H int }
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal([]byte(exampleFile(t, "prometheus/grafana-dashboard.json")), &d); err != nil {
		t.Fatal(err)
	}
	if d.Title == "" || d.UID == "" || len(d.Panels) < 10 {
		t.Errorf("got %q with %d panels", d.Title, len(d.Panels))
	}
	var rules bytes.Buffer
	rules.WriteString("groups:\n- name: dashboard\n  rules:\n")
	for i, p := range d.Panels {
		if p.GridPos.W == 0 || p.GridPos.H == 0 || p.GridPos.X+p.GridPos.W > 24 || len(p.Targets) == 0 || p.ID != i+1 {
			t.Errorf("panel %q: %+v", p.Title, p)
		}
		for _, target := range p.Targets {
			expr := strings.NewReplacer("$__rate_interval", "5m", "$instance", ".*").Replace(target.Expr)
			quoted, err := json.Marshal(expr)
			if err != nil {
				t.Fatal(err)
			}
			rules.WriteString("  - {record: x:y:z" + strings.Repeat("z", rules.Len()%97) + ", expr: " + string(quoted) + "}\n")
		}
	}
	dir := t.TempDir()
	passes(t, dir, "promtool", "check", "rules", "--lint=none", write(t, dir, "rules.yml", rules.String()))
}

// TestExampleCI runs the commands of the workflow: they pass where nothing is
// gone, and fail, naming the route, where one is.
func TestExampleCI(t *testing.T) {
	var workflow struct {
		Jobs map[string]struct{ Steps []struct{ Name, Run string } }
	}
	if err := yaml.Unmarshal([]byte(exampleFile(t, "ci/routes.yml")), &workflow); err != nil {
		t.Fatal(err)
	}
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	app := exampleFile(t, "hello/app.py")
	write(t, dir, "app.py", app)
	out, err := exec.Command(path, "routes", dir+"/app.py", "--format", "json").Output()
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, "routes.json", string(out))
	steps := workflow.Jobs["routes"].Steps
	check := func() (string, error) {
		cmd := exec.Command("bash", "-e", "-o", "pipefail", "-c", steps[len(steps)-1].Run) // as GitHub runs it
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(path)+":"+os.Getenv("PATH"))
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := check(); err != nil {
		t.Errorf("nothing is gone: %v: %s", err, out)
	}
	write(t, dir, "app.py", changed(t, app, "/user/<username>", "/u/<username>"))
	out2, err := check()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(out2, "- GET /user/<username>") || !strings.Contains(out2, "::error::") {
		t.Errorf("a route is gone: %v: %s", err, out2)
	}
}

// compose is what a test reads of a compose file.
type compose struct {
	Services map[string]struct {
		Image       string
		Build       struct{ Context string }
		Command     []string
		Entrypoint  []string
		Volumes     []string
		Networks    []string
		Healthcheck struct{ Test []string }
		DependsOn   map[string]struct{ Condition string } `yaml:"depends_on"`
		Ports       []string
	}
	Networks, Volumes map[string]any
}

// TestExampleCompose: there is no engine here to run it, so its references are
// checked, and our own command line in it.
func TestExampleCompose(t *testing.T) {
	var c compose
	if err := yaml.Unmarshal([]byte(exampleFile(t, "compose/compose.yaml")), &c); err != nil {
		t.Fatal(err)
	}
	dir := example(t, "compose")
	for name, s := range c.Services {
		if (s.Image == "") == (s.Build.Context == "") {
			t.Errorf("%s: want an image or a build", name)
		}
		for other, on := range s.DependsOn {
			if len(c.Services[other].Healthcheck.Test) == 0 || on.Condition != "service_healthy" {
				t.Errorf("%s waits for %s, which has no health check", name, other)
			}
		}
		for _, n := range s.Networks {
			if _, ok := c.Networks[n]; !ok {
				t.Errorf("%s: network %s is not there", name, n)
			}
		}
		for _, v := range s.Volumes {
			from, _, _ := strings.Cut(v, ":")
			_, named := c.Volumes[from]
			if _, err := os.Stat(filepath.Join(dir, from)); !named && (err != nil || !strings.HasPrefix(from, ".")) {
				t.Errorf("%s: volume %s is not there", name, from)
			}
		}
	}
	if ports := c.Services["app"].Ports; len(ports) > 0 {
		t.Errorf("the app is public: %v", ports)
	}
	effective(t, c.Services["flask2ban"].Command...)
	passes(t, dir, "promtool", "check", "config", "--syntax-only", "prometheus.yml")
}

// effective fails the test where flask2ban would not take these arguments.
func effective(t *testing.T, args ...string) {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(path, append([]string{"config"}, args...)...).CombinedOutput(); err != nil {
		t.Errorf("flask2ban %v: %v: %s", args, err, out)
	}
}

// object is what a test reads of a Deployment and its neighbours.
type object struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string
	Metadata   struct{ Name string }
	Data       map[string]string
	Spec       struct {
		Ports    []struct{ TargetPort string }
		Selector any
		Template struct {
			Spec struct {
				SecurityContext struct {
					RunAsNonRoot bool `yaml:"runAsNonRoot"`
				} `yaml:"securityContext"`
				InitContainers, Containers []container
				Volumes                    []struct{ Name string }
			}
		}
	}
}

type container struct {
	Name, Image     string
	Args            []string
	Ports           []struct{ Name string }
	VolumeMounts    []struct{ Name, MountPath string } `yaml:"volumeMounts"`
	SecurityContext struct {
		AllowPrivilegeEscalation *bool `yaml:"allowPrivilegeEscalation"`
		ReadOnlyRootFilesystem   bool  `yaml:"readOnlyRootFilesystem"`
		Capabilities             struct{ Drop []string }
	} `yaml:"securityContext"`
	ReadinessProbe, LivenessProbe, StartupProbe probe `yaml:",omitempty"`
	Resources                                   map[string]map[string]string
}

type probe struct {
	HTTPGet struct{ Path, Port string } `yaml:"httpGet"`
}

// TestExampleKubernetes: there is no cluster here, so what refers to something
// must find it, each container is locked down, and the configuration is valid.
func TestExampleKubernetes(t *testing.T) {
	objects := map[string]object{}
	dec := yaml.NewDecoder(strings.NewReader(exampleFile(t, "kubernetes/flask2ban.yaml")))
	for range 3 {
		var o object
		if err := dec.Decode(&o); err != nil {
			t.Fatal(err)
		}
		objects[o.APIVersion+" "+o.Kind] = o
	}
	pod := objects["apps/v1 Deployment"].Spec.Template.Spec
	if !pod.SecurityContext.RunAsNonRoot || len(pod.Containers) != 2 {
		t.Fatalf("got %+v", pod)
	}
	var ports []string
	for _, c := range pod.Containers {
		for _, p := range c.Ports {
			ports = append(ports, p.Name)
		}
		for _, m := range c.VolumeMounts {
			if !slices.ContainsFunc(pod.Volumes, func(v struct{ Name string }) bool { return v.Name == m.Name }) {
				t.Errorf("%s: volume %s is not there", c.Name, m.Name)
			}
		}
		s := c.SecurityContext
		if s.AllowPrivilegeEscalation == nil || *s.AllowPrivilegeEscalation || !s.ReadOnlyRootFilesystem || !slices.Equal(s.Capabilities.Drop, []string{"ALL"}) {
			t.Errorf("%s: %+v", c.Name, s)
		}
		if c.Resources["requests"]["memory"] == "" || c.Resources["limits"]["memory"] == "" {
			t.Errorf("%s: no bounds of memory", c.Name)
		}
	}
	if to := objects["v1 Service"].Spec.Ports; len(to) != 1 || len(ports) != 2 {
		t.Errorf("ports %v to %v", to, ports)
	}
	file := write(t, t.TempDir(), "flask2ban.yaml", objects["v1 ConfigMap"].Data["flask2ban.yaml"])
	effective(t, "app.py", "--config", file)
}
