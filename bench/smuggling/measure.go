package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/flask2ban/flask2ban/internal/testbed"
)

// bed is everything that runs, and its end.
type bed struct {
	dir    string
	fronts [3]string // addresses of flask2ban before recorder, gunicorn, Werkzeug
	raw    *recorder
	// programs are all that was started, in the order of their addresses.
	programs []*testbed.Program
}

// measure runs each payload through each front.
func measure(payloads []payload) ([]row, error) {
	b := &bed{}
	defer b.stop()
	if err := b.start(); err != nil {
		return nil, err
	}
	rows := make([]row, len(payloads))
	errs := make([]error, 3)
	var group sync.WaitGroup
	for front := range b.fronts {
		group.Go(func() { errs[front] = b.drive(front, payloads, rows) })
	}
	group.Wait()
	return rows, errors.Join(errs...)
}

// settle is how long an upstream has to write down what it saw.
const settle = 200 * time.Millisecond

// drive sends all payloads through one front, one after the other.
func (b *bed) drive(front int, payloads []payload, rows []row) error {
	for i, p := range payloads {
		answer, err := p.send(b.fronts[front])
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		time.Sleep(settle)
		seen := b.seen(front)
		if front == 0 {
			rows[i].payload, rows[i].answer, rows[i].raw = p, answer, seen
		} else {
			rows[i].flask[front-1] = seen
		}
	}
	return nil
}

// seen is what the upstream of a front has seen since the last time.
func (b *bed) seen(front int) []string {
	if front == 0 {
		return b.raw.take()
	}
	file := b.record(front)
	content, _ := os.ReadFile(file)
	os.Truncate(file, 0)
	if len(content) == 0 {
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(content), "\n"), "\n")
}

func (b *bed) record(front int) string { return filepath.Join(b.dir, servers[front-1]) }

func (b *bed) stop() {
	for _, p := range slices.Backward(b.programs) {
		_ = p.Stop(5 * time.Second) // what it left was killed
	}
	if b.raw != nil {
		b.raw.listener.Close()
	}
	os.RemoveAll(b.dir)
}

// start builds flask2ban and runs everything.
func (b *bed) start() (err error) {
	if b.dir, err = os.MkdirTemp("", "smuggling-"); err != nil {
		return err
	}
	binary := filepath.Join(b.dir, "flask2ban")
	if out, err := exec.Command("go", "build", "-o", binary, "github.com/flask2ban/flask2ban/cmd/flask2ban").CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	app := filepath.Join(b.dir, "app.py")
	if err := os.WriteFile(app, source, 0o644); err != nil {
		return err
	}
	if b.raw, err = startRecorder(); err != nil {
		return err
	}
	var addrs [5]string // gunicorn, Werkzeug, and the fronts
	for i := range addrs {
		if addrs[i], err = testbed.FreeAddr(); err != nil {
			return err
		}
	}
	b.fronts = [3]string(addrs[2:])
	_, port, _ := net.SplitHostPort(addrs[1]) // as FreeAddr has put it together
	err = errors.Join(
		b.run(1, []string{"PORT="}, "gunicorn", "--chdir", b.dir, "--threads", "4", "--keep-alive", "2", "-b", addrs[0], "app:app"),
		b.run(2, []string{"PORT=" + port}, "python3", app))
	for i, upstream := range []string{b.raw.listener.Addr().String(), addrs[0], addrs[1]} {
		err = errors.Join(err, b.run(0, nil, binary, app, "--upstream", "http://"+upstream, "--listen", b.fronts[i], "--h2c", "--admin", "off",
			"--state", filepath.Join(b.dir, fmt.Sprint("state", i))))
	}
	if err != nil {
		return err
	}
	if err = b.await(addrs[:]...); err != nil {
		return err
	}
	for front := range b.fronts {
		b.seen(front)
	}
	return nil
}

// run starts a program that ends with us.
func (b *bed) run(front int, env []string, name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), env...)
	if front > 0 {
		cmd.Env = append(cmd.Env, "RECORD="+b.record(front))
	}
	p, err := testbed.Start(name, cmd)
	if err == nil {
		b.programs = append(b.programs, p)
	}
	return err
}

// await waits until all programs listen.
func (b *bed) await(addrs ...string) error {
	for i, p := range b.programs {
		if err := p.Await(context.Background(), time.Minute, "it listens on "+addrs[i], func() bool {
			conn, err := net.Dial("tcp", addrs[i])
			if err == nil {
				conn.Close()
			}
			return err == nil
		}); err != nil {
			return err
		}
	}
	return nil
}
