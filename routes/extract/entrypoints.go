package extract

import (
	"os"
	"path/filepath"
	"strings"
)

// entryPoints is importlib.metadata.entry_points(group=...) and
// pkg_resources.iter_entry_points(group): what the installed packages' metadata
// lists. Without [Options.Path] nothing is known.
func entryPoints(in *interp, c *call) value {
	group, ok := c.get(-1, "group")
	if !ok {
		group, ok = c.get(0, "group")
	}
	name, isText := group.(string)
	if !ok || !isText || len(in.opts.Path) == 0 {
		return &seq{open: true}
	}
	out := newSeq(listSeq)
	for _, dir := range in.opts.Path {
		for _, pattern := range []string{"*.dist-info", "*.egg-info"} {
			files, _ := filepath.Glob(filepath.Join(dir, pattern, "entry_points.txt"))
			for _, f := range files {
				out.items = append(out.items, in.entryPointsOf(f, name)...)
			}
		}
	}
	return out
}

// entryPointsOf reads one group of an entry_points.txt.
func (in *interp) entryPointsOf(file, group string) []value {
	src, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	var out []value
	inside := false
	for _, line := range strings.Split(string(src), "\n") {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			inside = line == "["+group+"]"
			continue
		}
		if name, target, ok := strings.Cut(line, "="); ok && inside {
			out = append(out, in.entryPoint(strings.TrimSpace(name), strings.TrimSpace(target)))
		}
	}
	return out
}

func (in *interp) entryPoint(name, target string) *object {
	o := &object{class: in.newClass("EntryPoint"), vars: newScope(nil)}
	o.vars.put("name", name)
	o.vars.put("value", target)
	o.vars.put("load", &native{name: "load", call: func(in *interp, _ *call) value {
		return importString(in, &call{args: []value{target}})
	}})
	return o
}
