package main

import (
	"os"
	"strings"
	"testing"
)

// everyNth payload is in a test's run; make smuggling sends all of them.
const everyNth = 5

// TestSmuggling measures a part anew: nothing is smuggled, and the table that the
// repository shows says what is so.
func TestSmuggling(t *testing.T) {
	var some []payload
	for i := 0; i < len(payloads); i += everyNth {
		some = append(some, payloads[i])
	}
	rows, err := measure(some)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		if wrong := r.wrong(); wrong != "" {
			t.Errorf("%s: %s", r.payload.name, wrong)
		}
	}
	shown, err := os.ReadFile("../SMUGGLING.md")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(table(rows)) {
		if !strings.Contains(string(shown), strings.TrimSpace(line)) {
			t.Errorf("bench/SMUGGLING.md lacks %q; run make smuggling", line)
		}
	}
}

// The recorder itself must find fault with what is ambiguous.
func TestRowWrong(t *testing.T) {
	one := payload{name: "x", requests: 1}
	tests := []struct {
		row  row
		want string
	}{
		{row{payload: one, raw: []string{`GET / ""`}, flask: [2][]string{{`GET '/' ''`}, nil}}, ""},
		{row{payload: one, raw: []string{`GET / ""`, `GET /smuggled ""`}}, "2 requests reached"},
		{row{payload: one, raw: []string{`GET / ""; AMBIGUOUS length and chunks`}}, "ambiguous"},
		{row{payload: one, raw: []string{`GET / "a"`}, flask: [2][]string{nil, {`GET '/' 'ab'`}}}, "Werkzeug saw another body"},
	}
	for _, tt := range tests {
		if got := tt.row.wrong(); tt.want == "" && got != "" || !strings.Contains(got, tt.want) {
			t.Errorf("%v: got %q, want %q", tt.row, got, tt.want)
		}
	}
}
