package app

import (
	"bufio"
	"encoding/hex"
	"io"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
)

// openSocket is a listening socket of somebody's, by /proc/net/tcp.
type openSocket struct {
	addr   netip.AddrPort
	inode  uint64
	queued int   // connections that wait to be accepted
	pids   []int // who of the instance has it; empty where nobody asked
}

// listeningSockets are the listening TCP sockets of this network namespace.
func listeningSockets() []openSocket {
	var all []openSocket
	for _, name := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		f, err := os.Open(name)
		if err != nil {
			continue // no IPv6
		}
		all = append(all, readListening(f)...)
		f.Close()
	}
	return all
}

// readListening reads a table as of proc(5): state 0A is LISTEN, the second
// half of field 4 the length of the accept queue then, field 9 the inode. The
// kernel lists what listens first (net/ipv4/tcp_ipv4.c, tcp_seq_start), so
// however many connections there are, they are not read.
func readListening(table io.Reader) []openSocket {
	var found []openSocket
	lines := bufio.NewScanner(table)
	lines.Scan() // the heading
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 10 || fields[3] != "0A" {
			break
		}
		addr, ok := parseProcAddr(fields[1])
		inode, err := strconv.ParseUint(fields[9], 10, 64)
		_, rx, _ := strings.Cut(fields[4], ":")
		queued, err2 := strconv.ParseInt(rx, 16, 32)
		if ok && err == nil && err2 == nil {
			found = append(found, openSocket{addr: addr, inode: inode, queued: int(queued)})
		}
	}
	return found
}

// opened are the listening sockets of the instance's own processes other than
// ours, the lowest port first. What else listens on this machine is never the
// app.
func (i *instance) opened() []openSocket {
	owners := map[uint64][]int{}
	for _, pid := range descendants(processes(), i.guard.Process.Pid) {
		for _, inode := range socketsOf(pid) {
			owners[inode] = append(owners[inode], pid)
		}
	}
	delete(owners, i.place.socket.id())
	var own []openSocket
	for _, s := range listeningSockets() {
		if s.pids = owners[s.inode]; len(s.pids) > 0 {
			own = append(own, s)
		}
	}
	slices.SortFunc(own, func(a, b openSocket) int { return int(a.addr.Port()) - int(b.addr.Port()) })
	return own
}

// socketsOf are the inodes of a process's sockets.
func socketsOf(pid int) []uint64 {
	dir := "/proc/" + strconv.Itoa(pid) + "/fd"
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
	return netip.AddrPortFrom(addr.Unmap(), uint16(n)), ok
}
