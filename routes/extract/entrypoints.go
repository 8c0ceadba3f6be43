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
	for _, f := range entryPointFiles(in.opts.Path) {
		out.items = append(out.items, in.entryPointsOf(f, name)...)
	}
	return out
}

// distributions is importlib.metadata.distributions(), as far as they have entry
// points.
func distributions(in *interp, _ *call) value {
	if len(in.opts.Path) == 0 {
		return &seq{open: true}
	}
	out := newSeq(listSeq)
	for _, f := range entryPointFiles(in.opts.Path) {
		o := &object{class: in.newClass("Distribution"), vars: newScope(nil)}
		points := newSeq(listSeq)
		points.items = in.entryPointsOf(f, "")
		o.vars.put("entry_points", points)
		out.items = append(out.items, o)
	}
	return out
}

func entryPointFiles(path []string) []string {
	var out []string
	for _, dir := range path {
		for _, pattern := range []string{"*.dist-info", "*.egg-info"} {
			files, _ := filepath.Glob(filepath.Join(dir, pattern, "entry_points.txt"))
			out = append(out, files...)
		}
	}
	return out
}

// entryPointsOf reads one group of an entry_points.txt, or all where only is
// empty.
func (in *interp) entryPointsOf(file, only string) []value {
	src, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	var out []value
	group := ""
	for line := range strings.Lines(string(src)) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			group = strings.Trim(line, "[]")
			continue
		}
		if name, target, ok := strings.Cut(line, "="); ok && (only == "" || group == only) {
			out = append(out, in.entryPoint(group, strings.TrimSpace(name), strings.TrimSpace(target)))
		}
	}
	return out
}

func (in *interp) entryPoint(group, name, target string) *object {
	o := &object{class: in.newClass("EntryPoint"), vars: newScope(nil)}
	o.vars.put("group", group)
	o.vars.put("name", name)
	o.vars.put("value", target)
	o.vars.put("load", &native{name: "load", call: func(in *interp, _ *call) value {
		return importString(in, &call{args: []value{target}})
	}})
	return o
}
