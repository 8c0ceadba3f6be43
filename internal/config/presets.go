package config

// presetNames are the presets from the mildest to the strictest, and api.
var presetNames = []string{"gentle", "standard", "strict", "api"}

// presets are what each changes of the defaults, as one would write it.
// "standard" is the defaults themselves.
var presets = map[string]map[string][]string{
	// For an app with many broken links of its own, or a first week.
	"gentle": {
		"maxretry":    {"10"},
		"bantime":     {"5m"},
		"bantime-max": {"1d"},
	},
	"standard": {},
	// For an app whose few users know its pages.
	"strict": {
		"maxretry":    {"3"},
		"findtime":    {"1h"},
		"bantime":     {"1h"},
		"bantime-max": {"4w"},
	},
	// For programs as clients: their faults are wrong values and methods,
	// again and again, while no page links to a path that isn't there.
	"api": {
		"weights": {"bad_value=0.25", "unexpected_method=0.25"},
	},
}
