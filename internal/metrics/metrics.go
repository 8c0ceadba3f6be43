// Package metrics has every Prometheus collector of flask2ban, on a registry of
// its own.
//
// Labels are bounded: a route is a rule's pattern, never a raw path; methods,
// status codes and exception types that are out of the ordinary are counted as
// "other". What clients choose freely can't make new series.
package metrics

import (
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Buckets in seconds. A Flask view takes from under a millisecond to many
// seconds; we ourselves take microseconds.
var (
	durationBuckets = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}
	overheadBuckets = []float64{.00002, .00005, .0001, .0002, .0005, .001, .0025, .005, .01, .025, .1}
	waitBuckets     = []float64{.0005, .001, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}
)

// Metrics counts what happens. Its methods are safe for concurrent use, and
// those called for each request allocate only when a label value is new.
type Metrics struct {
	registry *prometheus.Registry
	handler  http.Handler

	requests   *prometheus.CounterVec
	durations  *prometheus.HistogramVec
	overhead   prometheus.Histogram
	inFlight   prometheus.Gauge
	evidence   counters
	refused    counters
	bans       counters
	restarts   counters
	exceptions counters
	waits      *prometheus.HistogramVec
	depth      *prometheus.GaugeVec

	routes     sync.Map // pattern → *RouteMetrics
	routeCount atomic.Int64
	queues     sync.Map // class → *QueueMetrics
	gauges     *gaugeCollector
}

// New returns a Metrics for the program's version, as in "1.2.0".
func New(version string) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry(), gauges: newGaugeCollector()}
	m.traffic()
	m.judgement()
	m.app()
	m.registry.MustRegister(m.gauges,
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.buildInfo(version)
	m.handler = promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{Registry: m.registry})
	return m
}

func (m *Metrics) traffic() {
	m.requests = m.counter("http_requests_total", "Requests by the rule that they matched.", "route", "method", "code")
	m.durations = m.histogram("http_request_duration_seconds", "Time from a request's header to its answer's end.", durationBuckets, "route")
	m.overhead = m.histogram("proxy_overhead_seconds", "Time that flask2ban itself added to a request, without the app and any wait.", overheadBuckets).
		WithLabelValues().(prometheus.Histogram)
	m.inFlight = prometheus.NewGauge(prometheus.GaugeOpts{Namespace: namespace,
		Name: "http_requests_in_flight", Help: "Requests being handled now."})
	m.registry.MustRegister(m.inFlight)
	m.waits = m.histogram("queue_wait_seconds", "Time that requests waited for a slot.", waitBuckets, "class")
	m.depth = prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: namespace,
		Name: "queue_depth", Help: "Requests waiting for a slot now."}, []string{"class"})
	m.registry.MustRegister(m.depth)
}

func (m *Metrics) judgement() {
	m.evidence = counters{vec: m.counter("evidence_total", "Evidence against clients, by kind.", "kind"), labels: 1, limit: maxWords}
	m.refused = counters{vec: m.counter("refused_total", "Requests refused, by penalty and rule.", "penalty", "rule"), labels: 2, limit: maxRules}
	m.bans = counters{vec: m.counter("bans_total", "Bans decided, by rule.", "rule"), labels: 1, limit: maxRules}
}

func (m *Metrics) app() {
	m.restarts = counters{vec: m.counter("app_restarts_total", "Restarts of the app, by reason.", "reason"), labels: 1, limit: maxWords}
	m.exceptions = counters{vec: m.counter("app_exceptions_total", "Exceptions that the app did not handle, by type.", "type"), labels: 1, limit: maxExceptions}
}

func (m *Metrics) buildInfo(version string) {
	info := prometheus.NewGauge(prometheus.GaugeOpts{Namespace: namespace,
		Name: "build_info", Help: "Always 1; the labels say which program this is.",
		ConstLabels: prometheus.Labels{"version": version, "goversion": runtime.Version()}})
	info.Set(1)
	m.registry.MustRegister(info)
}

const namespace = "flask2ban"

func (m *Metrics) counter(name, help string, labels ...string) *prometheus.CounterVec {
	v := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
	m.registry.MustRegister(v)
	return v
}

func (m *Metrics) histogram(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	v := prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: namespace, Name: name, Help: help, Buckets: buckets}, labels)
	m.registry.MustRegister(v)
	return v
}

// Handler serves /metrics.
func (m *Metrics) Handler() http.Handler { return m.handler }

// Registry is where the collectors are, for those who add their own.
func (m *Metrics) Registry() *prometheus.Registry { return m.registry }

// Request counts one request: elapsed is all of its time, overhead what we
// added to it. route is the pattern of the rule it matched, or a word in
// parentheses for requests without.
func (m *Metrics) Request(route, method string, code int, elapsed, overhead time.Duration) {
	m.Route(route).Done(method, code, elapsed, overhead)
}

// InFlight adds delta, 1 or -1, to the requests being handled.
func (m *Metrics) InFlight(delta int) { m.inFlight.Add(float64(delta)) }

// Evidence counts a piece of evidence of one kind.
func (m *Metrics) Evidence(kind string) { m.evidence.inc(kind, "") }

// Refused counts a request refused with a penalty by a rule.
func (m *Metrics) Refused(penalty, rule string) { m.refused.inc(penalty, rule) }

// Banned counts a ban by a rule.
func (m *Metrics) Banned(rule string) { m.bans.inc(rule, "") }

// Restarted counts a restart of the app for a reason, such as "crash".
func (m *Metrics) Restarted(reason string) { m.restarts.inc(reason, "") }

// Exception counts an exception of the app by its type's name. The app's code
// chooses these names, so from the hundredth on they are "other".
func (m *Metrics) Exception(typ string) { m.exceptions.inc(typ, "") }
