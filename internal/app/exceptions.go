package app

import "time"

const (
	// logPatience is how long an exception from the log waits for the hook
	// to tell of the same one, which then counts.
	logPatience = 250 * time.Millisecond
	// toldKept is how many exceptions of the hook are remembered for that.
	toldKept = 64
)

// exceptions merges what the hook tells, which is exact, with what the log
// shows: threads, middlewares, servers, and everything where no hook runs.
// Not safe for concurrent use.
type exceptions struct {
	deliver func(Exception)
	told    []Exception
}

func (x *exceptions) fromHook(e Exception) {
	if len(x.told) >= toldKept {
		x.told = append(x.told[:0], x.told[1:]...)
	}
	x.told = append(x.told, e)
	x.deliver(e)
}

// fromLog is called once logPatience is over.
func (x *exceptions) fromLog(e Exception) {
	for i, told := range x.told {
		// The log's line has the first line of the message only.
		if told.Type == e.Type && firstLine(told.Message) == e.Message && e.At.Sub(told.At).Abs() < 5*time.Second {
			x.told = append(x.told[:i], x.told[i+1:]...)
			return
		}
	}
	x.deliver(e)
}

func firstLine(s string) string {
	for i := range s {
		if s[i] == '\n' {
			return cutText(s[:i], maxMessageText)
		}
	}
	return s
}
