package metrics

import (
	"flag"
	"testing"

	"github.com/flask2ban/flask2ban/internal/reference"
)

var update = flag.Bool("update", false, "write the reference documentation anew")

// TestReferenceIsCurrent holds docs/ to the metrics.
func TestReferenceIsCurrent(t *testing.T) {
	families, err := exercised().Registry().Gather()
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]byte{"metrics.md": reference.Metrics(families, namespace+"_")}
	if err := reference.Hold("../../docs/reference", want, *update); err != nil {
		t.Error(err)
	}
}
