// Package ban decides which clients are served, slowed down or refused.
//
// It is a pure state machine: it reads no clock, does no network or file
// input and output, and knows no HTTP. The caller says what time it is and
// what a client did; the [Engine] answers what to do with it. Memory decides;
// a [Store] is written behind it by [Engine.Serve].
//
// The worst thing that this package can do is to refuse someone who did
// nothing wrong. Where a rule is in doubt it is lenient: evidence that others
// can make a client send is soft, distinct paths count and repetitions don't,
// and addresses that stand for many people are never blocked.
package ban
