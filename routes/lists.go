package routes

// Lists are the paths that are judged by their name alone, where no rule has
// them.
type Lists struct {
	// Benign paths are asked for by browsers, crawlers and systems unbidden.
	Benign []string
	// Honeypaths are asked for by scanners only.
	Honeypaths []string
}

// DefaultLists returns the lists that come with flask2ban.
func DefaultLists() Lists { return Lists{} }

type compiledLists struct{}

func (l Lists) compile() (compiledLists, error) { return compiledLists{}, nil }

func (compiledLists) benign(string) bool      { return false }
func (compiledLists) honeypath(string) bool   { return false }
func (compiledLists) subresource(string) bool { return false }
