package extract

import (
	"os"
	"regexp"
	"strings"
)

// annotation is a field of a class body, with its type only: lowering drops it.
var annotation = regexp.MustCompile(`^\s+([A-Za-z_]\w*)\s*:\s*[^=]`)

// fields are the names that a generated __init__ takes by position, those of
// bases first.
func (in *interp) fields(c *class) []string {
	var out []string
	seen := map[string]bool{}
	for i := len(c.linear) - 1; i >= 0; i-- {
		k := c.linear[i]
		names := in.annotated(k)
		if len(names) == 0 {
			names = k.plainNames()
		}
		for _, n := range names {
			if !seen[n] {
				seen[n] = true
				out = append(out, n)
			}
		}
	}
	return out
}

// annotated reads the annotated names of a class body from its source.
func (in *interp) annotated(c *class) []string {
	if c.module == nil || c.module.file == "" || c.line == 0 {
		return nil
	}
	src, err := os.ReadFile(c.module.file)
	if err != nil {
		return nil
	}
	lines := strings.Split(string(src), "\n")
	var out []string
	indent := -1
	for _, line := range lines[min(c.line, len(lines)):] {
		text := strings.TrimLeft(line, " \t")
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		depth := len(line) - len(text)
		if indent < 0 {
			indent = depth
		}
		if depth < indent {
			break
		}
		if m := annotation.FindStringSubmatch(line); m != nil && depth == indent && !strings.HasPrefix(text, "def ") {
			out = append(out, m[1])
		}
	}
	return out
}

// plainNames are the names that a class body assigns plain values.
func (c *class) plainNames() []string {
	var out []string
	for _, n := range c.vars.order {
		switch c.vars.names[n].(type) {
		case *function, *native, *wrapped, *class, nil:
		default:
			out = append(out, n)
		}
	}
	return out
}
