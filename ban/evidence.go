package ban

import "slices"

// Kind names what a client did that an honest client seldom does.
type Kind string

// The kinds that the proxy finds by itself. Applications may report others.
const (
	UnexpectedPath   Kind = "unexpected_path"
	UnexpectedMethod Kind = "unexpected_method"
	BadValue         Kind = "bad_value"
	Honeypath        Kind = "honeypath"
	ServerError      Kind = "server_error"
	LoginFailed      Kind = "login_failed"
)

// KindInfo is what the engine knows of one kind of evidence.
type KindInfo struct {
	Kind Kind
	// Weight is what one piece adds to the score; 0 means that the kind is
	// neither counted nor remembered.
	Weight float64
	// Decisive kinds weigh as much as blocks at once, where the piece isn't
	// soft and the client has no good record; else 1 and soft.
	Decisive bool
	// Soft kinds are soft whatever the request looked like.
	Soft bool
	// Each means that every occurrence counts, not only distinct paths.
	Each bool
	// Doc is one sentence for help texts.
	Doc string
}

// kinds is the one table of evidence: a new kind is one more line.
var kinds = [...]KindInfo{
	{Kind: UnexpectedPath, Weight: 1, Doc: "a URL that neither the route table nor the app's own routing knows"},
	{Kind: UnexpectedMethod, Weight: 0.5, Soft: true, Doc: "a route asked with a method that it doesn't take"},
	{Kind: BadValue, Weight: 0.5, Soft: true, Doc: "a route's shape with a value that its converter refuses"},
	{Kind: Honeypath, Decisive: true, Weight: 1, Doc: "a path that only scanners ask, such as /.env"},
	{Kind: ServerError, Weight: 0, Doc: "a request that made the view raise: fuzzing, or the app's own fault"},
	{Kind: LoginFailed, Weight: 1, Each: true, Doc: "a failed login, as reported by the app"},
}

// reported is how a kind counts that is in no table: the app named it.
var reported = KindInfo{Weight: 1, Each: true, Doc: "reported by the app"}

// Kinds returns the known kinds of evidence in the order of the table.
func Kinds() []KindInfo { return slices.Clone(kinds[:]) }

// Evidence is one observed offence.
type Evidence struct {
	// Kind of offence. Kinds outside the table count as reported by the app:
	// weight 1 each time, unless Config.Weights says otherwise.
	Kind Kind
	// Soft says that others could have made the client send this request (a
	// Referer, a cross-site fetch, a sub-resource).
	Soft bool
	// Path is the decoded path without its query; with Kind it makes a piece
	// of evidence distinct.
	Path string
	// Method is the request's, Route the pattern matched or nearest; both may
	// be empty.
	Method, Route string
	// Verdict is the route table's word, for people.
	Verdict string
	// Local says that the answer was ours: the app was not asked.
	Local bool
	// RequestID ties the piece to the access log.
	RequestID string
}

// maxText bounds every text of a request that is remembered, in bytes.
const maxText = 256
