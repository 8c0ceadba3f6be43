package extract

import (
	"embed"
	"strings"

	"github.com/flask2ban/flask2ban/routes/python"
)

// known holds one Python file for each extension that registers routes: what it
// does with the app, and no more. To teach another, write its file and name it
// in registrars. A model may use what __flask2ban__ offers (see modelTable).
//
//go:embed known/*.py
var models embed.FS

// registrars maps the modules of known extensions to their models.
var registrars = map[string]string{
	"flask_restful":  "flask_restful",
	"flask_restx":    "flask_restx",
	"flask_restplus": "flask_restx",
}

// knownModule is the model of an extension's module.
func knownModule(name string) (string, bool) {
	file, ok := registrars[name]
	if !ok {
		return "", false
	}
	src, err := models.ReadFile("known/" + file + ".py")
	return string(src), err == nil
}

// loadModel runs the model of an extension once.
func (in *interp) loadModel(name, src string) *module {
	key := "known:" + name
	if m, ok := in.loader.modules[key]; ok {
		return m
	}
	m := &module{name: name, rel: name, vars: newScope(nil), model: true}
	in.loader.modules[key] = m
	in.moduleNames(m, name)
	m.tree = python.Parse([]byte(src), in.loader.limits)
	journals, uncertain := in.journals, in.uncertain
	in.journals, in.uncertain = nil, 0
	in.enter(&frame{module: m, vars: m.vars}, func() flow { return in.execAll(m.tree.Body) })
	in.journals, in.uncertain = journals, uncertain
	m.done = true
	return m
}

// registersNothing says that what lives at this dotted path is known to
// register no route, whatever it is handed.
func registersNothing(path string) bool {
	top, _, _ := strings.Cut(path, ".")
	top = strings.TrimRight(top, "()[]")
	return isStdlib(top) || harmlessPackages[top]
}

func isStdlib(name string) bool { return stdlibModules[name] }
