package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/flask2ban/flask2ban/internal/admin"
	"github.com/flask2ban/flask2ban/internal/cmdline"
	"github.com/flask2ban/flask2ban/internal/overview"
)

const (
	// topRows is how many entries of each list are asked for.
	topRows = 200
	// topOnce is how many of them --once prints.
	topOnce = 20
)

func (c *cli) topCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "top",
		Short: "Watch the running daemon: traffic, clients, bans, routes, events",
		Long: `Requests and refusals a second, latency, the app's state, the clients with most
against them, bans with the time left, the routes asked most, and the last events.
Keys: q quit, b ban, u unban, s sort, / filter, ? help.

Where the output is no terminal, or with --once, it is printed once.`,
		Example: cmdline.Example("flask2ban top", "ssh web1 -t flask2ban top", "flask2ban top --json | jq .now.requests"),
		Args:    cmdline.Arguments(),
	}
	dir := c.program().StateFlag(cmd)
	once := cmd.Flags().Bool("once", false, "print it once, and end")
	asJSON := cmd.Flags().Bool("json", false, "print all once as JSON, and end")
	every := cmd.Flags().Duration("every", time.Second, "how often to look")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if *every < 100*time.Millisecond {
			return cmdline.Usagef("--every %v: must be 100ms or more", *every)
		}
		client, err := c.daemon(cmd.Context(), *dir)
		if err != nil {
			return err
		}
		defer client.Close()
		out, isFile := c.stdout.(*os.File)
		in, keys := c.stdin.(*os.File)
		if *once || *asJSON || !isFile || !keys || !cmdline.IsTerminal(out) || !cmdline.IsTerminal(in) {
			return c.topOnce(cmd.Context(), client, *asJSON)
		}
		t := &top{client: client, paint: c.program().Painter(out)}
		return t.run(cmd.Context(), in, out, *every)
	}
	return cmd
}

// topOnce prints what there is to see, without colours of a screen.
func (c *cli) topOnce(ctx context.Context, client *admin.Client, asJSON bool) error {
	o, err := client.Overview(ctx, topRows)
	if err != nil {
		return err
	}
	if asJSON {
		return cmdline.WriteJSON(c.stdout, o)
	}
	paint := c.program().Painter(c.stdout)
	var v topView
	lines := v.header(&o)
	for _, b := range []topBlock{v.clients(&o), v.bans(&o), v.routes(&o), v.events(&o)} {
		lines = append(lines, topLine{}, topLine{b.head, cmdline.Bold})
		lines = append(lines, b.lines[:min(len(b.lines), topOnce)]...)
	}
	for _, l := range lines {
		if _, err := fmt.Fprintln(c.stdout, painted(l, paint)); err != nil {
			return err
		}
	}
	return nil
}

func painted(l topLine, paint func(cmdline.Colour, string) string) string {
	if l.colour == "" || l.text == "" {
		return l.text
	}
	return paint(l.colour, l.text)
}

// top is the live view.
type top struct {
	client *admin.Client
	paint  func(cmdline.Colour, string) string
	view   topView
	seen   overview.Overview
}

// run shows the daemon until a person quits or ctx ends, and leaves the
// terminal as it was.
func (t *top) run(ctx context.Context, in, out *os.File, every time.Duration) error {
	restore, err := rawTerminal(in)
	if err != nil {
		return fmt.Errorf("terminal: %w; use --once", err)
	}
	defer restore()
	// The alternate screen, without cursor and wrapping; and back.
	fmt.Fprint(out, "\x1b[?1049h\x1b[?25l\x1b[?7l")
	defer fmt.Fprint(out, "\x1b[?7h\x1b[?25h\x1b[?1049l")

	resized := make(chan os.Signal, 1)
	signal.Notify(resized, syscall.SIGWINCH)
	defer signal.Stop(resized)
	keys := readKeys(in)
	tick := time.NewTicker(every)
	defer tick.Stop()
	for t.look(ctx); ; {
		if err := t.draw(out); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-resized:
		case <-tick.C:
			t.look(ctx)
		case key, ok := <-keys:
			if !ok || !t.press(ctx, key) {
				return nil
			}
		}
	}
}

