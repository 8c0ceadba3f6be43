package extract

import (
	"os"
	"regexp"
	"time"

	"github.com/flask2ban/flask2ban/routes/python"
)

// budget is how much work may still be done.
type budget struct {
	// whole bounds total, all the work of the run; limit bounds steps, the work
	// of the calls under way without the modules that they import.
	whole, total int
	limit, steps int
	exhausted    bool
	spent        bool // there is nothing left for anyone
	deadline     time.Time

	// idle is what functions without a say in routes took, by their first
	// statement, and idleTotal all of them.
	idle      map[*python.Stmt]int
	idleTotal int
	inIdle    int // idle calls under way
	speaks    map[*module]bool
}

func newBudget(l Limits) budget {
	b := budget{whole: l.Steps, deadline: time.Now().Add(defaultTime), idle: map[*python.Stmt]int{}, speaks: map[*module]bool{}}
	if b.whole <= 0 {
		b.whole = defaultSteps
	}
	if l.Time > 0 {
		b.deadline = time.Now().Add(l.Time)
	}
	b.limit = b.whole
	return b
}

// step counts one unit of work and says whether there may be more.
func (in *interp) step() bool {
	return in.charge(1)
}

// charge counts n units of work.
func (in *interp) charge(n int) bool {
	before := in.total
	in.steps += n
	in.total += n
	if in.steps > in.limit || in.total > in.whole {
		in.exhausted = true
		return false
	}
	if before>>12 != in.total>>12 && (in.ctx.Err() != nil || time.Now().After(in.deadline)) {
		in.limit, in.spent = 0, true
		in.exhausted = true
		return false
	}
	return true
}

// minShare is how many steps every call may take.
const minShare = 50_000

// share gives one call three quarters of what is left, so that what takes too
// long does not cost everything after it. The result says whether the call was
// cut short.
func (in *interp) share(body func()) bool {
	return in.atMost(max(minShare, (in.limit-in.steps)/4*3), body)
}

// atMost lets body take n steps and says whether it was cut short.
func (in *interp) atMost(n int, body func()) bool {
	outer := in.limit
	in.limit = min(outer, in.steps+n)
	body()
	if in.spent {
		return false
	}
	cut := in.exhausted && in.limit < outer
	if in.limit = outer; cut {
		in.exhausted = in.steps > outer || in.total > in.whole
	}
	return cut
}

// apart runs the body of a module, which is not the work of the call that
// happened to import it, or of a function that an idle one calls.
func (in *interp) apart(body func()) (cut bool) {
	steps, limit, idle := in.steps, in.limit, in.inIdle
	in.inIdle = 0
	in.limit = in.steps + in.whole - in.total
	cut = in.share(body)
	if in.inIdle = idle; !in.spent {
		in.steps, in.limit = steps, limit
	}
	return cut
}

// A function that was handed no app and whose file does not speak of routes is
// run for its result alone. It may take idleCall steps a call and idleFunction
// in all calls, and all such functions together half of the budget; then its
// result is not known. Libraries of mathematics and generated models would
// otherwise use up what the routes need.
const (
	idleCall     = minShare
	idleFunction = 2 * minShare
)

// isIdle says that a call is run for its result alone.
func (in *interp) isIdle(f *function, c *call) bool {
	return f.module != nil && !f.module.model && len(in.handed(c)) == 0 && !in.speaksOfRoutes(f.module)
}

// runIdle runs the body of an idle call within its bounds.
func (in *interp) runIdle(f *function, fr *frame, body func()) {
	key, before := stmtOf(f.body), in.steps
	if in.idle[key] > idleFunction || in.idleTotal > in.whole/2 {
		fr.results = []value{tooMany(f)}
		return
	}
	in.inIdle++
	cut := in.atMost(idleCall, body)
	in.inIdle--
	if cut {
		fr.results = append(fr.results, tooMany(f))
	}
	if in.underWay(f) == 0 {
		in.idle[key] += in.steps - before
		in.idleTotal += in.steps - before
	}
}

func tooMany(f *function) value {
	return unknownf("the function " + f.name + " takes too many steps to follow")
}

// speaksOfRoutes says that a module's source has a word of what registers, or of
// what loads the modules that do.
func (in *interp) speaksOfRoutes(m *module) bool {
	v, ok := in.speaks[m]
	if !ok {
		src, err := os.ReadFile(m.file)
		v = err != nil || speech.Match(src)
		in.speaks[m] = v
	}
	return v
}

// speech matches what registers, or loads what does, in a module's source.
var speech = regexp.MustCompile(`\broute\(|register\w*\(|Blueprint\(|Flask\(|Api\(|init_app|url_map|expose\(|import_module|__import__|load_module|` +
	`import_string|find_modules|entry_points|\.add_(url_rule|resource|api|view|namespace)|\.(get|post|put|delete|patch)\(["']/`)
