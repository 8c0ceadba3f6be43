package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/flask2ban/flask2ban/internal/cmdline"
	"github.com/flask2ban/flask2ban/routes"
)

// maxLine bounds a line of the stream; a longer one is reported as bad.
const maxLine = 1 << 20

func (c *cli) explainCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "explain APP [METHOD] TARGET | explain APP -",
		Short: "Say what the table makes of a request, and why",
		Long: `TARGET is what stands in the request line: a path, or a whole URL, with its
query; METHOD is GET unless given. With - in place of both, lines "METHOD TARGET"
are read from the standard input and one JSON object a line is printed; a line
that is none of these gives one with the verdict "error".`,
		Example: cmdline.Example(
			"flask2ban explain app.py /user/alice",
			"flask2ban explain app.py GET /2020 --host example.org --werkzeug 2.2.2",
			`awk -F'"' '{print $2}' access.log | cut -d' ' -f1,2 | flask2ban explain app.py - | jq -r .verdict | sort | uniq -c`),
		Args: explainArgs,
	}
	f := cmd.Flags()
	load := sourceFlags(f)
	host := f.String("host", "localhost", "the request's Host")
	asJSON := f.Bool("json", false, "print JSON, as the stream does")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		cfg, err := load(c, args[0])
		if err != nil {
			return err
		}
		table, err := c.readTable(cmd.Context(), cfg)
		if err != nil {
			return err
		}
		if args[1] == "-" {
			return explainStream(cmd.Context(), table, *host, c.stdin, c.stdout)
		}
		method, target := request(args[1:])
		e := table.Explain(*host, method, target)
		if *asJSON {
			return writeJSONLine(c.stdout, e)
		}
		return writeExplanation(c.stdout, e, table, c.program().Painter(c.stdout))
	}
	return cmd
}

func explainArgs(cmd *cobra.Command, args []string) error {
	if len(args) >= 2 && args[1] == "-" {
		return cmdline.Arguments("APP", "-")(cmd, args)
	}
	switch {
	case len(args) == 2 && isTarget(args[1]):
		return nil
	case len(args) == 1:
		return cmdline.Arguments("APP", "TARGET")(cmd, args)
	case len(args) == 2 && args[1] != strings.ToUpper(args[1]):
		return cmdline.Usagef("%s: %q is no TARGET: it begins with /, as /%s", cmdline.Path(cmd), args[1], args[1])
	}
	return cmdline.Arguments("APP", "METHOD", "TARGET")(cmd, args)
}

// isTarget says that an argument is no method: a path, or a whole URL.
func isTarget(arg string) bool { return strings.HasPrefix(arg, "/") || strings.Contains(arg, "://") }

// request is the method and the target among the arguments after the app.
func request(args []string) (method, target string) {
	if len(args) == 1 {
		return http.MethodGet, args[0]
	}
	return args[0], args[1]
}

func writeJSONLine(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false) // rules are full of < and >
	return enc.Encode(v)
}

// badLine is what the stream says of a line that is no request. It has the
// keys of an explanation, so that readers need only one shape.
type badLine struct {
	routes.Explanation
	Verdict string `json:"verdict"`
	Message string `json:"message"`
}

// explainStream answers each line of r with one line. Verdicts are written
// when the input pauses, so that a person may type and a program may talk.
func explainStream(ctx context.Context, t *routes.Table, host string, r io.Reader, w io.Writer) error {
	in := bufio.NewReaderSize(r, 1<<16)
	out := bufio.NewWriterSize(w, 1<<16)
	for n := 1; ctx.Err() == nil; n++ {
		line, err := readLine(in)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil && !errors.Is(err, errLongLine) {
			return errors.Join(fmt.Errorf("line %d: %w", n, err), out.Flush())
		}
		if err := writeJSONLine(out, explainLine(t, host, line, err, n)); err != nil {
			return err
		}
		if in.Buffered() == 0 {
			if err := out.Flush(); err != nil {
				return err
			}
		}
	}
	return out.Flush()
}

