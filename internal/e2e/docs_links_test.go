package e2e

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// markdown are the repository's pages by their path.
func markdown(t *testing.T) map[string]string {
	t.Helper()
	pages := map[string]string{}
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && strings.HasPrefix(d.Name(), ".") && d.Name() != "..", d.IsDir() && d.Name() == "testdata":
			return filepath.SkipDir
		case filepath.Ext(path) != ".md":
			return nil
		}
		text, err := os.ReadFile(path)
		pages[path] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return pages
}

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.+)$`)
	// fenced are code blocks, where "#" begins a comment.
	fenced    = regexp.MustCompile("(?ms)^```.*?^```")
	notInSlug = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// anchors are those that GitHub gives to a page's headings.
func anchors(text string) map[string]bool {
	found := map[string]bool{}
	for _, m := range heading.FindAllStringSubmatch(fenced.ReplaceAllString(text, ""), -1) {
		found[strings.ReplaceAll(notInSlug.ReplaceAllString(strings.ToLower(m[1]), ""), " ", "-")] = true
	}
	return found
}

// TestLinks holds that no link between the repository's pages and files leads
// nowhere.
func TestLinks(t *testing.T) {
	pages, checked := markdown(t), 0
	for path, text := range pages {
		for _, m := range link.FindAllStringSubmatch(fenced.ReplaceAllString(text, ""), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			checked++
			file, anchor, _ := strings.Cut(m[1], "#")
			target := path
			if file != "" {
				target = filepath.Join(filepath.Dir(path), file)
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s: %s leads to no file", path, m[1])
			} else if anchor != "" && !anchors(pages[target])[anchor] {
				t.Errorf("%s: %s: the page has no such heading", path, m[1])
			}
		}
	}
	if checked < 20 {
		t.Errorf("%d links found, want many", checked)
	}
}

// guides are README.md and the pages of docs.
func guides(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	for path, text := range markdown(t) {
		if dir := filepath.Dir(path); dir == "../../docs" || path == "../../README.md" {
			found[path] = text
		}
	}
	return found
}

// code is what stands in a page as code: inline, fenced, or indented.
var code = regexp.MustCompile("(?ms)^```.*?^```|`[^`\n]+`|^    .*?$")

// ours is a call of one of our programs, up to what another program begins with;
// flag is one of ours that stands alone.
var (
	ours    = regexp.MustCompile(`(?:^|[\s/(])(flask2ban|flasksupervisor) ([a-z]+)?((?:[^|;&\n#` + "`" + `]|\\\n)*)`)
	bare    = regexp.MustCompile("^`(--[a-z0-9-]+)")
	anyFlag = regexp.MustCompile(`(?:^|\s)(--[a-z0-9][a-z0-9-]*)`)
)

// helps is what the programs print for --help, by command; "" where there is none.
type helps struct {
	t    *testing.T
	seen map[string]string
}

func (h *helps) of(program string, words ...string) string {
	key := program + " " + strings.Join(words, " ")
	if text, found := h.seen[key]; found {
		return text
	}
	path, err := binary()
	if err != nil {
		h.t.Fatal(err)
	}
	cmd := exec.Command(filepath.Join(filepath.Dir(path), program), append(words, "--help")...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		out = nil
	}
	h.seen[key] = string(out)
	return h.seen[key]
}

// command is the help of what a call names: the command's, or the program's
// own where the word is an app; false where it is neither.
func (h *helps) command(program, word, rest string) (string, bool) {
	main := h.of(program)
	if word == "" || appWord.MatchString(rest) || h.apps(word) {
		return main, true
	}
	if !regexp.MustCompile(`(?m)^  ` + word + `\s`).MatchString(main) {
		return "", false
	}
	text := h.of(program, word)
	for sub := range strings.FieldsSeq(rest) {
		if regexp.MustCompile(`(?m)^  ` + regexp.QuoteMeta(sub) + `\s`).MatchString(text) {
			text += h.of(program, word, sub)
		}
		break
	}
	return text, true
}

// appWord is the rest of an APP such as app.py or shop:create_app.
var appWord = regexp.MustCompile(`^[.:/_]`)

// apps says whether a word is the name of an example.
func (h *helps) apps(word string) bool {
	_, err := os.Stat(filepath.Join(example(h.t, "factory"), word))
	return err == nil
}

// TestCommandsAndFlagsExist holds that what README and docs name is there.
func TestCommandsAndFlagsExist(t *testing.T) {
	h, calls := &helps{t: t, seen: map[string]string{}}, 0
	all := h.of("flask2ban") + h.of("flask2ban", "serve") + h.of("flask2ban", "bans", "add") + h.of("flask2ban", "bans", "remove") +
		h.of("flask2ban", "replay") + h.of("flask2ban", "routes")
	for path, text := range guides(t) {
		for _, span := range code.FindAllString(text, -1) {
			if m := bare.FindStringSubmatch(span); m != nil && !hasFlag(all, m[1]) {
				t.Errorf("%s: %s: no such flag", path, m[1])
			}
			for _, m := range ours.FindAllStringSubmatch(span, -1) {
				calls++
				own, _, _ := strings.Cut(m[3], " -- ")
				help, found := h.command(m[1], m[2], m[3])
				if !found {
					t.Errorf("%s: %s %s: no such command", path, m[1], m[2])
				}
				for _, f := range anyFlag.FindAllStringSubmatch(own, -1) {
					if found && !hasFlag(help, f[1]) {
						t.Errorf("%s: %s %s%s: no flag %s", path, m[1], m[2], m[3], f[1])
					}
				}
			}
		}
	}
	if calls < 50 {
		t.Errorf("%d calls found, want many", calls)
	}
}

func hasFlag(help, flag string) bool {
	return regexp.MustCompile(`(?m)^ +(-\w, )?` + flag + `\b`).MatchString(help)
}

// TestDocumentedMetricsExist holds that README and docs name no other metrics
// than there are.
func TestDocumentedMetricsExist(t *testing.T) {
	known := exported(t)
	for path, text := range guides(t) {
		for _, name := range regexp.MustCompile(`\bflask2ban_[a-z_]+`).FindAllString(text, -1) {
			if !slices.Contains(known, name) {
				t.Errorf("%s: %s: no such metric", path, name)
			}
		}
	}
}
