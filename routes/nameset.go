package routes

import "fmt"

// maxName is the length from which names are in no nameSet.
const maxName = 64

// nameSet maps short names to values. It tells most names that it lacks by one
// byte and the length, without hashing them.
type nameSet[V any] struct {
	// skip is how many bytes all names begin with.
	skip    int
	lengths [256]uint64
	values  map[string]V
}

func (s *nameSet[V]) add(name string, value V) error {
	if len(name) <= s.skip || len(name) >= maxName {
		return fmt.Errorf("a name must have between 1 and %d bytes", maxName-1)
	}
	if s.values == nil {
		s.values = map[string]V{}
	}
	s.lengths[name[s.skip]] |= 1 << len(name)
	s.values[name] = value
	return nil
}

func (s *nameSet[V]) find(name string) (value V, ok bool) {
	if len(name) <= s.skip || len(name) >= maxName || s.lengths[name[s.skip]]&(1<<len(name)) == 0 {
		return value, false
	}
	value, ok = s.values[name]
	return value, ok
}
