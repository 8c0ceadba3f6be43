// Package routes knows which URLs an app permits and matches requests against
// them as Werkzeug does.
package routes

// Source says how a route became known.
type Source string

// The sources of a route.
const (
	Static  Source = "static"  // read from the app's source code
	Runtime Source = "runtime" // reported by the running app's url_map
	Learned Source = "learned" // the app answered there
)

// Route is one rule of the app's URL map.
type Route struct {
	// Rule is the pattern in Werkzeug's syntax, with every prefix applied.
	Rule string `json:"rule"`
	// Methods are upper case and sorted, with HEAD where there is GET and
	// OPTIONS where Flask adds it. Nil means every method.
	Methods []string `json:"methods"`
	// Endpoint is Flask's name for the view, blueprint names included.
	Endpoint  string `json:"endpoint"`
	Host      string `json:"host"`
	Subdomain string `json:"subdomain"`
	// StrictSlashes and MergeSlashes are the rule's own setting, or the
	// map's where it has none.
	StrictSlashes bool           `json:"strict_slashes"`
	MergeSlashes  bool           `json:"-"`
	Defaults      map[string]any `json:"defaults"`
	Source        Source         `json:"source"`
	// File is relative to the project's root, slash-separated; empty for
	// routes that no source line registers.
	File string `json:"file"`
	Line int    `json:"line"`

	// WebSocket rules match only WebSocket handshakes, BuildOnly rules never.
	WebSocket bool `json:"-"`
	BuildOnly bool `json:"-"`
	// Alias is Werkzeug's alias=True.
	Alias bool `json:"-"`
	// RedirectTo is the target of redirect_to where it is a string, and
	// "(callable)" where the app computes it.
	RedirectTo string `json:"-"`
	// Converters describes the rule's variables that use converters other
	// than Werkzeug's own, by variable name.
	Converters map[string]Converter `json:"-"`
	// Confirmed says that the running app's url_map has this static route.
	Confirmed bool `json:"-"`
}

// Converter is what is known of a custom URL converter.
type Converter struct {
	// Regex is in Python's syntax. Empty means unknown: it then matches as
	// widely as it could.
	Regex string `json:"regex"`
	// Weight orders rules as in Werkzeug; 0 means its default of 100.
	Weight int `json:"weight"`
	// PartIsolating false lets the converter match slashes.
	PartIsolating bool `json:"part_isolating"`
	// RegexFromArg says that the first positional argument of the
	// converter is its regex (self.regex = args[0]).
	RegexFromArg bool `json:"regex_from_arg,omitempty"`
}

// Unresolved is a place in the source that may register routes which could not
// be determined.
type Unresolved struct {
	File   string `json:"file"`
	Line   int    `json:"line"`
	Reason string `json:"reason"`
	// Prefix is the narrowest URL prefix below which anything may live; "/"
	// means everywhere.
	Prefix string `json:"prefix"`
}

// Options are the settings of the app's url_map that change matching.
type Options struct {
	StrictSlashes     bool
	MergeSlashes      bool
	HostMatching      bool
	SubdomainMatching bool
	// ServerName is the app's SERVER_NAME, empty where not set.
	ServerName string
	// Converters are the app's custom converters by the name used in rules.
	Converters map[string]Converter
	// Prefix is where the app is mounted (SCRIPT_NAME), without a trailing
	// slash; empty at the root.
	Prefix string
	// Werkzeug is the version whose matching to follow, as in "2.2.2"; empty
	// means the newest known.
	Werkzeug string
	// Flask is Flask's version; empty means the one that goes with Werkzeug.
	Flask string
	// Server is "gunicorn" where gunicorn parses the request line; empty
	// means Werkzeug's development server. They differ in absolute-form
	// targets and in length limits.
	Server string
	// DefaultSubdomain is the map's default_subdomain.
	DefaultSubdomain string
	// NoRedirectDefaults is set where the map has redirect_defaults=False.
	NoRedirectDefaults bool
}

// Project is everything known of an app's URLs, whatever the source.
type Project struct {
	App string `json:"app"`
	// Complete says that nothing is unresolved.
	Complete   bool         `json:"complete"`
	Unresolved []Unresolved `json:"unresolved"`
	Routes     []Route      `json:"routes"`
	Options    Options      `json:"-"`
	// NoApp says where and why the source has neither an app nor a route; empty
	// where it has.
	NoApp string `json:"-"`
	// Lint are findings about the source that are not about one route
	// (debug on, and the like).
	Lint []Finding `json:"-"`
}

// Finding is one lint message.
type Finding struct {
	File    string `json:"file"`
	Line    int    `json:"line"`
	Check   string `json:"check"`
	Message string `json:"message"`
}
