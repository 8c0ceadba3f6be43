package main

import _ "embed"

// appSource is the app that the faults happen in.
//
//go:embed app.py
var appSource []byte
