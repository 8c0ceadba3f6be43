package handover

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"
)

// role has the test binary, started again by Start, be a successor of some kind.
const role = "HANDOVER_TEST_ROLE"

func TestMain(m *testing.M) {
	if kind := os.Getenv(role); kind != "" && os.Getenv(variable) != "" {
		os.Exit(succeed(kind))
	}
	os.Exit(m.Run())
}

// succeed is a successor: it serves what it heard from its predecessor until SIGTERM.
func succeed(kind string) int {
	p, err := FromPredecessor()
	if err != nil {
		return 9
	}
	ctx := context.Background()
	switch kind {
	case "ends":
		return 3
	case "hangs":
		signal.Ignore(syscall.SIGTERM)
		<-time.After(time.Hour)
	case "fails":
		p.Fail(errors.New("the store is locked"))
		<-time.After(time.Hour)
	case "hasty": // it serves before it was told that it can
		p.Serving()
		<-time.After(time.Hour)
	}
	if err := p.Ready(ctx); err != nil {
		return 8
	}
	if kind == "fails late" {
		p.Fail(errors.New("the address is taken"))
		<-time.After(time.Hour)
	}
	names := p.Names()
	f := p.Socket("front")
	if f == nil || p.Socket("front") != nil || p.Socket("nobody's") != nil {
		return 7
	}
	l, err := net.FileListener(f)
	if err != nil {
		return 6
	}
	f.Close()
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGTERM)
	if err := p.Serving(); err != nil {
		return 5
	}
	go answer(l, p, names)
	<-asked
	if kind == "killed" {
		signal.Reset()
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
	}
	return 42
}

// answer tells each that connects what was handed over, after all of it was heard.
func answer(l net.Listener, p *Predecessor, names []string) {
	heard := make(chan string, 1)
	go func() {
		var all []string
		p.Heard(context.Background(), 0, func(data json.RawMessage) { all = append(all, string(data)) })
		heard <- strings.Join(all, " ")
	}()
	records := <-heard
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		fmt.Fprintf(conn, "sockets %v records %s variable %q\n", names, records, os.Getenv(variable))
		conn.Close()
	}
}

// listening is a socket, and its copy for a successor.
func listening(t *testing.T) (net.Listener, *os.File) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	f, err := Copy(l)
	if err != nil {
		t.Fatal(err)
	}
	return l, f
}

// begin starts a successor of some kind, as our child.
func begin(t *testing.T, kind string, limit time.Duration) (*Successor, net.Listener, error) {
	t.Helper()
	return beginAs(t, kind, limit, false)
}

// beginAs starts a successor of some kind, as our child or as our sibling.
func beginAs(t *testing.T, kind string, limit time.Duration, sibling bool) (*Successor, net.Listener, error) {
	t.Helper()
	t.Setenv(role, kind)
	front, copied := listening(t)
	_, other := listening(t)
	sockets := Sockets{"front": copied, "admin": other}
	defer sockets.Close()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	s, err := Start(ctx, sockets, sibling)
	if s != nil {
		t.Cleanup(func() {
			s.cmd.Process.Kill() // fails where it has ended
			<-s.ended
		})
	}
	return s, front, err
}

