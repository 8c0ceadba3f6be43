package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http/httputil"
	"regexp"
	"strconv"
	"strings"
	"sync"
)

// recorder is an upstream that writes down what comes, byte for byte, and is
// as strict as RFC 9112 allows: whatever is ambiguous it marks.
type recorder struct {
	listener net.Listener
	mu       sync.Mutex
	seen     []string
}

func startRecorder() (*recorder, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &recorder{listener: l}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go r.serve(conn)
		}
	}()
	return r, nil
}

func (r *recorder) add(line string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen = append(r.seen, line)
}

// take returns what was seen since the last time.
func (r *recorder) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	seen := r.seen
	r.seen = nil
	return seen
}

func (r *recorder) serve(conn net.Conn) {
	defer conn.Close()
	in := bufio.NewReader(conn)
	for {
		head, err := readHead(in)
		if head != "" {
			line, ok := r.request(head, in)
			if !strings.Contains(head, sidecarAsks) {
				r.add(line)
			}
			if !ok {
				return
			}
			io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n")
		}
		if err != nil {
			return
		}
	}
}

// sidecarAsks is in what a sidecar asks by itself.
const sidecarAsks = "\r\nUser-Agent: flask2ban ("

func readHead(in *bufio.Reader) (string, error) {
	var head strings.Builder
	for {
		line, err := in.ReadString('\n')
		head.WriteString(line)
		if err != nil || line == "\r\n" || line == "\n" {
			return head.String(), err
		}
	}
}

var (
	fieldLine   = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+: ?[^\\x00-\\x08\\x0a-\\x1f\\x7f]*$")
	requestLine = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+ [^ \\x00-\\x20\\x7f]+ HTTP/1\\.1$")
)

// request describes a request and reads its body: method, target, body; and
// what of it another parser might read otherwise.
func (r *recorder) request(head string, in *bufio.Reader) (line string, ok bool) {
	lines := strings.Split(strings.TrimSuffix(head, "\r\n\r\n"), "\r\n")
	var marks []string
	if !requestLine.MatchString(lines[0]) {
		marks = append(marks, "AMBIGUOUS request line")
	}
	length, chunks := -1, false
	for _, l := range lines[1:] {
		name, value, _ := strings.Cut(l, ":")
		switch {
		case !fieldLine.MatchString(l):
			marks = append(marks, fmt.Sprintf("AMBIGUOUS line %q", l))
		case strings.EqualFold(name, "Content-Length"):
			n, err := strconv.Atoi(strings.TrimSpace(value))
			if err != nil || length >= 0 {
				marks = append(marks, "AMBIGUOUS length")
			}
			length = n
		case strings.EqualFold(name, "Transfer-Encoding"):
			if chunks || strings.TrimSpace(value) != "chunked" {
				marks = append(marks, "AMBIGUOUS encoding")
			}
			chunks = true
		}
	}
	if chunks && length >= 0 {
		marks = append(marks, "AMBIGUOUS length and chunks")
	}
	body, err := readBody(in, length, chunks)
	parts := strings.SplitN(lines[0], " ", 3)
	line = fmt.Sprintf("%s %s %q", parts[0], parts[min(1, len(parts)-1)], body)
	if err != nil {
		marks = append(marks, "cut off")
	}
	return strings.Join(append([]string{line}, marks...), "; "), err == nil
}

func readBody(in *bufio.Reader, length int, chunks bool) (string, error) {
	if chunks {
		body, err := io.ReadAll(httputil.NewChunkedReader(in))
		if err != nil {
			return string(body), err
		}
		_, err = readHead(in) // the trailer
		return string(body), err
	}
	body := make([]byte, max(length, 0))
	n, err := io.ReadFull(in, body)
	return string(body[:n]), err
}
