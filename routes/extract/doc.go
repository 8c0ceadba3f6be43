// Package extract turns the Python source of a Flask app into the table of its
// routes without running it.
//
// It is an abstract interpreter of the registration subset of Python: what a
// module does while it is imported, and what an application factory does when
// it is called. Values are Python's own where they are known, a [choice] where
// a branch decides, and [unknown] where nothing can be said. Both branches of
// every condition that a setting decides are followed. View functions are never
// entered.
//
// What cannot be evaluated becomes an unresolved entry with the narrowest URL
// prefix below which it may register, so that no route is missed in silence.
//
// Extensions that register routes are described in Python below known/, one
// small file each, which this interpreter runs in their place.
package extract
