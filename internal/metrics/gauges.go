package metrics

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Gauges are what is asked for when metrics are read. A nil function is a part
// that is not there: its metric is left out. They must be safe for concurrent
// use and quick.
type Gauges struct {
	// Bans in force, and clients remembered.
	Bans, Clients func() int
	// Routes counts the table's routes by their source.
	Routes func() map[string]int
	// Unresolved counts the table's unresolved entries.
	Unresolved func() int
	// AppUp says whether an instance of the app is ready.
	AppUp func() bool
}

// Watch sets what the gauges show from now on, in place of the former ones.
func (m *Metrics) Watch(g Gauges) { m.gauges.source.Store(&g) }

// gaugeCollector reads a Gauges when asked.
type gaugeCollector struct {
	source                                   atomic.Pointer[Gauges]
	bans, clients, routes, unresolved, appUp *prometheus.Desc
}

var _ prometheus.Collector = (*gaugeCollector)(nil)

func newGaugeCollector() *gaugeCollector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(namespace+"_"+name, help, labels, nil)
	}
	return &gaugeCollector{
		bans:       desc("bans_active", "Bans in force."),
		clients:    desc("clients_tracked", "Clients remembered."),
		routes:     desc("routes", "Routes of the table, by where they are known from.", "source"),
		unresolved: desc("routes_unresolved", "Places in the app's source whose routes could not be read."),
		appUp:      desc("app_up", "Whether an instance of the app is ready (1) or not (0)."),
	}
}

// Describe implements prometheus.Collector.
func (g *gaugeCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{g.bans, g.clients, g.routes, g.unresolved, g.appUp} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (g *gaugeCollector) Collect(ch chan<- prometheus.Metric) {
	s := g.source.Load()
	if s == nil {
		return
	}
	number := func(d *prometheus.Desc, read func() int) {
		if read != nil {
			ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(read()))
		}
	}
	number(g.bans, s.Bans)
	number(g.clients, s.Clients)
	number(g.unresolved, s.Unresolved)
	if s.AppUp != nil {
		number(g.appUp, func() int { return one(s.AppUp()) })
	}
	if s.Routes != nil {
		for source, n := range s.Routes() {
			ch <- prometheus.MustNewConstMetric(g.routes, prometheus.GaugeValue, float64(n), label(source))
		}
	}
}

func one(b bool) int {
	if b {
		return 1
	}
	return 0
}

// QueueMetrics are the collectors of one class of the queue.
type QueueMetrics struct {
	depth prometheus.Gauge
	wait  prometheus.Observer
}

// Queue finds the collectors of a class by its name; classes are few and fixed.
func (m *Metrics) Queue(class string) *QueueMetrics {
	if q, ok := m.queues.Load(class); ok {
		return q.(*QueueMetrics)
	}
	q, _ := m.queues.LoadOrStore(class, &QueueMetrics{
		depth: m.depth.WithLabelValues(label(class)), wait: m.waits.WithLabelValues(label(class)),
	})
	return q.(*QueueMetrics)
}

// Enter counts a request that begins to wait.
func (q *QueueMetrics) Enter() { q.depth.Inc() }

// Leave counts a request that has waited: for a slot, or until its client left.
func (q *QueueMetrics) Leave(waited time.Duration) {
	q.depth.Dec()
	q.wait.Observe(waited.Seconds())
}
