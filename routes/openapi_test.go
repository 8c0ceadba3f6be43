package routes

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func openAPIOf(t *testing.T, p *Project) map[string]any {
	t.Helper()
	var b bytes.Buffer
	if err := p.WriteOpenAPI(&b); err != nil {
		t.Fatal(err)
	}
	var doc map[string]any
	if err := json.Unmarshal(b.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	checkOpenAPI(t, doc)
	return doc
}

var templateName = regexp.MustCompile(`\{([^{}]*)\}`)

// checkOpenAPI holds a document to what OpenAPI 3.1.0 demands of paths (section
// 4.8.8), path items, parameters (4.8.12) and operations (4.8.10).
func checkOpenAPI(t *testing.T, doc map[string]any) {
	t.Helper()
	info := doc["info"].(map[string]any)
	if doc["openapi"] != "3.1.0" || info["title"] == "" || info["version"] == "" {
		t.Errorf("got %v %v", doc["openapi"], info)
	}
	shapes, ids := map[string]bool{}, map[string]bool{}
	for path, item := range doc["paths"].(map[string]any) {
		shape := templateName.ReplaceAllString(path, "{}")
		if !strings.HasPrefix(path, "/") || shapes[shape] || strings.ContainsAny(shape, "<>? ") {
			t.Errorf("path %s is malformed or has a twin", path)
		}
		shapes[shape] = true
		var named []string
		for _, m := range templateName.FindAllStringSubmatch(path, -1) {
			named = append(named, m[1])
		}
		checkPathItem(t, path, item.(map[string]any), named, ids)
	}
}

func checkPathItem(t *testing.T, path string, item map[string]any, named []string, ids map[string]bool) {
	t.Helper()
	var declared []string
	parameters, _ := item["parameters"].([]any)
	for _, p := range parameters {
		p := p.(map[string]any)
		declared = append(declared, p["name"].(string))
		if p["in"] != "path" || p["required"] != true || p["schema"] == nil {
			t.Errorf("%s: parameter %v", path, p)
		}
	}
	if !slices.Equal(declared, named) {
		t.Errorf("%s declares %q", path, declared)
	}
	for key, value := range item {
		if key == "parameters" || strings.HasPrefix(key, "x-") {
			continue
		}
		op := value.(map[string]any)
		id := op["operationId"].(string)
		if !slices.Contains(openAPIMethods, strings.ToUpper(key)) || ids[id] || len(op["responses"].(map[string]any)) == 0 {
			t.Errorf("%s: operation %s %v", path, key, op)
		}
		ids[id] = true
	}
}

func TestWriteOpenAPI(t *testing.T) {
	doc := openAPIOf(t, mall())
	paths := doc["paths"].(map[string]any)
	for _, want := range []string{"/", "/user/{id}", "/user/{id}/edit", "/items/", "/items/{n}", "/{year}", "/files/{name}", "/any", "/img/{kind}/{scale}", "/old"} {
		if paths[want] == nil {
			t.Errorf("path %s is missing", want)
		}
	}
	if len(paths) != 10 {
		t.Errorf("got %d paths", len(paths))
	}
	user := paths["/user/{id}"].(map[string]any)
	if user["put"] == nil {
		t.Error("a rule of the same shape is not in the path item: /user/<lang>")
	}
	img, _ := json.Marshal(paths["/img/{kind}/{scale}"])
	for _, want := range []string{`"enum":["png","jpg"]`, `"minimum":0.5`, `"x-other-methods":["PROPFIND"]`, `"type":"number"`, `"tags":["img"]`} {
		if !strings.Contains(string(img), want) {
			t.Errorf("%s lacks %s", img, want)
		}
	}
}

func TestWriteOpenAPIOfOddRules(t *testing.T) {
	p := &Project{Options: Options{Prefix: "/base"}}
	for _, rule := range []string{"/a b/{c}?/%", "/é/<x>", "/<x>-<y>/z", "/<int(signed=True,max=3):n>", "/<float(signed=True):f>/f", "/<own(1):q>/q", `/<any("a b",c):k>/k`, "/<broken", "/<x>", "/<uuid:u>/u"} {
		p.Routes = append(p.Routes, Route{Rule: rule, Endpoint: "e"})
	}
	paths := openAPIOf(t, p)["paths"].(map[string]any)
	if paths["/base/a%20b/%7Bc%7D%3F/%25"] == nil || len(paths) != 8 {
		t.Errorf("got %d paths: %v", len(paths), paths)
	}
}

// TestOpenAPIAgainstItsValidator uses the specification's own schema where
// Python has it.
func TestOpenAPIAgainstItsValidator(t *testing.T) {
	if exec.Command("python3", "-c", "import openapi_spec_validator").Run() != nil {
		t.Skip("python3 has no openapi_spec_validator here: checkOpenAPI above holds what we know of it")
	}
	var b bytes.Buffer
	if err := mall().WriteOpenAPI(&b); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("python3", "-c", "import sys, json, openapi_spec_validator as v; v.validate(json.load(sys.stdin))")
	cmd.Stdin = &b
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