// TestTakeOver goes the whole way: who connected before the old process closed its
// socket is served by the new one, which has heard what the old one still had to say, and
// whose exit code is the old one's.
func TestTakeOver(t *testing.T) {
	s, front, err := begin(t, "serves", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Go(t.Context()); err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", front.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	front.Close()
	for _, record := range []any{map[string]int{"a": 1}, "b"} {
		if err := s.Send(record); err != nil {
			t.Error(err)
		}
	}
	if err := s.Send(func() {}); err == nil {
		t.Error("what is no data was sent")
	}
	signals := make(chan os.Signal, 1)
	code := make(chan int, 1)
	go func() { code <- s.Wait(signals) }()
	got, err := bufio.NewReader(conn).ReadString('\n')
	if want := "sockets [admin front] records {\"a\":1} \"b\" variable \"\"\n"; got != want {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
	if s.PID() == os.Getpid() || syscall.Kill(s.PID(), 0) != nil {
		t.Errorf("process %d serves", s.PID())
	}
	signals <- syscall.SIGTERM
	if got := <-code; got != 42 {
		t.Errorf("exit code %d, want the successor's 42", got)
	}
}

// TestSuccessorDiesBySignal: as in a shell, 128 and its number.
func TestSuccessorDiesBySignal(t *testing.T) {
	s, _, err := begin(t, "killed", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Go(t.Context()); err != nil {
		t.Fatal(err)
	}
	signals := make(chan os.Signal, 1)
	signals <- syscall.SIGTERM
	if code := s.Wait(signals); code != 128+9 {
		t.Errorf("exit code %d, want 137", code)
	}
}

// TestSuccessorsThatDoNotTakeOver: each says why, and none is left, however stubborn.
func TestSuccessorsThatDoNotTakeOver(t *testing.T) {
	for _, tt := range []struct {
		kind    string
		limit   time.Duration
		sibling bool
		want    string
	}{
		{"ends", time.Minute, false, "it ended before it was ready"},
		{"ends", time.Minute, true, "it ended before it was ready"},
		{"fails", time.Minute, false, "the store is locked"},
		{"hasty", time.Minute, false, "it said something else than that it is ready"},
		{"hangs", time.Second, false, "it was not ready in time"},
		{"hangs", time.Second, true, "it was not ready in time"},
	} {
		s, front, err := beginAs(t, tt.kind, tt.limit, tt.sibling)
		if err == nil || err.Error() != tt.want {
			t.Errorf("%s: got %v, want %q", tt.kind, err, tt.want)
		}
		select {
		case <-s.ended:
		default:
			t.Errorf("%s: it still runs", tt.kind)
		}
		if state, _ := stateOf(fmt.Sprintf("/proc/%d/stat", s.PID())); state != "" && state != "Z" {
			t.Errorf("%s: process %d is in state %s", tt.kind, s.PID(), state)
		}
		stillServes(t, front)
	}
}

// TestSibling: our parent's child, as a service manager needs it to be.
func TestSibling(t *testing.T) {
	s, front, err := beginAs(t, "serves", time.Minute, true)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Go(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, parent := stateOf(fmt.Sprintf("/proc/%d/stat", s.PID())); parent != os.Getppid() {
		t.Errorf("process %d is its parent, want ours, %d", parent, os.Getppid())
	}
	front.Close()
	select {
	case <-s.ended:
		t.Error("it is taken for ended")
	default:
	}
	s.Signal(syscall.SIGTERM)
	select {
	case <-s.ended:
	case <-time.After(time.Minute):
		t.Error("its end is not seen")
	}
}

// TestSuccessorThatFailsLate: when it has been told to take over.
func TestSuccessorThatFailsLate(t *testing.T) {
	s, front, err := begin(t, "fails late", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Go(t.Context()); err == nil || err.Error() != "the address is taken" {
		t.Errorf("got %v", err)
	}
	select {
	case <-s.ended:
	default:
		t.Error("it still runs")
	}
	stillServes(t, front)
	if err := s.Go(t.Context()); err == nil {
		t.Error("it took over after its end")
	}
}

// stillServes: the socket of the process that goes on is as it was.
func stillServes(t *testing.T, l net.Listener) {
	t.Helper()
	go func() {
		if conn, err := l.Accept(); err == nil {
			io.WriteString(conn, "served\n")
			conn.Close()
		}
	}()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Close()
	if got, err := io.ReadAll(conn); string(got) != "served\n" {
		t.Errorf("got %q, %v from the old process", got, err)
	}
}

func TestNoPredecessor(t *testing.T) {
	t.Setenv(variable, "")
	p, err := FromPredecessor()
	if p != nil || err != nil {
		t.Errorf("got %v, %v; want neither", p, err)
	}
	if p.Socket("front") != nil || len(p.Names()) > 0 {
		t.Error("there are sockets without a predecessor")
	}
}

func TestBadPredecessor(t *testing.T) {
	for _, text := range []string{"3", "x []", "3 {", `3 ["a"`, "-1 []", "2 []", "99999 []"} {
		t.Setenv(variable, text)
		if p, err := FromPredecessor(); err == nil {
			t.Errorf("%q: got %v", text, p)
		}
		if os.Getenv(variable) != "" {
			t.Errorf("%q is still there for processes that we start", text)
		}
	}
}

// TestThePredecessorEnds before it gives way.
func TestThePredecessorEnds(t *testing.T) {
	old, young := net.Pipe()
	p := &Predecessor{channel: &channel{conn: young, in: bufio.NewScanner(young)}}
	go func() {
		bufio.NewReader(old).ReadString('\n')
		old.Close()
	}()
	err := p.Ready(t.Context())
	if !errors.Is(err, io.EOF) || !strings.HasPrefix(err.Error(), "take over: the old process does not give way") {
		t.Errorf("got %v", err)
	}
	if err := p.Ready(t.Context()); err == nil {
		t.Error("ready without a predecessor")
	}
}

// TestThePredecessorSaysSomethingElse is an error with words.
func TestThePredecessorSaysSomethingElse(t *testing.T) {
	old, young := net.Pipe()
	p := &Predecessor{channel: &channel{conn: young, in: bufio.NewScanner(young)}}
	go func() {
		bufio.NewReader(old).ReadString('\n')
		io.WriteString(old, "{\"serving\":true}\n")
	}()
	if err := p.Ready(t.Context()); err == nil || strings.Contains(err.Error(), "%!") {
		t.Errorf("got %v", err)
	}
	old.Close()
}
