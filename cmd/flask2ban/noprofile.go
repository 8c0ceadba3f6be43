//go:build !cpuprofile

package main

// profile does nothing: see profile.go.
func profile() (end func()) { return func() {} }
