package main

import (
	"os"
	"strings"
	"testing"
)

// TestSmuggling measures anew: nothing is smuggled, and the table that the
// repository shows says what is so.
func TestSmuggling(t *testing.T) {
	rows, err := measure()
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
		if strings.Contains(line, "cut off") { // how far a broken request came is a matter of time
			line = line[:strings.IndexByte(line, '`')]
		}
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
