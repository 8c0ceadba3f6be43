//go:build cpuprofile

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime/pprof"
	"strconv"
)

// profileDir names the directory that each process writes its CPU profile to.
const profileDir = "CPUPROFILE_DIR"

// profile measures this process until the returned function is called; `make
// pgo` builds it in.
func profile() (end func()) {
	dir := os.Getenv(profileDir)
	if dir == "" {
		return func() {}
	}
	file, err := os.Create(filepath.Join(dir, strconv.Itoa(os.Getpid())+".prof"))
	if err == nil {
		err = pprof.StartCPUProfile(file)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "profile:", err)
		return func() {}
	}
	return func() {
		pprof.StopCPUProfile()
		if err := file.Close(); err != nil {
			fmt.Fprintln(os.Stderr, "profile:", err)
		}
	}
}
