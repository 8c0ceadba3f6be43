package routes

import (
	"embed"
	"fmt"
	"strings"
)

// Lists are the paths that are judged by their name alone, where no rule has
// them. The zero value lists nothing.
type Lists struct {
	// Benign paths are asked for by browsers, crawlers and systems unbidden.
	Benign []string
	// Honeypaths are asked for by scanners only.
	//
	// Both are patterns such as /favicon.ico, /.well-known/**, **/.git/**,
	// **/wp-login.php or, to take a path off again, !/wp-login.php. A path on
	// both lists is benign, unless the benign pattern begins with **/.
	Honeypaths []string
}

//go:embed lists/*.txt
var listFiles embed.FS

// DefaultLists returns the lists that come with flask2ban. The slices are the
// caller's to extend.
func DefaultLists() Lists {
	return Lists{
		Benign:     readList("lists/benign.txt"),
		Honeypaths: append(readList("lists/honeypaths.txt"), readList("lists/honeypaths_crowdsec.txt")...),
	}
}

// readList returns the lines of an embedded list without comments.
func readList(name string) []string {
	text, err := listFiles.ReadFile(name)
	if err != nil {
		return nil // it is embedded, and a test reads it
	}
	var out []string
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			out = append(out, line)
		}
	}
	return out
}

// compiledLists are Lists made ready for look-ups.
type compiledLists struct {
	sure, weak, honey *pathSet
}

func (l Lists) compile() (compiledLists, error) {
	var sure, weak []string
	for _, p := range l.Benign {
		if strings.HasPrefix(p, "**/") {
			weak = append(weak, p)
		} else {
			sure = append(sure, p)
		}
	}
	var out compiledLists
	for _, list := range []struct {
		to       **pathSet
		name     string
		patterns []string
	}{{&out.sure, "benign", sure}, {&out.weak, "benign", weak}, {&out.honey, "honeypaths", l.Honeypaths}} {
		set, err := newPathSet(list.patterns)
		if err != nil {
			return out, fmt.Errorf("list %s: %w", list.name, err)
		}
		*list.to = set
	}
	return out, nil
}

// benign says that browsers, crawlers or systems ask for this very path.
func (l *compiledLists) benign(f *foldedPath) bool { return l.sure.contains(f) }

// subresource says that the path looks like a picture, a script or the like
// that a page may name though it is gone.
func (l *compiledLists) subresource(f *foldedPath) bool { return l.weak.contains(f) }

// honeypath says that only scanners ask for the path.
func (l *compiledLists) honeypath(f *foldedPath) bool { return l.honey.contains(f) }
