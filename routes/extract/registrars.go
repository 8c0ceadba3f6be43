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
	"apiflask":                    "apiflask",
	"apiflask.*":                  "apiflask",
	"apifairy":                    "apifairy",
	"apifairy.*":                  "apifairy",
	"connexion":                   "connexion",
	"connexion.*":                 "connexion",
	"dash":                        "one_path",
	"flasgger":                    "flasgger",
	"flasgger.*":                  "flasgger",
	"flask_admin":                 "flask_admin",
	"flask_admin.base":            "flask_admin",
	"flask_admin.contrib.*":       "flask_admin",
	"flask_admin.model":           "flask_admin",
	"flask_apispec":               "one_path",
	"flask_apispec.extension":     "one_path",
	"flask_avatars":               "static_files",
	"flask_bootstrap":             "static_files",
	"flask_ckeditor":              "static_files",
	"flask_classful":              "flask_classful",
	"flask_colorpicker":           "static_files",
	"flask_dance.consumer":        "flask_dance",
	"flask_dance.contrib.*":       "flask_dance",
	"flask_debugtoolbar":          "flask_debugtoolbar",
	"flask_dropzone":              "static_files",
	"flask_fs":                    "flask_fs",
	"flask_graphql":               "flask_graphql",
	"flask_healthcheck":           "one_path",
	"flask_jsonrpc":               "one_path",
	"flask_jsonrpc.app":           "one_path",
	"flask_monitoringdashboard":   "one_path",
	"flask_openapi3":              "flask_openapi3",
	"flask_openapi3.*":            "flask_openapi3",
	"flask_profiler":              "one_path",
	"flask_pydantic_spec":         "one_path",
	"flask_reggie":                "flask_reggie",
	"flask_restful":               "flask_restful",
	"flask_restful.*":             "flask_restful",
	"flask_restless":              "one_path",
	"flask_restx":                 "flask_restx",
	"flask_restx.*":               "flask_restx",
	"flask_reuploaded":            "flask_uploads",
	"flask_restx.apidoc":          "flask_restx_apidoc",
	"flask_security":              "flask_security",
	"flask_share":                 "static_files",
	"flask_sitemap":               "one_path",
	"flask_smorest":               "flask_smorest",
	"flask_smorest.*":             "flask_smorest",
	"flask_socketio":              "flask_socketio",
	"flask_sse":                   "flask_sse",
	"flask_swagger_ui":            "flask_swagger_ui",
	"flask_themes":                "flask_themes2",
	"flask_themes2":               "flask_themes2",
	"flask_toastr":                "static_files",
	"flask_uploads":               "flask_uploads",
	"flask_user":                  "one_path",
	"gds_metrics":                 "gds_metrics",
	"graphene_file_upload.flask":  "flask_graphql",
	"graphql_server.flask":        "flask_graphql",
	"healthcheck":                 "one_path",
	"pluggy":                      "pluggy",
	"prometheus_flask_exporter":   "prometheus_flask_exporter",
	"prometheus_flask_exporter.*": "prometheus_flask_exporter",
	"spectree":                    "one_path",
	"specsynthase.specbuilder":    "specsynthase",
	"strawberry.flask.views":      "flask_graphql",
}

// renamed maps packages to the name under which they live on.
var renamed = map[string]string{"flask_restplus": "flask_restx", "flask_rest_api": "flask_smorest", "flask_classy": "flask_classful"}

// currentName is a module's name after its package was renamed.
func currentName(name string) string {
	if rest, ok := strings.CutPrefix(name, "flask.ext."); ok {
		name = "flask_" + rest
	}
	top, rest, dotted := strings.Cut(name, ".")
	if to, ok := renamed[top]; ok {
		top = to
	}
	if dotted {
		return top + "." + rest
	}
	return top
}

// modelledPackages are the packages of which a model says what they register.
var modelledPackages = func() map[string]bool {
	set := map[string]bool{}
	for name := range registrars {
		top, _, _ := strings.Cut(name, ".")
		set[top] = true
	}
	return set
}()

// knownModule is the model of an extension's module.
func knownModule(name string) (string, bool) {
	file, ok := registrars[name]
	if i := strings.LastIndexByte(name, '.'); i >= 0 && !ok {
		file, ok = registrars[name[:i]+".*"]
	}
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
	return isStdlib(top) || harmlessPackages[top] || modelledPackages[top]
}

func isStdlib(name string) bool { return stdlibModules[name] }
