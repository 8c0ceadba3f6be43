package python

import (
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"golang.org/x/text/unicode/runenames"
)

// nameAliases are names that unicodedata.lookup takes from NameAliases.txt for
// characters that have no name of their own.
var nameAliases = map[string]rune{
	"NULL": 0x00, "BELL": 0x1F514, "BACKSPACE": 0x08, "CHARACTER TABULATION": 0x09, "HORIZONTAL TABULATION": 0x09, "TAB": 0x09,
	"LINE FEED": 0x0A, "NEW LINE": 0x0A, "END OF LINE": 0x0A, "LF": 0x0A, "NL": 0x0A, "LINE TABULATION": 0x0B,
	"FORM FEED": 0x0C, "FF": 0x0C, "CARRIAGE RETURN": 0x0D, "CR": 0x0D, "ESCAPE": 0x1B, "ESC": 0x1B,
	"SPACE": 0x20, "SP": 0x20, "DELETE": 0x7F, "DEL": 0x7F, "NEXT LINE": 0x85, "NEL": 0x85,
	"NBSP": 0xA0, "SHY": 0xAD, "ZWSP": 0x200B, "ZWNJ": 0x200C, "ZWJ": 0x200D, "LRM": 0x200E, "RLM": 0x200F,
	"WJ": 0x2060, "BYTE ORDER MARK": 0xFEFF, "BOM": 0xFEFF, "ZWNBSP": 0xFEFF,
}

// cjkPrefix names ideographs by their code point.
const cjkPrefix = "CJK UNIFIED IDEOGRAPH-"

// charNames is the reverse of runenames.Name. It is built at the first \N{...}
// that a program has, which is rare.
var charNames = sync.OnceValue(func() map[string]rune {
	names := make(map[string]rune, 40_000)
	for r := rune(0); r <= 0x1FFFF; r++ {
		addName(names, r)
	}
	for r := rune(0xE0000); r <= 0xE01EF; r++ {
		addName(names, r)
	}
	return names
})

func addName(names map[string]rune, r rune) {
	if name := runenames.Name(r); name != "" && name[0] != '<' {
		names[name] = r
	}
}

// runesNamed returns the character of a \N{...} escape.
func runesNamed(name string) (string, bool) {
	name = strings.ToUpper(name)
	if r, ok := nameAliases[name]; ok {
		return string(r), true
	}
	if hex, ok := strings.CutPrefix(name, cjkPrefix); ok {
		v, err := strconv.ParseUint(hex, 16, 32)
		return string(rune(v)), err == nil && v <= utf8.MaxRune
	}
	if syllable, ok := strings.CutPrefix(name, "HANGUL SYLLABLE "); ok {
		return hangul(syllable)
	}
	r, ok := charNames()[name]
	return string(r), ok
}

// The short names of jamos, from Unicode's Jamo.txt, in the order that
// section 3.12 composes syllables of.
var (
	jamoL = []string{"G", "GG", "N", "D", "DD", "R", "M", "B", "BB", "S", "SS", "", "J", "JJ", "C", "K", "T", "P", "H"}
	jamoV = []string{"A", "AE", "YA", "YAE", "EO", "E", "YEO", "YE", "O", "WA", "WAE", "OE", "YO", "U", "WEO", "WE", "WI", "YU", "EU", "YI", "I"}
	jamoT = []string{"", "G", "GG", "GS", "N", "NJ", "NH", "D", "L", "LG", "LM", "LB", "LS", "LT", "LP", "LH", "M", "B", "BS", "S", "SS", "NG", "J", "C", "K", "T", "P", "H"}
)

// hangul finds the syllable of a name such as "HAN".
func hangul(name string) (string, bool) {
	for l, first := range jamoL {
		for v, vowel := range jamoV {
			rest, ok := strings.CutPrefix(name, first+vowel)
			if !ok {
				continue
			}
			for t, last := range jamoT {
				if rest == last {
					return string(rune(0xAC00 + (l*len(jamoV)+v)*len(jamoT) + t)), true
				}
			}
		}
	}
	return "", false
}
