package python

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/ianaindex"
	"golang.org/x/text/encoding/unicode"
)

// cookie is PEP 263's declaration, valid in the first two lines.
var cookie = regexp.MustCompile(`^[ \t\f]*#.*?coding[:=][ \t]*([-_.a-zA-Z0-9]+)`)

var blankOrComment = regexp.MustCompile(`^[ \t\f]*(?:#.*)?$`)

// decode returns the text of a source file with \n for newlines, as CPython's
// tokenizer would see it, and what was wrong with it. Text that is not in the
// encoding it claims is read as Latin-1: no byte is lost, and what matters to
// routes is nearly always ASCII.
func decode(src []byte) (string, []Problem) {
	body, hasBOM := bytes.CutPrefix(src, []byte("\xef\xbb\xbf"))
	name, line := declared(body)
	if hasBOM {
		name = "utf-8"
	}
	text, reason := decodeAs(body, name)
	var problems []Problem
	if reason != "" {
		problems = append(problems, Problem{Line: max(line, 1), Reason: reason})
	}
	if strings.IndexByte(text, '\r') >= 0 {
		text = strings.ReplaceAll(text, "\r\n", "\n")
		text = strings.ReplaceAll(text, "\r", "\n")
	}
	return text, problems
}

// declared returns the encoding's name in the cookie and the cookie's line;
// "utf-8" where there is none.
func declared(src []byte) (string, int) {
	for line := 1; line <= 2; line++ {
		end := bytes.IndexAny(src, "\r\n")
		if end < 0 {
			end = len(src)
		}
		if m := cookie.FindSubmatch(src[:end]); m != nil {
			return normalName(string(m[1])), line
		}
		if !blankOrComment.Match(src[:end]) || end == len(src) {
			break
		}
		src = src[end+1:]
	}
	return "utf-8", 0
}

// normalName folds the spellings that CPython's tokenizer folds.
func normalName(name string) string {
	name = strings.ReplaceAll(strings.ToLower(name), "_", "-")
	for _, suffix := range []string{"-unix", "-dos", "-mac"} {
		name = strings.TrimSuffix(name, suffix)
	}
	return name
}

// pythonNames are codec names of Python that IANA does not know.
var pythonNames = map[string]encoding.Encoding{
	"latin-1": charmap.ISO8859_1, "latin1": charmap.ISO8859_1, "iso-8859-1": charmap.ISO8859_1,
	"iso-latin-1": charmap.ISO8859_1, "l1": charmap.ISO8859_1,
	"cp1250": charmap.Windows1250, "cp1251": charmap.Windows1251, "cp1252": charmap.Windows1252,
	"cp1253": charmap.Windows1253, "cp1254": charmap.Windows1254, "cp1255": charmap.Windows1255,
	"cp1256": charmap.Windows1256, "cp1257": charmap.Windows1257, "cp1258": charmap.Windows1258,
	"cp437": charmap.CodePage437, "cp850": charmap.CodePage850, "cp866": charmap.CodePage866,
	"latin-9": charmap.ISO8859_15, "iso8859-15": charmap.ISO8859_15,
	"utf-16": unicode.UTF16(unicode.LittleEndian, unicode.UseBOM),
}

// decodeAs returns the text and why it could not be decoded as named.
func decodeAs(src []byte, name string) (string, string) {
	switch name {
	case "utf-8", "utf8", "utf-8-sig", "ascii", "us-ascii":
		if utf8.Valid(src) {
			return string(src), ""
		}
		return latin1(src), "not UTF-8; read as Latin-1: declare the encoding (PEP 263)"
	}
	enc := pythonNames[name]
	if enc == nil {
		var err error
		if enc, err = ianaindex.IANA.Encoding(name); err != nil || enc == nil {
			return latin1(src), fmt.Sprintf("unknown encoding %q; read as Latin-1", name)
		}
	}
	out, err := enc.NewDecoder().Bytes(src)
	if err != nil {
		return latin1(src), fmt.Sprintf("not in encoding %q; read as Latin-1", name)
	}
	return string(out), ""
}

func latin1(src []byte) string {
	var b strings.Builder
	b.Grow(len(src) + len(src)/8)
	for _, c := range src {
		b.WriteRune(rune(c))
	}
	return b.String()
}