// explainLine is the verdict on one line.
func explainLine(t *routes.Table, host string, line []byte, err error, n int) any {
	method, target, ok := strings.Cut(string(line), " ")
	if ok && method != "" && target != "" && err == nil {
		return verdict(t, host, method, target)
	}
	if err == nil {
		err = errors.New(`want "METHOD TARGET"`)
	}
	return badLine{
		Explanation: routes.Explanation{Method: method, Target: target, Args: map[string]string{}, Allow: []string{}},
		Verdict:     routes.Failed.String(),
		Message:     fmt.Sprintf("line %d: %v", n, err),
	}
}

// verdict is Explain without what the stream doesn't print: for a path that no
// route has it would look for the nearest ones, which takes ten times as long.
func verdict(t *routes.Table, host, method, target string) routes.Explanation {
	v := t.Match(host, method, target)
	switch v.Kind {
	case routes.UnexpectedPath, routes.Honeypath, routes.Benign, routes.BadValue, routes.UnresolvedPath, routes.BadRequest, routes.BadHost:
	default:
		return t.Explain(host, method, target)
	}
	e := routes.Explanation{Method: method, Target: target, Verdict: v.Kind, Args: map[string]string{}, Allow: []string{}}
	if v.Route != nil {
		e.Rule, e.Endpoint = v.Route.Rule, v.Route.Endpoint
	}
	return e
}

var errLongLine = fmt.Errorf("longer than %d bytes", maxLine)

// readLine returns one line without its end, io.EOF only where there is none,
// and errLongLine with its beginning where it is too long.
func readLine(in *bufio.Reader) ([]byte, error) {
	line, err := in.ReadSlice('\n')
	if !errors.Is(err, bufio.ErrBufferFull) {
		return endOfLine(line, err)
	}
	long := bytes.Clone(line)
	for errors.Is(err, bufio.ErrBufferFull) {
		line, err = in.ReadSlice('\n')
		if len(long) <= maxLine {
			long = append(long, line...)
		}
	}
	if len(long) > maxLine {
		const shown = 80
		return long[:shown], errLongLine
	}
	return endOfLine(long, err)
}

func endOfLine(line []byte, err error) ([]byte, error) {
	if errors.Is(err, io.EOF) && len(line) > 0 {
		err = nil
	}
	return bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r")), err
}

// writeExplanation is a verdict for people.
func writeExplanation(w io.Writer, e routes.Explanation, t *routes.Table, paint func(cmdline.Colour, string) string) error {
	fmt.Fprintf(w, "%s %s: %s\n", cmdline.Printable(e.Method), cmdline.Printable(e.Target), paint(verdictColour(e.Verdict), e.Verdict.String()))
	if e.Why != "" {
		fmt.Fprintf(w, "%s\n", e.Why)
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range explanationRows(e) {
		if row[1] != "" {
			fmt.Fprintf(tw, "  %s\t%s\n", row[0], row[1])
		}
	}
	for _, near := range e.Nearest {
		fmt.Fprintf(tw, "  nearest\t%s\t%s\t%s\n", near.Route.Rule, place(near.Route), near.Why)
	}
	if all := t.CatchAll(); all != nil && e.Verdict != routes.Found {
		fmt.Fprintf(tw, "  note\t%s makes every path valid: paths are no evidence\n", all.Rule)
	}
	return tw.Flush()
}

func explanationRows(e routes.Explanation) [][2]string {
	var args []string
	for _, name := range slices.Sorted(maps.Keys(e.Args)) {
		args = append(args, name+"="+cmdline.Printable(e.Args[name]))
	}
	rows := [][2]string{
		{"rule", e.Rule},
		{"endpoint", e.Endpoint},
		{"args", strings.Join(args, ", ")},
		{"location", cmdline.Printable(e.Location)},
		{"allow", strings.Join(e.Allow, ", ")},
	}
	if e.Route != nil {
		rows = append(rows, [2]string{"defined", place(e.Route)})
	}
	return rows
}

// place is where a route comes from, for people.
func place(r *routes.Route) string {
	if r.File == "" {
		return "(" + string(r.Source) + ")"
	}
	return fmt.Sprintf("%s:%d", r.File, r.Line)
}

// verdictColour is green for what the app serves, red for what is held
// against a client, yellow between.
func verdictColour(k routes.Kind) cmdline.Colour {
	switch k {
	case routes.Found, routes.Redirect, routes.Benign:
		return cmdline.Green
	case routes.UnexpectedPath, routes.Honeypath:
		return cmdline.Red
	}
	return cmdline.Yellow
}