// look asks the daemon. One that is gone may come back.
func (t *top) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	o, err := t.client.Overview(ctx, topRows)
	if err != nil {
		t.say(err, "")
		return
	}
	if t.view.failed && t.seen.At.IsZero() || t.view.failed && strings.Contains(t.view.said, admin.ErrNotRunning.Error()) {
		t.say(nil, "")
	}
	t.seen = o
}

func (t *top) say(err error, text string) {
	t.view.said, t.view.failed = text, err != nil
	if err != nil {
		t.view.said = readable(err.Error())
	}
}

// draw writes the screen over the last one, in one write.
func (t *top) draw(out *os.File) error {
	w, h := terminalSize(out)
	var b strings.Builder
	b.WriteString("\x1b[H")
	for i, l := range t.view.screen(&t.seen, w, h) {
		if i > 0 {
			b.WriteString("\r\n")
		}
		b.WriteString(painted(l, t.paint))
		b.WriteString("\x1b[K")
	}
	b.WriteString("\x1b[J")
	_, err := io.WriteString(out, b.String())
	return err
}

// Keys that are no characters of their own.
const (
	keyInterrupt = 0x03
	keyEnter     = '\r'
	keyErase     = 0x7f
	keyBackspace = 0x08
	keyEscape    = 0x1b
)

// press does what a key asks for; false ends it.
func (t *top) press(ctx context.Context, key byte) bool {
	if key == keyInterrupt {
		return false
	}
	if t.view.prompt != "" {
		t.edit(ctx, key)
		return true
	}
	t.say(nil, "")
	switch key {
	case 'q', 'Q':
		return false
	case 's':
		t.view.sort++
	case '?', 'h':
		t.view.help = !t.view.help
	case keyEscape:
		t.view.help, t.view.filter = false, ""
	case 'b':
		t.view.prompt = promptBan
	case 'u':
		t.view.prompt = promptUnban
	case '/':
		t.view.prompt = promptFilter
	}
	return true
}

// What is asked for, as it stands on the screen.
const (
	promptBan    = "ban ADDRESS [DURATION]: "
	promptUnban  = "unban ADDRESS: "
	promptFilter = "show only: "
	maxInput     = 60
)

// edit adds a key to the answer, or acts on the whole of it.
func (t *top) edit(ctx context.Context, key byte) {
	v := &t.view
	switch {
	case key == keyEscape:
		v.prompt, v.input = "", ""
	case key == keyErase || key == keyBackspace:
		v.input = v.input[:max(0, len(v.input)-1)]
	case key == keyEnter || key == '\n':
		prompt, input := v.prompt, v.input
		v.prompt, v.input = "", ""
		t.act(ctx, prompt, input)
	case key >= ' ' && key < keyErase && len(v.input) < maxInput:
		v.input += string(rune(key))
	}
}

func (t *top) act(ctx context.Context, prompt, input string) {
	if prompt == promptFilter {
		t.view.filter = strings.TrimSpace(input)
		return
	}
	if strings.TrimSpace(input) == "" {
		return
	}
	client, duration, err := order(input)
	switch {
	case err != nil:
	case prompt == promptBan:
		_, err = t.client.Ban(ctx, admin.Order{Client: client, Duration: duration})
	default:
		_, err = t.client.Unban(ctx, client, false)
	}
	t.say(err, map[string]string{promptBan: "banned ", promptUnban: "unbanned "}[prompt]+client)
	if err == nil {
		t.look(ctx)
	}
}

// readKeys gives the bytes that a person types, one by one. Keys that send
// several, such as arrows, are left out. It ends with the input; its goroutine
// does with the program, as a read of a terminal can't be called off.
func readKeys(in io.Reader) <-chan byte {
	keys := make(chan byte)
	go func() {
		defer close(keys)
		r := bufio.NewReader(in)
		for {
			key, err := r.ReadByte()
			if err != nil {
				return
			}
			if key == keyEscape && r.Buffered() > 0 {
				if next, _ := r.Peek(1); next[0] == '[' || next[0] == 'O' {
					skipSequence(r)
					continue
				}
			}
			keys <- key
		}
	}()
	return keys
}

// skipSequence reads on to the end of a key's sequence, such as ESC [ 1 ; 5 A.
func skipSequence(r *bufio.Reader) {
	_, _ = r.Discard(1)
	for r.Buffered() > 0 {
		if c, _ := r.ReadByte(); c >= '@' && c <= '~' {
			return
		}
	}
}
