package routes

import "strings"

// methodBits are the usual methods, so that a set of them is one word.
var methodBits = map[string]uint16{
	"GET": 1, "HEAD": 1 << 1, "POST": 1 << 2, "PUT": 1 << 3, "DELETE": 1 << 4,
	"PATCH": 1 << 5, "OPTIONS": 1 << 6, "TRACE": 1 << 7, "CONNECT": 1 << 8, "PROPFIND": 1 << 9,
}

// asked is the method of one request. Werkzeug compares in upper case.
type asked struct {
	name string
	bit  uint16
}

func askedMethod(name string) asked {
	switch name {
	case "GET":
		return asked{name, 1}
	case "HEAD":
		return asked{name, 1 << 1}
	case "POST":
		return asked{name, 1 << 2}
	}
	if bit, ok := methodBits[name]; ok {
		return asked{name, bit}
	}
	name = strings.ToUpper(name)
	return asked{name, methodBits[name]}
}

// methodSet are the methods of one rule.
type methodSet struct {
	all    bool
	bits   uint16
	others []string
}

func newMethodSet(methods []string) methodSet {
	set := methodSet{all: methods == nil}
	for _, m := range methods {
		m = strings.ToUpper(m)
		if bit := methodBits[m]; bit != 0 {
			set.bits |= bit
		} else {
			set.others = append(set.others, m)
		}
	}
	if set.bits&methodBits["GET"] != 0 {
		set.bits |= methodBits["HEAD"] // Rule.__init__ adds HEAD to GET
	}
	return set
}

func (s *methodSet) has(m asked) bool {
	if s.all || s.bits&m.bit != 0 {
		return true
	}
	for _, other := range s.others {
		if other == m.name {
			return true
		}
	}
	return false
}

// appendTo adds the set's names to a set of names.
func (s *methodSet) appendTo(names map[string]bool) {
	for name, bit := range methodBits {
		if s.bits&bit != 0 {
			names[name] = true
		}
	}
	for _, other := range s.others {
		names[other] = true
	}
}

func (s *methodSet) empty() bool { return !s.all && s.bits == 0 && len(s.others) == 0 }
