package app

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
)

// listensElsewhere says, for the operator, where the app listens by itself, if
// our socket did not reach its server.
func (i *instance) listensElsewhere() string {
	inodes := map[uint64]bool{}
	list := processes()
	for _, pid := range append(descendants(list, i.pid), i.pid) {
		for _, inode := range socketsOf(pid) {
			inodes[inode] = inode != i.place.socket.inode
		}
	}
	var found []string
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		f, err := os.Open(table)
		if err != nil {
			continue
		}
		found = append(found, listeners(bufio.NewScanner(f), inodes)...)
		f.Close()
	}
	if len(found) == 0 {
		return ""
	}
	return fmt.Sprintf(", but listens on %s by itself: its server did not take our socket (is it started with python -E or -I, or by a program that closes descriptors?)",
		strings.Join(found, ", "))
}

// socketsOf are the inodes of a process's sockets.
func socketsOf(pid int) []uint64 {
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	var found []uint64
	for _, entry := range entries {
		name, err := os.Readlink(dir + "/" + entry.Name())
		if err != nil {
			continue
		}
		text, isSocket := strings.CutPrefix(name, "socket:[")
		if inode, err := strconv.ParseUint(strings.TrimSuffix(text, "]"), 10, 64); isSocket && err == nil {
			found = append(found, inode)
		}
	}
	return found
}

// listeners are the addresses of the listening sockets among inodes, by
// /proc/net/tcp (proc(5)): state 0A is LISTEN, field 9 the inode.
func listeners(table *bufio.Scanner, inodes map[uint64]bool) []string {
	var found []string
	for table.Scan() {
		fields := strings.Fields(table.Text())
		if len(fields) < 10 || fields[3] != "0A" {
			continue
		}
		inode, err := strconv.ParseUint(fields[9], 10, 64)
		if err != nil || !inodes[inode] {
			continue
		}
		if addr, ok := parseProcAddr(fields[1]); ok {
			found = append(found, addr.String())
		}
	}
	return found
}

// parseProcAddr reads "0100007F:1F90": words of four bytes in the machine's
// order, which is little-endian on all that we build for, and a port.
func parseProcAddr(s string) (netip.AddrPort, bool) {
	host, port, _ := strings.Cut(s, ":")
	raw, err1 := hex.DecodeString(host)
	n, err2 := strconv.ParseUint(port, 16, 16)
	if err1 != nil || err2 != nil {
		return netip.AddrPort{}, false
	}
	for at := 0; at+4 <= len(raw); at += 4 {
		slices.Reverse(raw[at : at+4])
	}
	addr, ok := netip.AddrFromSlice(raw)
	return netip.AddrPortFrom(addr, uint16(n)), ok
}
