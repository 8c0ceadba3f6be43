package routes

// Nearest is a route that nearly has a path.
type Nearest struct {
	Route *Route
	// Why says what keeps it from matching.
	Why string
}

func (t *Table) nearest(s *search, path string) []Nearest { return nil }

func (t *Table) why(e *Explanation, s *search) string { return "" }
